//! The probe ring: the order of probes and gossip, and the source of random picks.

use crate::membership::table::{MemberKey, grow};
use crate::rng::Rng;
use alloc::vec::Vec;

/// The probe ring: all members present except the local one, in the order of the current pass.
///
/// Insertion, removal, the next member and a random one take constant time at any size, except for
/// one shuffle per pass.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct ProbeOrder {
    keys: Vec<MemberKey>,
    /// The keys before this index were probed in the current pass.
    cursor: usize,
    /// Index of the next gossip target.
    gossip_cursor: usize,
    /// Each key's position in `keys`, or [`ABSENT`]; by the key's own index.
    #[cfg_attr(feature = "record", serde(skip))]
    positions: Vec<u32>,
}

/// Position of a key that is not in the ring.
const ABSENT: u32 = u32::MAX;
/// Maximum number of members that one [`ProbeOrder::draw`] examines.
const MAX_EXAMINED: usize = 64;
/// Limit for key indexes in a checkpoint, above any that `max_members` at its limit leads to.
#[cfg(feature = "record")]
const MAX_POSITIONS: usize = 1 << 21;

impl ProbeOrder {
    /// Rebuilds the positions that a checkpoint omits; `None` if a key occurs twice or is out of
    /// range.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        let last = self.keys.iter().map(|key| key.index()).max();
        // A key is the index of a slot, and there are not many more slots than members.
        let positions = last.map_or(0, |last| last + 1);
        if self.cursor > self.keys.len() || positions > MAX_POSITIONS {
            return None;
        }
        self.positions = alloc::vec![ABSENT; positions];
        for (position, key) in self.keys.iter().enumerate() {
            if core::mem::replace(&mut self.positions[key.index()], position as u32) != ABSENT {
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The members, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = MemberKey> {
        self.keys.iter().copied()
    }

    pub(crate) fn contains(&self, key: MemberKey) -> bool {
        self.positions.get(key.index()).is_some_and(|&position| position != ABSENT)
    }

    /// The next member to probe.
    ///
    /// Round-robin over a shuffled ring (SWIM §4.3): each member is picked once per pass, so two
    /// picks of one of `m` members are at most `2m - 1` apart while nobody joins.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Option<MemberKey> {
        if self.cursor >= self.keys.len() {
            self.cursor = 0;
            rng.shuffle(&mut self.keys);
            for (position, key) in self.keys.iter().enumerate() {
                self.positions[key.index()] = position as u32;
            }
        }
        let key = *self.keys.get(self.cursor)?;
        self.cursor += 1;
        Some(key)
    }

    /// The next gossip target, in the order of the ring, so that a few gossip rounds are certain to
    /// reach all members of a small cluster.
    pub(crate) fn next_for_gossip(&mut self) -> Option<MemberKey> {
        if self.gossip_cursor >= self.keys.len() {
            self.gossip_cursor = 0;
        }
        let key = *self.keys.get(self.gossip_cursor)?;
        self.gossip_cursor += 1;
        Some(key)
    }

    /// Draws up to `count` eligible members: the ones that follow a random position of the ring,
    /// which is itself in random order.
    ///
    /// It examines at most [`MAX_EXAMINED`] members, so that many ineligible ones cost little.
    pub(crate) fn draw(
        &self,
        rng: &mut Rng,
        count: usize,
        eligible: impl Fn(MemberKey) -> bool,
        drawn: &mut Vec<MemberKey>,
    ) {
        if self.keys.is_empty() {
            return;
        }
        let start = rng.below(self.keys.len());
        let (before, from) = self.keys.split_at(start);
        let examined = from.iter().chain(before).take(MAX_EXAMINED);
        drawn.extend(examined.copied().filter(|&key| eligible(key)).take(count));
    }

    /// Inserts a member at a random position (SWIM §4.3). Others that are still to be probed in
    /// this pass stay so.
    pub(crate) fn insert(&mut self, rng: &mut Rng, key: MemberKey) {
        let last = self.keys.len();
        grow(&mut self.keys);
        self.keys.push(key);
        if self.positions.len() <= key.index() {
            let missing = key.index() + 1 - self.positions.len();
            if self.positions.capacity() <= key.index() {
                self.positions.reserve_exact(missing + key.index() / 16);
            }
            self.positions.resize(key.index() + 1, ABSENT);
        }
        self.positions[key.index()] = last as u32;
        let position = rng.below(last + 1);
        if position < self.cursor {
            self.swap(last, self.cursor);
            self.cursor += 1;
        } else {
            self.swap(last, position);
        }
    }

    /// Removes a member. Others that are still to be probed in this pass stay so.
    pub(crate) fn remove(&mut self, key: MemberKey) {
        let mut position = self.positions[key.index()] as usize;
        if position < self.cursor {
            self.cursor -= 1;
            self.swap(position, self.cursor);
            position = self.cursor;
        }
        self.swap(position, self.keys.len() - 1);
        self.keys.pop();
        self.positions[key.index()] = ABSENT;
    }

    /// Releases the memory of the ring, if it is empty.
    pub(crate) fn release_if_empty(&mut self) {
        if self.keys.is_empty() {
            *self = Self::default();
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.keys.swap(a, b);
        for position in [a, b] {
            self.positions[self.keys[position].index()] = position as u32;
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.cursor <= self.keys.len());
        let positioned = self.positions.iter().filter(|&&position| position != ABSENT).count();
        assert_eq!(positioned, self.keys.len(), "each member is in the ring once");
        for (position, key) in self.keys.iter().enumerate() {
            assert_eq!(self.positions[key.index()] as usize, position);
        }
    }
}
