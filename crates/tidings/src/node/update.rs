//! Updates: claims about members, from the network and of the node itself, and their effects.

use super::Node;
use crate::event::Event;
use crate::incarnation::{Incarnation, IncarnationSource};
use crate::member::{Member, State};
use crate::membership::claim::{Change, Claim, Life, Updated};
use crate::membership::damping::Flap;
use crate::membership::refute::{Evidence, RefuteDecision};
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::timers::{FixedTimer, TimerKey};
use crate::wire::message::Accuser;
use crate::wire::message::PeerStatus;
use alloc::boxed::Box;
use core::net::SocketAddr;

/// The origin of a claim.
#[derive(Clone, Debug)]
pub(super) struct UpdateSource {
    /// The address that sent it, if it came by datagram.
    pub(super) from: Option<SocketAddr>,
    /// The accuser, if the claim is a suspicion.
    pub(super) accuser: Accuser,
    /// Whether changes are gossiped. A newcomer does not repeat to others what they sent it.
    pub(super) disseminate: bool,
    /// Whether it is a row of another node's table, and not the gossip of a new verdict.
    pub(super) hearsay: bool,
    /// How sure it is that the member is at the address in it.
    pub(super) proof: Proof,
}

/// How sure it is that a member is at the address in a claim; see [`Node::is_validated`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Proof {
    /// Somebody said so.
    Told,
    /// The stream on which the claim came is from that IP.
    Ip,
    /// The member answered from the address, a seed said so, or the cluster has keys.
    Answered,
}

impl UpdateSource {
    /// This node itself; or a member's ack, which has no address in it.
    pub(super) fn own(accuser: Accuser, disseminate: bool) -> Self {
        Self { from: None, accuser, disseminate, hearsay: false, proof: Proof::Answered }
    }
}

/// What a claim asks for besides its effect: one datagram at most.
#[derive(Clone, Debug)]
pub(super) enum FollowUp {
    /// The newer update, for the sender of a stale claim.
    Correct { to: SocketAddr, about: MemberKey },
    /// The question whether the member is at the address in the claim, before that is applied.
    Validate(Box<Claim>),
}

impl Node {
    /// Handles a claim from the network; returns what is to be done besides.
    ///
    /// The sender of a stale claim is sent the newer one, unless a sync does that anyway.
    pub(super) fn handle_update(&mut self, source: UpdateSource, claim: Claim) -> Option<FollowUp> {
        if !self.is_allowed(&claim) {
            return None;
        }
        if !self.is_plausible(&claim, source.from) {
            self.stats.implausible_claims += 1;
            return None;
        }
        if claim.id == *self.local().id() {
            return self.answer_claim_about_self(&source, claim);
        }
        if !self.is_admitted(&claim) {
            self.stats.members_refused += 1;
            return None;
        }
        let mut claim = claim;
        if source.proof < Proof::Answered && self.members.is_elsewhere(self.now, &claim) {
            // Nobody moves a member that has answered to where nobody does. What is said of it
            // besides stands.
            if claim.state == State::Alive {
                return Some(FollowUp::Validate(claim.into()));
            }
            claim.profile = None;
            let leaves = claim.state == State::Left && self.wire.tidings().is_none();
            if self.members.is_present(&claim.id) && !leaves {
                self.apply_update(&source, &Claim { state: State::Suspect, ..claim });
                return None;
            }
        }
        if claim.profile.is_some() && self.is_accusation(&source, &claim) {
            // The member is alive, and suspected by another node.
            self.apply_update(&source, &Claim { state: State::Alive, ..claim.clone() });
            self.apply_update(&source, &Claim { state: State::Suspect, profile: None, ..claim });
            return None;
        }
        if let Some(key) = self.outrun_by(&source, &claim) {
            let known = &self.members[key];
            if known.state() == State::Alive || claim.incarnation > known.incarnation() {
                self.apply_update(&source, &Claim { state: State::Suspect, ..claim });
            }
            self.detector.on_verdict(&mut self.timers, key);
            return None;
        }
        let about = self.apply_update(&source, &claim)?;
        let to = source.from.filter(|_| !source.hearsay)?;
        let known = &self.members[about];
        // Our verdict may be that of one side of a partition: the member gets it, so that it can
        // refute it, and not the node that considers it alive.
        let failed = known.state() == State::Failed;
        if failed && !self.members.is_validated(about) {
            return None;
        }
        Some(FollowUp::Correct { to: if failed { known.addr() } else { to }, about })
    }

    /// Whether a claim is a suspicion, which the member can refute.
    ///
    /// A `Failed` in another node's table may come from the other side of a partition: a member
    /// that is present here gets the time of a suspect (memberlist's `mergeState`). So does one of
    /// which a table says that it left, if anybody can send a table; not in memberlist's format,
    /// whose nodes send their own leave so.
    fn is_accusation(&self, source: &UpdateSource, claim: &Claim) -> bool {
        let by_hearsay = match claim.state {
            State::Suspect => return true,
            State::Failed => source.hearsay,
            State::Left => {
                let anybody = source.proof == Proof::Told && self.wire.tidings().is_some();
                source.hearsay && anybody
            }
            State::Alive => false,
        };
        by_hearsay && self.members.is_present(&claim.id)
    }

    /// The member that a gossiped verdict is about, if it has outrun the suspicion: this node has
    /// not heard that, or only lately.
    ///
    /// The copies of the suspicion may have gone to members that cannot be reached, and the member
    /// itself has not heard it either: it gets the time of a suspect.
    fn outrun_by(&self, source: &UpdateSource, claim: &Claim) -> Option<MemberKey> {
        let rule = self.config.options.suspect_on_verdict;
        if !rule || claim.state != State::Failed || source.hearsay {
            return None;
        }
        let key = self.members.find(&claim.id)?;
        let known = &self.members[key];
        let outrun = match known.state() {
            State::Alive => claim.incarnation >= known.incarnation(),
            State::Suspect if claim.incarnation == known.incarnation() => {
                self.detector.is_outrun(self.now, &self.config.options, key)
            }
            State::Suspect => claim.incarnation > known.incarnation(),
            State::Failed | State::Left => false,
        };
        outrun.then_some(key)
    }

    /// How sure it is that a member is where another one says.
    pub(super) fn told(&self) -> Proof {
        if self.wire.is_authenticated() { Proof::Answered } else { Proof::Told }
    }

    /// Whether a member can have reached the incarnation of a claim.
    ///
    /// No node may raise another one's incarnation so far that none is above it. Known incarnations
    /// are always plausible; a member's own claims may go further than those of others, so that it
    /// can refute them.
    pub(super) fn is_plausible(&self, claim: &Claim, from: Option<SocketAddr>) -> bool {
        let member = self.members.find(&claim.id).map(|key| &self.members[key]);
        let known = member.map(Member::incarnation);
        // Those that are gone are not pinged: no ack tells how far they had to go.
        let is_acked = member.is_some_and(|member| member.state().is_present())
            && !self.variant.lacks_peer_status();
        let about_us = claim.id == *self.local().id();
        if known.is_some_and(|known| claim.incarnation < known)
            || known == Some(claim.incarnation) && !about_us
        {
            return true;
        }
        let source = match &claim.profile {
            // Also at our own incarnation, because we go above it: else each repetition would take
            // us further.
            _ if about_us => IncarnationSource::AboutUs,
            // The refutation of a forged claim is accepted, as far as it had to go.
            Some(profile) if known.is_some() && !is_acked && from == Some(profile.addr) => {
                IncarnationSource::AtFirstHand
            }
            Some(_) if known.is_none() => IncarnationSource::Unknown,
            Some(_) => IncarnationSource::Itself,
            None => IncarnationSource::Others,
        };
        self.variant.is_within_reach(claim.incarnation, self.wall_clock(), known, source)
    }

    /// Applies the incarnation in an ack, or the highest one that this node takes at first hand if
    /// that is less: an ack with the token of our ping, from the member's address, is the member's
    /// own.
    ///
    /// So a forged claim that some nodes accepted and others did not does not separate them from
    /// the member; and who answers in the member's place for a while leaves it room to refute that.
    pub(super) fn apply_acked_incarnation(&mut self, key: MemberKey, status: Option<PeerStatus>) {
        let Some(PeerStatus { incarnation, .. }) = status else { return };
        // A member whose clock is ahead may have gone beyond the limit: it lives, whatever it says.
        let incarnation = incarnation.at_most_at_first_hand(self.wall_clock());
        if incarnation <= self.members[key].incarnation() {
            return;
        }
        let claim = self.claim_without_profile(key, incarnation, State::Alive);
        if !self.is_plausible(&claim, None) {
            self.apply_update(&UpdateSource::own(Accuser::Unknown, false), &claim);
        }
    }

    /// Whether the application admits a node that is not present yet.
    pub(super) fn is_admitted(&mut self, claim: &Claim) -> bool {
        let (Some(admit), Some(profile)) = (self.config.admission, &claim.profile) else {
            return true;
        };
        let Claim { id, incarnation, state, .. } = claim;
        if !state.is_present() || self.members.is_present(id) {
            return true;
        }
        let meta = profile.meta.clone();
        let mut member = Member::new(id.clone(), profile.addr, *incarnation, meta);
        member.versions = profile.versions;
        let ask = || admit(&member);
        match &mut self.journal {
            Some(journal) => journal.admitted(ask),
            None => ask(),
        }
    }

    /// Suspects a member, because it did not ack a probe.
    pub(super) fn suspect_locally(&mut self, key: MemberKey) {
        self.declare(key, State::Suspect);
    }

    /// Declares a suspect failed, because its suspicion timeout expired; or defers that, if the
    /// node has no recent ack.
    pub(super) fn on_suspicion_timeout(&mut self, key: MemberKey) {
        let (detector, mut cx) = self.detector();
        if detector.on_suspicion_timeout(&mut cx, key) {
            self.declare(key, State::Failed);
        } else {
            self.stats.verdicts_deferred += 1;
        }
    }

    /// Applies and gossips a verdict of this node about a member in its known incarnation.
    pub(super) fn declare(&mut self, key: MemberKey, state: State) {
        let claim = self.claim_without_profile(key, self.members[key].incarnation(), state);
        // A node that has left gets no refutations, and keeps its verdicts to itself.
        let local = self.local();
        let (accuser, disseminate) = (self.wire.accuser(local.id()), local.state().is_present());
        self.apply_update(&UpdateSource::own(accuser, disseminate), &claim);
    }

    /// A claim without address and metadata.
    pub(super) fn claim_without_profile(
        &self,
        key: MemberKey,
        incarnation: Incarnation,
        state: State,
    ) -> Claim {
        Claim { id: self.members[key].id().clone(), incarnation, state, profile: None }
    }

    /// Applies a claim about another member; returns the member if a newer claim about it is known.
    pub(super) fn apply_update(
        &mut self,
        source: &UpdateSource,
        claim: &Claim,
    ) -> Option<MemberKey> {
        let validated = source.proof > Proof::Told;
        let leaves = claim.state == State::Left && self.members.is_present(&claim.id);
        let mut change = self.members.apply(self.now, claim, validated);
        if change == Change::Full && validated && self.make_room() {
            change = self.members.apply(self.now, claim, true);
        }
        // Before it ends.
        let refused = |key| self.detector.is_refused(key);
        let urgent =
            matches!(change, Change::Recovered(key, ..) | Change::Failed(key) if refused(key));
        let key = match change {
            Change::Unknown => return None,
            Change::Stale(key) => return Some(key),
            Change::Unchanged => {
                self.confirm(source, claim);
                return None;
            }
            Change::Full => {
                self.stats.members_refused += 1;
                return None;
            }
            Change::Conflict { key, other } => {
                let member = &self.members[key];
                let (id, addr) = (member.id().clone(), member.addr());
                self.outputs.event(Event::Conflict { id, addr, other });
                key
            }
            Change::Disputed { key, other } => {
                let member = &self.members[key];
                let (id, addr) = (member.id().clone(), member.addr());
                if self.refute.report_other(&id, other) {
                    self.outputs.event(Event::Conflict { id, addr, other });
                }
                return None;
            }
            Change::Tombstoned(key) => {
                if self.damping.is_suppressed(&claim.id) {
                    self.members.set_suppressed(key, true);
                }
                self.arm_reap();
                return None;
            }
            Change::Refreshed(key, life) => {
                self.report_restart(key, life);
                key
            }
            Change::Updated(key, life) => {
                self.report_restart(key, life);
                self.event(Event::Updated, key);
                key
            }
            Change::Joined(key) | Change::Returned(key, _) => {
                if let Change::Returned(_, life) = change {
                    self.on_returned(key, Flap::Failure, life);
                }
                if validated {
                    self.sync.reconnect.remove_lost(&claim.id);
                }
                if self.damping.is_suppressed(&claim.id) {
                    self.members.set_suppressed(key, true);
                }
                self.event(Event::Joined, key);
                if claim.state == State::Suspect {
                    self.suspect(key, source.accuser.clone());
                }
                key
            }
            Change::Suspected(key, life) => {
                self.report_restart(key, life);
                self.suspect(key, source.accuser.clone());
                if source.hearsay && self.members.is_validated(key) {
                    // The suspect gets it first, so that it can refute before others get it.
                    let to = self.members[key].addr();
                    self.follow_up(FollowUp::Correct { to, about: key }, 0);
                }
                key
            }
            Change::Recovered(key, updated, life) => {
                self.detector.on_refutation(&mut self.timers, key);
                let suppressed = self.members[key].is_suppressed();
                self.on_returned(key, Flap::Suspicion, life);
                if !suppressed {
                    self.report_restart(key, life);
                }
                self.event(if suppressed { Event::Joined } else { Event::Recovered }, key);
                if updated == Updated::Yes {
                    self.event(Event::Updated, key);
                }
                key
            }
            Change::Failed(key) => {
                self.on_departed(key);
                self.event(Event::Failed, key);
                self.on_failed(key);
                key
            }
            Change::Left(key) => {
                self.on_departed(key);
                self.forget_flaps(key);
                self.event(Event::Left, key);
                // A lie about one that failed would not be refuted, if it is cut off.
                let lost = self.sync.reconnect.is_lost(&claim.id);
                let sure = validated || leaves && !lost && !source.hearsay;
                if sure && self.members.is_validated(key) {
                    self.sync.reconnect.remove_lost(&claim.id);
                    self.sync.reconnect.remove_seed(self.members[key].addr());
                }
                key
            }
        };
        if source.disseminate {
            self.disseminate(key);
            if urgent {
                self.gossip_at_once();
            }
        } else {
            // A newcomer may be the first receiver of queued gossip.
            self.arm_gossip();
        }
        self.sync.trigger.on_change();
        self.sync.ready.on_change(self.now);
        None
    }

    /// Reports that a present member is in a new life, unless it is suppressed.
    pub(super) fn report_restart(&mut self, key: MemberKey, life: Life) {
        let Life::New { earlier } = life else { return };
        let member = &self.members[key];
        if !member.is_suppressed() {
            self.outputs.event(Event::Restarted { member: member.clone(), earlier });
        }
    }

    /// Makes room in a full table for a member that answers: one that never did is given up.
    fn make_room(&mut self) -> bool {
        let mut picked = core::mem::take(&mut self.scratch.picked);
        let told = self.members.pick_told(&mut picked);
        self.scratch.picked = picked;
        let Some(key) = told else { return false };
        let incarnation = self.members[key].incarnation();
        let claim = self.claim_without_profile(key, incarnation, State::Failed);
        self.apply_update(&UpdateSource::own(Accuser::Unknown, false), &claim);
        true
    }

    fn suspect(&mut self, key: MemberKey, accuser: Accuser) {
        let (detector, mut cx) = self.detector();
        detector.suspect(&mut cx, key, accuser);
        self.event(Event::Suspected, key);
    }

    /// Counts a further accuser of a suspect, and gossips it if it shortens the timeout.
    fn confirm(&mut self, source: &UpdateSource, claim: &Claim) {
        let Some(key) = self.members.find(&claim.id) else { return };
        let known = &self.members[key];
        if (claim.incarnation, claim.state) != (known.incarnation(), State::Suspect)
            || known.state() != State::Suspect
        {
            return;
        }
        if self.detector.confirm(&mut self.timers, key, &source.accuser) {
            self.stats.confirmations += 1;
            self.disseminate(key);
        }
    }

    /// Remembers the address of a failed member, to reconnect to it, and reports many failures at
    /// once. A member that never answered is not missed.
    fn on_failed(&mut self, key: MemberKey) {
        if !self.members.is_validated(key) {
            return;
        }
        let member = &self.members[key];
        let (present, options) = (self.members.size(), &self.config.options);
        let window = options.probe_interval * 10;
        let lost =
            self.sync.reconnect.on_failed(self.now, member.id(), member.addr(), present, window);
        if let Some(lost) = lost {
            self.outputs.event(Event::PartitionSuspected { lost, present });
        }
        self.arm_reconnect();
    }

    fn on_departed(&mut self, key: MemberKey) {
        self.detector.on_departed(&mut self.timers, key);
        self.streams.paths.forget(self.members[key].id());
        // Alone again: the waits are shorter.
        if self.members.is_validated(key) && self.is_alone() {
            self.arm_seeds();
        }
        self.arm_reap();
    }

    /// Handles a claim about this node; returns what is to be done besides: the receiver of the
    /// claim about it may need this node's own.
    fn answer_claim_about_self(&mut self, source: &UpdateSource, claim: Claim) -> Option<FollowUp> {
        let (answered, now) = (source.proof == Proof::Answered, self.now);
        let evidence = Evidence { answered, now, patience: self.config.options.probe_interval };
        let decision = self.refute.judge(self.variant, self.members.local(), &claim, evidence);
        let to = match decision {
            RefuteDecision::Agree => None,
            RefuteDecision::Ask => return Some(FollowUp::Validate(claim.into())),
            RefuteDecision::Remind => source.from,
            RefuteDecision::Contradict if !self.must_contradict(source) => source.from,
            RefuteDecision::Contradict => {
                let variant = self.variant;
                self.members.update_local(|local| {
                    local.incarnation = variant.above(local.incarnation, claim.incarnation);
                });
                self.stats.refutations += 1;
                if matches!(claim.state, State::Suspect | State::Failed) {
                    self.on_accusation();
                }
                let elsewhere = |&other: &SocketAddr| other != self.local().addr();
                if let (State::Alive, Some(other)) = (claim.state, claim.addr().filter(elsewhere)) {
                    self.report_conflict(source, other, &claim);
                }
                // What anybody can say says nothing about this node's health.
                if self.wire.is_authenticated() || !source.hearsay && self.is_by_member(source) {
                    self.detector.on_refuted();
                    match claim.state {
                        State::Suspect => self.on_accused(Flap::Suspicion),
                        State::Failed => self.on_accused(Flap::Failure),
                        State::Alive | State::Left => {}
                    }
                }
                self.disseminate(MemberKey::LOCAL);
                source.from
            }
            RefuteDecision::Disputed(other) => {
                self.report_conflict(source, other, &claim);
                None
            }
            RefuteDecision::Outranks(other) => {
                // A claim about our earlier life looks the same, unless it comes from that address.
                let same_life = claim.incarnation.generation == self.local().incarnation.generation;
                if (source.from == Some(other) || same_life)
                    && self.report_conflict(source, other, &claim)
                {
                    self.disseminate(MemberKey::LOCAL);
                }
                None
            }
            RefuteDecision::Outranked(other) => {
                // The holder of the name gets our own claim.
                self.report_conflict(source, other, &claim).then_some(other)
            }
        };
        to.map(|to| FollowUp::Correct { to, about: MemberKey::LOCAL })
    }

    /// Whether a claim about this node is refuted to all: those of members always, those of others
    /// ever more rarely while they come.
    fn must_contradict(&mut self, source: &UpdateSource) -> bool {
        self.is_by_member(source)
            || self.refute.is_stranger_due(self.now, self.config.options.probe_interval)
    }

    /// Whether a claim comes from a member, as far as that can be known.
    fn is_by_member(&self, source: &UpdateSource) -> bool {
        let answers = |from| from != self.local().addr() && self.is_answering(from);
        self.wire.is_authenticated() || source.from.is_some_and(answers)
    }

    /// Reports a node with our name at another address; `false` if that is not new.
    fn report_conflict(&mut self, source: &UpdateSource, other: SocketAddr, claim: &Claim) -> bool {
        let vouched = source.proof == Proof::Answered || self.is_by_member(source);
        let interval = self.config.options.probe_interval;
        let claimant = (other, claim.incarnation);
        let new = self.refute.report(claimant, vouched, self.now, interval);
        if new {
            let (id, addr) = (claim.id.clone(), self.local().addr());
            self.outputs.event(Event::Conflict { id, addr, other });
        }
        new
    }

    /// Does what a claim asks for besides its effect. To an address from which no member answered
    /// goes no more than the `len` bytes that came.
    pub(super) fn follow_up(&mut self, follow_up: FollowUp, len: usize) {
        let (to, about) = match follow_up {
            FollowUp::Correct { to, about } => (to, about),
            FollowUp::Validate(claim) => return self.validate_claim(claim, len),
        };
        let most = if self.is_answering(to) { usize::MAX } else { len };
        self.queue_datagram(PendingDatagram {
            to,
            payload: Payload::Gossip,
            about: Some(about),
            piggyback: Piggyback::None { most },
        });
    }

    /// Gossips the known update about a member.
    pub(super) fn disseminate(&mut self, key: MemberKey) {
        self.gossip.queue.push(key);
        self.arm_gossip();
    }

    pub(super) fn arm_gossip(&mut self) {
        let gossip = TimerKey::Fixed(FixedTimer::Gossip);
        if self.gossip.is_pending() && self.timers.at(gossip).is_none() {
            self.timers.set(gossip, self.gossip.next_at.max(self.now));
        }
    }

    pub(super) fn reap(&mut self) {
        self.members.reap(self.now - self.variant.tombstones(&self.config.options));
        self.arm_reap();
    }

    fn arm_reap(&mut self) {
        let reap = TimerKey::Fixed(FixedTimer::Reap);
        match self.members.oldest_tombstone() {
            Some(at) => self.timers.set(reap, at + self.variant.tombstones(&self.config.options)),
            None => self.timers.clear(reap),
        }
    }
}
