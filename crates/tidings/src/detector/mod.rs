//! Failure detection: probe rounds, indirect pings, suspicions, and the node's local health.

pub(crate) mod health;
pub(crate) mod indirect;
pub(crate) mod lease;
pub(crate) mod patience;
pub(crate) mod probe;
pub(crate) mod refused;
mod rounds;
pub(crate) mod suspicion;
pub(crate) mod user_pings;
pub(crate) mod validation;
pub(crate) mod witnesses;

use crate::config::options::Options;
use crate::detector::health::LocalHealth;
use crate::detector::indirect::{IndirectPings, PendingForward};
use crate::detector::lease::VerdictLease;
use crate::detector::patience::Patience;
use crate::detector::probe::Probe;
use crate::detector::refused::Refusals;
#[cfg(feature = "record")]
use crate::detector::rounds::MAX_SILENCE;
use crate::detector::rounds::RoundTally;
#[cfg(feature = "record")]
use crate::detector::suspicion::Suspicion;
use crate::detector::suspicion::{SuspicionTimeout, Suspicions};
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
use core::net::SocketAddr;
#[cfg(debug_assertions)]
use core::sync::atomic::Ordering;
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
    patience: Patience,
    witnesses: Witnesses,
    /// Grows with each round in which all targets were silent; see [`width`](Self::width).
    silence: u32,
    round: RoundTally,
    /// In the last round at least as many targets acked as were found to be silent.
    prefers_suspects: bool,
    suspicions: Suspicions,
    /// Whether all others were suspects, and when that was looked at.
    all_suspects: (Instant, bool),
    refusals: Refusals,
    validations: Validations,
    rng: Rng,
    ping_rng: Rng,
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
            patience: Patience::default(),
            witnesses: Witnesses::default(),
            silence: 0,
            round: RoundTally::default(),
            prefers_suspects: false,
            suspicions: Suspicions::default(),
            all_suspects: (Instant::ZERO, false),
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
        self.patience = Patience::default();
        self.silence = 0;
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

    /// Keeps a claim that a member has moved, to be validated later; it came with so many bytes.
    pub(crate) fn validate_later(&mut self, claim: Box<Claim>, bytes: usize) {
        self.validations.postpone(claim, bytes);
    }

    /// Whether claims wait to be validated.
    pub(crate) fn has_to_validate(&self) -> bool {
        self.validations.has_later()
    }

    /// Takes the next claim to be validated by a question of so many bytes, unless too many are.
    pub(crate) fn next_to_validate(&mut self, question: usize) -> Option<Box<Claim>> {
        self.validations.next_later(question)
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

    // ---- trials of members that flap ----

    /// The token of a ping of a trial.
    pub(crate) fn trial_token(&mut self) -> u32 {
        self.ping_rng.u32()
    }

    /// How many of some pings of a member that is well may be lost by chance.
    pub(crate) fn losses_by_chance(&self, pings: u32) -> u32 {
        self.patience.losses_by_chance(pings)
    }

    /// How long to wait until a trial begins: so that not all nodes begin it at once, and that this
    /// node knows its own loss by then.
    pub(crate) fn trial_delay(&mut self, options: &Options) -> Duration {
        options.probe_interval * 6 + self.ping_rng.within(options.probe_interval * 4)
    }

    // ---- suspicions ----

    /// Whether `own` is an accuser of a member.
    pub(crate) fn is_accused_by(&self, key: MemberKey, own: &Accuser) -> bool {
        self.suspicions.is_accused_by(key, own)
    }

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
        // Of many suspects not each new one moves all deadlines: the end of the round does.
        if self.suspicions.len() <= MAX_MOVED_AT_ONCE {
            self.limit_confirmations(cx.timers, members, options);
        }
    }

    /// Limits the confirmations that suspicions wait for to the number of members that could still
    /// give one: those that are not suspects.
    fn limit_confirmations(&mut self, timers: &mut Timers, members: &Members, options: &Options) {
        let others = members.others().saturating_sub(self.suspicions.len());
        let wanted = options.suspicion_mult.saturating_sub(2);
        let most = if options.limit_confirmations { others } else { usize::MAX };
        let possible = wanted.min(u32::try_from(most).unwrap_or(u32::MAX));
        if self.suspicions.set_possible(possible) {
            #[cfg(debug_assertions)]
            members.visits().fetch_add(self.suspicions.len(), Ordering::Relaxed);
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
    pub(crate) fn is_outrun(&self, now: Instant, options: &Options, key: MemberKey) -> bool {
        self.suspicions.is_outrun(now, options.gossip_interval, key)
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
        let all = self.are_all_suspects(cx.now, cx.members);
        let Some(again) = self.suspicions.hold(cx.now, key, all) else { return true };
        cx.timers.set(TimerKey::Suspicion(key), again);
        false
    }

    /// Whether all other members that count are suspects: those that have answered.
    ///
    /// One look at all members serves all suspicions that expire at once.
    fn are_all_suspects(&mut self, now: Instant, members: &Members) -> bool {
        if members.are_all_validated() {
            return self.suspicions.len() >= members.others();
        }
        if self.all_suspects.0 != now {
            let all = members.validated().all(|key| members[key].state() == State::Suspect);
            self.all_suspects = (now, all);
        }
        self.all_suspects.1
    }

    /// A suspect refuted the suspicion: it lives.
    pub(crate) fn on_refutation(&mut self, timers: &mut Timers, key: MemberKey) {
        self.patience.contradict(key);
        self.clear_suspicion(timers, key);
    }

    /// Ends the suspicion of a member, if there is one.
    fn clear_suspicion(&mut self, timers: &mut Timers, key: MemberKey) {
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
        self.patience.on_departed(key);
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

    /// The share of its probes of members that live to which the node gets no ack, in 1/1024.
    pub(crate) fn loss(&self) -> u32 {
        self.patience.loss()
    }

    /// The node had to refute a suspicion: it may be slow (Lifeguard §IV-A). In a round that counts
    /// once, however many say so.
    pub(crate) fn on_refuted(&mut self) {
        if !core::mem::replace(&mut self.round.refuted, true) {
            self.health.worsen(1);
        }
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
            && self.patience.is_consistent(known)
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

/// The most suspects whose deadlines one new suspicion moves.
const MAX_MOVED_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
