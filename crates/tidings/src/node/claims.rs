//! What others say about members, and what follows from it.

use super::Node;
use crate::claim::{Change, Claim, Updated};
use crate::incarnation::{Incarnation, Source};
use crate::member::{Member, State};
use crate::members::Key;
use crate::output::{Draft, Event, Fill, Lead};
use crate::refute::Verdict;
use crate::suspicion::{Accuser, Span};
use crate::timers::{Single, Slot};
use crate::wire::message::Pulse;
use core::net::SocketAddr;

/// How a claim came to us.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The address from which it came, if it came by datagram.
    pub(super) from: Option<SocketAddr>,
    /// Who suspects the member, where it is suspected.
    pub(super) accuser: Accuser,
    /// Whether what is new is told on. A newcomer does not repeat to others what they told it.
    pub(super) spread: bool,
    /// Whether it is how somebody else's table has it, and not the news of a verdict.
    pub(super) hearsay: bool,
}

/// Whom to tell about whom, in answer to a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tell {
    pub(super) to: SocketAddr,
    pub(super) about: Key,
}

impl Node {
    /// Takes a claim that came from the network; returns whom to tell better, if anybody.
    ///
    /// Whoever says what is outdated is told what is known, unless it hears that anyway.
    pub(super) fn hear(&mut self, heard: Heard, claim: Claim) -> Option<Tell> {
        if !self.is_plausible(&claim, heard.from) {
            self.stats.implausible_claims += 1;
            return None;
        }
        if claim.id == *self.local().id() {
            let to = self.respond(&heard, &claim)?;
            return Some(Tell { to, about: Key::LOCAL });
        }
        if !self.is_admitted(&claim) {
            self.stats.members_refused += 1;
            return None;
        }
        if claim.profile.is_some() && self.is_accusation(&heard, &claim) {
            // A member that is there, and somebody's suspicion besides.
            self.take(&heard, &Claim { state: State::Alive, ..claim.clone() });
            self.take(&heard, &Claim { state: State::Suspect, profile: None, ..claim });
            return None;
        }
        let about = self.take(&heard, &claim)?;
        let to = heard.from.filter(|_| !heard.hearsay)?;
        let known = &self.members[about];
        // A verdict of ours may be that of one side of a partition: whom it is about is told of it,
        // so that it can contradict, and not whoever holds it to live.
        let to = if known.state() == State::Failed { known.addr() } else { to };
        Some(Tell { to, about })
    }

    /// Whether a claim is for the member to contradict.
    ///
    /// A verdict in somebody else's table may come from the other side of a partition: whoever is
    /// present here gets the time that a suspect has (memberlist's `mergeState`).
    fn is_accusation(&self, heard: &Heard, claim: &Claim) -> bool {
        let by_hearsay = claim.state == State::Failed && heard.hearsay;
        claim.state == State::Suspect || by_hearsay && self.members.is_present(&claim.id)
    }

    /// Whether an incarnation is one that its member may have come to.
    ///
    /// Nobody shall raise another one's incarnation so far that there is nothing above it. What is
    /// known already is always plausible; what a member says of itself may go further than what
    /// others say, so that it can contradict them.
    fn is_plausible(&self, claim: &Claim, from: Option<SocketAddr>) -> bool {
        let known = self.members.find(&claim.id).map(|key| self.members[key].incarnation());
        if known.is_some_and(|known| claim.incarnation <= known) {
            return true;
        }
        let source = match &claim.profile {
            _ if claim.id == *self.local().id() => Source::AboutUs,
            // What it answers to a lie has to be taken, as far as it had to go.
            Some(profile) if self.rules.has_no_pulse() && from == Some(profile.addr) => {
                Source::AtFirstHand
            }
            Some(_) => Source::Itself,
            None => Source::Others,
        };
        self.rules.is_within_reach(claim.incarnation, self.config.generation, known, source)
    }

    /// Takes from the answer to a ping in which incarnation a member is, if nobody could have told us:
    /// whoever answers from there with what was in the ping is the member.
    ///
    /// So a lie that some have taken and others have not does not part them from the member.
    pub(super) fn hear_answer(&mut self, key: Key, pulse: Option<Pulse>) {
        let Some(Pulse { incarnation, .. }) = pulse else { return };
        if incarnation <= self.members[key].incarnation() {
            return;
        }
        let claim = self.bare(key, incarnation, State::Alive);
        if !self.is_plausible(&claim, None) {
            let heard =
                Heard { from: None, accuser: Accuser::Unknown, spread: false, hearsay: false };
            self.take(&heard, &claim);
        }
    }

    /// Whether the application takes somebody who is not there yet.
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
        member.dialect = profile.dialect;
        let ask = || admit(&member);
        match &mut self.journal {
            Some(journal) => journal.admitted(ask),
            None => ask(),
        }
    }

    /// Accuses a member of not having answered.
    pub(super) fn accuse(&mut self, key: Key) {
        self.declare(key, State::Suspect);
    }

    /// Finds that a suspect did not contradict in time.
    ///
    /// Without evidence that we hear anybody there is no verdict (Lifeguard's lesson: most false
    /// verdicts are those of nodes that are slow themselves), unless all others are suspected.
    pub(super) fn suspicion_expired(&mut self, key: Key) {
        if self.config.options.evidence && !self.evidence.is_there(self.now) {
            let all = self.suspicions.len() + 1 >= self.members.present();
            if let Some(again) = self.suspicions.hold(self.now, key, all) {
                self.stats.verdicts_held += 1;
                self.timers.set(Slot::Suspicion(key), again);
                return;
            }
        }
        self.declare(key, State::Failed);
    }

    /// Reaches a verdict of our own about a member in the incarnation that is known.
    fn declare(&mut self, key: Key, state: State) {
        let claim = self.bare(key, self.members[key].incarnation(), state);
        // Whoever has left hears no contradictions, and keeps what it thinks of others to itself.
        let local = self.local();
        let (accuser, spread) = (self.wire.accuser(local.id()), local.state().is_present());
        self.take(&Heard { from: None, accuser, spread, hearsay: false }, &claim);
    }

    /// A claim about a member that does not say what it says of itself.
    pub(super) fn bare(&self, key: Key, incarnation: Incarnation, state: State) -> Claim {
        Claim { id: self.members[key].id().clone(), incarnation, state, profile: None }
    }

    /// Takes a claim about another member; returns whom it is about, if more is known of that one.
    pub(super) fn take(&mut self, heard: &Heard, claim: &Claim) -> Option<Key> {
        let key = match self.members.apply(self.now, claim) {
            Change::Unknown => return None,
            Change::Outdated(key) => return Some(key),
            Change::Nothing => {
                self.confirm(heard, claim);
                return None;
            }
            Change::Full => {
                self.stats.members_refused += 1;
                return None;
            }
            Change::Conflict { key, other } => {
                let member = &self.members[key];
                let (id, addr) = (member.id().clone(), member.addr());
                self.outbox.event(Event::Conflict { id, addr, other });
                key
            }
            Change::Disputed { key, other } => {
                let member = &self.members[key];
                let (id, addr) = (member.id().clone(), member.addr());
                if self.refute.report_other(&id, other) {
                    self.outbox.event(Event::Conflict { id, addr, other });
                }
                return None;
            }
            Change::Remembered(_) => {
                self.arm_reap();
                return None;
            }
            Change::Renewed(key) => key,
            Change::Updated(key) => {
                self.event(Event::Updated, key);
                key
            }
            Change::Joined(key) => {
                self.heal.back(&claim.id);
                self.event(Event::Joined, key);
                if claim.state == State::Suspect {
                    self.suspect(key, heard.accuser.clone());
                }
                key
            }
            Change::Suspected(key) => {
                self.suspect(key, heard.accuser.clone());
                if heard.hearsay {
                    // It is told first, so that it can contradict before others hear of it.
                    self.tell(Tell { to: self.members[key].addr(), about: key });
                }
                key
            }
            Change::Recovered(key, updated) => {
                self.acquit(key);
                self.event(Event::Recovered, key);
                if updated == Updated::Yes {
                    self.event(Event::Updated, key);
                }
                key
            }
            Change::Failed(key) => {
                self.bury(key);
                self.event(Event::Failed, key);
                self.lose(key);
                key
            }
            Change::Left(key) => {
                self.bury(key);
                self.event(Event::Left, key);
                self.heal.back(&claim.id);
                self.heal.unseed(self.members[key].addr());
                key
            }
        };
        if heard.spread {
            self.spread(key);
        } else {
            // Whoever is new may be the first to whom we can tell what we have to tell.
            self.arm_gossip();
        }
        self.agreement.learned();
        None
    }

    fn suspect(&mut self, key: Key, accuser: Accuser) {
        let options = &self.config.options;
        let (mult, max_mult) = (options.suspicion_mult, options.suspicion_max_mult);
        let members = self.members.present();
        let span = Span::among(members, mult, max_mult, options.probe_interval);
        let deadline = self.suspicions.start(self.now, key, accuser, span);
        self.timers.set(Slot::Suspicion(key), deadline);
        self.event(Event::Suspected, key);
    }

    /// Takes note that one more accuses a suspect, and tells all if that counts.
    fn confirm(&mut self, heard: &Heard, claim: &Claim) {
        let Some(key) = self.members.find(&claim.id) else { return };
        let known = &self.members[key];
        if (claim.incarnation, claim.state) != (known.incarnation(), State::Suspect)
            || known.state() != State::Suspect
        {
            return;
        }
        if let Some(deadline) = self.suspicions.confirm(key, &heard.accuser) {
            self.stats.confirmations += 1;
            self.timers.set(Slot::Suspicion(key), deadline);
            self.spread(key);
        }
    }

    fn acquit(&mut self, key: Key) {
        self.suspicions.stop(key);
        self.timers.clear(Slot::Suspicion(key));
    }

    /// Remembers where a member that failed was, and tells if there are many.
    fn lose(&mut self, key: Key) {
        let member = &self.members[key];
        let (present, options) = (self.members.present(), &self.config.options);
        let window = options.probe_interval * 10;
        let lost = self.heal.failed(self.now, member.id(), member.addr(), present, window);
        if let Some(lost) = lost {
            self.outbox.event(Event::PartitionSuspected { lost, present });
        }
        self.arm_search();
    }

    fn bury(&mut self, key: Key) {
        self.acquit(key);
        self.probe.abandon(key);
        self.arm_reap();
    }

    /// Answers a claim about ourselves; returns to whom we should speak for ourselves.
    fn respond(&mut self, heard: &Heard, claim: &Claim) -> Option<SocketAddr> {
        match self.refute.judge(self.rules, self.members.local(), claim) {
            Verdict::Agree => None,
            Verdict::Remind => heard.from,
            Verdict::Contradict => {
                let rules = self.rules;
                self.members.update_local(|local| {
                    local.incarnation = rules.above(local.incarnation, claim.incarnation);
                });
                self.stats.refutations += 1;
                self.awareness.worsen(1);
                self.spread(Key::LOCAL);
                heard.from
            }
            Verdict::Disputed(other) => {
                self.report_conflict(other, claim);
                None
            }
            Verdict::Outranks(other) => {
                // An echo of our own earlier life looks the same, unless it comes from there.
                let same_life = claim.incarnation.generation == self.local().incarnation.generation;
                if (heard.from == Some(other) || same_life) && self.report_conflict(other, claim) {
                    self.spread(Key::LOCAL);
                }
                None
            }
            Verdict::Outranked(other) => {
                // The holder of the name learns of us from our own mouth.
                self.report_conflict(other, claim).then_some(other)
            }
        }
    }

    fn report_conflict(&mut self, other: SocketAddr, claim: &Claim) -> bool {
        let new = self.refute.report(other, claim.incarnation);
        if new {
            let (id, addr) = (claim.id.clone(), self.local().addr());
            self.outbox.event(Event::Conflict { id, addr, other });
        }
        new
    }

    /// Tells one peer what is known of a member, directly.
    pub(super) fn tell(&mut self, Tell { to, about }: Tell) {
        self.draft(Draft { to, lead: Lead::News, about: Some(about), fill: Fill::Nothing });
    }

    /// Spreads what is known of a member to all.
    pub(super) fn spread(&mut self, key: Key) {
        self.dissemination.spread(key);
        self.arm_gossip();
    }

    /// Whether there is anything to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.dissemination.is_empty() || !self.broadcasts.is_empty()
    }

    pub(super) fn arm_gossip(&mut self) {
        let gossip = Slot::Single(Single::Gossip);
        if self.has_news() && self.timers.at(gossip).is_none() {
            self.timers.set(gossip, self.gossip_from.max(self.now));
        }
    }

    pub(super) fn reap(&mut self) {
        self.members.reap(self.now - self.rules.tombstones(&self.config.options));
        self.arm_reap();
    }

    fn arm_reap(&mut self) {
        let reap = Slot::Single(Single::Reap);
        match self.members.oldest_gone() {
            Some(at) => self.timers.set(reap, at + self.rules.tombstones(&self.config.options)),
            None => self.timers.clear(reap),
        }
    }
}
