//! Refutation: how a node answers what others say about it.

use crate::config::variant::ProtocolVariant;
use crate::incarnation::Incarnation;
use crate::member::{Member, NodeId, State};
use crate::membership::claim::{Claim, Profile};
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// What a node remembers of others who claim its name.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Refute {
    /// Somebody else holds our name, in this incarnation, and has not failed yet.
    outranked: Option<Incarnation>,
    /// The last of those who was reported, so that each is reported once.
    reported: Option<(SocketAddr, Incarnation)>,
    /// The last who was reported to claim another one's name.
    disputed: Option<(NodeId, SocketAddr)>,
}

/// What to do about a claim about ourselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefuteDecision {
    /// Nothing: it is what we said, or older.
    Agree,
    /// Say again what we said: whoever claims this has missed it.
    Remind,
    /// Contradict, with an incarnation above both.
    Contradict,
    /// Another node claims our name, where whoever has one keeps it.
    Disputed(SocketAddr),
    /// Another node that lives claims our name, and we outrank it.
    Outranks(SocketAddr),
    /// Another node claims our name and outranks us: we wait until it fails or leaves.
    Outranked(SocketAddr),
}

impl Refute {
    /// Judges a claim about ourselves.
    ///
    /// A claim to our name at another address is either news of our own earlier life or a live
    /// duplicate. The higher incarnation holds the name, and among equals the higher address; the
    /// other one must not contradict, or the two would outbid each other for ever. It takes the
    /// name over once the holder is known to have failed or left.
    pub(crate) fn judge(
        &mut self,
        variant: ProtocolVariant,
        own: &Member,
        claim: &Claim,
    ) -> RefuteDecision {
        let known = (claim.incarnation, claim.state) <= (own.incarnation, own.state);
        if own.state == State::Left {
            return self.judge_after_leaving(own, claim, known);
        }
        if let Some(profile) = &claim.profile {
            if profile.addr != own.addr() && claim.state.is_present() {
                if !variant.names_move() {
                    return RefuteDecision::Disputed(profile.addr);
                }
                let theirs = (claim.incarnation, profile.addr);
                if theirs < (own.incarnation, own.addr()) {
                    return RefuteDecision::Outranks(profile.addr);
                }
                self.outranked = self.outranked.max(Some(claim.incarnation));
                return RefuteDecision::Outranked(profile.addr);
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
        self.outranked = None;
        RefuteDecision::Contradict
    }

    /// Whether a claim under our name is about the one who holds it, and not about us.
    ///
    /// Gossip of an accusation names no address; until the holder is said to be gone in its latest
    /// incarnation, we take it to be meant, unless it is our own incarnation. A claim with a profile
    /// comes from a peer's table over a stream: it is how things stand, and not late news.
    fn is_about_holder(&self, own: &Member, claim: &Claim) -> bool {
        self.outranked.is_some_and(|holder| {
            let names_us = claim.profile.is_some() || claim.incarnation == own.incarnation;
            !names_us && (claim.incarnation < holder || claim.state.is_present())
        })
    }

    /// Once we have left, all that matters is that nobody takes us for present.
    fn judge_after_leaving(&mut self, own: &Member, claim: &Claim, known: bool) -> RefuteDecision {
        if !claim.state.is_present() {
            return RefuteDecision::Agree;
        }
        let elsewhere = |profile: &Profile| profile.addr != own.addr();
        if claim.profile.as_ref().is_some_and(elsewhere) {
            // Whoever lives under our name now is none of our business.
            self.outranked = self.outranked.max(Some(claim.incarnation));
            return RefuteDecision::Agree;
        }
        let ours =
            claim.profile.is_some() || claim.incarnation.generation == own.incarnation.generation;
        if known {
            RefuteDecision::Remind
        } else if !ours || self.is_about_holder(own, claim) {
            // Of a generation that we never had, and without an address: a later holder's.
            RefuteDecision::Agree
        } else {
            RefuteDecision::Contradict
        }
    }

    /// Whether it is to be reported now that a node at such an address claims another one's name.
    pub(crate) fn report_other(&mut self, id: &NodeId, addr: SocketAddr) -> bool {
        let claimed = Some((id.clone(), addr));
        self.disputed != claimed && {
            self.disputed = claimed;
            true
        }
    }

    /// Whether the holder of a claim is to be reported now: each is, once.
    pub(crate) fn report(&mut self, addr: SocketAddr, incarnation: Incarnation) -> bool {
        self.reported.replace((addr, incarnation)) != Some((addr, incarnation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Meta, ProtocolVersions};

    const HERE: &str = "10.0.0.1:7946";
    const THERE: &str = "10.0.0.2:7946";

    fn at(generation: u64, number: u64) -> Incarnation {
        Incarnation { generation, number }
    }

    fn own() -> Member {
        Member::new(NodeId::new("n1").unwrap(), HERE.parse().unwrap(), at(5, 3), Meta::EMPTY)
    }

    fn claim(incarnation: Incarnation, state: State, addr: Option<&str>) -> Claim {
        let profile = addr.map(|addr| Profile {
            addr: addr.parse().unwrap(),
            meta: Meta::EMPTY,
            versions: ProtocolVersions::default(),
        });
        Claim { id: NodeId::new("n1").unwrap(), incarnation, state, profile }
    }

    fn judge(incarnation: Incarnation, state: State, addr: Option<&str>) -> RefuteDecision {
        Refute::default().judge(ProtocolVariant::Tidings, &own(), &claim(incarnation, state, addr))
    }

    #[test]
    fn an_accusation_is_contradicted_unless_it_is_older() {
        assert_eq!(judge(at(5, 3), State::Suspect, None), RefuteDecision::Contradict);
        assert_eq!(judge(at(5, 3), State::Failed, None), RefuteDecision::Contradict);
        assert_eq!(judge(at(5, 2), State::Failed, None), RefuteDecision::Agree);
        assert_eq!(judge(at(4, 9), State::Left, None), RefuteDecision::Agree);
    }

    #[test]
    fn a_claim_from_a_later_life_than_ours_at_our_address_is_contradicted() {
        assert_eq!(judge(at(9, 0), State::Alive, Some(HERE)), RefuteDecision::Contradict);
        assert_eq!(judge(at(9, 0), State::Left, Some(THERE)), RefuteDecision::Contradict);
    }

    #[test]
    fn a_node_that_left_corrects_members_that_missed_it_and_leaves_a_later_holder_alone() {
        let mut own = own();
        own.state = State::Left;
        let judge = |incarnation, state, addr| {
            Refute::default().judge(
                ProtocolVariant::Tidings,
                &own,
                &claim(incarnation, state, addr),
            )
        };
        assert_eq!(judge(at(5, 2), State::Alive, Some(HERE)), RefuteDecision::Remind);
        assert_eq!(judge(at(5, 2), State::Suspect, None), RefuteDecision::Remind);
        assert_eq!(judge(at(5, 2), State::Failed, None), RefuteDecision::Agree);
        assert_eq!(judge(at(5, 9), State::Alive, Some(HERE)), RefuteDecision::Contradict);
        assert_eq!(judge(at(6, 0), State::Alive, Some(THERE)), RefuteDecision::Agree);
        assert_eq!(judge(at(6, 0), State::Suspect, None), RefuteDecision::Agree);
    }

    #[test]
    fn an_outranked_node_waits_until_the_holder_of_the_name_is_gone() {
        let there = THERE.parse().unwrap();
        let mut refute = Refute::default();
        let verdict = refute.judge(
            ProtocolVariant::Tidings,
            &own(),
            &claim(at(9, 0), State::Alive, Some(THERE)),
        );
        assert_eq!(verdict, RefuteDecision::Outranked(there));
        for (incarnation, state) in
            [(at(9, 0), State::Suspect), (at(8, 0), State::Suspect), (at(8, 0), State::Failed)]
        {
            let verdict =
                refute.judge(ProtocolVariant::Tidings, &own(), &claim(incarnation, state, None));
            assert_eq!(verdict, RefuteDecision::Agree, "{incarnation} {state}");
        }
        let verdict =
            refute.judge(ProtocolVariant::Tidings, &own(), &claim(at(9, 0), State::Failed, None));
        assert_eq!(verdict, RefuteDecision::Contradict);
        assert_eq!(judge(at(4, 0), State::Alive, Some(THERE)), RefuteDecision::Outranks(there));
    }
}
