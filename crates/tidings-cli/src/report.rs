//! The output of an agent: text lines, or JSON, one object per line.

use crate::command;
use crate::key_file::Changed;
use crate::keys::to_text;
use crate::lines::Lines;
use crate::output::count;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_control::json::{event as event_fields, member as node};
use tidings_control::{Level, Publisher};
use tidings_driver::prelude::{Event, Key, Keyring, Member, NodeId, Notice, Stats, Via};

/// Prints to standard output, as text or as JSON, each line at once and complete; and tells those
/// who monitor the agent.
#[derive(Clone)]
pub(crate) struct Report {
    json: bool,
    lines: Lines,
    publisher: Publisher,
    /// The least level that is printed.
    level: Arc<AtomicU8>,
}

/// The result of a command that succeeded.
#[derive(Debug)]
pub(crate) enum Outcome {
    Help,
    /// The members that are alive or suspect, and the local health score (0 is best).
    Members(Vec<Member>, u32),
    /// The result of a join.
    Joined {
        /// The seeds that answered.
        seeds: usize,
        /// The seeds that were asked.
        of: usize,
        /// The members that are present now.
        members: usize,
    },
    Stats(Box<Stats>),
    /// The number of members that confirmed the leave.
    Left(usize),
    /// The member that answered a ping, and the round-trip time.
    Pong(NodeId, Duration),
    Keys(Keyring),
    KeyChanged(Changed),
    /// Success without a value; the text is for people only.
    Done(String),
}

impl Report {
    pub(crate) fn new(json: bool, level: Level, lines: Lines, publisher: Publisher) -> Self {
        Self { json, lines, publisher, level: Arc::new(AtomicU8::new(level as u8)) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints events and notices of this level and above from now on.
    pub(crate) fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    pub(crate) fn ready(&self, local: &Member) {
        if self.json {
            self.object("ready", json!({"node": node(local), "pid": std::process::id()}));
        } else {
            self.text(Level::Info, &format!("{} runs at {}", local.id(), local.addr()));
        }
    }

    /// Reports the address at which the agent serves HTTP.
    pub(crate) fn http(&self, addr: SocketAddr) {
        if self.json {
            self.object("http", json!({"addr": addr.ip(), "port": addr.port()}));
        } else {
            self.text(Level::Info, &format!("status page at http://{addr}/status"));
        }
    }

    pub(crate) fn event(&self, event: &Event) {
        if let (Some((kind, fields)), Some(text)) = (event_fields(event), event_text(event)) {
            self.log(kind, Level::of(event), &text, fields);
        }
    }

    /// Reports what goes wrong beside the node.
    pub(crate) fn notice(&self, notice: &Notice) {
        let kind = match notice {
            Notice::SourceFailed { .. } => "source-failed",
            Notice::TooManySeeds { .. } => "too-many-seeds",
            Notice::SnapshotSetAside { .. } => "snapshot-set-aside",
            Notice::SnapshotFailed { .. } => "snapshot-failed",
            _ => "other",
        };
        self.warn(kind, &notice.to_string());
    }

    /// Reports a notice of the agent itself.
    pub(crate) fn warn(&self, kind: &str, text: &str) {
        self.log("notice", Level::Warn, text, json!({"kind": kind, "text": text}));
    }

    /// Reports that events were dropped because this program did not read them fast enough.
    pub(crate) fn lagged(&self, events: u64) {
        let text = lagged_text(events);
        self.log("lagged", Level::Warn, &text, json!({"events": events}));
    }

    /// Reports an event, or what happens in the agent itself; waits for nobody who reads it.
    pub(crate) fn log(&self, kind: &str, level: Level, text: &str, mut fields: Value) {
        self.publisher.publish(kind, level, text, fields.clone());
        if (level as u8) < self.level.load(Ordering::Relaxed) {
            return;
        }
        if self.json {
            fields["level"] = level.as_str().into();
            self.lines.offer(line(kind, fields), |lost| {
                line("lagged", json!({"events": lost, "level": Level::Warn.as_str()}))
            });
        } else {
            let warning = |lost| text_line(Level::Warn, &lagged_text(lost));
            self.lines.offer(text_line(level, text), warning);
        }
    }

    pub(crate) fn result(&self, id: &str, name: &str, outcome: &Result<Outcome, String>) {
        if self.json {
            let mut result = match outcome {
                Ok(outcome) => fields(outcome),
                Err(error) => json!({"error": error}),
            };
            result["id"] = id.into();
            result["cmd"] = name.into();
            result["ok"] = outcome.is_ok().into();
            self.object("result", result);
        } else {
            match outcome {
                Ok(outcome) => self.text(Level::Info, &outcome_text(outcome)),
                Err(error) => self.text(Level::Error, &format!("{name}: {error}")),
            }
        }
    }

    pub(crate) fn fatal(&self, error: &str) {
        if self.json {
            self.lines.push_last(line("fatal", json!({"error": error})));
        }
    }

    /// Prints the last line, without waiting for whoever reads it.
    pub(crate) fn exit(&self, why: &str) {
        if self.json {
            self.lines.push_last(line("exit", json!({"why": why})));
        }
    }

    fn text(&self, level: Level, text: &str) {
        self.lines.push(text_line(level, text));
    }

    fn object(&self, kind: &str, object: Value) {
        self.lines.push(line(kind, object));
    }
}

/// A line for people: the time (UTC), the level, and a text.
fn text_line(level: Level, text: &str) -> String {
    let now = humantime::format_rfc3339_millis(SystemTime::now());
    let level = level.as_str().to_uppercase();
    format!("{now} {level:5} {text}")
}

fn lagged_text(events: u64) -> String {
    let number = count(usize::try_from(events).unwrap_or(usize::MAX), "event");
    format!("lagging: {number} dropped; use `members` for the current state")
}

/// A line of JSON.
fn line(kind: &str, mut object: Value) -> String {
    object["ev"] = kind.into();
    object["t"] = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64().into();
    object.to_string()
}

/// An event as text for people; `None` for the end of a command, which its result reports.
pub(crate) fn event_text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Joined(member) => format!("{} joined{}", member.id(), details(member)),
        Event::Updated(member) => format!("{} updated: now{}", member.id(), details(member)),
        Event::Restarted { member, .. } => format!("{} was restarted", member.id()),
        Event::Suspected(member) => format!("{} is suspected", member.id()),
        Event::Recovered(member) => format!("{} refuted the suspicion: it is alive", member.id()),
        Event::Failed(member) if member.is_suppressed() => {
            format!("{} flaps: it counts as failed until it has been steady", member.id())
        }
        Event::Failed(member) => format!("{} failed", member.id()),
        Event::Left(member) => format!("{} left", member.id()),
        Event::Degraded(member) => {
            format!("{} answers over TCP and not over UDP: is UDP blocked?", member.id())
        }
        Event::Restored(member) => format!("{} answers over UDP again", member.id()),
        Event::Conflict { id, addr, other } => {
            format!("name conflict: {addr} and {other} both use the name {id}")
        }
        Event::Message { from, data, via } => {
            let kind = match via {
                Via::Reliable => "reliable message",
                Via::Broadcast => "broadcast",
                _ => "message",
            };
            format!("{kind}{}: {}", sender(from), excerpt(data))
        }
        Event::SyncState { from, data, .. } => {
            format!("push/pull state{}: {}", sender(from), excerpt(data))
        }
        Event::StreamsBlocked(member) => {
            format!("{} answers over UDP and not over TCP: is TCP blocked?", member.id())
        }
        Event::StreamsRestored(member) => format!("{} can be connected to again", member.id()),
        Event::DatagramTooLong { .. }
        | Event::Unreachable { .. }
        | Event::SeedFailed { .. }
        | Event::Ready { .. } => event.to_string(),
        Event::PartitionSuspected { lost, present } => {
            let (lost, present) = (count(*lost, "member"), count(*present, "member"));
            format!("possible network partition: {lost} failed within a short time, {present} left")
        }
        _ => return None,
    })
}

/// The sender of a message, if it is known.
fn sender(from: &Option<NodeId>) -> String {
    from.as_ref().map_or_else(String::new, |from| format!(" from {from}"))
}

/// Application data as text if it is UTF-8, else in hex; cut to the length of a line.
pub(crate) fn excerpt(data: &[u8]) -> String {
    let text = match std::str::from_utf8(data) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("hex:{}", HEXLOWER.encode(data)),
    };
    match text.char_indices().nth(MAX_EXCERPT) {
        Some((at, _)) => format!("{}... ({})", &text[..at], count(data.len(), "byte")),
        None => text,
    }
}

/// The length of an excerpt of application data, in characters.
const MAX_EXCERPT: usize = 200;

/// The fields of a command's result as JSON.
fn fields(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Help => json!({"help": command::HELP}),
        Outcome::Members(members, health) => {
            json!({"members": members.iter().map(node).collect::<Vec<_>>(), "health": health})
        }
        Outcome::Joined { seeds, .. } => json!({"joined": seeds}),
        Outcome::Stats(stats) => json!({"stats": stats}),
        Outcome::Left(confirmed) => json!({"confirmed": confirmed}),
        Outcome::Pong(_, rtt) => json!({"rtt": rtt.as_secs_f64()}),
        Outcome::Keys(keyring) => {
            json!({"keys": keyring.keys().map(to_text).collect::<Vec<_>>()})
        }
        Outcome::KeyChanged(changed) => json!({"saved": changed.saved}),
        Outcome::Done(_) => json!({}),
    }
}

/// A command's result as text for people.
fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Help => command::HELP.into(),
        Outcome::Members(members, health) => {
            let mut text =
                format!("{}; local health {health} (0 is best)", count(members.len(), "member"));
            for member in members {
                let _ = write!(text, "\n    {:20} {:7}", member.id(), member.state());
                text += &details(member);
                if member.is_degraded() {
                    text += ", answers over TCP only";
                }
            }
            text
        }
        Outcome::Joined { seeds, of, members } => {
            let (of, members) = (count(*of, "seed"), count(*members, "member"));
            format!("joined through {seeds} of {of}; {members}")
        }
        Outcome::Stats(stats) => {
            let mut text = "counters since the start (zeros are left out):".to_owned();
            list_counters(&mut text, "", &json!(stats));
            text
        }
        Outcome::Left(confirmed) => format!("left; {} confirmed it", count(*confirmed, "member")),
        Outcome::Pong(id, rtt) => format!("{id} answered, round trip {rtt:.1?}"),
        Outcome::Keys(keyring) => {
            let shown = |key: &Key| format!("{} ({})", key.id(), key.cipher());
            let mut text = format!("primary key {}", shown(keyring.primary()));
            for (n, key) in keyring.keys().skip(1).enumerate() {
                text += if n == 0 { "; also accepts " } else { ", " };
                text += &shown(key);
            }
            text
        }
        Outcome::KeyChanged(changed) => changed.text.clone(),
        Outcome::Done(text) => text.clone(),
    }
}

/// Appends a line for each counter that is not zero, with the name of its group in front.
pub(crate) fn list_counters(text: &mut String, group: &str, counters: &Value) {
    for (name, value) in counters.as_object().into_iter().flatten() {
        if value.is_object() {
            list_counters(text, &format!("{name}: "), value);
        } else if *value != 0 {
            let name = format!("{group}{name}").replace('_', " ");
            let _ = write!(text, "\n    {name:36} {value}");
        }
    }
}

/// A member's address, and its metadata if it has some.
fn details(member: &Member) -> String {
    let mut text = format!(" at {}", member.addr());
    if !member.meta().is_empty() {
        let _ = write!(text, ", metadata {}", excerpt(member.meta()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_data_is_cut_to_a_line() {
        assert_eq!(excerpt("two\nlines".as_bytes()), "\"two\\nlines\"");
        assert_eq!(excerpt(b"\x00\xff"), "hex:00ff");
        let long = excerpt(&[b'x'; 500_000]);
        assert!(long.len() < 230 && long.ends_with("x... (500000 bytes)"), "{long}");
        // The cut is not within a character.
        assert!(excerpt("ü".repeat(500).as_bytes()).ends_with("ü... (1000 bytes)"));
    }

    #[test]
    fn a_partition_is_reported_with_its_counts() {
        let event = Event::PartitionSuspected { lost: 4, present: 2 };
        assert_eq!(
            event_text(&event).unwrap(),
            "possible network partition: 4 members failed within a short time, 2 members left"
        );
    }

    #[test]
    fn results_agree_in_number() {
        let joined = |seeds, of, members| outcome_text(&Outcome::Joined { seeds, of, members });
        assert_eq!(joined(1, 1, 1), "joined through 1 of 1 seed; 1 member");
        assert_eq!(joined(1, 2, 3), "joined through 1 of 2 seeds; 3 members");
        assert_eq!(outcome_text(&Outcome::Left(1)), "left; 1 member confirmed it");
        assert_eq!(outcome_text(&Outcome::Left(0)), "left; 0 members confirmed it");
        let none = outcome_text(&Outcome::Members(Vec::new(), 0));
        assert_eq!(none, "0 members; local health 0 (0 is best)");
    }
}
