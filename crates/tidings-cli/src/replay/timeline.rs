//! What a node did, line by line.

use super::names::Names;
use super::rfc3339;
use crate::report::event_words;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::SystemTime;
use tidings::replay::{Input, MessageSummary, ReplayedOutput, Step};
use tidings::{Done, Event, State, Timer};
use tidings_driver::prelude::NodeId;

/// What a line is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// Pings, acks, and what is asked of others
    Probe,
    /// Who is suspected, by whom, until when
    Suspicion,
    /// Who is there, and who is not
    Member,
    /// News of members that is told
    Gossip,
    /// Streams, and comparisons over them
    Sync,
    /// What the application asked for, and what came of it
    Command,
    /// Messages of the application's
    Message,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// Whom it concerns.
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

/// What is to be told of a step.
pub(crate) fn lines(step: &Step, names: &Names) -> Vec<Line> {
    let mut lines = of_input(&step.input, names);
    step.outputs.iter().for_each(|gave| of_output(gave, names, &mut lines));
    lines
}

fn of_input(input: &Input, names: &Names) -> Vec<Line> {
    let command = |text: String| Vec::from([Line::new(Kind::Command, format!(">  {text}"))]);
    match input {
        Input::Datagram { from, summaries, taken: true, .. } => {
            messages("<-", Some(*from), summaries, names)
        }
        Input::Datagram { from, len, .. } => {
            let text = format!("<- {}  turned away, {len} bytes", names.peer(*from));
            [Line::new(Kind::Gossip, text).about(names.at(*from))].into()
        }
        Input::Timeout { due } => {
            let expired = |timer: &Timer| match timer {
                Timer::Suspicion(id) => {
                    let text = format!(".. the suspicion of {id} runs out");
                    Some(Line::new(Kind::Suspicion, text).about([id]))
                }
                _ => None,
            };
            due.iter().filter_map(expired).collect()
        }
        Input::Accepted { from, id } => {
            let refused = if id.is_some() { "" } else { ", one too many" };
            stream(format!("<- {}  opens a stream{refused}", names.peer(*from)), Some(*from), names)
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
        Input::StreamFailed { peer, error, .. } => {
            stream(format!("<- {}  no stream: {error}", names.stream_peer(*peer)), *peer, names)
        }
        Input::Join { seeds } => {
            let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
            command(format!("join {}", seeds.join(", ")))
        }
        Input::Leave => command("leave".into()),
        Input::Cancel(_) => command("cancel".into()),
        Input::Ping { to } => command(format!("ping {to}")),
        Input::Send { to, len } => command(format!("send {to} {len} bytes")),
        Input::SendReliable { to, len } => command(format!("send {to} {len} bytes, reliably")),
        Input::Broadcast { len } => command(format!("broadcast {len} bytes")),
        Input::SetMeta { len } => command(format!("set metadata of {len} bytes")),
        Input::SetSyncState { len } => command(format!("set a state of {len} bytes")),
        _ => Vec::new(),
    }
}

fn of_output(gave: &ReplayedOutput, names: &Names, lines: &mut Vec<Line>) {
    match gave {
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
        ReplayedOutput::Event(event) => lines.extend(of_event(event)),
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
    let who = names.stream_peer(peer);
    let line = |summaries: &MessageSummary| {
        let kind = match summaries {
            MessageSummary::Ping { .. }
            | MessageSummary::PingRequest { .. }
            | MessageSummary::Ack { .. }
            | MessageSummary::Nack { .. } => Kind::Probe,
            MessageSummary::StreamPing { .. } | MessageSummary::StreamPong { .. } => Kind::Probe,
            MessageSummary::Claim { state: State::Suspect, .. } => Kind::Suspicion,
            MessageSummary::Claim { .. } | MessageSummary::NotTaken => Kind::Gossip,
            MessageSummary::Message { .. } | MessageSummary::Broadcast { .. } => Kind::Message,
            _ => Kind::Sync,
        };
        let text = format!("{arrow} {who}  {}", words(summaries, names));
        Line::new(kind, text).about(member).about(subjects(summaries, names))
    };
    summaries.iter().map(line).collect()
}

/// What is said, with the names for those that messages name shortly.
pub(super) fn words(summaries: &MessageSummary, names: &Names) -> String {
    match summaries {
        MessageSummary::Ping { target: Some(target), .. } => {
            format!("ping to {}", names.short(*target))
        }
        MessageSummary::Claim { accuser: Some(accuser), id, state, incarnation, .. } => {
            format!("{id} is {state} in {incarnation}, accused by {}", names.short(*accuser))
        }
        summaries => summaries.to_string(),
    }
}

fn subjects<'a>(summaries: &'a MessageSummary, names: &'a Names) -> Vec<&'a NodeId> {
    match summaries {
        MessageSummary::Ping { target, .. } => {
            target.and_then(|target| names.of(target)).into_iter().collect()
        }
        MessageSummary::PingRequest { target, .. }
        | MessageSummary::StreamPing { target: Some(target) } => [target].into(),
        MessageSummary::Claim { id, accuser, .. } => {
            let accuser = accuser.and_then(|accuser| names.of(accuser));
            [id].into_iter().chain(accuser).collect()
        }
        MessageSummary::Message { from, .. } => from.iter().collect(),
        MessageSummary::Broadcast { origin, .. } => [origin].into(),
        MessageSummary::Sync { from: Some(from), .. } => [from].into(),
        _ => Vec::new(),
    }
}

fn of_event(event: &Event) -> Option<Line> {
    let line = |kind, text| Line::new(kind, format!("== {text}"));
    if let Event::Completed { result, .. } = event {
        return Some(line(Kind::Command, outcome(result)));
    }
    let text = event_words(event)?;
    Some(match event {
        Event::Suspected(member) | Event::Recovered(member) => {
            line(Kind::Suspicion, text).about([member.id()])
        }
        Event::Joined(member)
        | Event::Updated(member)
        | Event::Failed(member)
        | Event::Left(member)
        | Event::Degraded(member)
        | Event::Restored(member) => line(Kind::Member, text).about([member.id()]),
        Event::Conflict { id, .. } => line(Kind::Member, text).about([id]),
        Event::Message { from, .. } => line(Kind::Message, text).about(from),
        Event::SyncState { from, .. } => line(Kind::Sync, text).about(from),
        _ => line(Kind::Member, text),
    })
}

fn outcome(result: &Result<Done, tidings::Failure>) -> String {
    match result {
        Ok(Done::Joined { seed, members }) => format!("joined through {seed}; {members} members"),
        Ok(Done::Left { told }) => format!("left; confirmed by {told}"),
        Ok(Done::Delivered) => "delivered".into(),
        Ok(Done::Written) => "written, without a receipt".into(),
        Ok(Done::Pong { rtt }) => format!("answered in {rtt:.1?}"),
        Ok(_) => "done".into(),
        Err(failure) => failure.to_string(),
    }
}
