//! Refutation: a node's decision on claims about itself, and on name conflicts.

use crate::config::variant::ProtocolVariant;
use crate::incarnation::Incarnation;
use crate::member::{Member, NodeId, State};
use crate::membership::claim::{Claim, Profile};
use crate::time::Instant;
use core::net::SocketAddr;
use core::time::Duration;

/// State of name conflicts: the holder of our name, and the conflicts already reported.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Refute {
    /// Incarnation of another node that holds our name, unless it is known to have failed or left.
    name_holder: Option<Incarnation>,
    /// The latest question about our name.
    asked: Option<Asked>,
    /// The latest reported claimant of our name, so that each is reported once.
    reported: Option<(SocketAddr, Incarnation)>,
    /// The refutations of what strangers say.
    strangers: Backoff,
    /// The reports of claimants of whom only strangers said that they have our name.
    claimants: Backoff,
    /// Our incarnation since our address is what it is; the default if it never changed.
    moved: Incarnation,
    /// The latest reported claimant of another member's name.
    reported_dispute: Option<(NodeId, SocketAddr)>,
}

/// When what strangers say about this node is acted upon: anybody can send it, and each refutation
/// is news for all.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Backoff {
    /// It is acted upon from then on.
    next: Instant,
    /// The wait before, which doubles.
    wait: Duration,
}

impl Backoff {
    /// Whether it is time: at first at once, and while more comes after waits that double, from
    /// `interval` to [`MAX_WAIT`] times as long.
    fn is_due(&mut self, now: Instant, interval: Duration) -> bool {
        if now < self.next {
            return false;
        }
        let longest = interval * MAX_WAIT;
        let quiet = now.since(self.next) > longest;
        self.wait = if quiet { interval } else { self.wait.saturating_mul(2).min(longest) };
        self.wait = self.wait.max(interval);
        self.next = now + self.wait;
        true
    }
}

/// A question at an address, where our name is said to be.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Asked {
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    at: SocketAddr,
    since: Instant,
    /// How long it may take. It doubles, so that two nodes of one name that do not reach each other
    /// outbid each other ever more rarely.
    patience: Duration,
}

/// What the node knows besides a claim about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// A member of that name has answered at the address in the claim, or a seed or the keys vouch
    /// for it.
    pub(crate) answered: bool,
    pub(crate) now: Instant,
    /// How long the answer to a question may take.
    pub(crate) patience: Duration,
}

/// Decision on a claim about the local node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefuteDecision {
    /// Ignore it: it is our own claim, an older one, or about the holder of our name.
    Agree,
    /// Another node may have our name: ask at its address.
    Ask,
    /// Send our current claim again: the sender has missed it.
    Remind,
    /// Refute, with an incarnation above our own and the claimed one.
    Contradict,
    /// A node at this address claims our name, in the variant where the first node keeps it.
    Disputed(SocketAddr),
    /// A live node at this address claims our name, and we outrank it.
    Outranks(SocketAddr),
    /// A live node at this address claims our name and outranks us: wait until it fails or
    /// leaves.
    Outranked(SocketAddr),
}

impl Refute {
    /// Decides on a claim about the local node.
    ///
    /// A claim to our name at another address is either an outdated claim from our earlier run, or
    /// from a live duplicate. The higher incarnation holds the name; at equal incarnations the
    /// higher address. The other node must not refute, because the two would outbid each other for
    /// ever. It takes the name over once it learns that the holder failed or left.
    ///
    /// Before somebody of that name has answered at the address in the claim there is no holder. A
    /// claim that is repeated although nobody answers is refuted.
    pub(crate) fn judge(
        &mut self,
        variant: ProtocolVariant,
        own: &Member,
        claim: &Claim,
        evidence: Evidence,
    ) -> RefuteDecision {
        let validated = evidence.answered;
        let known = (claim.incarnation, claim.state) <= (own.incarnation, own.state);
        if own.state == State::Left {
            return self.judge_after_leaving(own, claim, (known, validated));
        }
        if let Some(profile) = &claim.profile {
            if profile.addr != own.addr() && claim.state.is_present() {
                if !variant.names_move() {
                    return RefuteDecision::Disputed(profile.addr);
                }
                if self.is_before_move(claim.incarnation) {
                    return RefuteDecision::Remind;
                }
                let theirs = (claim.incarnation, profile.addr);
                if theirs < (own.incarnation, own.addr()) {
                    return RefuteDecision::Outranks(profile.addr);
                }
                if validated || self.name_holder >= Some(claim.incarnation) {
                    self.name_holder = self.name_holder.max(Some(claim.incarnation));
                    return RefuteDecision::Outranked(profile.addr);
                }
                if claim.state == State::Alive && !self.is_unanswered(profile, evidence) {
                    return RefuteDecision::Ask;
                }
                // So is the suspicion of one that nobody has seen.
            }
            let altered = claim.incarnation == own.incarnation
                && claim.state == State::Alive
                && profile.meta != own.meta;
            if known && !altered {
                return RefuteDecision::Agree;
            }
        } else if known {
            return RefuteDecision::Agree;
        }
        if self.is_about_holder(own, claim) {
            return RefuteDecision::Agree;
        }
        self.name_holder = None;
        RefuteDecision::Contradict
    }

    /// Our address is another one, from this incarnation on.
    pub(crate) fn on_moved(&mut self, incarnation: Incarnation) {
        self.moved = incarnation;
    }

    /// Whether a claim with another address than ours has one that we had before in this life.
    fn is_before_move(&self, claimed: Incarnation) -> bool {
        claimed.generation == self.moved.generation && claimed < self.moved
    }

    /// Whether the node has asked long enough ago where a claim says that our name is.
    fn is_unanswered(&mut self, profile: &Profile, evidence: Evidence) -> bool {
        let Evidence { now, patience, .. } = evidence;
        match &mut self.asked {
            Some(asked) if asked.at == profile.addr => {
                let unanswered = now.since(asked.since) > asked.patience;
                if unanswered {
                    asked.since = now;
                    asked.patience = asked.patience.saturating_mul(2);
                }
                unanswered
            }
            _ => {
                self.asked = Some(Asked { at: profile.addr, since: now, patience });
                false
            }
        }
    }

    /// Whether a claim under our name is about the node that holds the name, and not about us.
    ///
    /// A gossiped suspicion or failure has no address. Unless it has our own incarnation, it counts
    /// as about the holder, until a claim states that the holder's latest incarnation failed or
    /// left. A claim with a profile comes from a peer's table over a stream: it is current, and no
    /// late update.
    fn is_about_holder(&self, own: &Member, claim: &Claim) -> bool {
        self.name_holder.is_some_and(|holder| {
            let about_us = claim.profile.is_some() || claim.incarnation == own.incarnation;
            !about_us && (claim.incarnation < holder || claim.state.is_present())
        })
    }

    /// Decides after our own leave: only members that take us for present need a correction.
    fn judge_after_leaving(
        &mut self,
        own: &Member,
        claim: &Claim,
        (known, validated): (bool, bool),
    ) -> RefuteDecision {
        if !claim.state.is_present() {
            return RefuteDecision::Agree;
        }
        let other_addr = |profile: &Profile| profile.addr != own.addr();
        if claim.profile.as_ref().is_some_and(other_addr) {
            // Another node has the name now.
            if validated {
                self.name_holder = self.name_holder.max(Some(claim.incarnation));
            }
            return RefuteDecision::Agree;
        }
        let ours =
            claim.profile.is_some() || claim.incarnation.generation == own.incarnation.generation;
        if known {
            RefuteDecision::Remind
        } else if !ours || self.is_about_holder(own, claim) {
            // Without an address, and of a generation that we never had: about a later holder.
            RefuteDecision::Agree
        } else {
            RefuteDecision::Contradict
        }
    }

    /// Whether the claim of a stranger is refuted: the first at once, others ever more rarely.
    pub(crate) fn is_stranger_due(&mut self, now: Instant, interval: Duration) -> bool {
        self.strangers.is_due(now, interval)
    }

    /// Whether to report that a node at `addr` claims another member's name: once per claimant.
    pub(crate) fn report_other(&mut self, id: &NodeId, addr: SocketAddr) -> bool {
        let claimed = Some((id.clone(), addr));
        self.reported_dispute != claimed && {
            self.reported_dispute = claimed;
            true
        }
    }

    /// Whether to report a node that claims our name: once per address and incarnation. Of those
    /// for whom nobody vouches the first is reported at once, others ever more rarely.
    pub(crate) fn report(
        &mut self,
        claimant: (SocketAddr, Incarnation),
        vouched: bool,
        now: Instant,
        interval: Duration,
    ) -> bool {
        if self.reported == Some(claimant) || !vouched && !self.claimants.is_due(now, interval) {
            return false;
        }
        self.reported = Some(claimant);
        true
    }
}

/// The longest wait of a [`Backoff`], in probe intervals.
const MAX_WAIT: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Meta, ProtocolVersions};

    const ANSWERED: Evidence =
        Evidence { answered: true, now: Instant::ZERO, patience: Duration::from_secs(1) };
    const OWN_ADDR: &str = "10.0.0.1:7946";
    const OTHER_ADDR: &str = "10.0.0.2:7946";

    fn at(generation: u64, number: u64) -> Incarnation {
        Incarnation { generation, number }
    }

    fn own() -> Member {
        Member::new(NodeId::new("n1").unwrap(), OWN_ADDR.parse().unwrap(), at(5, 3), Meta::EMPTY)
    }

    fn claim(incarnation: Incarnation, state: State, addr: Option<&str>) -> Claim {
        let profile = addr.map(|addr| Profile {
            addr: addr.parse().unwrap(),
            meta: Meta::EMPTY,
            versions: ProtocolVersions::default(),
            told: false,
        });
        Claim { id: NodeId::new("n1").unwrap(), incarnation, state, profile }
    }

    fn judge(incarnation: Incarnation, state: State, addr: Option<&str>) -> RefuteDecision {
        Refute::default().judge(
            ProtocolVariant::Tidings,
            &own(),
            &claim(incarnation, state, addr),
            ANSWERED,
        )
    }

    #[test]
    fn a_suspicion_or_failure_is_refuted_unless_it_is_older() {
        assert_eq!(judge(at(5, 3), State::Suspect, None), RefuteDecision::Contradict);
        assert_eq!(judge(at(5, 3), State::Failed, None), RefuteDecision::Contradict);
        assert_eq!(judge(at(5, 2), State::Failed, None), RefuteDecision::Agree);
        assert_eq!(judge(at(4, 9), State::Left, None), RefuteDecision::Agree);
    }

    #[test]
    fn a_claim_of_a_later_generation_at_our_address_is_refuted() {
        assert_eq!(judge(at(9, 0), State::Alive, Some(OWN_ADDR)), RefuteDecision::Contradict);
        assert_eq!(judge(at(9, 0), State::Left, Some(OTHER_ADDR)), RefuteDecision::Contradict);
    }

    #[test]
    fn a_node_that_left_corrects_outdated_claims_and_ignores_a_later_holder_of_its_name() {
        let mut own = own();
        own.state = State::Left;
        let judge = |incarnation, state, addr| {
            Refute::default().judge(
                ProtocolVariant::Tidings,
                &own,
                &claim(incarnation, state, addr),
                ANSWERED,
            )
        };
        assert_eq!(judge(at(5, 2), State::Alive, Some(OWN_ADDR)), RefuteDecision::Remind);
        assert_eq!(judge(at(5, 2), State::Suspect, None), RefuteDecision::Remind);
        assert_eq!(judge(at(5, 2), State::Failed, None), RefuteDecision::Agree);
        assert_eq!(judge(at(5, 9), State::Alive, Some(OWN_ADDR)), RefuteDecision::Contradict);
        assert_eq!(judge(at(6, 0), State::Alive, Some(OTHER_ADDR)), RefuteDecision::Agree);
        assert_eq!(judge(at(6, 0), State::Suspect, None), RefuteDecision::Agree);
    }

    #[test]
    fn an_outranked_node_waits_until_the_holder_of_the_name_failed() {
        let other = OTHER_ADDR.parse().unwrap();
        let mut refute = Refute::default();
        let decision = refute.judge(
            ProtocolVariant::Tidings,
            &own(),
            &claim(at(9, 0), State::Alive, Some(OTHER_ADDR)),
            ANSWERED,
        );
        assert_eq!(decision, RefuteDecision::Outranked(other));
        for (incarnation, state) in
            [(at(9, 0), State::Suspect), (at(8, 0), State::Suspect), (at(8, 0), State::Failed)]
        {
            let decision = refute.judge(
                ProtocolVariant::Tidings,
                &own(),
                &claim(incarnation, state, None),
                ANSWERED,
            );
            assert_eq!(decision, RefuteDecision::Agree, "{incarnation} {state}");
        }
        let decision = refute.judge(
            ProtocolVariant::Tidings,
            &own(),
            &claim(at(9, 0), State::Failed, None),
            ANSWERED,
        );
        assert_eq!(decision, RefuteDecision::Contradict);
        assert_eq!(
            judge(at(4, 0), State::Alive, Some(OTHER_ADDR)),
            RefuteDecision::Outranks(other)
        );
    }

    #[test]
    fn a_claim_to_our_name_where_nobody_answers_is_asked_about_and_refuted_if_repeated() {
        let mut refute = Refute::default();
        let claim = claim(at(9, 0), State::Alive, Some(OTHER_ADDR));
        let mut judge = |ms| {
            let now = Instant::ZERO + Duration::from_millis(ms);
            let evidence = Evidence { answered: false, now, ..ANSWERED };
            refute.judge(ProtocolVariant::Tidings, &own(), &claim, evidence)
        };
        assert_eq!(judge(0), RefuteDecision::Ask);
        assert_eq!(judge(1000), RefuteDecision::Ask, "the answer may be on its way");
        assert_eq!(judge(1001), RefuteDecision::Contradict);
        assert_eq!(judge(3001), RefuteDecision::Ask, "now for twice as long");
        assert_eq!(judge(3002), RefuteDecision::Contradict);
    }
}
