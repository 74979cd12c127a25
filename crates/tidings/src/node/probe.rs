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

    /// Ends the current probe round, suspects its targets that did not ack, and begins the next
    /// round (SWIM §3.1).
    pub(super) fn start_probe_round(&mut self) {
        self.end_probe_round();
        let (detector, mut cx) = self.detector();
        let width = detector.width(cx.now).min(cx.members.others());
        detector.begin_round(&mut cx);
        for _ in 0..width {
            let Some(target) = self.members.next_to_probe() else { break };
            let (detector, mut cx) = self.detector();
            let token = detector.begin_probe(&mut cx, target);
            self.stats.probes += 1;
            self.send_ping(target, token);
        }
    }

    fn end_probe_round(&mut self) {
        let (mut acked, mut silent, mut unheard) = (0, 0, false);
        loop {
            let (detector, cx) = self.detector();
            let Some(outcome) = detector.end_probe(&cx) else { break };
            match outcome {
                ProbeOutcome::Acked { target, by_stream } => {
                    acked += 1;
                    self.set_degraded(target, by_stream);
                    self.stats.probes_by_stream += u64::from(by_stream);
                }
                ProbeOutcome::NoAck { target, asked, missed_nacks, .. } => {
                    if self.members.is_validated(target) {
                        silent += 1;
                        unheard |= asked == missed_nacks;
                    }
                    self.stats.probes_failed += 1;
                    self.suspect_locally(target);
                }
            }
        }
        self.detector.on_round_ended(acked, silent);
        if unheard {
            self.search_witnesses();
        }
    }

    /// Pings a few members, because neither the target of a probe nor a relay was heard of: those
    /// that answer are the relays of the next probe.
    fn search_witnesses(&mut self) {
        let mut picked = core::mem::take(&mut self.scratch.picked);
        let (detector, cx) = self.detector();
        detector.begin_search(&cx, &mut picked);
        for &key in &picked {
            let token = self.detector.search(key);
            self.send_ping(key, token);
        }
        self.scratch.picked = picked;
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
