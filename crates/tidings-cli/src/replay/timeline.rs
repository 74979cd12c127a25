//! The events of a replayed node, as lines of a timeline.

use super::names::Names;
use super::{incarnation_text, rfc3339};
use crate::output::count;
use crate::report::event_text;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::SystemTime;
use tidings::replay::{Input, MessageSummary, ReplayedOutput, ShortName, Step};
use tidings::{Done, Event, State, Timer};
use tidings_driver::prelude::{Incarnation, NodeId};

/// The kind of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// Pings, acks, nacks and indirect probes
    Probe,
    /// Suspicions, their timeouts and refutations
    Suspicion,
    /// Members that join, leave, fail or change
    Member,
    /// Claims about members, in datagrams and syncs
    Gossip,
    /// Streams, and anti-entropy syncs over them
    Sync,
    /// Commands of the application, and their results
    Command,
    /// Messages of the application
    Message,
}

/// A line of the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// The members that it concerns.
    pub(crate) members: Vec<NodeId>,
}

impl Line {
    fn new(kind: Kind, text: String) -> Self {
        Self { kind, text, members: Vec::new() }
    }

    fn about<'a>(mut self, members: impl IntoIterator<Item = &'a NodeId>) -> Self {
        self.members.extend(members.into_iter().cloned());
        self
    }

    pub(crate) fn to_json(&self, at: SystemTime) -> Value {
        let kind = self.kind.to_possible_value();
        json!({
            "ev": "did",
            "at": rfc3339(at),
            "kind": kind.as_ref().map(clap::builder::PossibleValue::get_name),
            "text": self.text,
            "members": self.members.iter().map(NodeId::as_str).collect::<Vec<_>>(),
        })
    }
}

/// The lines about a step.
pub(crate) fn lines(step: &Step, names: &Names) -> Vec<Line> {
    let mut lines = input_lines(&step.input, names);
    step.outputs.iter().for_each(|output| add_output(output, names, &mut lines));
    lines
}

fn input_lines(input: &Input, names: &Names) -> Vec<Line> {
    let command = |text: String| Vec::from([Line::new(Kind::Command, format!(">  {text}"))]);
    match input {
        Input::Datagram { from, summaries, accepted: true, .. } => {
            messages("<-", Some(*from), summaries, names)
        }
        Input::Datagram { from, len, .. } => {
            let text =
                format!("<- {}  datagram rejected, {}", names.peer(*from), count(*len, "byte"));
            [Line::new(Kind::Gossip, text).about(names.at(*from))].into()
        }
        Input::Timeout { due } => {
            let expired = |timer: &Timer| match timer {
                Timer::Suspicion(id) => {
                    let text = format!(".. suspicion timeout of {id} expires");
                    Some(Line::new(Kind::Suspicion, text).about([id]))
                }
                _ => None,
            };
            due.iter().filter_map(expired).collect()
        }
        Input::IncomingStream { from, id } => {
            let refused = if id.is_some() { "" } else { ": refused, max_streams_in are open" };
            let text = format!("<- {}  opens a stream{refused}", names.peer(*from));
            stream(text, Some(*from), names)
        }
        Input::StreamOpened { peer, .. } => {
            stream(format!("<- {}  the stream is open", names.stream_peer(*peer)), *peer, names)
        }
        Input::StreamData { peer, summaries, .. } => messages("<-", *peer, summaries, names),
        Input::StreamClosed { peer: None, .. } | Input::StreamFailed { peer: None, .. } => {
            Vec::new()
        }
        Input::StreamClosed { peer, .. } => {
            stream(format!("<- {}  the stream is closed", names.stream_peer(*peer)), *peer, names)
        }
        Input::StreamFailed { peer, error, .. } => stream(
            format!("<- {}  the stream failed: {error}", names.stream_peer(*peer)),
            *peer,
            names,
        ),
        Input::Join { seeds } => {
            let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
            command(format!("join {}", seeds.join(", ")))
        }
        Input::SetSeeds { seeds } => {
            let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
            command(format!("seeds {}", seeds.join(", ")))
        }
        Input::SetHints { hints } => {
            let hints: Vec<_> = hints.iter().map(ToString::to_string).collect();
            command(format!("hints {}", hints.join(", ")))
        }
        Input::Leave => command("leave".into()),
        Input::ForceLeave { id } => command(format!("force-leave {id}")),
        Input::Cancel(_) => command("cancel".into()),
        Input::Ping { to } => command(format!("ping {to}")),
        Input::Send { to, len } => command(format!("send {} to {to}", count(*len, "byte"))),
        Input::SendReliable { to, len } => {
            command(format!("send {} to {to}, reliably", count(*len, "byte")))
        }
        Input::Broadcast { len } => command(format!("broadcast {}", count(*len, "byte"))),
        Input::SetMeta { len } => command(format!("set metadata of {}", count(*len, "byte"))),
        Input::SetSyncState { len } => {
            command(format!("set push/pull state of {}", count(*len, "byte")))
        }
        Input::SetAddr { addr } => command(format!("set address {addr}")),
        Input::SendFailed { to, len, .. } => {
            command(format!("{} to {to} could not be sent", count(*len, "byte")))
        }
        Input::SetWallClock { before, seconds } => {
            let seconds = i128::from(*seconds) - i128::from(*before);
            command(format!("the wall clock is set by {seconds:+} s"))
        }
        _ => Vec::new(),
    }
}

fn add_output(output: &ReplayedOutput, names: &Names, lines: &mut Vec<Line>) {
    match output {
        ReplayedOutput::Datagram { to, summaries, .. } => {
            lines.extend(messages("->", Some(*to), summaries, names))
        }
        ReplayedOutput::Open { to, .. } => {
            let text = format!("-> {}  opens a stream", names.peer(*to));
            lines.extend(stream(text, Some(*to), names));
        }
        ReplayedOutput::Write { to, summaries, .. } => {
            lines.extend(messages("->", *to, summaries, names))
        }
        ReplayedOutput::Event(event) => lines.extend(event_line(event)),
        _ => {}
    }
}

fn stream(text: String, peer: Option<SocketAddr>, names: &Names) -> Vec<Line> {
    let member = peer.and_then(|peer| names.at(peer));
    [Line::new(Kind::Sync, text).about(member)].into()
}

fn messages(
    arrow: &str,
    peer: Option<SocketAddr>,
    summaries: &[MessageSummary],
    names: &Names,
) -> Vec<Line> {
    let member = peer.and_then(|peer| names.at(peer));
    let peer = names.stream_peer(peer);
    let line = |summaries: &MessageSummary| {
        let kind = match summaries {
            MessageSummary::Ping { .. }
            | MessageSummary::PingRequest { .. }
            | MessageSummary::Ack { .. }
            | MessageSummary::Nack { .. } => Kind::Probe,
            MessageSummary::StreamPing { .. } | MessageSummary::StreamPong { .. } => Kind::Probe,
            MessageSummary::Claim { state: State::Suspect, .. } => Kind::Suspicion,
            MessageSummary::Claim { .. } | MessageSummary::UnacceptableMember => Kind::Gossip,
            MessageSummary::UserMessage { .. } | MessageSummary::Broadcast { .. } => Kind::Message,
            _ => Kind::Sync,
        };
        let text = format!("{arrow} {peer}  {}", message_text(summaries, names));
        Line::new(kind, text).about(member).about(subjects(summaries, names))
    };
    summaries.iter().map(line).collect()
}

/// A message for people, with full names in the place of short names.
fn message_text(summaries: &MessageSummary, names: &Names) -> String {
    match summaries {
        MessageSummary::Ping { target: Some(target), .. } => {
            format!("ping to {}", names.target_text(*target))
        }
        MessageSummary::Claim { id, state, incarnation, accuser, addr } => {
            claim_text(id, *state, *incarnation, *accuser, names)
                + &addr.map_or_else(String::new, |addr| format!(", at {addr}"))
        }
        summaries => summaries.to_string(),
    }
}

/// A claim about a member for people.
pub(super) fn claim_text(
    id: &NodeId,
    state: State,
    incarnation: Incarnation,
    accuser: Option<ShortName>,
    names: &Names,
) -> String {
    let accuser = accuser.map(|accuser| format!(", suspected by {}", names.short(accuser)));
    format!("{id} is {state}, {}{}", incarnation_text(incarnation), accuser.unwrap_or_default())
}

/// The members that a message is about.
fn subjects<'a>(summaries: &'a MessageSummary, names: &'a Names) -> Vec<&'a NodeId> {
    match summaries {
        MessageSummary::Ping { target, .. } => {
            target.and_then(|target| names.target(target)).into_iter().collect()
        }
        MessageSummary::PingRequest { target, .. }
        | MessageSummary::StreamPing { target: Some(target) } => [target].into(),
        MessageSummary::Claim { id, accuser, .. } => {
            let accuser = accuser.and_then(|accuser| names.of(accuser));
            [id].into_iter().chain(accuser).collect()
        }
        MessageSummary::UserMessage { from, .. } => from.iter().collect(),
        MessageSummary::Broadcast { origin, .. } => [origin].into(),
        MessageSummary::Sync { from: Some(from), .. } => [from].into(),
        _ => Vec::new(),
    }
}

fn event_line(event: &Event) -> Option<Line> {
    let line = |kind, text| Line::new(kind, format!("== {text}"));
    if let Event::Completed { result, .. } = event {
        return Some(line(Kind::Command, result_text(result)));
    }
    let text = event_text(event)?;
    Some(match event {
        Event::Suspected(member) | Event::Recovered(member) => {
            line(Kind::Suspicion, text).about([member.id()])
        }
        Event::Joined(member)
        | Event::Updated(member)
        | Event::Failed(member)
        | Event::Left(member)
        | Event::Degraded(member)
        | Event::StreamsBlocked(member)
        | Event::StreamsRestored(member)
        | Event::Restored(member) => line(Kind::Member, text).about([member.id()]),
        Event::Restarted { member, .. } => line(Kind::Member, text).about([member.id()]),
        Event::Conflict { id, .. } => line(Kind::Member, text).about([id]),
        Event::Message { from, .. } => line(Kind::Message, text).about(from),
        Event::SyncState { from, .. } => line(Kind::Sync, text).about(from),
        _ => line(Kind::Member, text),
    })
}

fn result_text(result: &Result<Done, tidings::Failure>) -> String {
    match result {
        Ok(Done::Joined { seed, members }) => {
            format!("joined through {seed}; {}", count(*members, "member"))
        }
        Ok(Done::Left { confirmed }) => {
            format!("left; {} confirmed it", count(*confirmed, "member"))
        }
        Ok(Done::Delivered) => "delivered".into(),
        Ok(Done::Written) => "written; the format has no receipts".into(),
        Ok(Done::Pong { rtt }) => format!("answered, round trip {rtt:.1?}"),
        Ok(_) => "done".into(),
        Err(failure) => failure.to_string(),
    }
}
