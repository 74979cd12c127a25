//! Probe rounds: what the node sends and reports for its failure detector.

use super::Node;
use crate::detector::probe::ProbeOutcome;
use crate::detector::{Context, Detector};
use crate::event::Event;
use crate::member::State;
use crate::membership::damping::Flap;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stream::exchange::Purpose;
use alloc::vec::Vec;

impl Node {
    /// The failure detector, with the parts that it reads and the timers that it sets.
    pub(super) fn detector(&mut self) -> (&mut Detector, Context<'_>) {
        let Self { now, timers, members, config, detector, .. } = self;
        (detector, Context { now: *now, timers, members, options: &config.options })
    }

    /// Ends the current probe round, suspects its targets that did not ack, and begins the next
    /// round (SWIM §3.1).
    pub(super) fn start_probe_round(&mut self) {
        self.end_probe_round();
        let (detector, mut cx) = self.detector();
        let width = detector.width(&cx).min(cx.members.others());
        detector.begin_round(&mut cx);
        let again = self.detector.next_again();
        let Some(target) = again.or_else(|| self.members.next_to_probe()) else { return };
        self.begin_probe(target);
        if width > 1 {
            self.begin_wide_probes(width - 1);
        }
    }

    /// Begins up to `more` probes beside the first of a round: of members that have not answered
    /// lately, and of suspects that this node can confirm.
    fn begin_wide_probes(&mut self, mut more: usize) {
        let own = self.wire.accuser(self.local().id());
        let suspects_first = self.detector.prefers_suspects();
        let mut later = Vec::new();
        while more > 0 {
            let Some(target) = self.detector.next_again() else { break };
            self.begin_probe(target);
            more -= 1;
        }
        for _ in 0..MAX_SEEN.min(self.members.others()) {
            let Some(target) = self.members.next_to_probe().filter(|_| more > 0) else { break };
            let suspect = self.members[target].state() == State::Suspect;
            let validated = self.members.is_validated(target);
            let (detector, cx) = self.detector();
            if !validated || !detector.is_worth_a_probe(&cx, target, &own) {
                continue;
            }
            if suspect == suspects_first {
                self.begin_probe(target);
                more -= 1;
            } else if later.len() < more && !later.contains(&target) {
                later.push(target);
            }
        }
        for target in later.into_iter().take(more) {
            self.begin_probe(target);
        }
    }

    fn begin_probe(&mut self, target: MemberKey) {
        let (detector, mut cx) = self.detector();
        let token = detector.begin_probe(&mut cx, target);
        self.stats.probes += 1;
        self.send_ping(target, token);
    }

    fn end_probe_round(&mut self) {
        while let Some(outcome) = self.end_probe() {
            match outcome {
                ProbeOutcome::Acked { target, by_stream, .. } => {
                    self.set_degraded(target, by_stream);
                    self.stats.probes_by_stream += u64::from(by_stream);
                }
                ProbeOutcome::NoAck { again: true, .. } => self.stats.probes_failed += 1,
                ProbeOutcome::NoAck { target, suspect, .. } => {
                    self.stats.probes_failed += 1;
                    self.suspect_locally(target);
                    if suspect && self.detector.repeats_suspicion(&self.config.options, target) {
                        self.disseminate(target);
                    }
                }
            }
        }
        if self.detector.are_witnesses_back() {
            for key in self.detector.suspects() {
                self.gossip.queue.push(key);
            }
            self.arm_gossip();
        }
        let mut picked = core::mem::take(&mut self.scratch.picked);
        let (detector, mut cx) = self.detector();
        let relays = detector.end_round(&mut cx, &mut picked);
        // Those that answer are the relays of the next probe.
        for (n, &key) in picked.iter().enumerate() {
            let token = self.detector.search(key, n < relays);
            self.send_ping(key, token);
        }
        self.scratch.picked = picked;
    }

    fn end_probe(&mut self) -> Option<ProbeOutcome> {
        let Self { now, timers, members, config, detector, damping, .. } = self;
        let (now, options) = (*now, &config.options);
        let cx = Context { now, timers, members, options };
        let others = members.validated_others();
        let flaps =
            |key| damping.stands_out(now, options, members[key].id(), Flap::Suspicion, others);
        detector.end_probe(&cx, flaps)
    }

    /// Sets whether a member answers streams and no datagrams, and reports a change.
    fn set_degraded(&mut self, key: MemberKey, degraded: bool) {
        if self.members[key].is_degraded() != degraded {
            self.members.set_degraded(key, degraded);
            self.event(if degraded { Event::Degraded } else { Event::Restored }, key);
        }
    }

    /// Asks other members for indirect pings, because targets of the round did not ack in time.
    pub(super) fn probe_indirectly(&mut self) {
        let mut relays = core::mem::take(&mut self.scratch.picked);
        loop {
            let (detector, mut cx) = self.detector();
            let Some(round) = detector.on_probe_timeout(&mut cx, &mut relays) else { break };
            self.stats.probes_indirect += 1;
            let validated = self.members.is_validated(round.target);
            if self.config.options.stream_probes && validated {
                // Tells a member that is down from one to which datagrams do not get through.
                let to = self.members[round.target].addr();
                let request = self.stream_ping(round.target, round.token);
                self.open_until(to, Purpose::Probe(round.token), Some(request), round.ends);
            }
            let within = round.ends.since(self.now);
            let (token, target) = (round.token, round.target);
            for &relay in &relays {
                self.queue_datagram(PendingDatagram {
                    to: self.members[relay].addr(),
                    payload: Payload::PingRequest { token, target, within, refused: false },
                    about: None,
                    piggyback: Piggyback::Uncounted,
                });
            }
        }
        self.scratch.picked = relays;
    }
}

/// The most members looked at for the probes of one round.
const MAX_SEEN: usize = 1024;
