//! What a node does regularly: probe, gossip, sync.

use super::Node;
use crate::exchange::Purpose;
use crate::member::State;
use crate::members::Key;
use crate::output::{Draft, Event, Fill, Lead};
use crate::probe::Verdict;
use crate::sync;
use crate::time::Instant;
use crate::timers::{Single, Slot};

impl Node {
    /// Begins to probe and to sync, each at a random point of its first interval, so that nodes
    /// that start together do not act together.
    pub(super) fn start_rounds(&mut self) {
        let probe = self.probe_rng.within(self.config.options.probe_interval);
        self.timers.set(Slot::Single(Single::Probe), self.now + probe);
        let sync = self.sync_rng.within(self.config.options.sync_interval);
        self.timers.set(Slot::Single(Single::Sync), self.now + sync);
    }

    pub(super) fn stop_rounds(&mut self) {
        self.probe.end();
        for single in [Single::Probe, Single::ProbeTimeout, Single::Sync, Single::Heal] {
            self.timers.clear(Slot::Single(single));
        }
    }

    /// Ends the probe round that ran, with its verdict, and begins the next (SWIM §3.1).
    pub(super) fn next_round(&mut self) {
        match self.probe.end() {
            None => {}
            Some(Verdict::Answered { target, by_stream }) => {
                self.set_degraded(target, by_stream);
                if by_stream {
                    self.stats.probes_by_stream += 1;
                } else {
                    self.awareness.improve();
                }
            }
            Some(Verdict::Silent { target, suspect, asked, missed_nacks }) => {
                if suspect {
                    let round = self.awareness.scale(self.config.options.probe_interval);
                    self.evidence.pass_over(self.now, round);
                }
                let nacks = self.config.options.nacks && asked > 0;
                self.awareness.worsen(if nacks { missed_nacks } else { 1 });
                self.stats.probes_failed += 1;
                self.accuse(target);
            }
        }
        let options = &self.config.options;
        let ends = self.now + self.awareness.scale(options.probe_interval);
        self.timers.set(Slot::Single(Single::Probe), ends);
        let Some(target) = self.members.next_to_probe() else {
            return;
        };
        let wait =
            self.members.rtt(target).timeout(options.probe_timeout_min, options.probe_timeout);
        self.timers.set(Slot::Single(Single::ProbeTimeout), self.now + wait);
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
    pub(super) fn heard_somebody(&mut self) {
        let round = self.config.options.probe_interval;
        if let Some(gap) = self.evidence.answered(self.now, round) {
            let stalled = self.now.since(gap) > self.awareness.scale(round);
            for (key, deadline) in self.suspicions.resume(self.now, gap, stalled) {
                self.timers.set(Slot::Suspicion(key), deadline);
            }
        }
    }

    /// Notes whether a member answers streams and no datagrams, and tells the application.
    fn set_degraded(&mut self, key: Key, degraded: bool) {
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
        self.probe.ask(picked.iter().map(|&helper| self.members[helper].addr()));
        for &relay in &picked {
            let lead = Lead::PingRequest { token: round.token, target: round.target, within };
            self.draft(Draft {
                to: self.members[relay].addr(),
                lead,
                about: None,
                fill: Fill::Ride,
            });
        }
        self.picked = picked;
    }

    /// Tells the news to a few members.
    ///
    /// While there is none, this timer is not set.
    pub(super) fn gossip(&mut self) {
        if !self.has_news() {
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
        self.gossip_from = self.now + options.gossip_interval;
        if !picked.is_empty() {
            // With nobody to tell, what there is waits until somebody joins.
            self.timers.set(Slot::Single(Single::Gossip), self.gossip_from);
        }
        for &key in &picked {
            let member = &self.members[key];
            // Those who failed are told on the chance that they live: that must not use up what is
            // meant for the living.
            let fill = if member.state().is_present() { Fill::Tell } else { Fill::Ride };
            self.draft(Draft { to: member.addr(), lead: Lead::News, about: None, fill });
        }
        self.picked = picked;
    }

    /// Tries to find somebody who was lost.
    pub(super) fn search(&mut self) {
        let present = |addr| {
            let member = self.members.find_addr(addr).map(|key| &self.members[key]);
            member.is_some_and(|member| member.state().is_present())
        };
        let Some(addr) = self.heal.pick(&mut self.heal_rng, present) else { return };
        if !self.exchanges.any(Purpose::Heal) {
            self.stats.searches += 1;
            self.open(addr, Purpose::Heal, None);
        }
        self.arm_search();
    }

    /// Sees to it that those who were lost are looked for; the more they are, the sooner.
    pub(super) fn arm_search(&mut self) {
        let options = &self.config.options;
        let running = self.local().state().is_present();
        if running && self.heal.is_searching() {
            let present = self.members.present();
            let (first, longest) = (options.heal_interval, options.heal_interval_max);
            let wait = self.heal.wait(&mut self.heal_rng, present, first, longest);
            let slot = Slot::Single(Single::Heal);
            let due = self.timers.at(slot).unwrap_or(Instant::MAX);
            self.timers.set(slot, due.min(self.now + wait));
        }
    }

    /// Compares the membership with a member picked at random.
    pub(super) fn sync(&mut self) {
        let interval = sync::interval(self.config.options.sync_interval, self.members.present());
        self.timers.set(Slot::Single(Single::Sync), self.now + interval);
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
