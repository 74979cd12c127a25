//! Members and events as JSON, with the names that HashiCorp's tools use, so that one script drives
//! either.

use crate::tags::Tags;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use tidings_driver::prelude::{Event, Incarnation, Member, NodeId, State, Via};

/// A member: `name`, `addr`, `port`, `state`, `incarnation`, `generation`, `meta` (hex), `vsn`;
/// `meta_text` if the metadata is UTF-8, `tags` if it is [`Tags`].
///
/// The state is `alive`, `suspect`, `dead` (it failed, or flaps) or `left`.
pub fn member(member: &Member) -> Value {
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
    if let Some(text) = member.meta().as_str() {
        node["meta_text"] = text.into();
    }
    if let Some(tags) = Tags::of(member.meta()).filter(|tags| !tags.is_empty()) {
        node["tags"] = tags.to_json();
    }
    node
}

/// The kind of an event, which stands in the field `ev`, and its other fields; `None` for the end
/// of a command.
pub fn event(event: &Event) -> Option<(&'static str, Value)> {
    let about = |it| json!({"node": member(it)});
    Some(match event {
        Event::Joined(member) => ("join", about(member)),
        Event::Updated(member) => ("update", about(member)),
        Event::Restarted { member: it, earlier } => {
            let incarnation = |it: &Incarnation| json!([it.generation, it.number]);
            ("restart", json!({"node": member(it), "earlier": incarnation(earlier)}))
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
            let from = from.as_ref().map(NodeId::as_str);
            ("remote-state", json!({"from": from, "data": data, "join": join}))
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

/// How much an event matters; greater ones matter more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Details, for whoever looks for a fault.
    Debug,
    /// Members come, change and go; messages and states of theirs.
    Info,
    /// Something is wrong with a member or with the network.
    Warn,
    /// A command failed.
    Error,
}

impl Level {
    /// The level of an event.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Suspected(_)
            | Event::Failed(_)
            | Event::Degraded(_)
            | Event::StreamsBlocked(_)
            | Event::DatagramTooLong { .. }
            | Event::Conflict { .. }
            | Event::Unreachable { .. }
            | Event::SeedFailed { .. }
            | Event::PartitionSuspected { .. } => Self::Warn,
            _ => Self::Info,
        }
    }

    /// Its name: `debug`, `info`, `warn` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let levels = [Self::Debug, Self::Info, Self::Warn, Self::Error];
        let level = levels.into_iter().find(|level| level.as_str() == name);
        level.ok_or_else(|| format!("{name:?} is not a level; debug, info, warn and error are"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_its_counts() {
        let partition = Event::PartitionSuspected { lost: 4, present: 2 };
        let expected = ("partition", json!({"lost": 4, "present": 2}));
        assert_eq!(event(&partition), Some(expected));
        assert_eq!(Level::of(&partition), Level::Warn);
    }

    #[test]
    fn levels_are_ordered_and_come_back_from_their_names() {
        assert!(Level::Debug < Level::Info && Level::Warn < Level::Error);
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert!("loud".parse::<Level>().unwrap_err().contains("debug, info, warn and error"));
    }
}
