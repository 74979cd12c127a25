//! The ring: the order in which members are probed, and what random choice draws from.

use crate::rng::Rng;
use crate::table::{Key, grow};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// All members that are present, the local node apart, in the order of the current probe round.
///
/// Entering, leaving, the next one and a random one cost the same at any size, but for one shuffle
/// a round.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Ring {
    keys: Vec<Key>,
    /// The keys before this have been probed in the current round.
    cursor: usize,
    /// The key here is the next one that is told the news.
    teller: usize,
    /// Where each key stands in `keys`, or [`NOWHERE`]; by the key's index.
    #[serde(skip)]
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;
const MAX_LOOKED_AT: usize = 64;
/// More than there ever are, with `max_members` at its limit.
const MAX_PLACES: usize = 1 << 21;

impl Ring {
    /// Notes where each key stands; `None` if one stands there twice, or nobody can be where it is.
    pub(crate) fn restore(&mut self) -> Option<()> {
        let last = self.keys.iter().map(|key| key.index()).max();
        // A key is the index of a place, of which there are not many more than members.
        let places = last.map_or(0, |last| last + 1);
        if self.cursor > self.keys.len() || places > MAX_PLACES {
            return None;
        }
        self.places = alloc::vec![NOWHERE; places];
        for (place, key) in self.keys.iter().enumerate() {
            if core::mem::replace(&mut self.places[key.index()], place as u32) != NOWHERE {
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.places.get(key.index()).is_some_and(|&place| place != NOWHERE)
    }

    /// The next member to probe.
    ///
    /// Round-robin over a shuffled ring (SWIM §4.3): every member is picked once a round, so that
    /// two picks of one of `m` members are at most `2m - 1` apart while nobody joins.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Option<Key> {
        if self.cursor >= self.keys.len() {
            self.cursor = 0;
            rng.shuffle(&mut self.keys);
            for (place, key) in self.keys.iter().enumerate() {
                self.places[key.index()] = place as u32;
            }
        }
        let key = *self.keys.get(self.cursor)?;
        self.cursor += 1;
        Some(key)
    }

    /// The next member to tell the news: in the order of the ring too, from where the last one was,
    /// so that a few rounds of gossip reach all of a small cluster, whatever chance may do.
    pub(crate) fn next_to_tell(&mut self) -> Option<Key> {
        if self.teller >= self.keys.len() {
            self.teller = 0;
        }
        let key = *self.keys.get(self.teller)?;
        self.teller += 1;
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
        acceptable: impl Fn(Key) -> bool,
        drawn: &mut Vec<Key>,
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
    pub(crate) fn enter(&mut self, rng: &mut Rng, key: Key) {
        let last = self.keys.len();
        grow(&mut self.keys);
        self.keys.push(key);
        while self.places.len() <= key.index() {
            grow(&mut self.places);
            self.places.push(NOWHERE);
        }
        self.places[key.index()] = last as u32;
        let place = rng.below(last + 1);
        if place < self.cursor {
            self.swap(last, self.cursor);
            self.cursor += 1;
        } else {
            self.swap(last, place);
        }
    }

    /// Takes a member out, leaving those yet to be probed yet to be probed.
    pub(crate) fn leave(&mut self, key: Key) {
        let mut place = self.places[key.index()] as usize;
        if place < self.cursor {
            self.cursor -= 1;
            self.swap(place, self.cursor);
            place = self.cursor;
        }
        self.swap(place, self.keys.len() - 1);
        self.keys.pop();
        self.places[key.index()] = NOWHERE;
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.keys.swap(a, b);
        for place in [a, b] {
            self.places[self.keys[place].index()] = place as u32;
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.cursor <= self.keys.len());
        let placed = self.places.iter().filter(|&&place| place != NOWHERE).count();
        assert_eq!(placed, self.keys.len(), "nobody stands in the ring twice");
        for (place, key) in self.keys.iter().enumerate() {
            assert_eq!(self.places[key.index()] as usize, place);
        }
    }
}
