//! Probe rounds: what the node sends and reports for its failure detector.

use super::Node;
use crate::detector::probe::ProbeOutcome;
use crate::detector::{Context, Detector};
use crate::event::Event;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stream::exchange::Purpose;

impl Node {
    /// The failure detector, with the parts that it reads and the timers that it sets.
    pub(super) fn detector(&mut self) -> (&mut Detector, Context<'_>) {
        let Self { now, timers, members, config, detector, .. } = self;
        (detector, Context { now: *now, timers, members, options: &config.options })
    }

    /// Ends the current probe round, suspects its target if there was no ack, and begins the next
    /// round (SWIM §3.1).
    pub(super) fn start_probe_round(&mut self) {
        let (detector, cx) = self.detector();
        match detector.end_round(&cx) {
            None => {}
            Some(ProbeOutcome::Acked { target, by_stream }) => {
                self.set_degraded(target, by_stream);
                self.stats.probes_by_stream += u64::from(by_stream);
            }
            Some(ProbeOutcome::NoAck { target, .. }) => {
                self.stats.probes_failed += 1;
                self.suspect_locally(target);
            }
        }
        let target = self.members.next_to_probe();
        let (detector, mut cx) = self.detector();
        let token = detector.begin_round(&mut cx, target);
        if let (Some(target), Some(token)) = (target, token) {
            self.stats.probes += 1;
            self.send_ping(target, token);
        }
    }

    /// Sets whether a member answers streams and no datagrams, and reports a change.
    fn set_degraded(&mut self, key: MemberKey, degraded: bool) {
        if self.members[key].is_degraded() != degraded {
            self.members.set_degraded(key, degraded);
            self.event(if degraded { Event::Degraded } else { Event::Restored }, key);
        }
    }

    /// Asks other members for indirect pings, because the target of the round did not ack in time.
    pub(super) fn probe_indirectly(&mut self) {
        let mut relays = core::mem::take(&mut self.scratch.picked);
        let (detector, cx) = self.detector();
        let round = detector.on_probe_timeout(&cx, &mut relays);
        if let Some(round) = round {
            self.stats.probes_indirect += 1;
            if self.config.options.stream_probes {
                // Tells a member that is down from one to which datagrams do not get through.
                let target = &self.members[round.target];
                let (to, request) = (target.addr(), self.wire.ping(target.id(), round.token));
                self.open_until(to, Purpose::Probe(round.token), Some(request), round.ends);
            }
            let within = round.ends.since(self.now);
            let (token, target) = (round.token, round.target);
            for &relay in &relays {
                self.queue_datagram(PendingDatagram {
                    to: self.members[relay].addr(),
                    payload: Payload::PingRequest { token, target, within },
                    about: None,
                    piggyback: Piggyback::Uncounted,
                });
            }
        }
        self.scratch.picked = relays;
    }
}
