//! What a node does regularly: probe, gossip, sync.

use super::Node;
use crate::detector::probe::ProbeOutcome;
use crate::event::Event;
use crate::member::State;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stream::exchange::Purpose;
use crate::sync::trigger;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};

impl Node {
    /// Begins to probe and to sync, each at a random point of its first interval, so that nodes
    /// that start together do not act together.
    pub(super) fn start_rounds(&mut self) {
        let probe = self.probe_rng.within(self.config.options.probe_interval);
        self.timers.set(TimerKey::Fixed(FixedTimer::Probe), self.now + probe);
        let sync = self.sync_rng.within(self.config.options.sync_interval);
        self.timers.set(TimerKey::Fixed(FixedTimer::Sync), self.now + sync);
    }

    pub(super) fn stop_rounds(&mut self) {
        self.probe.end();
        for single in
            [FixedTimer::Probe, FixedTimer::ProbeTimeout, FixedTimer::Sync, FixedTimer::Reconnect]
        {
            self.timers.clear(TimerKey::Fixed(single));
        }
    }

    /// Ends the probe round that ran, with its verdict, and begins the next (SWIM §3.1).
    pub(super) fn start_probe_round(&mut self) {
        match self.probe.end() {
            None => {}
            Some(ProbeOutcome::Answered { target, by_stream }) => {
                self.set_degraded(target, by_stream);
                if by_stream {
                    self.stats.probes_by_stream += 1;
                } else {
                    self.health.improve();
                }
            }
            Some(ProbeOutcome::NoAck { target, suspect, asked, missed_nacks }) => {
                if suspect {
                    let round = self.health.scale(self.config.options.probe_interval);
                    self.verdict_lease.extend(self.now, round);
                }
                let nacks = self.config.options.nacks && asked > 0;
                self.health.worsen(if nacks { missed_nacks } else { 1 });
                self.stats.probes_failed += 1;
                self.suspect_locally(target);
            }
        }
        let options = &self.config.options;
        let ends = self.now + self.health.scale(options.probe_interval);
        self.timers.set(TimerKey::Fixed(FixedTimer::Probe), ends);
        let Some(target) = self.members.next_to_probe() else {
            return;
        };
        let wait =
            self.members.rtt(target).timeout(options.probe_timeout_min, options.probe_timeout);
        self.timers.set(TimerKey::Fixed(FixedTimer::ProbeTimeout), self.now + wait);
        let token = self.probe_rng.u32();
        let suspect = self.members[target].state() == State::Suspect;
        self.probe.begin(target, suspect, token, self.now, ends);
        self.stats.probes += 1;
        self.send_ping(target, token);
    }

    /// A probe of ours was answered: we hear what others say, and may pronounce verdicts.
    ///
    /// For as long as rounds last at a node that is well: that ours are longer is no reason to trust
    /// it for longer.
    pub(super) fn on_probe_acked(&mut self) {
        let round = self.config.options.probe_interval;
        if let Some(gap) = self.verdict_lease.renew(self.now, round) {
            let stalled = self.now.since(gap) > self.health.scale(round);
            for (key, deadline) in self.suspicions.resume(self.now, gap, stalled) {
                self.timers.set(TimerKey::Suspicion(key), deadline);
            }
        }
    }

    /// Notes whether a member answers streams and no datagrams, and tells the application.
    fn set_degraded(&mut self, key: MemberKey, degraded: bool) {
        if self.members[key].is_degraded() != degraded {
            self.members.set_degraded(key, degraded);
            self.event(if degraded { Event::Degraded } else { Event::Restored }, key);
        }
    }

    /// Asks others to ping a member that did not answer.
    pub(super) fn probe_indirectly(&mut self) {
        let Some(round) = self.probe.unanswered() else {
            return;
        };
        self.stats.probes_indirect += 1;
        if self.config.options.stream_probes {
            // Which tells a member that is down from one to which datagrams do not get through.
            let target = &self.members[round.target];
            let (to, request) = (target.addr(), self.wire.ping(target.id(), round.token));
            self.open_until(to, Purpose::Probe(round.token), Some(request), round.ends);
        }
        let within = round.ends.since(self.now);
        let mut picked = core::mem::take(&mut self.picked);
        let count = self.config.options.indirect_probes;
        self.members.pick(&mut self.probe_rng, count, Some(round.target), &mut picked);
        self.probe.add_relays(picked.iter().map(|&relay| self.members[relay].addr()));
        for &relay in &picked {
            let payload = Payload::PingRequest { token: round.token, target: round.target, within };
            self.queue_datagram(PendingDatagram {
                to: self.members[relay].addr(),
                payload,
                about: None,
                piggyback: Piggyback::Uncounted,
            });
        }
        self.picked = picked;
    }

    /// Tells the news to a few members.
    ///
    /// While there is none, this timer is not set.
    pub(super) fn gossip(&mut self) {
        if !self.has_gossip() {
            return;
        }
        let options = &self.config.options;
        let since = self.now - options.gossip_to_the_dead;
        let mut picked = core::mem::take(&mut self.picked);
        self.members.pick_for_gossip(
            &mut self.gossip_rng,
            options.gossip_nodes,
            since,
            &mut self.recent,
            &mut picked,
        );
        self.next_gossip_at = self.now + options.gossip_interval;
        if !picked.is_empty() {
            // With nobody to tell, what there is waits until somebody joins.
            self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.next_gossip_at);
        }
        for &key in &picked {
            let member = &self.members[key];
            // Those who failed are told on the chance that they live: that must not use up what is
            // meant for the living.
            let piggyback =
                if member.state().is_present() { Piggyback::Counted } else { Piggyback::Uncounted };
            self.queue_datagram(PendingDatagram {
                to: member.addr(),
                payload: Payload::Gossip,
                about: None,
                piggyback,
            });
        }
        self.picked = picked;
    }

    /// Tries to find somebody who was lost.
    pub(super) fn try_reconnect(&mut self) {
        let present = |addr| {
            let member = self.members.find_addr(addr).map(|key| &self.members[key]);
            member.is_some_and(|member| member.state().is_present())
        };
        let Some(addr) = self.reconnect.pick(&mut self.reconnect_rng, present) else { return };
        if !self.exchanges.any(Purpose::Reconnect) {
            self.stats.reconnect_attempts += 1;
            self.open(addr, Purpose::Reconnect, None);
        }
        self.arm_reconnect();
    }

    /// Sees to it that those who were lost are looked for; the more they are, the sooner.
    pub(super) fn arm_reconnect(&mut self) {
        let options = &self.config.options;
        let running = self.local().state().is_present();
        if running && self.reconnect.has_candidates() {
            let present = self.members.present_count();
            let (first, longest) = (options.reconnect_interval, options.reconnect_interval_max);
            let wait = self.reconnect.wait(&mut self.reconnect_rng, present, first, longest);
            let slot = TimerKey::Fixed(FixedTimer::Reconnect);
            let due = self.timers.at(slot).unwrap_or(Instant::MAX);
            self.timers.set(slot, due.min(self.now + wait));
        }
    }

    /// Compares the membership with a member picked at random.
    pub(super) fn sync(&mut self) {
        let interval =
            trigger::interval(self.config.options.sync_interval, self.members.present_count());
        self.timers.set(TimerKey::Fixed(FixedTimer::Sync), self.now + interval);
        if self.exchanges.any(Purpose::Sync) {
            return;
        }
        let mut picked = core::mem::take(&mut self.picked);
        self.members.pick(&mut self.sync_rng, 1, None, &mut picked);
        if let Some(&key) = picked.first() {
            self.open(self.members[key].addr(), Purpose::Sync, None);
        }
        self.picked = picked;
    }
}
