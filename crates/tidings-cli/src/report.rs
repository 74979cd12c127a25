//! The output of an agent: text lines, or JSON, one object per line.

use crate::command;
use crate::keys::to_text;
use crate::output::{count, write_line};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_driver::prelude::{
    Event, Incarnation, Key, Keyring, Member, NodeId, Notice, State, Stats, Via,
};

/// Prints to standard output, as text or as JSON; each line is written at once and complete.
#[derive(Clone)]
pub(crate) struct Report {
    json: bool,
    /// Called with the error if a line cannot be written.
    on_error: Arc<dyn Fn(io::Error) + Send + Sync>,
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
    /// Success without a value; the text is for people only.
    Done(String),
}

/// The level of a text line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Info,
    Warn,
    Error,
}

impl Report {
    pub(crate) fn new(json: bool, on_error: impl Fn(io::Error) + Send + Sync + 'static) -> Self {
        Self { json, on_error: Arc::new(on_error) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
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
        if self.json {
            if let Some((kind, fields)) = event_fields(event) {
                self.object(kind, fields);
            }
        } else if let Some(text) = event_text(event) {
            self.text(level(event), &text);
        }
    }

    /// Reports what goes wrong beside the node.
    pub(crate) fn notice(&self, notice: &Notice) {
        if self.json {
            let kind = match notice {
                Notice::SourceFailed { .. } => "source-failed",
                Notice::TooManySeeds { .. } => "too-many-seeds",
                Notice::SnapshotSetAside { .. } => "snapshot-set-aside",
                Notice::SnapshotFailed { .. } => "snapshot-failed",
                _ => "other",
            };
            self.object("notice", json!({"kind": kind, "text": notice.to_string()}));
        } else {
            self.text(Level::Warn, &notice.to_string());
        }
    }

    /// Reports that events were dropped because this program did not read them fast enough.
    pub(crate) fn lagged(&self, events: u64) {
        if self.json {
            self.object("lagged", json!({"events": events}));
        } else {
            let events = count(usize::try_from(events).unwrap_or(usize::MAX), "event");
            let text = format!("lagging: {events} dropped; use `members` for the current state");
            self.text(Level::Warn, &text);
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
            self.object("fatal", json!({"error": error}));
        }
    }

    pub(crate) fn exit(&self, why: &str) {
        if self.json {
            self.object("exit", json!({"why": why}));
        }
    }

    fn text(&self, level: Level, text: &str) {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let level = match level {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        self.line(&format!("{now} {level:5} {text}"));
    }

    fn object(&self, kind: &str, mut object: Value) {
        object["ev"] = kind.into();
        object["t"] = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64().into();
        self.line(&object.to_string());
    }

    fn line(&self, line: &str) {
        if let Err(error) = write_line(line) {
            (self.on_error)(error);
        }
    }
}

/// The kind and the fields of an event as JSON; `None` for the end of a command, which its result
/// reports.
fn event_fields(event: &Event) -> Option<(&'static str, Value)> {
    let about = |member| json!({"node": node(member)});
    Some(match event {
        Event::Joined(member) => ("join", about(member)),
        Event::Updated(member) => ("update", about(member)),
        Event::Restarted { member, earlier } => {
            let incarnation = |it: &Incarnation| json!([it.generation, it.number]);
            let earlier = incarnation(earlier);
            ("restart", json!({"node": node(member), "earlier": earlier}))
        }
        Event::Suspected(member) => ("suspect", about(member)),
        Event::Recovered(member) => ("alive", about(member)),
        Event::Failed(member) | Event::Left(member) => ("leave", about(member)),
        Event::Degraded(member) => ("degraded", about(member)),
        Event::Restored(member) => ("restored", about(member)),
        Event::StreamsBlocked(member) => ("streams-blocked", about(member)),
        Event::StreamsRestored(member) => ("streams-restored", about(member)),
        Event::DatagramTooLong { to, len } => {
            ("too-long", json!({"addr": to.ip(), "port": to.port(), "bytes": len}))
        }
        Event::Conflict { id, addr, other } => {
            let [node, other] = [addr, other]
                .map(|addr| json!({"name": id.as_str(), "addr": addr.ip(), "port": addr.port()}));
            ("conflict", json!({"node": node, "other": other}))
        }
        Event::Message { from, data, via } => {
            let via = match via {
                Via::Reliable => "reliable",
                Via::Broadcast => "broadcast",
                _ => "best-effort",
            };
            let data = HEXLOWER.encode(data);
            ("msg", json!({"from": from.as_ref().map(NodeId::as_str), "data": data, "via": via}))
        }
        Event::SyncState { from, data, join } => {
            let data = HEXLOWER.encode(data);
            (
                "remote-state",
                json!({"from": from.as_ref().map(NodeId::as_str), "data": data, "join": join}),
            )
        }
        Event::Unreachable { addr } => {
            ("unreachable", json!({"addr": addr.ip(), "port": addr.port()}))
        }
        Event::SeedFailed { seed, error } => (
            "seed-failed",
            json!({"addr": seed.ip(), "port": seed.port(), "error": error.to_string()}),
        ),
        Event::Ready { members } => ("settled", json!({"members": members})),
        Event::PartitionSuspected { lost, present } => {
            ("partition", json!({"lost": lost, "present": present}))
        }
        _ => return None,
    })
}

/// The level of an event.
fn level(event: &Event) -> Level {
    match event {
        Event::Suspected(_)
        | Event::Failed(_)
        | Event::Degraded(_)
        | Event::StreamsBlocked(_)
        | Event::DatagramTooLong { .. }
        | Event::Conflict { .. }
        | Event::Unreachable { .. }
        | Event::SeedFailed { .. }
        | Event::PartitionSuspected { .. } => Level::Warn,
        _ => Level::Info,
    }
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
fn excerpt(data: &[u8]) -> String {
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

/// A member as JSON, with the names that HashiCorp's tools use, so that one script drives either.
///
/// `meta_text` is the metadata as text, where it is UTF-8.
fn node(member: &Member) -> Value {
    let state = match member.state() {
        _ if member.is_suppressed() => "dead",
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Failed => "dead",
        State::Left => "left",
    };
    let mut node = json!({
        "name": member.id().as_str(),
        "addr": member.addr().ip(),
        "port": member.addr().port(),
        "state": state,
        "incarnation": member.incarnation().number,
        "generation": member.incarnation().generation,
        "meta": HEXLOWER.encode(member.meta()),
        "vsn": member.versions().unwrap_or([1, 1, 1, 0, 0, 0]),
    });
    if let Ok(text) = std::str::from_utf8(member.meta()) {
        node["meta_text"] = text.into();
    }
    node
}

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
        Outcome::Done(text) => text.clone(),
    }
}

/// Appends a line for each counter that is not zero, with the name of its group in front.
fn list_counters(text: &mut String, group: &str, counters: &Value) {
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
        let expected = ("partition", json!({"lost": 4, "present": 2}));
        assert_eq!(event_fields(&event), Some(expected));
        assert_eq!(
            event_text(&event).unwrap(),
            "possible network partition: 4 members failed within a short time, 2 members left"
        );
        assert_eq!(level(&event), Level::Warn);
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
