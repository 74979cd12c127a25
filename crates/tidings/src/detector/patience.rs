//! Patience: how many probes in a row a member has to leave without an ack until it is suspected.

use crate::membership::table::MemberKey;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A node's own loss, and the members that it probes again before it suspects them.
///
/// The silence of a member is evidence only as far as its cause is unlikely to be on this node's
/// side. The node learns its loss from probes without an ack whose targets turn out to live, and
/// from its local health. It suspects a member once as many probes in a row were silent as would be
/// silent in one of a hundred cases if the member were well.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Patience {
    /// Share of the probes without an ack among those of members that live, in 1/1024.
    loss: u32,
    /// At least the share of those whose direct ping had no ack in time: it rises fast and falls
    /// slowly.
    direct_loss: u32,
    /// Members that left a probe without an ack and may still turn out to live, the latest last.
    unresolved: VecDeque<MemberKey>,
    /// Members to probe again, in order.
    again: Vec<Again>,
    /// Rounds in a row in which nobody was heard.
    quiet_rounds: u32,
}

/// A member to probe again.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Again {
    target: MemberKey,
    /// Probes in a row without an ack.
    silent: u32,
    /// How many it takes.
    needed: u32,
}

impl Patience {
    /// Share of its probes of members that live that this node loses, in 1/1024.
    pub(crate) fn loss(&self) -> u32 {
        self.loss
    }

    /// A round begins.
    pub(crate) fn begin_round(&mut self) {
        self.quiet_rounds = self.quiet_rounds.saturating_add(1).min(QUIET_ROUNDS);
    }

    /// A member was heard: it acked, or sent a nack.
    pub(crate) fn on_heard(&mut self) {
        self.quiet_rounds = 0;
    }

    /// How many of some pings of a member that is well may be lost by chance, which is four
    /// standard deviations more than the mean; at least one.
    pub(crate) fn losses_by_chance(&self, pings: u32) -> u32 {
        let mean = pings * self.direct_loss;
        let deviation = (mean * (ONE - self.direct_loss)).isqrt();
        ((mean + 4 * deviation) / ONE).max(1)
    }

    /// A member acked a probe, `in_time` or only through a relay or late.
    pub(crate) fn on_acked(&mut self, target: MemberKey, in_time: bool) {
        if self.contradict(target) {
            return;
        }
        self.loss -= self.loss.div_ceil(WEIGHT);
        if in_time {
            self.direct_loss -= self.direct_loss.div_ceil(2 * WEIGHT);
        } else {
            self.on_direct_loss();
        }
    }

    /// A member that may have left probes without an ack lives. Returns whether it had.
    pub(crate) fn contradict(&mut self, target: MemberKey) -> bool {
        self.again.retain(|again| again.target != target);
        let Some(at) = self.unresolved.iter().position(|&key| key == target) else { return false };
        self.unresolved.remove(at);
        self.loss += (ONE - self.loss) / WEIGHT;
        self.on_direct_loss();
        true
    }

    fn on_direct_loss(&mut self) {
        self.direct_loss += 4 * (ONE - self.direct_loss) / WEIGHT;
    }

    /// A probe of a member had no ack; returns whether that suffices to suspect the member.
    ///
    /// `at_least` is how many it takes in a row whatever the loss. Where nobody has been heard for
    /// some rounds, one suffices: they may all be gone.
    pub(crate) fn on_silent(
        &mut self,
        target: MemberKey,
        at_least: u32,
        target_flaps: bool,
    ) -> bool {
        if !target_flaps && !self.unresolved.contains(&target) {
            if self.unresolved.len() >= MAX_UNRESOLVED {
                self.unresolved.pop_front();
            }
            self.unresolved.push_back(target);
        }
        if self.quiet_rounds >= QUIET_ROUNDS {
            self.again.retain(|again| again.target != target);
            return true;
        }
        if let Some(at) = self.again.iter().position(|again| again.target == target) {
            let again = &mut self.again[at];
            again.silent += 1;
            let enough = again.silent >= again.needed;
            if enough {
                self.again.remove(at);
            }
            return enough;
        }
        let needed = self.needed().max(at_least).min(MAX_NEEDED);
        if needed <= 1 || self.again.len() >= MAX_AGAIN {
            return needed <= 1;
        }
        self.again.push(Again { target, silent: 1, needed });
        false
    }

    /// How many probes in a row it takes, by the loss: the lowest `m` with `loss^m ≤ 1 %`.
    fn needed(&self) -> u32 {
        let (mut by_chance, mut needed) = (self.loss, 1);
        while by_chance * 100 > ONE && needed < MAX_NEEDED {
            by_chance = by_chance * self.loss / ONE;
            needed += 1;
        }
        needed
    }

    /// The first member to probe again that is not being probed.
    pub(crate) fn next(&self, is_probed: impl Fn(MemberKey) -> bool) -> Option<MemberKey> {
        self.again.iter().map(|again| again.target).find(|&target| !is_probed(target))
    }

    /// A member failed or left.
    pub(crate) fn on_departed(&mut self, target: MemberKey) {
        self.again.retain(|again| again.target != target);
        self.unresolved.retain(|&key| key != target);
    }

    /// Whether restored state is within its limits, and about members that are `known`.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self, known: impl Fn(MemberKey) -> bool) -> bool {
        self.loss.max(self.direct_loss) <= ONE
            && self.quiet_rounds <= QUIET_ROUNDS
            && self.unresolved.len() <= MAX_UNRESOLVED
            && self.unresolved.iter().all(|&key| known(key))
            && self.again.len() <= MAX_AGAIN
            && self.again.iter().all(|again| {
                known(again.target) && again.silent < again.needed && again.needed <= MAX_NEEDED
            })
    }
}

/// A loss of all probes.
const ONE: u32 = 1024;
/// Probes over which the loss is averaged.
const WEIGHT: u32 = 16;
/// The most probes in a row that a suspicion takes.
pub(crate) const MAX_NEEDED: u32 = 8;
/// Rounds in a row without an ack or a nack after which others may all be gone.
const QUIET_ROUNDS: u32 = 4;
/// The most members whose silence is remembered.
const MAX_UNRESOLVED: usize = 32;
/// The most members to probe again, as many as are probed at once.
const MAX_AGAIN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u32) -> MemberKey {
        MemberKey::for_test(n)
    }

    #[test]
    fn a_node_without_loss_suspects_after_one_silent_probe() {
        let mut patience = Patience::default();
        patience.on_acked(member(1), true);
        assert!(patience.on_silent(member(2), 0, false));
        assert_eq!(patience.next(|_| false), None);
        patience.on_departed(member(2));
        assert_eq!(patience.loss(), 0, "the member had failed: that was no loss");
    }

    #[test]
    fn silence_that_others_contradict_makes_a_node_patient_until_its_probes_are_acked() {
        let mut patience = Patience::default();
        for n in 0..20 {
            patience.on_silent(member(n), 0, false);
            assert!(patience.contradict(member(n)), "it lives");
            patience.on_acked(member(n), true);
        }
        assert!((300..600).contains(&patience.loss()), "{} is about a half", patience.loss());
        let needed = (1..).find(|_| patience.on_silent(member(99), 0, false)).unwrap();
        assert!((4..=7).contains(&needed), "{needed} silent probes in a row are improbable");
        patience.on_departed(member(99));
        for n in 0..100 {
            patience.on_acked(member(n), true);
        }
        assert_eq!(patience.loss(), 0);
        assert!(patience.on_silent(member(1), 0, false));
    }

    #[test]
    fn a_member_is_probed_again_until_it_answers_or_has_been_silent_often_enough() {
        let mut patience = Patience::default();
        assert!(!patience.on_silent(member(1), 3, false), "an unhealthy node takes more");
        assert!(!patience.on_silent(member(2), 99, true));
        assert_eq!(patience.next(|_| false), Some(member(1)));
        assert_eq!(patience.next(|key| key == member(1)), Some(member(2)));
        assert!(!patience.on_silent(member(1), 6, false), "what it takes was settled at first");
        patience.on_acked(member(2), true);
        assert_eq!(patience.next(|key| key == member(1)), None);
        assert!(patience.on_silent(member(1), 0, false));
        assert_eq!(patience.loss(), 0, "that of a flapping member says nothing about this node");
    }

    #[test]
    fn where_many_pings_are_lost_more_may_be_lost_by_chance() {
        let mut patience = Patience::default();
        assert_eq!(patience.losses_by_chance(8), 1);
        for n in 0..100 {
            patience.on_acked(member(n), n % 5 > 0);
        }
        assert!(patience.losses_by_chance(8) >= 4, "every fifth is lost");
        for n in 0..100 {
            patience.on_acked(member(n), n % 2 > 0);
        }
        assert!(patience.losses_by_chance(8) >= 8, "every second is lost");
        assert_eq!(patience.loss(), 0, "all of them were acked through relays");
    }

    #[test]
    fn the_members_that_are_remembered_are_bounded() {
        let mut patience = Patience::default();
        for n in 0..100 {
            assert!(!patience.on_silent(member(n), 3, false));
        }
        assert_eq!((patience.again.len(), patience.unresolved.len()), (MAX_AGAIN, MAX_UNRESOLVED));
    }
}
