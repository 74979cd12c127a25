//! Why a node held a member to be suspect, or to have failed.

use super::names::Names;
use super::state::accusers_of;
use super::{rfc3339, time_of_day};
use crate::report::write_line;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::SystemTime;
use tidings::replay::{Input, MessageSummary, Replay, ReplayedOutput, Step};
use tidings::{Event, Instant, State, StreamId, Timer};
use tidings_driver::prelude::NodeId;
use tidings_record::Recording;

/// What is known of how a member came to be suspected, or to fail; of several times, the last.
pub(super) struct Why {
    about: NodeId,
    /// The probe of the member that runs, or was the last.
    round: Option<Round>,
    story: Story,
    /// How the suspicion stood: until when, and how many accuse.
    suspicion: Option<(Instant, usize)>,
}

/// A probe of the member.
struct Round {
    token: u32,
    answered: bool,
    facts: Vec<Fact>,
    /// The stream by which it was tried.
    stream: Option<StreamId>,
}

/// What led to a suspicion or a verdict, in order, and what followed.
#[derive(Default)]
struct Story {
    node: String,
    facts: Vec<Fact>,
    /// What it comes to, if it has come to anything.
    verdict: Option<&'static str>,
    told: BTreeMap<String, usize>,
    /// The member is there again, or left.
    over: bool,
}

#[derive(Clone)]
struct Fact {
    at: SystemTime,
    text: String,
}

impl Why {
    pub(super) fn new(about: NodeId) -> Self {
        Self { about, round: None, story: Story::default(), suspicion: None }
    }

    /// Takes note of a step that the replay has just made; `health` is what it was before.
    pub(super) fn step(
        &mut self,
        step: &Step,
        replay: &Replay<'_>,
        health: u32,
        names: &Names,
        recording: &Recording,
    ) {
        let at = recording.wall(step.at);
        self.story.node = replay.node().local().id().to_string();
        let heard = self.hear(step, at, names);
        self.note_streams(step, at);
        for gave in &step.outputs {
            if let ReplayedOutput::Event(event) = gave {
                self.event(event, step, heard.as_deref(), replay, health, recording);
            }
        }
        self.note_probe(step, at, names);
        self.note_suspicion(at, heard.as_deref(), replay, names, recording);
        if self.story.verdict.is_some() && !self.story.over {
            self.note_told(step, names);
        }
    }

    /// What the step's input says of the member, and by whom.
    fn hear(&mut self, step: &Step, at: SystemTime, names: &Names) -> Option<String> {
        let (by, summaries) = match &step.input {
            Input::Datagram { from, summaries, taken: true, .. } => {
                (format!("a datagram of {}", names.peer(*from)), summaries)
            }
            Input::StreamData { peer, summaries, .. } => {
                (format!("a stream with {}", names.stream_peer(*peer)), summaries)
            }
            _ => return None,
        };
        let mut heard = None;
        for summaries in summaries {
            match (summaries, &mut self.round) {
                (MessageSummary::Ack { token, .. }, Some(round)) if *token == round.token => {
                    round.answered = true;
                    round.facts.push(Fact { at, text: format!("an answer came by {by}") });
                }
                (MessageSummary::Nack { token }, Some(round)) if *token == round.token => {
                    let text = format!("{by} said: no answer there either, so far");
                    round.facts.push(Fact { at, text });
                }
                (MessageSummary::Claim { id, state, incarnation, accuser, .. }, _)
                    if *id == self.about =>
                {
                    let accused = accuser.map(|accuser| names.short(accuser));
                    let accused = accused.map(|by| format!(", accused by {by}"));
                    let accused = accused.unwrap_or_default();
                    heard = Some(format!("{by} said that it is {state} in {incarnation}{accused}"));
                }
                _ => {}
            }
        }
        heard
    }

    fn event(
        &mut self,
        event: &Event,
        step: &Step,
        heard: Option<&str>,
        replay: &Replay<'_>,
        health: u32,
        recording: &Recording,
    ) {
        let (member, word) = match event {
            Event::Suspected(member) => (member, "suspect"),
            Event::Failed(member) => (member, "failed"),
            Event::Recovered(member) => (member, "alive after all"),
            Event::Joined(member) => (member, "there again"),
            Event::Left(member) => (member, "left"),
            _ => return,
        };
        if *member.id() != self.about {
            return;
        }
        let at = recording.wall(step.at);
        let shown = |at: Instant| time_of_day(recording.wall(at));
        let due = |what: &Timer| match &step.input {
            Input::Timeout { due } => due.contains(what),
            _ => false,
        };
        if self.story.over && matches!(word, "suspect" | "failed") {
            self.story.facts.clear();
            self.story.told.clear();
        }
        let mut say = |text: String| self.story.facts.push(Fact { at, text });
        match word {
            "suspect" => {
                let mut own = Vec::new();
                if let (Some(round), true) = (&mut self.round, due(&Timer::Probe)) {
                    own = std::mem::take(&mut round.facts);
                }
                self.story.facts.extend(own);
                let by = match heard {
                    Some(heard) => heard.to_owned(),
                    None => format!(
                        "the probe round ended without an answer; health was {health}, and is {}",
                        replay.node().health()
                    ),
                };
                (self.story.verdict, self.story.over) = (Some("suspect"), false);
                let text = format!("{by}: suspect");
                self.story.facts.push(Fact { at, text });
            }
            "failed" => {
                let evidence = replay.lease_until();
                let enough = if evidence >= replay.now() { "until" } else { "none since" };
                let own = due(&Timer::Suspicion(self.about.clone()));
                match heard.filter(|_| !own) {
                    Some(heard) => say(format!("{heard}: failed")),
                    None => say(format!(
                        "the suspicion ran out; health is {}, evidence of hearing {enough} {}: failed",
                        replay.node().health(),
                        shown(evidence)
                    )),
                }
                (self.story.verdict, self.story.over) = (Some("failed"), false);
            }
            word if self.story.verdict.is_some() && !self.story.over => {
                let by = heard.map(|heard| format!("{heard}: ")).unwrap_or_default();
                say(format!("{by}{word}"));
                self.story.over = true;
            }
            _ => {}
        }
    }

    /// Notes probes of the member: whom it was asked by, besides us, and what for.
    fn note_probe(&mut self, step: &Step, at: SystemTime, names: &Names) {
        let Input::Timeout { .. } = step.input else { return };
        let mut asked = Vec::new();
        for gave in &step.outputs {
            let ReplayedOutput::Datagram { to, summaries, .. } = gave else { continue };
            for summaries in summaries {
                match summaries {
                    MessageSummary::Ping { token, target: Some(target), .. }
                        if names.of(*target) == Some(&self.about) =>
                    {
                        let text = format!("pinged it at {to}");
                        let facts = [Fact { at, text }].into();
                        let token = *token;
                        self.round = Some(Round { token, answered: false, facts, stream: None });
                    }
                    MessageSummary::PingRequest { target, .. } if *target == self.about => {
                        asked.push(names.peer(*to));
                    }
                    _ => {}
                }
            }
        }
        let Some(round) = self.round.as_mut().filter(|round| !round.answered) else { return };
        let opens = step.outputs.iter().find_map(|gave| match gave {
            ReplayedOutput::Open { id, to } if names.at(*to) == Some(&self.about) => Some(*id),
            _ => None,
        });
        if !asked.is_empty() || opens.is_some() {
            let asked = if asked.is_empty() { "nobody".into() } else { asked.join(", ") };
            let also = if opens.is_some() { ", and tried a stream" } else { "" };
            let text = format!("no answer; asked {asked} to ping it{also}");
            round.facts.push(Fact { at, text });
            round.stream = opens;
        }
    }

    fn note_streams(&mut self, step: &Step, at: SystemTime) {
        let Some(round) = &mut self.round else { return };
        match &step.input {
            Input::StreamFailed { id, error, .. } if Some(*id) == round.stream => {
                round.facts.push(Fact { at, text: format!("the stream failed: {error}") });
            }
            Input::StreamData { id, summaries, .. }
                if Some(*id) == round.stream
                    && summaries.iter().any(|summaries| {
                        matches!(summaries, MessageSummary::StreamPong { .. })
                    }) =>
            {
                round.answered = true;
                round.facts.push(Fact { at, text: "it answered over the stream".into() });
            }
            _ => {}
        }
    }

    /// Notes until when the member is suspected, whenever that changes.
    fn note_suspicion(
        &mut self,
        at: SystemTime,
        heard: Option<&str>,
        replay: &Replay<'_>,
        names: &Names,
        recording: &Recording,
    ) {
        let suspected = replay.suspected();
        let suspected = suspected.iter().find(|suspected| *suspected.member.id() == self.about);
        let now = suspected.map(|suspected| (suspected.until, suspected.accusers.len()));
        if now == self.suspicion {
            return;
        }
        let before = std::mem::replace(&mut self.suspicion, now);
        let Some(suspected) = suspected else { return };
        let until = time_of_day(recording.wall(suspected.until));
        let by = accusers_of(&suspected.accusers, names);
        let text = match before {
            None => format!("accused by {by}; it has until {until} to contradict"),
            Some((_, count)) if count < suspected.accusers.len() => {
                let heard = heard.unwrap_or("one more accuses it");
                format!("{heard}: accused by {by}; it has until {until}")
            }
            Some(_) => {
                format!("time in which we heard nobody does not count: it has until {until}")
            }
        };
        self.story.facts.push(Fact { at, text });
    }

    /// Notes to whom the verdict is told.
    fn note_told(&mut self, step: &Step, names: &Names) {
        for gave in &step.outputs {
            let ReplayedOutput::Datagram { to, summaries, .. } = gave else { continue };
            let about = |summaries: &&MessageSummary| match summaries {
                MessageSummary::Claim { id, state, .. } => {
                    *id == self.about && *state != State::Alive
                }
                _ => false,
            };
            if summaries.iter().any(|summaries| about(&summaries)) {
                *self.story.told.entry(names.peer(*to)).or_default() += 1;
            }
        }
    }

    pub(super) fn show(&self, json: bool) {
        let Story { node, facts, verdict, told, .. } = &self.story;
        let about = &self.about;
        if json {
            let facts = facts.iter();
            let facts = facts.map(|fact| json!({"at": rfc3339(fact.at), "text": fact.text}));
            let why = json!({
                "ev": "why",
                "name": about.as_str(),
                "verdict": verdict,
                "facts": facts.collect::<Vec<_>>(),
                "told": told,
            });
            return write_line(&why.to_string());
        }
        let Some(verdict) = verdict else {
            return write_line(&format!("{node} did not suspect {about}"));
        };
        write_line(&format!("why {node} held {about} to be {verdict}:"));
        for fact in facts {
            write_line(&format!("{}  {}", time_of_day(fact.at), fact.text));
        }
        if !told.is_empty() {
            let datagrams: usize = told.values().sum();
            let whom = told.keys().cloned().collect::<Vec<_>>().join(", ");
            write_line(&format!("told of it in {datagrams} datagrams, to {whom}"));
        }
    }
}
