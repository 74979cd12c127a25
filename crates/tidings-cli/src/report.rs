//! What an agent prints: lines for people, or JSON, one object a line.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_std::{Event, Member, State, Stats};

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
    Done,
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
        let (kind, verb, member) = match event {
            Event::Joined(member) => ("join", "joined", member),
            Event::Updated(member) => ("update", "is now", member),
            Event::Suspected(member) => ("suspect", "is suspected", member),
            Event::Recovered(member) => ("alive", "is alive after all", member),
            Event::Failed(member) => ("leave", "failed", member),
            Event::Left(member) => ("leave", "left", member),
            Event::Conflict { id, addr, other } => {
                if self.json {
                    let at = |addr: &std::net::SocketAddr| json!({"name": id.as_str(), "addr": addr.ip(), "port": addr.port()});
                    self.object("conflict", json!({"node": at(addr), "other": at(other)}));
                } else {
                    self.text(&format!("{id} is claimed by {other} too, beside {addr}"));
                }
                return;
            }
            _ => return,
        };
        if self.json {
            self.object(kind, json!({"node": node(member)}));
        } else {
            let details = match event {
                Event::Joined(_) | Event::Updated(_) => details(member),
                _ => String::new(),
            };
            self.text(&format!("{} {verb}{details}", member.id()));
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
fn write_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

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
        "vsn": [1, 1, 1, 0, 0, 0],
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
        Outcome::Done => json!({}),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Members(members, health) => {
            let mut text =
                format!("{} members; health {health}, of which 0 is best", members.len());
            for member in members {
                let _ = write!(text, "\n    {:20} {:7}", member.id(), member.state());
                text += &details(member);
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
        Outcome::Left(told) => format!("left; {told} members confirmed it"),
        Outcome::Done => "done".into(),
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
