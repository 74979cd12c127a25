//! Explains why a node suspected a member, or declared it failed.

use super::names::Names;
use super::state::{accusers_of, lease_text};
use super::timeline::claim_text;
use super::{rfc3339, time_of_day, timestamp};
use crate::output::count;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::SystemTime;
use tidings::replay::{Input, MessageSummary, Replay, ReplayedOutput, Step};
use tidings::{Event, Instant, State, StreamId, Timer};
use tidings_driver::prelude::NodeId;
use tidings_record::Recording;

/// Collects the facts that led to the last suspicion or failure of a member.
pub(super) struct Explainer {
    about: NodeId,
    /// The current or last probe of the member.
    probe: Option<ProbeRound>,
    explanation: Explanation,
    /// The current suspicion: its timeout, and the number of accusers.
    suspicion: Option<(Instant, usize)>,
}

/// A probe round of the member.
struct ProbeRound {
    token: u32,
    answered: bool,
    facts: Vec<Fact>,
    /// The stream of the reliable ping.
    stream: Option<StreamId>,
}

/// The facts about a suspicion or a failure, in order, and what followed.
#[derive(Default)]
struct Explanation {
    node: String,
    facts: Vec<Fact>,
    /// The state that the facts led to: suspect or failed.
    verdict: Option<&'static str>,
    /// The number of datagrams with the verdict, by receiver.
    gossiped: BTreeMap<String, usize>,
    /// Whether the verdict is obsolete: the member refuted it, rejoined, or left.
    over: bool,
}

/// An event that is part of an explanation.
#[derive(Clone)]
struct Fact {
    at: SystemTime,
    text: String,
}

impl Explainer {
    pub(super) fn new(about: NodeId) -> Self {
        Self { about, probe: None, explanation: Explanation::default(), suspicion: None }
    }

    /// The member that is explained.
    pub(super) fn about(&self) -> &NodeId {
        &self.about
    }

    /// Handles a step that the replay has just made; `health` is the local health before it.
    pub(super) fn step(
        &mut self,
        step: &Step,
        replay: &Replay<'_>,
        health: u32,
        names: &Names,
        recording: &Recording,
    ) {
        let at = recording.wall(step.at);
        self.explanation.node = replay.node().local().id().to_string();
        let claim = self.handle_messages(step, at, names);
        self.handle_streams(step, at);
        for output in &step.outputs {
            if let ReplayedOutput::Event(event) = output {
                self.event(event, step, claim.as_deref(), replay, health, recording);
            }
        }
        self.handle_probe(step, at, names);
        self.handle_suspicion(at, claim.as_deref(), replay, names, recording);
        if self.explanation.verdict.is_some() && !self.explanation.over {
            self.handle_gossip(step, names);
        }
    }

    /// Handles the messages of the step's input; returns a claim about the member, with its source.
    fn handle_messages(&mut self, step: &Step, at: SystemTime, names: &Names) -> Option<String> {
        let (source, summaries) = match &step.input {
            Input::Datagram { from, summaries, accepted: true, .. } => {
                (format!("datagram from {}", names.peer(*from)), summaries)
            }
            Input::StreamData { peer, summaries, .. } => {
                (format!("stream with {}", names.stream_peer(*peer)), summaries)
            }
            _ => return None,
        };
        let mut claim = None;
        for summaries in summaries {
            match (summaries, &mut self.probe) {
                (MessageSummary::Ack { token, .. }, Some(probe)) if *token == probe.token => {
                    probe.answered = true;
                    probe.facts.push(Fact { at, text: format!("{source}: ack") });
                }
                (MessageSummary::Nack { token }, Some(probe)) if *token == probe.token => {
                    let text = format!("{source}: nack, no ack there either so far");
                    probe.facts.push(Fact { at, text });
                }
                (MessageSummary::Claim { id, state, incarnation, accuser, .. }, _)
                    if *id == self.about =>
                {
                    let text = claim_text(id, *state, *incarnation, *accuser, names);
                    claim = Some(format!("{source}: {text}"));
                }
                _ => {}
            }
        }
        claim
    }

    fn event(
        &mut self,
        event: &Event,
        step: &Step,
        claim: Option<&str>,
        replay: &Replay<'_>,
        health: u32,
        recording: &Recording,
    ) {
        let (member, word) = match event {
            Event::Suspected(member) => (member, "suspect"),
            Event::Failed(member) => (member, "failed"),
            Event::Recovered(member) => (member, "the suspicion is refuted"),
            Event::Joined(member) => (member, "it has joined again"),
            Event::Left(member) => (member, "it has left"),
            _ => return,
        };
        if *member.id() != self.about {
            return;
        }
        let at = recording.wall(step.at);
        let (node, about) = (self.explanation.node.clone(), self.about.clone());
        let is_due = |timer: &Timer| match &step.input {
            Input::Timeout { due } => due.contains(timer),
            _ => false,
        };
        if self.explanation.over && matches!(word, "suspect" | "failed") {
            self.explanation.facts.clear();
            self.explanation.gossiped.clear();
        }
        let mut add = |text: String| self.explanation.facts.push(Fact { at, text });
        match word {
            "suspect" => {
                let mut own = Vec::new();
                if let (Some(probe), true) = (&mut self.probe, is_due(&Timer::Probe)) {
                    own = std::mem::take(&mut probe.facts);
                }
                self.explanation.facts.extend(own);
                let reason = match claim {
                    Some(claim) => claim.to_owned(),
                    None => format!(
                        "the probe round ended without an ack; local health was {health}, is {}",
                        replay.node().health()
                    ),
                };
                (self.explanation.verdict, self.explanation.over) = (Some("suspect"), false);
                let text = format!("{reason}; {node} suspects {about}");
                self.explanation.facts.push(Fact { at, text });
            }
            "failed" => {
                let own = is_due(&Timer::Suspicion(self.about.clone()));
                match claim.filter(|_| !own) {
                    Some(claim) => add(format!("{claim}; {node} declares {about} failed")),
                    None => add(format!(
                        "the suspicion timeout expired; local health is {}; {node} {}; it declares \
                         {about} failed",
                        replay.node().health(),
                        lease_text(replay, recording)
                    )),
                }
                (self.explanation.verdict, self.explanation.over) = (Some("failed"), false);
            }
            word if self.explanation.verdict.is_some() && !self.explanation.over => {
                let source = claim.map(|claim| format!("{claim}: ")).unwrap_or_default();
                add(format!("{source}{word}"));
                self.explanation.over = true;
            }
            _ => {}
        }
    }

    /// Handles probes of the member: direct pings, ping requests, and reliable pings.
    fn handle_probe(&mut self, step: &Step, at: SystemTime, names: &Names) {
        let Input::Timeout { .. } = step.input else { return };
        let mut relays = Vec::new();
        for output in &step.outputs {
            let ReplayedOutput::Datagram { to, summaries, .. } = output else { continue };
            for summaries in summaries {
                match summaries {
                    MessageSummary::Ping { token, target: Some(target), .. }
                        if target.is_of(&self.about) =>
                    {
                        let text = format!("ping sent to {to}");
                        let facts = [Fact { at, text }].into();
                        let token = *token;
                        self.probe =
                            Some(ProbeRound { token, answered: false, facts, stream: None });
                    }
                    MessageSummary::PingRequest { target, .. } if *target == self.about => {
                        relays.push(names.peer(*to));
                    }
                    _ => {}
                }
            }
        }
        let Some(probe) = self.probe.as_mut().filter(|probe| !probe.answered) else { return };
        let opens = step.outputs.iter().find_map(|output| match output {
            ReplayedOutput::Open { id, to } if names.at(*to) == Some(&self.about) => Some(*id),
            _ => None,
        });
        if !relays.is_empty() || opens.is_some() {
            let mut text = "no ack within the probe timeout;".to_owned();
            match relays.is_empty() {
                true => text += " there is no member for an indirect probe",
                false => text += &format!(" indirect probe through {}", relays.join(", ")),
            }
            text += if opens.is_some() { ", and a ping over TCP" } else { "" };
            probe.facts.push(Fact { at, text });
            probe.stream = opens;
        }
    }

    fn handle_streams(&mut self, step: &Step, at: SystemTime) {
        let Some(probe) = &mut self.probe else { return };
        match &step.input {
            Input::StreamFailed { id, error, .. } if Some(*id) == probe.stream => {
                probe.facts.push(Fact { at, text: format!("the ping over TCP failed: {error}") });
            }
            Input::StreamData { id, summaries, .. }
                if Some(*id) == probe.stream
                    && summaries.iter().any(|summaries| {
                        matches!(summaries, MessageSummary::StreamPong { .. })
                    }) =>
            {
                probe.answered = true;
                probe.facts.push(Fact { at, text: "it answered over TCP".into() });
            }
            _ => {}
        }
    }

    /// Adds a fact whenever the timeout or the accusers of the suspicion change.
    fn handle_suspicion(
        &mut self,
        at: SystemTime,
        claim: Option<&str>,
        replay: &Replay<'_>,
        names: &Names,
        recording: &Recording,
    ) {
        let suspected = replay.suspects();
        let suspected = suspected.iter().find(|suspected| *suspected.member.id() == self.about);
        let now = suspected.map(|suspected| (suspected.deadline, suspected.accusers.len()));
        if now == self.suspicion {
            return;
        }
        let before = std::mem::replace(&mut self.suspicion, now);
        let Some(suspected) = suspected else { return };
        let until = time_of_day(recording.wall(suspected.deadline));
        let by = accusers_of(&suspected.accusers, names);
        let text = match before {
            None => format!("suspected by {by}; suspicion timeout at {until}"),
            Some((_, count)) if count < suspected.accusers.len() => {
                let claim = claim.unwrap_or("one more suspects it");
                format!("{claim}: suspected by {by}; suspicion timeout now at {until}")
            }
            Some(_) => {
                format!(
                    "time without a recent ack does not count: suspicion timeout now at {until}"
                )
            }
        };
        self.explanation.facts.push(Fact { at, text });
    }

    /// Counts the datagrams that gossip the verdict.
    fn handle_gossip(&mut self, step: &Step, names: &Names) {
        for output in &step.outputs {
            let ReplayedOutput::Datagram { to, summaries, .. } = output else { continue };
            let is_about = |summaries: &&MessageSummary| match summaries {
                MessageSummary::Claim { id, state, .. } => {
                    *id == self.about && *state != State::Alive
                }
                _ => false,
            };
            if summaries.iter().any(|summaries| is_about(&summaries)) {
                *self.explanation.gossiped.entry(names.peer(*to)).or_default() += 1;
            }
        }
    }

    /// Prints the explanation.
    pub(super) fn show(&self, json: bool, recording: &Recording) {
        let Explanation { node, facts, verdict, gossiped, .. } = &self.explanation;
        let about = &self.about;
        if json {
            let facts = facts.iter();
            let facts = facts.map(|fact| json!({"at": rfc3339(fact.at), "text": fact.text}));
            let why = json!({
                "ev": "why",
                "name": about.as_str(),
                "verdict": verdict,
                "facts": facts.collect::<Vec<_>>(),
                "told": gossiped,
            });
            return println!("{why}");
        }
        let Some(verdict) = verdict else {
            return println!("{node} did not suspect {about}");
        };
        match *verdict {
            "failed" => println!("why {node} declared {about} failed:"),
            _ => println!("why {node} suspected {about}:"),
        }
        for fact in facts {
            println!("{}  {}", timestamp(fact.at, recording), fact.text);
        }
        if !gossiped.is_empty() {
            let datagrams = count(gossiped.values().sum(), "datagram");
            let receivers = gossiped.keys().cloned().collect::<Vec<_>>().join(", ");
            println!("gossiped in {datagrams}, to {receivers}");
        }
    }
}
