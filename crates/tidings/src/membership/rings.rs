//! The two rings of members to probe: those whose address is validated, and those only told of.

use crate::membership::probe_order::ProbeOrder;
use crate::membership::table::MemberKey;
use crate::rng::Rng;
use alloc::vec::Vec;

/// The members present except the local one, by whether their address is validated.
///
/// An address is validated once the member has answered from it, or if the cluster has keys (QUIC
/// has the term, RFC 9000 §8). Others have only told of the rest: these are probed in their turn,
/// but never more often than validated ones, and nothing else is sent to them.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Rings {
    validated: ProbeOrder,
    told: ProbeOrder,
    /// Those only told of who were not asked yet whether they are there.
    unasked: ProbeOrder,
    /// The part of a probe of the told ones that has accrued, in probes times members.
    accrued: usize,
}

impl Rings {
    /// Rebuilds the positions that a checkpoint omits; `None` if a key occurs twice or is out of
    /// range.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.validated.restore()?;
        self.told.restore()?;
        self.unasked.restore()?;
        if !self.unasked.keys().all(|key| self.told.contains(key)) {
            return None;
        }
        (self.accrued <= 2 * self.len()).then_some(())
    }

    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.validated.len() + self.told.len()
    }

    /// Number of members whose address is validated.
    pub(crate) fn validated(&self) -> usize {
        self.validated.len()
    }

    /// Those members.
    pub(crate) fn validated_keys(&self) -> impl Iterator<Item = MemberKey> {
        self.validated.keys()
    }

    pub(crate) fn contains(&self, key: MemberKey) -> bool {
        self.validated.contains(key) || self.told.contains(key)
    }

    /// Whether a member is in the ring for members whose address is (not) `validated`.
    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn has_in(&self, key: MemberKey, validated: bool) -> bool {
        let ring = if validated { &self.validated } else { &self.told };
        ring.contains(key)
    }

    pub(crate) fn insert(&mut self, rng: &mut Rng, key: MemberKey, validated: bool) {
        if validated {
            return self.validated.insert(rng, key);
        }
        self.told.insert(rng, key);
        self.unasked.insert(rng, key);
    }

    pub(crate) fn remove(&mut self, key: MemberKey) {
        if self.validated.contains(key) {
            self.validated.remove(key);
        } else {
            self.told.remove(key);
            self.told.release_if_empty();
            self.on_asked(key);
        }
        self.accrued = self.accrued.min(self.len());
    }

    /// The next member to probe: each of both rings in its turn (SWIM §4.3), but of two in a row at
    /// most one that is only told of, if there are others.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Option<MemberKey> {
        let (validated, told) = (self.validated.len(), self.told.len());
        if told == 0 {
            return self.validated.next(rng);
        }
        let share = told.min(validated);
        self.accrued += share;
        if validated > 0 && self.accrued < validated + share {
            return self.validated.next(rng);
        }
        self.accrued = self.accrued.saturating_sub(validated + share);
        self.told.next(rng)
    }

    /// The next gossip target. Members that are only told of are none, unless there are no others.
    pub(crate) fn next_for_gossip(&mut self) -> Option<MemberKey> {
        let ring = if self.validated.len() > 0 { &mut self.validated } else { &mut self.told };
        ring.next_for_gossip()
    }

    /// Number of gossip targets.
    pub(crate) fn gossip_targets(&self) -> usize {
        self.preferred().len()
    }

    /// Draws up to `count` eligible members whose address is validated; of the others only if no
    /// member's is.
    pub(crate) fn draw(
        &self,
        rng: &mut Rng,
        count: usize,
        eligible: impl Fn(MemberKey) -> bool,
        drawn: &mut Vec<MemberKey>,
    ) {
        self.preferred().draw(rng, count, eligible, drawn);
    }

    /// The ring from which members are picked.
    fn preferred(&self) -> &ProbeOrder {
        if self.validated.len() > 0 { &self.validated } else { &self.told }
    }

    /// The next member that is only told of and was not asked yet whether it is there.
    pub(crate) fn next_to_ask(&mut self) -> Option<MemberKey> {
        self.unasked.next_for_gossip()
    }

    /// A member was asked whether it is there.
    pub(crate) fn on_asked(&mut self, key: MemberKey) {
        if self.unasked.contains(key) {
            self.unasked.remove(key);
            self.unasked.release_if_empty();
        }
    }

    /// A member that is only told of is elsewhere now: it is to be asked there.
    pub(crate) fn on_moved(&mut self, rng: &mut Rng, key: MemberKey) {
        if self.told.contains(key) && !self.unasked.contains(key) {
            self.unasked.insert(rng, key);
        }
    }

    /// Draws a member that is only told of.
    pub(crate) fn draw_told(&self, rng: &mut Rng, drawn: &mut Vec<MemberKey>) {
        self.told.draw(rng, 1, |_| true, drawn);
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        self.validated.check();
        self.told.check();
        self.unasked.check();
        assert!(self.unasked.keys().all(|key| self.told.contains(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngStream;

    fn rings(validated: u32, told: u32) -> (Rings, Rng) {
        let (mut rings, mut rng) = (Rings::default(), Rng::new([1; 32], RngStream::Members));
        for n in 0..validated + told {
            rings.insert(&mut rng, MemberKey::for_test(n + 1), n < validated);
        }
        (rings, rng)
    }

    /// How many of `rounds` probes go to members that are only told of.
    fn told_of(validated: u32, told: u32, rounds: usize) -> usize {
        let (mut rings, mut rng) = rings(validated, told);
        let probed = (0..rounds).filter_map(|_| rings.next(&mut rng));
        probed.filter(|key| key.index() > validated as usize).count()
    }

    #[test]
    fn who_is_only_told_of_is_probed_in_turn_and_at_most_every_second_time() {
        assert_eq!(told_of(9, 1, 1000), 100);
        assert_eq!(told_of(5, 5, 1000), 500);
        assert_eq!(told_of(2, 500, 1000), 500);
        assert_eq!(told_of(0, 3, 9), 9, "there is nobody else");
        assert_eq!(told_of(3, 0, 9), 0);
    }

    #[test]
    fn who_is_only_told_of_is_picked_for_nothing_else_unless_all_are() {
        let (mut rings, mut rng) = rings(2, 50);
        let mut drawn = Vec::new();
        rings.draw(&mut rng, 9, |_| true, &mut drawn);
        assert_eq!(drawn.len(), 2);
        assert!((0..9).all(|_| rings.next_for_gossip().is_some_and(|key| key.index() <= 2)));
        for n in [1, 2] {
            rings.remove(MemberKey::for_test(n));
        }
        drawn.clear();
        rings.draw(&mut rng, 9, |_| true, &mut drawn);
        assert_eq!(drawn.len(), 9);
        assert!(rings.next_for_gossip().is_some());
    }
}
