//! `tidings replay`: replays a recording, verifies it, shows what the node did, and explains why.

mod names;
mod state;
mod timeline;
mod why;

use crate::Fatal;
use crate::output::count;
use names::Names;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings::Instant;
use tidings::replay::{Replay, ReplayError, Step};
use tidings_driver::prelude::{Incarnation, NodeId};
use tidings_record::{Damage, Recording, Segment};
use timeline::Kind;
use why::Explainer;

/// Replay a recording: verify it, show what the node did, and explain its verdicts
///
/// The node is run again with the recorded inputs. The exit status is 0 if every output is the same
/// as the recorded one, 1 if not or if the recording is damaged, 2 if it is not a recording or does
/// not know a member that an option names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording, from `tidings agent --record`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show only events that concern these members
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    member: Vec<NodeId>,
    /// Show only events of these kinds
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Stop at this time (UTC), as 02:13:07 or 2026-01-31T02:13:07Z
    ///
    /// A time without a date is on the last day of the recording that has it
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    /// Show the state of the node at the end, or at --until, instead of its events
    #[arg(long)]
    state: bool,
    /// Explain why the node last suspected this member, or declared it failed
    #[arg(long, value_name = "NAME", conflicts_with = "state")]
    why: Option<NodeId>,
}

/// Replays a recording and shows the result; succeeds if every output equals the recorded one.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let bad = |error: &dyn ToString| {
        Fatal::usage(format!("{}: {}", args.file.display(), error.to_string()))
    };
    let recording = Recording::open(&args.file).map_err(|error| bad(&error))?;
    replay(args, &recording)
}

/// Explains a verdict on a member from the recent past of a running agent.
pub(crate) fn explain(
    recording: &Recording,
    about: NodeId,
    until: Option<String>,
    json: bool,
) -> Result<ExitCode, Fatal> {
    let args = Args {
        file: "the agent's recent past".into(),
        member: Vec::new(),
        kind: Vec::new(),
        until,
        json,
        state: false,
        why: Some(about),
    };
    replay(&args, recording)
}

fn replay(args: &Args, recording: &Recording) -> Result<ExitCode, Fatal> {
    let bad = |error: &dyn ToString| {
        Fatal::usage(format!("{}: {}", args.file.display(), error.to_string()))
    };
    let until = match &args.until {
        Some(time) => until(time, recording).map_err(Fatal::usage)?,
        None => Instant::MAX,
    };
    let mut run = Run {
        args,
        recording,
        until,
        state_shown: false,
        names: Names::default(),
        why: args.why.clone().map(Explainer::new),
        comparison: Comparison::default(),
    };
    run.show_header();
    let mut end = None;
    for segment in recording.segments() {
        if let Err(error) = run.segment(segment, &mut end) {
            return Err(bad(&error));
        }
    }
    run.show_end(end.as_ref());
    run.conclude(end.as_ref());
    run.check_names()?;
    Ok(if run.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A replay of all segments in order.
struct Run<'a> {
    args: &'a Args,
    recording: &'a Recording,
    /// The time of `--until`.
    until: Instant,
    /// Whether the state at the time of `--until` was shown.
    state_shown: bool,
    names: Names,
    why: Option<Explainer>,
    comparison: Comparison,
}

/// The comparison of replayed outputs with recorded ones.
#[derive(Default)]
struct Comparison {
    inputs: usize,
    outputs: usize,
    differences: Vec<(Instant, String)>,
}

impl<'a> Run<'a> {
    /// Says how to read the times, above events and explanations.
    fn show_header(&self) {
        let Some(first) = self.recording.segments().first() else { return };
        if !self.args.json && !self.args.state {
            let start = rfc3339(self.recording.wall(first.from));
            println!("recorded from {start}; times are UTC, and seconds since then");
        }
    }

    /// Replays a segment; `end` is the replay of the one before.
    fn segment(
        &mut self,
        segment: &'a Segment,
        end: &mut Option<Replay<'a>>,
    ) -> Result<(), ReplayError> {
        if let Some(before) = end.as_ref().filter(|_| segment.from > self.until) {
            self.show_state(before);
        }
        let mut replay = Replay::new(&segment.checkpoint, &segment.journal)?;
        self.names.learn_all(replay.node());
        loop {
            // The state at `--until` is the one before the first later step.
            let health = replay.node().health();
            let next = replay.next_at()?;
            if next.is_some_and(|at| at > self.until) {
                self.show_state(&replay);
            }
            let Some(step) = replay.step()? else { break };
            self.names.learn_from(&step);
            self.comparison.inputs += 1;
            self.comparison.outputs += step.outputs.len();
            if let Some(difference) = &step.difference {
                self.comparison.differences.push((step.at, difference.to_string()));
                // From here on the replayed node is another one.
                break;
            }
            if step.at > self.until {
                continue;
            }
            match &mut self.why {
                Some(why) => why.step(&step, &replay, health, &self.names, self.recording),
                None if !self.args.state => self.show(&step),
                None => {}
            }
        }
        if segment.continued
            && !self.comparison.differences.iter().any(|(at, _)| *at >= segment.from)
        {
            let next =
                self.recording.segments().iter().find(|next| next.number == segment.number + 1);
            let mut state = Vec::new();
            replay.node().checkpoint(&mut state);
            if next.is_some_and(|next| next.checkpoint != state) {
                let text =
                    "the next segment's checkpoint differs from the state at the end of this one";
                self.comparison.differences.push((segment.until, text.into()));
            }
        }
        *end = Some(replay);
        Ok(())
    }

    fn show(&self, step: &Step) {
        for line in timeline::lines(step, &self.names) {
            let kinds = &self.args.kind;
            let members = &self.args.member;
            if !(kinds.is_empty() || kinds.contains(&line.kind))
                || !(members.is_empty() || line.members.iter().any(|id| members.contains(id)))
            {
                continue;
            }
            let at = self.recording.wall(step.at);
            if self.args.json {
                println!("{}", line.to_json(at));
            } else {
                println!("{}  {}", timestamp(at, self.recording), line.text);
            }
        }
    }

    fn show_state(&mut self, replay: &Replay<'_>) {
        if self.args.state && !std::mem::replace(&mut self.state_shown, true) {
            state::show(replay, &self.names, self.recording, self.args.json);
        }
    }

    fn show_end(&mut self, end: Option<&Replay<'_>>) {
        if let Some(end) = end {
            self.show_state(end);
        }
        if let Some(why) = self.why.as_ref().filter(|why| self.names.contains(why.about())) {
            why.show(self.args.json, self.recording);
        }
    }

    /// Fails if an option names a member that the recording does not have.
    fn check_names(&self) -> Result<(), Fatal> {
        let mut asked = self.args.why.iter().chain(&self.args.member);
        let Some(unknown) = asked.find(|name| !self.names.contains(name)) else { return Ok(()) };
        let known: Vec<_> = self.names.all().map(NodeId::as_str).collect();
        let more = known.len().saturating_sub(MAX_NAMES);
        let mut list = known[..known.len() - more].join(", ");
        if more > 0 {
            list += &format!(" and {more} more");
        }
        Err(Fatal::usage(format!("no member named {unknown} in the recording; it has {list}")))
    }

    fn is_sound(&self) -> bool {
        self.comparison.differences.is_empty() && self.recording.damage().is_empty()
    }

    /// Reports damage, differences and the result of the comparison.
    fn conclude(&self, end: Option<&Replay<'_>>) {
        let Comparison { inputs, outputs, differences } = &self.comparison;
        let segments = self.recording.segments();
        let wall = |at| self.recording.wall(at);
        if self.args.json {
            let damage = self.recording.damage().iter().map(|damage| {
                json!({
                    "segment": damage.segment,
                    "from": damage.from.map(|at| rfc3339(wall(at))),
                    "until": damage.until.map(|at| rfc3339(wall(at))),
                    "not_recorded": damage.not_recorded,
                })
            });
            let differences = differences.iter().map(
                |(at, difference)| json!({"at": rfc3339(wall(*at)), "difference": difference}),
            );
            let conclusion = json!({
                "ev": "verified",
                "sound": self.is_sound(),
                "version": self.recording.version(),
                "node": end.map(|end| end.node().local().id().as_str()),
                "segments": segments.len(),
                "inputs": inputs,
                "outputs": outputs,
                "damage": damage.collect::<Vec<Value>>(),
                "differences": differences.collect::<Vec<Value>>(),
            });
            return println!("{conclusion}");
        }
        for damage in self.recording.damage() {
            println!("{}", damage_text(damage, self.recording));
        }
        for (at, difference) in differences {
            println!("{}  differs from the recording\n{difference}", rfc3339(wall(*at)));
        }
        let (Some(first), Some(last), Some(end)) = (segments.first(), segments.last(), end) else {
            return println!("nothing could be replayed: no segment is readable");
        };
        let config = end.node().config();
        let (from, until) = (rfc3339(wall(first.from)), rfc3339(wall(last.until)));
        let node = format!("{} of cluster {}, {from} to {until}", config.id(), config.cluster());
        let equal = if differences.is_empty() { "all equal" } else { "NOT all equal" };
        let (inputs, outputs) = (count(*inputs, "input"), count(*outputs, "output"));
        println!("{node}: {inputs} replayed, {outputs} compared, {equal}");
        if self.recording.version() != env!("CARGO_PKG_VERSION") {
            let (theirs, ours) = (self.recording.version(), env!("CARGO_PKG_VERSION"));
            let theirs = theirs.escape_debug();
            println!("recorded by version {theirs}, replayed by version {ours}");
        }
    }
}

fn damage_text(damage: &Damage, recording: &Recording) -> String {
    let time = |at: Option<Instant>| {
        at.map_or_else(|| "an unknown time".into(), |at| rfc3339(recording.wall(at)))
    };
    let (from, until) = (time(damage.from), time(damage.until));
    let what = if damage.not_recorded { "was not recorded" } else { "cannot be read" };
    match damage.segment {
        Some(segment) => format!("damaged: segment {segment}, from {from} to {until}, {what}"),
        None => format!("damaged: a segment {what}"),
    }
}

/// The time of `--until` on the node's clock; a time without a date is on the last day of the
/// recording that has it.
fn until(text: &str, recording: &Recording) -> Result<Instant, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(recording.instant(time));
    }
    let segments = recording.segments();
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Ok(Instant::MAX);
    };
    let (first, last) = (recording.wall(first.from), recording.wall(last.until));
    let mut day = last;
    loop {
        let date = rfc3339(day);
        let date = date.get(..10).unwrap_or_default();
        let time = humantime::parse_rfc3339_weak(&format!("{date}T{text}"));
        let time = time.map_err(|_| {
            format!("--until {text}: expected a time as 02:13:07 or 2026-01-31T02:13:07Z")
        })?;
        let earlier = day.checked_sub(Duration::from_secs(24 * 3600)).unwrap_or(UNIX_EPOCH);
        if time <= last || time < first || earlier == UNIX_EPOCH {
            return Ok(recording.instant(time));
        }
        day = earlier;
    }
}

/// The time of day, and the seconds since the start of the recording.
fn timestamp(at: SystemTime, recording: &Recording) -> String {
    let start = recording.segments().first().map_or(at, |first| recording.wall(first.from));
    let after = at.duration_since(start).unwrap_or_default().as_secs_f64();
    format!("{} {:>12}", time_of_day(at), format!("+{after:.3} s"))
}

/// The time of day, with the date in front if that is not the date of `near`.
fn time_near(at: SystemTime, near: SystemTime) -> String {
    let (time, near) = (rfc3339(at), rfc3339(near));
    if time.get(..10) == near.get(..10) { time_of_day(at) } else { time }
}

/// The time of day (UTC), with milliseconds.
fn time_of_day(at: SystemTime) -> String {
    let at = rfc3339(at);
    at.get(11..23).unwrap_or(&at).to_owned()
}

/// An incarnation for people.
///
/// Drivers take the generation from the wall clock, in 128ths of a second since the beginning of
/// 2025: it is shown as the time when the node started, if that is plausible. memberlist's format
/// has no generation, which is 0 then.
fn incarnation_text(Incarnation { generation, number }: Incarnation) -> String {
    match generation {
        0 => format!("incarnation {number}"),
        PLAUSIBLE_START..=PLAUSIBLE_END => {
            let start = UNIX_EPOCH + Duration::from_secs(BEGINNING_OF_2025 + generation / UNITS);
            let start = humantime::format_rfc3339_seconds(start);
            format!("incarnation {number} (started {start})")
        }
        _ => format!("incarnation {number} (generation {generation})"),
    }
}

/// The wall-clock time with its date.
fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// The names of members that an error lists at most.
const MAX_NAMES: usize = 20;
/// The origin of generations, in seconds since 1970: see [`Clock`](tidings::Clock).
const BEGINNING_OF_2025: u64 = 1_735_689_600;
/// July 2025: before that there were no generations from the wall clock.
const PLAUSIBLE_START: u64 = UNITS << 24;
/// January 2059: greater generations have another unit, or another origin, as Unix time has.
const PLAUSIBLE_END: u64 = UNITS << 30;
/// The units of generations in a second.
const UNITS: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_another_day_have_their_date() {
        let at = |hours: u64| UNIX_EPOCH + Duration::from_secs(hours * 3600);
        assert_eq!(time_near(at(23), at(0)), "23:00:00.000");
        assert_eq!(time_near(at(24), at(0)), "1970-01-02T00:00:00.000Z");
    }

    #[test]
    fn incarnations_have_the_time_of_the_start_where_it_is_known() {
        let text = |generation, number| incarnation_text(Incarnation { generation, number });
        assert_eq!(text(0, 3), "incarnation 3");
        assert_eq!(text(128 * 59_954_400 + 127, 1), "incarnation 1 (started 2026-11-25T22:00:00Z)");
        assert_eq!(text(7, 0), "incarnation 0 (generation 7)");
        let unix = 1_800_000_000;
        assert_eq!(text(unix, 0), "incarnation 0 (generation 1800000000)");
    }
}
