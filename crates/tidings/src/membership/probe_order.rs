//! The ring: the order in which members are probed, and what random choice draws from.

use crate::membership::table::{MemberKey, grow};
use crate::rng::Rng;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// All members that are present, the local node apart, in the order of the current probe round.
///
/// Entering, leaving, the next one and a random one cost the same at any size, but for one shuffle
/// a round.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct ProbeOrder {
    keys: Vec<MemberKey>,
    /// The keys before this have been probed in the current round.
    cursor: usize,
    /// The key here is the next one that is told the news.
    gossip_cursor: usize,
    /// Where each key stands in `keys`, or [`NOWHERE`]; by the key's index.
    #[serde(skip)]
    positions: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;
const MAX_LOOKED_AT: usize = 64;
/// More than there ever are, with `max_members` at its limit.
const MAX_POSITIONS: usize = 1 << 21;

impl ProbeOrder {
    /// Notes where each key stands; `None` if one stands there twice, or nobody can be where it is.
    pub(crate) fn restore(&mut self) -> Option<()> {
        let last = self.keys.iter().map(|key| key.index()).max();
        // A key is the index of a place, of which there are not many more than members.
        let positions = last.map_or(0, |last| last + 1);
        if self.cursor > self.keys.len() || positions > MAX_POSITIONS {
            return None;
        }
        self.positions = alloc::vec![NOWHERE; positions];
        for (position, key) in self.keys.iter().enumerate() {
            if core::mem::replace(&mut self.positions[key.index()], position as u32) != NOWHERE {
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn contains(&self, key: MemberKey) -> bool {
        self.positions.get(key.index()).is_some_and(|&position| position != NOWHERE)
    }

    /// The next member to probe.
    ///
    /// Round-robin over a shuffled ring (SWIM §4.3): every member is picked once a round, so that
    /// two picks of one of `m` members are at most `2m - 1` apart while nobody joins.
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

    /// The next member to tell the news: in the order of the ring too, from where the last one was,
    /// so that a few rounds of gossip reach all of a small cluster, whatever chance may do.
    pub(crate) fn next_for_gossip(&mut self) -> Option<MemberKey> {
        if self.gossip_cursor >= self.keys.len() {
            self.gossip_cursor = 0;
        }
        let key = *self.keys.get(self.gossip_cursor)?;
        self.gossip_cursor += 1;
        Some(key)
    }

    /// Draws up to `count` members that are acceptable: those that follow upon a random place.
    ///
    /// The ring is in random order itself. At most [`MAX_LOOKED_AT`] are looked at, so that a crowd
    /// of unacceptable ones costs little.
    pub(crate) fn draw(
        &self,
        rng: &mut Rng,
        count: usize,
        acceptable: impl Fn(MemberKey) -> bool,
        drawn: &mut Vec<MemberKey>,
    ) {
        if self.keys.is_empty() {
            return;
        }
        let start = rng.below(self.keys.len());
        let (before, from) = self.keys.split_at(start);
        let looked_at = from.iter().chain(before).take(MAX_LOOKED_AT);
        drawn.extend(looked_at.copied().filter(|&key| acceptable(key)).take(count));
    }

    /// Puts a member at a random place (SWIM §4.3), leaving those yet to be probed yet to be
    /// probed.
    pub(crate) fn insert(&mut self, rng: &mut Rng, key: MemberKey) {
        let last = self.keys.len();
        grow(&mut self.keys);
        self.keys.push(key);
        while self.positions.len() <= key.index() {
            grow(&mut self.positions);
            self.positions.push(NOWHERE);
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

    /// Takes a member out, leaving those yet to be probed yet to be probed.
    pub(crate) fn remove(&mut self, key: MemberKey) {
        let mut position = self.positions[key.index()] as usize;
        if position < self.cursor {
            self.cursor -= 1;
            self.swap(position, self.cursor);
            position = self.cursor;
        }
        self.swap(position, self.keys.len() - 1);
        self.keys.pop();
        self.positions[key.index()] = NOWHERE;
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
        let positioned = self.positions.iter().filter(|&&position| position != NOWHERE).count();
        assert_eq!(positioned, self.keys.len(), "nobody stands in the ring twice");
        for (position, key) in self.keys.iter().enumerate() {
            assert_eq!(self.positions[key.index()] as usize, position);
        }
    }
}
