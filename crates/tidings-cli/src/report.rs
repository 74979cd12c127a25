//! What an agent prints: lines for people, or JSON, one object a line.

use crate::keys::to_text;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_driver::prelude::{Event, Key, Keyring, Member, NodeId, State, Stats, Via};

/// Prints to standard output in one of two forms; a line is written at once and whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) json: bool,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The members that are present, and how we hold our own health.
    Members(Vec<Member>, u32),
    /// How many seeds answered, of how many, and the members there are now.
    Joined {
        seeds: usize,
        of: usize,
        members: usize,
    },
    Stats(Box<Stats>),
    /// How many members confirmed that we left.
    Left(usize),
    /// Who answered a ping, and after how long.
    Pong(NodeId, Duration),
    Keys(Keyring),
    /// There is nothing to tell but this word for people.
    Done(&'static str),
}

impl Report {
    pub(crate) fn ready(self, local: &Member) {
        if self.json {
            self.object("ready", json!({"node": node(local), "pid": std::process::id()}));
        } else {
            self.text(&format!("{} runs at {}", local.id(), local.addr()));
        }
    }

    pub(crate) fn event(self, event: &Event) {
        if self.json {
            if let Some((kind, fields)) = event_fields(event) {
                self.object(kind, fields);
            }
        } else if let Some(words) = event_words(event) {
            self.text(&words);
        }
    }

    /// Events were lost, since this program was too slow: look at the members again.
    pub(crate) fn lagged(self, events: u64) {
        if self.json {
            self.object("lagged", json!({"events": events}));
        } else {
            self.text(&format!("{events} events were lost; look at the members again"));
        }
    }

    pub(crate) fn result(self, id: &str, name: &str, outcome: &Result<Outcome, String>) {
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
            self.text(&match outcome {
                Ok(outcome) => words(outcome),
                Err(error) => format!("{name}: {error}"),
            });
        }
    }

    pub(crate) fn fatal(self, error: &str) {
        if self.json {
            self.object("fatal", json!({"error": error}));
        }
    }

    pub(crate) fn exit(self, why: &str) {
        if self.json {
            self.object("exit", json!({"why": why}));
        }
    }

    fn text(self, text: &str) {
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        // The time of day is enough for whoever watches.
        let time = now.get(11..23).unwrap_or(&now);
        write_line(&format!("{time}  {text}"));
    }

    fn object(self, kind: &str, mut object: Value) {
        object["ev"] = kind.into();
        object["t"] = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64().into();
        write_line(&object.to_string());
    }
}

/// Whoever read us may be gone; that is for the next signal or the end of input to notice.
pub(crate) fn write_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// An event's kind and fields; commands are told by their results.
fn event_fields(event: &Event) -> Option<(&'static str, Value)> {
    let about = |member| json!({"node": node(member)});
    Some(match event {
        Event::Joined(member) => ("join", about(member)),
        Event::Updated(member) => ("update", about(member)),
        Event::Suspected(member) => ("suspect", about(member)),
        Event::Recovered(member) => ("alive", about(member)),
        Event::Failed(member) | Event::Left(member) => ("leave", about(member)),
        Event::Degraded(member) => ("degraded", about(member)),
        Event::Restored(member) => ("restored", about(member)),
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
        Event::PartitionSuspected { lost, present } => {
            ("partition", json!({"lost": lost, "present": present}))
        }
        _ => return None,
    })
}

pub(crate) fn event_words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Joined(member) => format!("{} joined{}", member.id(), details(member)),
        Event::Updated(member) => format!("{} is now{}", member.id(), details(member)),
        Event::Suspected(member) => format!("{} is suspected", member.id()),
        Event::Recovered(member) => format!("{} is alive after all", member.id()),
        Event::Failed(member) => format!("{} failed", member.id()),
        Event::Left(member) => format!("{} left", member.id()),
        Event::Degraded(member) => {
            format!("{} answers streams and no datagrams: is UDP blocked?", member.id())
        }
        Event::Restored(member) => format!("{} answers datagrams again", member.id()),
        Event::Conflict { id, addr, other } => {
            format!("{id} is claimed by {other} too, beside {addr}")
        }
        Event::Message { from, data, via } => {
            let kind = match via {
                Via::Reliable => "reliable message",
                Via::Broadcast => "broadcast",
                _ => "message",
            };
            format!("{kind}{}: {}", by(from), excerpt(data))
        }
        Event::SyncState { from, data, .. } => {
            format!("state{}: {}", by(from), excerpt(data))
        }
        Event::PartitionSuspected { lost, present } => {
            format!(
                "{lost} failed one soon after the other, {present} are left: is it the network?"
            )
        }
        _ => return None,
    })
}

/// Who says something, where that is known.
fn by(from: &Option<NodeId>) -> String {
    from.as_ref().map_or_else(String::new, |from| format!(" from {from}"))
}

/// What an application said, as text if it is that, and not longer than a line should be.
fn excerpt(data: &[u8]) -> String {
    let text = match std::str::from_utf8(data) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("hex:{}", HEXLOWER.encode(data)),
    };
    match text.char_indices().nth(MAX_EXCERPT) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], data.len()),
        None => text,
    }
}

/// How many characters of what an application said are shown.
const MAX_EXCERPT: usize = 200;

/// A member in the form of HashiCorp's tools, so that one script drives either.
fn node(member: &Member) -> Value {
    let state = match member.state() {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Failed => "dead",
        State::Left => "left",
    };
    json!({
        "name": member.id().as_str(),
        "addr": member.addr().ip(),
        "port": member.addr().port(),
        "state": state,
        "incarnation": member.incarnation().number,
        "generation": member.incarnation().generation,
        "meta": HEXLOWER.encode(member.meta()),
        "vsn": member.versions().unwrap_or([1, 1, 1, 0, 0, 0]),
    })
}

fn fields(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Members(members, health) => {
            json!({"members": members.iter().map(node).collect::<Vec<_>>(), "health": health})
        }
        Outcome::Joined { seeds, .. } => json!({"joined": seeds}),
        Outcome::Stats(stats) => json!({"stats": stats}),
        Outcome::Left(told) => json!({"told": told}),
        Outcome::Pong(_, rtt) => json!({"rtt": rtt.as_secs_f64()}),
        Outcome::Keys(keyring) => {
            json!({"keys": keyring.keys().map(to_text).collect::<Vec<_>>()})
        }
        Outcome::Done(_) => json!({}),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Members(members, health) => {
            let mut text = format!("{} members; health {health} (0 is best)", members.len());
            for member in members {
                let _ = write!(text, "\n    {:20} {:7}", member.id(), member.state());
                text += &details(member);
                if member.is_degraded() {
                    text += ", answers no datagrams";
                }
            }
            text
        }
        Outcome::Joined { seeds, of, members } => {
            format!("joined through {seeds} of {of}; {members} members")
        }
        Outcome::Stats(stats) => {
            let mut text = "counted so far, where not nothing:".to_owned();
            list_counters(&mut text, "", &json!(stats));
            text
        }
        Outcome::Left(told) => format!("left; confirmed by {told}"),
        Outcome::Pong(id, rtt) => format!("{id} answered in {rtt:.1?}"),
        Outcome::Keys(keyring) => {
            let shown = |key: &Key| format!("{} ({})", key.id(), key.cipher());
            let mut text = format!("encrypts with {}", shown(keyring.primary()));
            for (n, key) in keyring.keys().skip(1).enumerate() {
                text += if n == 0 { "; accepts " } else { ", " };
                text += &shown(key);
            }
            text
        }
        Outcome::Done(word) => (*word).into(),
    }
}

/// Appends a line for each counter that is not zero; groups of them are named before theirs.
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

fn details(member: &Member) -> String {
    let mut text = format!(" at {}", member.addr());
    if !member.meta().is_empty() {
        let _ = write!(text, ", metadata {:?}", member.meta());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_application_said_takes_a_line_and_no_more() {
        assert_eq!(excerpt("two\nlines".as_bytes()), "\"two\\nlines\"");
        assert_eq!(excerpt(b"\x00\xff"), "hex:00ff");
        let long = excerpt(&[b'x'; 500_000]);
        assert!(long.len() < 230 && long.ends_with("x... (500000 bytes)"), "{long}");
        // It is not cut in the middle of a character.
        assert!(excerpt("ü".repeat(500).as_bytes()).ends_with("ü... (1000 bytes)"));
    }

    #[test]
    fn a_partition_is_told_with_its_counts() {
        let event = Event::PartitionSuspected { lost: 4, present: 2 };
        let told = ("partition", json!({"lost": 4, "present": 2}));
        assert_eq!(event_fields(&event), Some(told));
        assert!(event_words(&event).unwrap().starts_with("4 failed one soon after the other"));
    }
}
