//! Probe rounds: whom to probe, how many at once, and what acks, nacks and silence say.

use super::{AckedPing, Context, Detector};
use crate::config::options::Options;
use crate::detector::indirect::PendingForward;
use crate::detector::patience::MAX_NEEDED;
use crate::detector::probe::{ProbeOutcome, Round};
use crate::detector::user_pings::PendingPing;
use crate::member::State;
use crate::membership::Members;
use crate::membership::table::MemberKey;
use crate::rng::Rng;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey, Timers};
use crate::wire::message::Accuser;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// The probes of a round, by their outcome.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(super) struct RoundTally {
    pub(super) begun: Instant,
    /// How long it was to last.
    pub(super) length: Duration,
    /// The health score when it began.
    pub(super) health: u32,
    pub(super) acked: u32,
    pub(super) silent: u32,
    /// Those of the silent targets that were suspects before.
    pub(super) suspects: u32,
    /// Probes of members that never answered: they say nothing about this node.
    pub(super) told: u32,
    /// The node had to refute a suspicion.
    pub(super) refuted: bool,
    /// Suspects that the node could confirm were met when the round began.
    pub(super) open: bool,
}

#[cfg(feature = "record")]
impl RoundTally {
    /// Whether a restored tally is within its limits.
    pub(super) fn is_consistent(&self, options: &Options) -> bool {
        let probes = MAX_WIDTH as u32;
        self.acked <= probes
            && self.silent <= probes
            && self.suspects <= self.silent
            && self.told <= probes
            && self.length <= options.probe_interval * options.awareness_max
            && self.health < options.awareness_max
    }
}

impl Detector {
    /// Ends one probe of the current round, and adjusts the local health by its outcome (Lifeguard
    /// §IV-A); `None` if all have ended. The silence of a member that never answered says nothing.
    ///
    /// A probe that only a stream answered leaves the health as it is. One without an ack, for
    /// which relays sent nacks, shows that this node is well: the target is at fault. Relays that
    /// sent none count against the node if they are proven; the others are asked.
    ///
    /// `flaps` is whether a member flaps, so that its silence says nothing about this node.
    pub(crate) fn end_probe(
        &mut self,
        cx: &Context<'_>,
        flaps: impl Fn(MemberKey) -> bool,
    ) -> Option<ProbeOutcome> {
        let mut outcome = self.probe.end(|silent, proven| {
            if is_present(cx.members, silent) {
                self.witnesses.on_silent_relay(silent, proven);
            }
        })?;
        match &mut outcome {
            ProbeOutcome::Acked { target, .. } | ProbeOutcome::NoAck { target, .. }
                if !cx.members.is_validated(*target) =>
            {
                self.round.told += 1;
            }
            ProbeOutcome::Acked { target, in_time, by_stream } => {
                self.round.acked += 1;
                self.patience.on_acked(*target, *in_time || flaps(*target));
                if !*by_stream {
                    self.health.improve();
                }
            }
            ProbeOutcome::NoAck { target, suspect, again, asked, missed_nacks, unproven } => {
                self.witnesses.remove(*target);
                let (asked, missed_nacks) = (*asked, *missed_nacks);
                let suppressed = cx.members[*target].is_suppressed();
                // Relays that all say so, too: the target is at fault.
                let confirmed = asked > 0 && missed_nacks == 0;
                if cx.options.repeat_probes && (suppressed || !confirmed) {
                    let at_least = if suppressed { MAX_NEEDED } else { self.round.health + 1 };
                    *again = !self.patience.on_silent(*target, at_least, flaps(*target));
                }
                if !*again {
                    self.round.silent += 1;
                    self.round.suspects += u32::from(*suspect);
                }
                match missed_nacks - *unproven {
                    _ if !cx.options.nacks || asked == 0 => self.health.worsen(1),
                    0 if missed_nacks < asked => self.health.recover(),
                    missed => self.health.worsen(missed),
                }
            }
        }
        Some(outcome)
    }

    /// Ends a round, all of whose probes have ended. If relays were silent, begins a search for
    /// witnesses, and takes the members to ping into `picked`: these relays first, whose number it
    /// returns, and if nobody was heard in the round, others.
    pub(crate) fn end_round(&mut self, cx: &mut Context<'_>, picked: &mut Vec<MemberKey>) -> usize {
        picked.clear();
        let RoundTally { begun, length, acked, silent, suspects, told, open, .. } = self.round;
        let calm = silent == 0 && self.silence == 0 && self.suspicions.len() == 0;
        if calm && self.witnesses.end_quiet_round() {
            return 0;
        }
        self.limit_confirmations(cx.timers, cx.members, cx.options);
        if silent + told > 0 && acked == 0 && suspects == silent {
            self.lease.extend(cx.now, length);
        }
        self.prefers_suspects = acked >= silent - suspects;
        self.silence = match (acked, silent) {
            (0, 0) => self.silence,
            (0, _) => (self.silence + 1).min(MAX_SILENCE),
            _ if acked < silent || open => self.silence,
            _ => self.silence / 2,
        };
        let missed = self.witnesses.end_round(cx.members.others());
        self.health.worsen(missed);
        let Some(size) = self.witnesses.begin_search(cx.now, begun, picked) else { return 0 };
        let relays = picked.len();
        cx.members.add_picked(&mut self.rng, size, picked);
        relays
    }

    /// How many members to probe at once in the next round.
    ///
    /// One, as in SWIM. After two rounds in a row without an ack two, and twice as many after each
    /// further one, up to 32; or as many as it takes to meet one member that is no suspect, on
    /// average. Where most of a cluster is gone, one at a time would take as long as the cluster
    /// was large. Only a node that is well, and hears others, does so.
    pub(crate) fn width(&self, cx: &Context<'_>) -> usize {
        if self.silence == 0 && self.suspicions.len() == 0 {
            return 1;
        }
        let well = self.health.score() == 0 && self.lease.is_valid(cx.now);
        if !well || !cx.options.wide_probes {
            return 1;
        }
        let silent = 1 << self.silence.saturating_sub(1);
        if !cx.members.are_all_validated() {
            // Invented members are silent too.
            return silent;
        }
        let others = cx.members.others();
        let alive = others.saturating_sub(self.suspicions.len()).max(1);
        silent.max((others / alive).min(MAX_WIDTH))
    }

    /// Whether the extra probes of a round go to suspects first, because most of the other members
    /// that were probed last answered.
    pub(crate) fn prefers_suspects(&self) -> bool {
        self.prefers_suspects
    }

    /// Whether an extra probe in this round could tell something new about a member: it is alive
    /// and has not answered lately, or a suspect to whose accusers `own` can still be added.
    pub(crate) fn is_worth_a_probe(
        &mut self,
        cx: &Context<'_>,
        key: MemberKey,
        own: &Accuser,
    ) -> bool {
        if self.probe.is_target(key) {
            return false;
        }
        if cx.members[key].state() != State::Suspect {
            let round = self.health.scale(cx.options.probe_interval);
            return !self.witnesses.is_heard(cx.now, round, key);
        }
        let open = self.suspicions.is_open_to(key, own);
        self.round.open |= open;
        open
    }

    /// Begins a round, which lasts one probe interval scaled by the local health.
    pub(crate) fn begin_round(&mut self, cx: &mut Context<'_>) {
        let length = self.health.scale(cx.options.probe_interval);
        let health = self.health.score();
        self.patience.begin_round();
        self.round = RoundTally { begun: cx.now, length, health, ..RoundTally::default() };
        cx.timers.set(TimerKey::Fixed(FixedTimer::Probe), cx.now + length);
    }

    /// The next member to probe again, because it was silent, but not often enough to be suspected.
    pub(crate) fn next_again(&self) -> Option<MemberKey> {
        self.patience.next(|target| self.probe.is_target(target))
    }

    /// Begins a probe in the current round; returns the token of the ping to send.
    pub(crate) fn begin_probe(&mut self, cx: &mut Context<'_>, target: MemberKey) -> u32 {
        let Context { now, members, options, .. } = *cx;
        let ends = now + self.health.scale(options.probe_interval);
        let rtt = members.rtt(target);
        let timeout = now + rtt.timeout(options.probe_timeout_min, options.probe_timeout);
        let token = self.rng.u32();
        let suspect = members[target].state() == State::Suspect;
        self.probe.begin(target, suspect, token, now, [timeout, ends]);
        self.arm_probe_timeout(cx.timers);
        token
    }

    pub(super) fn arm_probe_timeout(&self, timers: &mut Timers) {
        let timer = TimerKey::Fixed(FixedTimer::ProbeTimeout);
        match self.probe.next_timeout() {
            Some(at) => timers.set(timer, at),
            None => timers.clear(timer),
        }
    }

    /// A direct ping was not acked in time: picks the members to ask for an indirect ping into
    /// `relays`, and returns the probe; `None` if there is no other such ping.
    ///
    /// Members that answered lately come first: what their silence says is about this node.
    pub(crate) fn on_probe_timeout(
        &mut self,
        cx: &mut Context<'_>,
        relays: &mut Vec<MemberKey>,
    ) -> Option<Round> {
        let round = self.probe.take_timed_out(cx.now);
        self.arm_probe_timeout(cx.timers);
        let round = round?;
        let members = cx.members;
        // Of a member that never answered the address may be a third party's.
        let validated = members.is_validated(round.target);
        let count = if validated { cx.options.indirect_probes } else { 1 };
        let count = count.min(cx.options.indirect_probes);
        let alive = |key| key != round.target && members[key].state() == State::Alive;
        relays.clear();
        if cx.options.recent_relays {
            self.witnesses.pick(&mut self.rng, count, alive, relays);
        }
        members.fill_relays(&mut self.rng, count, round.target, relays);
        let interval = self.health.scale(cx.options.probe_interval);
        // The silence of one that is not proven does not count yet.
        let counts = !validated || !cx.options.recent_relays;
        let relays = relays.iter().map(|&relay| {
            let proven = counts || self.witnesses.is_proven(cx.now, interval, relay);
            (relay, members[relay].addr(), proven)
        });
        self.probe.add_relays(round.token, relays);
        Some(round)
    }

    /// Registers a ping of the search for witnesses; returns its token.
    pub(crate) fn search(&mut self, key: MemberKey, questioned: bool) -> u32 {
        let token = self.rng.u32();
        self.witnesses.search(token, key, questioned);
        token
    }

    /// Whether nobody answers this node's pings.
    pub(crate) fn is_unheard(&self) -> bool {
        self.witnesses.is_unheard()
    }

    /// A member pings this node, or asks it for a ping: if nobody answers, the next search begins
    /// with it.
    pub(crate) fn on_pinged(&mut self, key: MemberKey) {
        self.witnesses.on_pinged(key);
    }

    /// Handles an ack; returns the ping that it answers.
    pub(crate) fn on_ack(&mut self, cx: &mut Context<'_>, token: u32) -> AckedPing {
        if let Some((target, sent)) = self.probe.acked(token) {
            if cx.members.is_validated(target) {
                self.witnesses.add(cx.now, target);
            }
            self.arm_probe_timeout(cx.timers);
            self.end_check(cx.timers, target);
            return AckedPing::Probe { target, rtt: cx.now.since(sent) };
        }
        if let Some(PendingPing { ticket, sent }) = self.user_pings.end(token) {
            cx.timers.clear(TimerKey::UserPing(token));
            return AckedPing::User { ticket, rtt: cx.now.since(sent) };
        }
        if self.witnesses.found(cx.now, token) {
            return AckedPing::Search;
        }
        if let Some(target) = self.refusals.acked(token) {
            cx.timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
            return AckedPing::Check { target };
        }
        cx.timers.clear(TimerKey::IndirectPing(token));
        match self.indirect_pings.end(token) {
            Some(PendingForward { asker, token, .. }) => AckedPing::Forwarded { asker, token },
            None => AckedPing::Stray,
        }
    }

    /// Handles an ack over a stream; returns the target of the current round, if the token is its.
    pub(crate) fn on_stream_ack(&mut self, timers: &mut Timers, token: u32) -> Option<MemberKey> {
        if let Some(target) = self.probe.acked_by_stream(token) {
            self.end_check(timers, target);
            return Some(target);
        }
        let target = self.refusals.acked(token)?;
        timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        Some(target)
    }

    /// Handles a nack, which shows that this node hears; `false` if it answers no request of the
    /// current round or check. `refused` is whether the target refused the relay's connection.
    pub(crate) fn on_nack(
        &mut self,
        cx: &mut Context<'_>,
        token: u32,
        from: SocketAddr,
        refused: bool,
    ) -> bool {
        if let Some(relay) = self.probe.nacked(token, from) {
            if is_present(cx.members, relay) {
                self.witnesses.add(cx.now, relay);
            }
        } else if !self.refusals.nacked(token, from, refused) {
            return false;
        }
        self.renew_lease(cx);
        true
    }

    /// Renews the permission to declare members failed, because the target of a probe answered, or
    /// a relay.
    ///
    /// The lease has the length of plain probe rounds: that a node's own rounds are longer is no
    /// reason to trust it for longer. After a gap without lease the suspicion timeouts go on from
    /// where they stood; after a stall each suspect gets at least the minimum timeout.
    pub(crate) fn renew_lease(&mut self, cx: &mut Context<'_>) {
        self.patience.on_heard();
        let round = cx.options.probe_interval;
        let Some(gap) = self.lease.renew(cx.now, round) else { return };
        let stalled = cx.now.since(gap) > self.health.scale(round);
        for (key, deadline) in self.suspicions.resume(cx.now, gap, stalled) {
            cx.timers.set(TimerKey::Suspicion(key), deadline);
        }
    }

    /// Whether most of the members are silent lately, so that gossip had better go to witnesses.
    pub(crate) fn prefers_witnesses(&self, members: &Members, options: &Options) -> bool {
        if !options.recent_gossip {
            return false;
        }
        self.silence > 1 || self.suspicions.len() * 2 > members.others()
    }

    /// Whether members answer again after a round in which nobody did: then suspicions are gossiped
    /// again.
    pub(crate) fn are_witnesses_back(&self) -> bool {
        self.witnesses.are_back()
    }

    /// All suspects.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = MemberKey> {
        self.suspicions.keys()
    }

    /// Adds up to `count` witnesses to those `picked`.
    pub(crate) fn add_witnesses(
        &mut self,
        rng: &mut Rng,
        members: &Members,
        count: usize,
        picked: &mut Vec<MemberKey>,
    ) {
        let mut witnesses = Vec::new();
        let alive = |key| members[key].state() == State::Alive && !picked.contains(&key);
        self.witnesses.pick(rng, count, alive, &mut witnesses);
        picked.append(&mut witnesses);
    }
}

/// Whether a member is present still: a relay may have departed while its answer was waited for.
fn is_present(members: &Members, key: MemberKey) -> bool {
    members.get(key).is_some_and(|member| member.state().is_present())
}

/// The silence at which [`Detector::width`] is largest.
pub(super) const MAX_SILENCE: u32 = 6;
/// The most probes in a round: 32.
const MAX_WIDTH: usize = 1 << (MAX_SILENCE - 1);
