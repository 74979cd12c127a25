//! Refused connections: what the node sends and declares because of them.

use super::Node;
use super::update::FollowUp;
use crate::detector::refused::{Attempt, Stage};
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stream::exchange::Purpose;
use crate::timers::{FixedTimer, TimerKey};
use alloc::vec::Vec;

impl Node {
    /// Whether refused connections count, in a format whose nacks can say so.
    fn counts_refusals(&self) -> bool {
        let options = &self.config.options;
        options.refusal_evidence && options.stream_probes && self.wire.tidings().is_some()
    }

    /// The target of the probe or check with this token refused this node's connection.
    pub(super) fn on_refused(&mut self, token: u32) {
        if !self.counts_refusals() {
            return;
        }
        let (detector, mut cx) = self.detector();
        detector.on_refused(&mut cx, token);
        self.judge_refused();
    }

    /// Asks relays to connect to a member that refused this node's connection.
    fn ask_refused(&mut self, attempt: Attempt, relays: &[MemberKey]) {
        let Attempt { target, token } = attempt;
        let within = self.config.options.probe_timeout;
        for &relay in relays {
            self.queue_datagram(PendingDatagram {
                to: self.members[relay].addr(),
                payload: Payload::PingRequest { token, target, within, refused: true },
                about: None,
                piggyback: Piggyback::Uncounted,
            });
        }
    }

    /// The time of a check's stage is over: asks the member, and relays, whether it lives.
    pub(super) fn on_refusal_timeout(&mut self) {
        let mut relays = core::mem::take(&mut self.scratch.picked);
        let (detector, mut cx) = self.detector();
        if let Some(attempt) = detector.on_refusal_timeout(&mut cx, &mut relays) {
            let ends = self.now + self.config.options.probe_timeout;
            self.send_ping(attempt.target, attempt.token);
            let request = self.stream_ping(attempt.target, attempt.token);
            let to = self.members[attempt.target].addr();
            self.open_until(to, Purpose::Probe(attempt.token), Some(request), ends);
            self.ask_refused(attempt, &relays);
        }
        self.scratch.picked = relays;
    }

    pub(super) fn stream_ping(&self, target: MemberKey, token: u32) -> Vec<u8> {
        self.wire.ping(self.members[target].id(), token)
    }

    /// Suspects or declares failed the member whose check is confirmed, if one is.
    pub(super) fn judge_refused(&mut self) {
        let local = self.local().addr();
        let (detector, mut cx) = self.detector();
        match detector.judge_refused(&mut cx, local) {
            Some((target, Stage::Suspicion)) => {
                self.suspect_locally(target);
                self.mark_refused(target);
            }
            Some((target, Stage::Verdict)) => {
                self.stats.verdicts_by_refusal += 1;
                self.declare(target, State::Failed);
            }
            Some((_, Stage::Refused | Stage::Waiting)) | None => {}
        }
    }

    /// Marks the suspicion of a member, and gossips that at once; `true` if that is new.
    fn mark_refused(&mut self, key: MemberKey) -> bool {
        let new = self.detector.mark_refused(key);
        if new {
            self.disseminate(key);
            self.gossip_at_once();
        }
        new
    }

    /// Another member and its relays were refused by a suspect: marks the suspicion. Returns the
    /// suspicion to send to the suspect, so that it can refute in the shorter time.
    pub(super) fn on_refused_claim(
        &mut self,
        id: &NodeId,
        incarnation: Incarnation,
    ) -> Option<FollowUp> {
        let key = self.members.find(id).filter(|_| self.counts_refusals())?;
        let (to, current) = (self.members[key].addr(), self.members[key].incarnation());
        let new = current == incarnation && self.mark_refused(key);
        (new && self.members.is_validated(key)).then_some(FollowUp::Correct { to, about: key })
    }

    /// Connects to the target of an indirect ping, because it refused the asker's connection.
    pub(super) fn connect_for_asker(&mut self, target: MemberKey, token: u32) {
        if !self.counts_refusals() || !self.members.is_validated(target) {
            return;
        }
        if !self.streams.exchanges.has_room_to_spare() {
            return;
        }
        let ends = self.now + self.config.options.probe_timeout;
        let request = self.stream_ping(target, token);
        self.open_until(self.members[target].addr(), Purpose::Relay(token), Some(request), ends);
    }

    /// The target of an indirect ping refused this node's connection too: its asker gets a nack
    /// that says so.
    pub(super) fn on_relay_refused(&mut self, token: u32) {
        let Some((to, token)) = self.detector.on_relay_refused(token) else { return };
        self.queue_datagram(PendingDatagram {
            to,
            payload: Payload::Nack { token, refused: true },
            about: None,
            piggyback: Piggyback::Uncounted,
        });
    }

    /// Gossips now and not at the next round, which is in less than one interval: three times at
    /// once, and on average twice in an interval.
    pub(super) fn gossip_at_once(&mut self) {
        let interval = self.config.options.gossip_interval;
        let urgent = self.gossip.urgent_at.max(self.now - interval);
        if urgent <= self.now {
            self.gossip.urgent_at = urgent + interval / 2;
            self.gossip.next_at = self.now;
            self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.now);
        }
    }
}
