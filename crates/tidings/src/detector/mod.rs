//! Failure detection: probe rounds, indirect pings, suspicions, and the node's local health.

pub(crate) mod health;
pub(crate) mod indirect;
pub(crate) mod lease;
pub(crate) mod probe;
pub(crate) mod refused;
pub(crate) mod suspicion;
pub(crate) mod user_pings;
pub(crate) mod validation;
pub(crate) mod witnesses;

use crate::config::options::Options;
use crate::detector::health::LocalHealth;
use crate::detector::indirect::{IndirectPings, PendingForward};
use crate::detector::lease::VerdictLease;
use crate::detector::probe::{Probe, ProbeOutcome, Round};
use crate::detector::refused::{Attempt, RELAYS, Refusals, Stage};
#[cfg(feature = "record")]
use crate::detector::suspicion::Suspicion;
use crate::detector::suspicion::{SuspicionTimeout, Suspicions, log10_thousandths};
use crate::detector::user_pings::{PendingPing, UserPings};
use crate::detector::validation::{Validation, Validations};
use crate::detector::witnesses::Witnesses;
use crate::event::Ticket;
#[cfg(feature = "record")]
use crate::member::Member;
use crate::member::{NodeId, State};
use crate::membership::Members;
use crate::membership::claim::Claim;
use crate::membership::table::MemberKey;
use crate::rng::{Rng, RngStream};
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey, Timers};
use crate::wire::message::Accuser;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// The failure detector of a node: SWIM §3 and §4.2, with Lifeguard's local health.
///
/// It decides whom to ping, whom to suspect, and when a suspicion has expired. It sends nothing and
/// changes no member: it sets its timers, and returns what the node has to do.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Detector {
    probe: Probe,
    health: LocalHealth,
    indirect_pings: IndirectPings,
    user_pings: UserPings,
    lease: VerdictLease,
    witnesses: Witnesses,
    /// Grows with each round in which all targets were silent; see [`width`](Self::width).
    silence: u32,
    round: RoundTally,
    /// In the last round at least as many targets acked as were found to be silent.
    prefers_suspects: bool,
    suspicions: Suspicions,
    refusals: Refusals,
    validations: Validations,
    rng: Rng,
    ping_rng: Rng,
}

/// The probes of a round, by their outcome.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct RoundTally {
    begun: Instant,
    /// How long it was to last.
    length: Duration,
    acked: u32,
    silent: u32,
    /// Those of the silent targets that were suspects before.
    suspects: u32,
    /// Suspects that the node could confirm were met when the round began.
    open: bool,
}

#[cfg(feature = "record")]
impl RoundTally {
    /// Whether a restored tally is within its limits.
    fn is_consistent(&self, options: &Options) -> bool {
        let probes = MAX_WIDTH as u32;
        self.acked <= probes
            && self.silent <= probes
            && self.suspects <= self.silent
            && self.length <= options.probe_interval * options.awareness_max
    }
}

/// The node's parts that the detector reads, and the timers that it sets.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) timers: &'a mut Timers,
    pub(crate) members: &'a Members,
    pub(crate) options: &'a Options,
}

/// The ping that an ack answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AckedPing {
    /// The ping of the current probe round, directly or through a relay.
    Probe { target: MemberKey, rtt: Duration },
    /// A ping of the application's.
    User { ticket: Ticket, rtt: Duration },
    /// A ping of a search for witnesses.
    Search,
    /// A ping or a request of a check of a member that refused a connection: it lives.
    Check { target: MemberKey },
    /// A ping that this node sent for another one, which waits for an ack with its own token.
    Forwarded { asker: SocketAddr, token: u32 },
    /// None that is pending.
    Stray,
}

impl Detector {
    pub(crate) fn new(seed: [u8; 32], options: &Options, now: Instant) -> Self {
        Self {
            probe: Probe::default(),
            health: LocalHealth::new(options.awareness_max),
            indirect_pings: IndirectPings::new(options.max_relays),
            user_pings: UserPings::new(options.max_pings),
            lease: VerdictLease::new(now),
            witnesses: Witnesses::default(),
            silence: 0,
            round: RoundTally::default(),
            prefers_suspects: false,
            suspicions: Suspicions::default(),
            refusals: Refusals::default(),
            validations: Validations::default(),
            rng: Rng::new(seed, RngStream::Probe),
            ping_rng: Rng::new(seed, RngStream::Ping),
        }
    }

    /// Schedules the first probe round at a random point of its interval, so that nodes that start
    /// together do not probe together.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        let offset = self.rng.within(cx.options.probe_interval);
        cx.timers.set(TimerKey::Fixed(FixedTimer::Probe), cx.now + offset);
    }

    /// Stops probing, because the node leaves; suspicions stay.
    pub(crate) fn stop(&mut self, timers: &mut Timers) {
        self.probe.stop();
        timers.clear(TimerKey::Fixed(FixedTimer::Probe));
        timers.clear(TimerKey::Fixed(FixedTimer::ProbeTimeout));
        self.refusals.clear();
        timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
    }

    /// Forgets all suspicions and the node's health, because the node rejoins and forgets all
    /// others.
    pub(crate) fn reset(&mut self, timers: &mut Timers, options: &Options) {
        for key in self.suspicions.stop_all() {
            timers.clear(TimerKey::Suspicion(key));
        }
        self.health = LocalHealth::new(options.awareness_max);
        self.witnesses.clear();
        self.refusals.clear();
        timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        self.validations.clear();
        self.silence = 0;
    }

    // ---- probe rounds ----

    /// Ends one probe of the current round, and adjusts the local health by its outcome (Lifeguard
    /// §IV-A); `None` if all have ended. The silence of a member that never answered says nothing.
    ///
    /// A probe that only a stream answered leaves the health as it is. One without an ack, for
    /// which relays sent nacks, shows that this node is well: the target is at fault. Relays that
    /// sent none count against the node if they are proven; the others are asked.
    pub(crate) fn end_probe(&mut self, cx: &Context<'_>) -> Option<ProbeOutcome> {
        let outcome = self.probe.end(|silent, proven| {
            if is_present(cx.members, silent) {
                self.witnesses.on_silent_relay(silent, proven);
            }
        })?;
        match outcome {
            ProbeOutcome::Acked { target, .. } if !cx.members.is_validated(target) => {}
            ProbeOutcome::Acked { by_stream, .. } => {
                self.round.acked += 1;
                if !by_stream {
                    self.health.improve();
                }
            }
            ProbeOutcome::NoAck { target, .. } if !cx.members.is_validated(target) => {}
            ProbeOutcome::NoAck { target, suspect, asked, missed_nacks, unproven } => {
                self.witnesses.remove(target);
                self.round.silent += 1;
                self.round.suspects += u32::from(suspect);
                match missed_nacks - unproven {
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
        let RoundTally { begun, length, acked, silent, suspects, open } = self.round;
        let calm = silent == 0 && self.silence == 0 && self.suspicions.len() == 0;
        if calm && self.witnesses.end_quiet_round() {
            return 0;
        }
        self.limit_confirmations(cx.timers, cx.members, cx.options);
        if silent > 0 && acked == 0 && suspects == silent {
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
        self.round = RoundTally { begun: cx.now, length, ..RoundTally::default() };
        cx.timers.set(TimerKey::Fixed(FixedTimer::Probe), cx.now + length);
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

    fn arm_probe_timeout(&self, timers: &mut Timers) {
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
        let target = self.probe.acked_by_stream(token).or_else(|| self.refusals.acked(token))?;
        self.end_check(timers, target);
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

    // ---- indirect pings for others ----

    /// Registers an indirect ping for `asker`; returns the token of the ping to send, or `None` if
    /// [`max_relays`](Options::max_relays) are pending.
    ///
    /// A nack is due after 80 % of the time that the asker waits, so that it arrives while it
    /// counts (Lifeguard §IV-A). An asker that does not say how long it waits is one at its own
    /// probe's timeout.
    pub(crate) fn forward_ping(
        &mut self,
        cx: &mut Context<'_>,
        asker: SocketAddr,
        token: u32,
        within: Option<Duration>,
        nack: bool,
    ) -> Option<u32> {
        let options = cx.options;
        let within = within.unwrap_or_else(|| options.probe_interval - options.probe_timeout);
        let within = within.min(options.probe_interval * options.awareness_max);
        let nack = options.nacks && nack;
        let forward = PendingForward { asker, token, until: cx.now + within, nack };
        let own = self.rng.u32();
        if !self.indirect_pings.begin(own, forward) {
            return None;
        }
        let wait = if nack { within * 4 / 5 } else { within };
        cx.timers.set(TimerKey::IndirectPing(own), cx.now + wait);
        Some(own)
    }

    /// An indirect ping was not acked so far: returns the asker that gets a nack, with its token,
    /// or ends the ping if its time is over.
    pub(crate) fn on_indirect_ping_timeout(
        &mut self,
        timers: &mut Timers,
        token: u32,
    ) -> Option<(SocketAddr, u32)> {
        let Some(forward) = self.indirect_pings.unanswered(token) else {
            self.indirect_pings.end(token);
            return None;
        };
        timers.set(TimerKey::IndirectPing(token), forward.until);
        Some((forward.asker, forward.token))
    }

    /// The target of an indirect ping refused this node's connection: returns the asker that gets
    /// a nack at once, with its token.
    pub(crate) fn on_relay_refused(&mut self, token: u32) -> Option<(SocketAddr, u32)> {
        self.indirect_pings.unanswered(token).map(|forward| (forward.asker, forward.token))
    }

    // ---- refused connections ----

    /// The target of a probe or a check refused this node's connection. After a probe the check
    /// begins, with its timer, so that one input does not cause all of its datagrams.
    pub(crate) fn on_refused(&mut self, cx: &mut Context<'_>, token: u32) {
        if self.refusals.refused(token) {
            return;
        }
        let Some(target) = self.probe.target(token) else { return };
        if self.refusals.begin(target) {
            cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), cx.now);
        } else if !self.refusals.is_active() {
            cx.timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        }
    }

    /// The member of a confirmed check, which is to be suspected or declared failed.
    ///
    /// Only a node that is well and hears others goes by refusals, and only while no other member
    /// is suspected for them, and few for other reasons: else a firewall is between, or many have
    /// failed.
    pub(crate) fn judge_refused(
        &mut self,
        cx: &mut Context<'_>,
        local: SocketAddr,
    ) -> Option<(MemberKey, Stage)> {
        let members = cx.members;
        let (target, stage) = self.refusals.confirmed(local, |key| members[key].addr())?;
        let well = self.health.score() == 0 && self.lease.is_valid(cx.now);
        let few = members.size() / MEMBERS_PER_SUSPECT;
        let suspects = self.suspicions.others_than(target);
        if !well || suspects > few || self.suspicions.any_refused_but(target) {
            return None;
        }
        if stage == Stage::Suspicion {
            self.refusals.wait();
            let rounds = log10_thousandths(members.size()).max(2000);
            let wait = cx.options.gossip_interval.saturating_mul(rounds) / 1000;
            cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), cx.now + wait);
        }
        Some((target, stage))
    }

    /// The time of a check's stage is over: begins the next attempt, whose relays are picked into
    /// `relays`, or ends the check.
    pub(crate) fn on_refusal_timeout(
        &mut self,
        cx: &mut Context<'_>,
        relays: &mut Vec<MemberKey>,
    ) -> Option<Attempt> {
        let token = self.rng.u32();
        let attempt = self.refusals.next_attempt(token)?;
        let Context { now, members, options, .. } = *cx;
        members.pick(&mut self.rng, RELAYS, Some(attempt.target), relays);
        self.refusals.ask(relays.iter().map(|&relay| members[relay].addr()));
        cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), now + options.probe_timeout);
        Some(attempt)
    }

    /// Marks the suspicion of a member as one for refused connections; `true` if that is new.
    pub(crate) fn mark_refused(&mut self, key: MemberKey) -> bool {
        self.suspicions.mark_refused(key)
    }

    /// Whether a member is suspected for refused connections.
    pub(crate) fn is_refused(&self, key: MemberKey) -> bool {
        self.suspicions.is_refused(key)
    }

    fn end_check(&mut self, timers: &mut Timers, target: MemberKey) {
        if self.refusals.end(target) {
            timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        }
    }

    // ---- address validation ----

    /// Begins to validate an address, with a stranger's claim about the member there, or of a
    /// member in the table; returns the token of the ping to send, or `None` if that is pending or
    /// too many others are.
    pub(crate) fn validate(
        &mut self,
        cx: &Context<'_>,
        addr: SocketAddr,
        id: &NodeId,
        claim: Option<Box<Claim>>,
    ) -> Option<u32> {
        let token = self.ping_rng.u32();
        let lifetime = cx.options.probe_interval;
        self.validations.begin(cx.now, lifetime, (token, addr), id, claim).then_some(token)
    }

    /// The member that a pending validation is about.
    pub(crate) fn to_validate(&self, token: u32) -> Option<&NodeId> {
        self.validations.target(token)
    }

    /// Whether one more member can be asked whether it is there.
    pub(crate) fn can_ask(&self) -> bool {
        !self.validations.is_full()
    }

    /// Ends a validation whose ping is not sent.
    pub(crate) fn cancel_validation(&mut self, token: u32) {
        self.validations.cancel(token);
    }

    /// Handles an ack from an address; returns the validation that it completes.
    pub(crate) fn on_validated(&mut self, token: u32, from: SocketAddr) -> Option<Validation> {
        self.validations.end(token, from)
    }

    // ---- pings of the application's ----

    /// Registers a ping of the application's; returns its token, or `None` if
    /// [`max_pings`](Options::max_pings) are pending.
    pub(crate) fn ping(&mut self, cx: &mut Context<'_>, ticket: Ticket) -> Option<u32> {
        let token = self.ping_rng.u32();
        if !self.user_pings.begin(token, PendingPing { ticket, sent: cx.now }) {
            return None;
        }
        cx.timers.set(TimerKey::UserPing(token), cx.now + cx.options.probe_interval);
        Some(token)
    }

    /// A ping of the application's was not acked in time; returns its ticket.
    pub(crate) fn on_user_ping_timeout(&mut self, token: u32) -> Option<Ticket> {
        self.user_pings.end(token).map(|ping| ping.ticket)
    }

    /// Cancels a ping of the application's; `false` if the ticket is not one of a pending ping.
    pub(crate) fn cancel_user_ping(&mut self, timers: &mut Timers, ticket: Ticket) -> bool {
        let Some(token) = self.user_pings.find(ticket) else { return false };
        self.user_pings.end(token);
        timers.clear(TimerKey::UserPing(token));
        true
    }

    // ---- suspicions ----

    /// Starts the suspicion of a member, with the timeout for the cluster's size.
    pub(crate) fn suspect(&mut self, cx: &mut Context<'_>, key: MemberKey, accuser: Accuser) {
        let Context { now, members, options, .. } = *cx;
        let timeout = SuspicionTimeout::among(
            members.size(),
            options.suspicion_mult,
            options.suspicion_max_mult,
            options.probe_interval,
        );
        let deadline = self.suspicions.start(now, key, accuser, timeout);
        cx.timers.set(TimerKey::Suspicion(key), deadline);
        self.limit_confirmations(cx.timers, members, options);
    }

    /// Limits the confirmations that suspicions wait for to the number of members that could still
    /// give one: those that are not suspects.
    fn limit_confirmations(&mut self, timers: &mut Timers, members: &Members, options: &Options) {
        let others = members.others().saturating_sub(self.suspicions.len());
        let wanted = options.suspicion_mult.saturating_sub(2);
        let most = if options.limit_confirmations { others } else { usize::MAX };
        let possible = wanted.min(u32::try_from(most).unwrap_or(u32::MAX));
        if self.suspicions.set_possible(possible) {
            for (key, deadline) in self.suspicions.deadlines() {
                timers.set(TimerKey::Suspicion(key), deadline);
            }
        }
    }

    /// Counts one more accuser of a suspect; `true` if it shortens the timeout, and others should
    /// know of it.
    pub(crate) fn confirm(
        &mut self,
        timers: &mut Timers,
        key: MemberKey,
        accuser: &Accuser,
    ) -> bool {
        let Some(deadline) = self.suspicions.confirm(key, accuser) else { return false };
        timers.set(TimerKey::Suspicion(key), deadline);
        true
    }

    /// Whether to gossip a suspicion again, because another probe of the suspect failed and
    /// confirmations are still awaited: earlier copies may have gone to members that are gone.
    pub(crate) fn repeats_suspicion(&self, options: &Options, key: MemberKey) -> bool {
        options.recent_gossip && self.suspicions.awaits_confirmations(key)
    }

    /// Counts a gossiped verdict about an alive member as a suspicion of it, which ends after the
    /// minimum timeout.
    pub(crate) fn on_verdict(&mut self, timers: &mut Timers, key: MemberKey) {
        if let Some(deadline) = self.suspicions.set_by_verdict(key) {
            timers.set(TimerKey::Suspicion(key), deadline);
        }
    }

    /// Whether a gossiped verdict about a suspect has outrun its suspicion.
    pub(crate) fn is_outrun(&self, now: Instant, key: MemberKey) -> bool {
        self.suspicions.is_outrun(now, key)
    }

    /// The timeout of a suspicion expired; `true` if the node may declare the member failed.
    ///
    /// Without a recent ack it may not (Lifeguard's lesson: most false positives come from nodes
    /// that are slow themselves), unless all other members are suspected; then the timeout is set
    /// again.
    pub(crate) fn on_suspicion_timeout(&mut self, cx: &mut Context<'_>, key: MemberKey) -> bool {
        if !cx.options.require_recent_ack || self.lease.is_valid(cx.now) {
            return true;
        }
        let all = self.suspicions.len() + 1 >= cx.members.present_count();
        let Some(again) = self.suspicions.hold(cx.now, key, all) else { return true };
        cx.timers.set(TimerKey::Suspicion(key), again);
        false
    }

    /// Ends the suspicion of a member, if there is one.
    pub(crate) fn clear_suspicion(&mut self, timers: &mut Timers, key: MemberKey) {
        self.suspicions.stop(key);
        self.end_check(timers, key);
        timers.clear(TimerKey::Suspicion(key));
    }

    /// A member failed or left: its suspicion and the probe of it end.
    pub(crate) fn on_departed(&mut self, timers: &mut Timers, key: MemberKey) {
        self.clear_suspicion(timers, key);
        self.probe.abandon(key);
        self.arm_probe_timeout(timers);
        self.witnesses.on_departed(key);
    }

    /// The accuser to name in the `n`th datagram with a suspicion: each in turn, so that receivers
    /// can count them all.
    pub(crate) fn accuser(&self, key: MemberKey, n: u64) -> &Accuser {
        self.suspicions.accuser(key, n)
    }

    // ---- local health ----

    /// The local health score; 0 is healthy.
    pub(crate) fn health(&self) -> u32 {
        self.health.score()
    }

    /// The node had to refute a suspicion: it may be slow (Lifeguard §IV-A).
    pub(crate) fn on_refuted(&mut self) {
        self.health.worsen(1);
    }

    // ---- inspection ----

    #[cfg(feature = "record")]
    pub(crate) fn suspicions(&self) -> impl Iterator<Item = (MemberKey, &Suspicion, Instant)> {
        self.suspicions.iter()
    }

    /// Until when the node may declare members failed.
    #[cfg(feature = "record")]
    pub(crate) fn lease_until(&self) -> Instant {
        self.lease.until()
    }

    /// The tokens of the application's pings.
    #[cfg(feature = "record")]
    pub(crate) fn pings(&self) -> impl Iterator<Item = u32> {
        self.user_pings.tokens()
    }

    /// Whether a restored detector agrees with the restored members and timers.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(
        &self,
        members: &Members,
        timers: &Timers,
        options: &Options,
    ) -> bool {
        let suspect = |(key, at): (MemberKey, Instant)| {
            let state = members.get(key).map(Member::state);
            key != MemberKey::LOCAL
                && state == Some(State::Suspect)
                && timers.at(TimerKey::Suspicion(key)) == Some(at)
        };
        let suspects = members.iter().filter(|member| member.state() == State::Suspect);
        let known = |key: MemberKey| {
            let state = members.get(key).map(Member::state);
            key != MemberKey::LOCAL && state.is_some_and(State::is_present)
        };
        self.health.is_below(options.awareness_max)
            && self.suspicions.is_consistent()
            && self.suspicions.deadlines().all(suspect)
            && suspects.count() == self.suspicions.len()
            && self.probe.targets().all(known)
            && self.probe.is_consistent()
            && self.witnesses.is_consistent(known)
            && self.validations.is_consistent()
            && self.refusals.is_consistent(known)
            && self.refusals.is_active()
                == timers.at(TimerKey::Fixed(FixedTimer::Refusal)).is_some()
            && self.silence <= MAX_SILENCE
            && self.round.is_consistent(options)
    }

    /// Asserts that each suspicion and each ping of the application's has its timer, and each
    /// suspect its suspicion.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, members: &Members, timers: &Timers) {
        for (key, deadline) in self.suspicions.deadlines() {
            assert_eq!(members[key].state(), State::Suspect, "a suspicion is of a suspect");
            assert_eq!(timers.at(TimerKey::Suspicion(key)), Some(deadline));
        }
        let suspects = members.iter().filter(|member| member.state() == State::Suspect);
        assert_eq!(suspects.count(), self.suspicions.len(), "each suspect has its suspicion");
        assert!(self.validations.is_consistent());
        let refusal = timers.at(TimerKey::Fixed(FixedTimer::Refusal));
        assert_eq!(self.refusals.is_active(), refusal.is_some(), "a check has its timer");
        for token in self.user_pings.tokens() {
            assert!(timers.at(TimerKey::UserPing(token)).is_some(), "each ping has its deadline");
        }
    }
}

/// Whether a member is present still: a relay may have departed while its answer was waited for.
fn is_present(members: &Members, key: MemberKey) -> bool {
    members.get(key).is_some_and(|member| member.state().is_present())
}

/// With one more suspect for each so many members, refused connections still count.
const MEMBERS_PER_SUSPECT: usize = 64;
/// The silence at which [`Detector::width`] is largest.
const MAX_SILENCE: u32 = 6;
/// The most probes in a round: 32.
const MAX_WIDTH: usize = 1 << (MAX_SILENCE - 1);

#[cfg(test)]
mod tests;
