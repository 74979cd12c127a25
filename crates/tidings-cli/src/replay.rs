//! `tidings replay`: a recorded node runs again; whether it does the same, what it did, and why.

mod names;
mod state;
mod timeline;
mod why;

use crate::Fatal;
use crate::report::write_line;
use names::Names;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings::Instant;
use tidings::replay::{Replay, ReplayError, Step};
use tidings_driver::prelude::NodeId;
use tidings_record::{Damage, Recording, Segment};
use timeline::Kind;
use why::Why;

/// What a recording is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `tidings agent --record` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show only what concerns these members
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    member: Vec<NodeId>,
    /// Show only what is of these kinds
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Show nothing later: a time of day (UTC), or a whole date with it, as 2026-01-31T02:13:07Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Show the state of the node in the end, or at the time of `--until`, and not what it did
    #[arg(long)]
    state: bool,
    /// Say why the node held this member to have failed, or to be suspect, the last time
    #[arg(long, value_name = "NAME", conflicts_with = "state")]
    why: Option<NodeId>,
}

/// Replays all, shows what was asked for, and succeeds if all is as it was.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let bad = |error: &dyn ToString| {
        Fatal::usage(format!("{}: {}", args.file.display(), error.to_string()))
    };
    let recording = Recording::open(&args.file).map_err(|error| bad(&error))?;
    let until = match &args.until {
        Some(time) => until(time, &recording).map_err(Fatal::usage)?,
        None => Instant::MAX,
    };
    let mut run = Run {
        args,
        recording: &recording,
        until,
        shown: false,
        names: Names::default(),
        why: args.why.clone().map(Why::new),
        found: Found::default(),
    };
    let mut end = None;
    for segment in recording.segments() {
        if let Err(error) = run.segment(segment, &mut end) {
            return Err(bad(&error));
        }
    }
    run.show_end(end.as_ref());
    run.conclude(end.as_ref());
    Ok(if run.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A replay of all segments, one after the other.
struct Run<'a> {
    args: &'a Args,
    recording: &'a Recording,
    until: Instant,
    /// The state or the reasons at the time of `--until` were shown.
    shown: bool,
    names: Names,
    why: Option<Why>,
    found: Found,
}

/// What a replay has compared, and what was not the same.
#[derive(Default)]
struct Found {
    inputs: usize,
    outputs: usize,
    differences: Vec<(Instant, String)>,
}

impl<'a> Run<'a> {
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
            // What the state was before the first step that is too late.
            let health = replay.node().health();
            let next = replay.next_at()?;
            if next.is_some_and(|at| at > self.until) {
                self.show_state(&replay);
            }
            let Some(step) = replay.step()? else { break };
            self.names.learn_from(&step);
            self.found.inputs += 1;
            self.found.outputs += step.outputs.len();
            if let Some(difference) = &step.difference {
                self.found.differences.push((step.at, difference.to_string()));
                // What follows is of another node.
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
        if segment.continued && !self.found.differences.iter().any(|(at, _)| *at >= segment.from) {
            let next =
                self.recording.segments().iter().find(|next| next.number == segment.number + 1);
            let mut state = Vec::new();
            replay.node().checkpoint(&mut state);
            if next.is_some_and(|next| next.checkpoint != state) {
                let what = "the next segment does not begin with the state at the end of this one";
                self.found.differences.push((segment.until, what.into()));
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
            write_line(&match self.args.json {
                true => line.to_json(at).to_string(),
                false => format!("{}  {}", time_of_day(at), line.text),
            });
        }
    }

    fn show_state(&mut self, replay: &Replay<'_>) {
        if self.args.state && !std::mem::replace(&mut self.shown, true) {
            state::show(replay, &self.names, self.recording, self.args.json);
        }
    }

    fn show_end(&mut self, end: Option<&Replay<'_>>) {
        if let Some(end) = end {
            self.show_state(end);
        }
        if let Some(why) = &self.why {
            why.show(self.args.json);
        }
    }

    fn is_sound(&self) -> bool {
        self.found.differences.is_empty() && self.recording.damage().is_empty()
    }

    /// Says whether all was as it was.
    fn conclude(&self, end: Option<&Replay<'_>>) {
        let Found { inputs, outputs, differences } = &self.found;
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
            return write_line(&conclusion.to_string());
        }
        for damage in self.recording.damage() {
            write_line(&damage_words(damage, self.recording));
        }
        for (at, difference) in differences {
            write_line(&format!("{}  not the same\n{difference}", rfc3339(wall(*at))));
        }
        let (Some(first), Some(last), Some(end)) = (segments.first(), segments.last(), end) else {
            return write_line("nothing could be replayed");
        };
        let config = end.node().config();
        let (from, until) = (rfc3339(wall(first.from)), rfc3339(wall(last.until)));
        let whom = format!("{} of cluster {}, {from} to {until}", config.id(), config.cluster());
        let equal = if differences.is_empty() { "all equal" } else { "NOT all equal" };
        write_line(&format!("{whom}: {inputs} inputs, {outputs} outputs compared, {equal}"));
        if self.recording.version() != env!("CARGO_PKG_VERSION") {
            let (theirs, ours) = (self.recording.version(), env!("CARGO_PKG_VERSION"));
            write_line(&format!("recorded by version {theirs}, replayed by version {ours}"));
        }
    }
}

fn damage_words(damage: &Damage, recording: &Recording) -> String {
    let told = |at: Option<Instant>, unknown: &str| match at {
        Some(at) => rfc3339(recording.wall(at)),
        None => unknown.to_owned(),
    };
    let (from, until) = (told(damage.from, "unknown"), told(damage.until, "unknown"));
    let what = if damage.not_recorded { "was not recorded" } else { "cannot be read" };
    match damage.segment {
        Some(segment) => format!("damaged: segment {segment}, from {from} until {until}, {what}"),
        None => format!("damaged: a segment {what}"),
    }
}

/// The time of the node's for what `--until` says: of days, the last one that is in the recording.
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
        let time = time
            .map_err(|_| format!("--until {text}: a time is 02:13:07, or 2026-01-31T02:13:07Z"))?;
        let earlier = day.checked_sub(Duration::from_secs(24 * 3600)).unwrap_or(UNIX_EPOCH);
        if time <= last || time < first || earlier == UNIX_EPOCH {
            return Ok(recording.instant(time));
        }
        day = earlier;
    }
}

/// The time of day, with milliseconds.
fn time_of_day(at: SystemTime) -> String {
    let at = rfc3339(at);
    at.get(11..23).unwrap_or(&at).to_owned()
}

fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
