//! Deduplication of broadcasts: a node delivers each one at most once.

use crate::member::NodeId;
use crate::wire::message::BroadcastId;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use serde::{Deserialize, Serialize};

/// Deduplication windows: the broadcasts already seen from each origin's latest generation.
///
/// A window holds the highest number of the origin, and which of the 1,024 numbers below it were
/// seen, as IPsec's anti-replay window does (RFC 4303 §3.4.3). Numbers below the window count as
/// seen: a lost broadcast is better than a duplicate. After an origin's window was evicted, all of
/// its broadcasts count as new again.
///
/// The window is that large because a burst of broadcasts arrives in any order: each forwarder
/// sends its least-sent ones first.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BroadcastDedup {
    origins: BTreeMap<NodeId, Window>,
    /// Origins by the count of their latest broadcast, least recent first.
    #[serde(skip)]
    by_last_seen: BTreeMap<u64, NodeId>,
    next: u64,
    max_origins: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    New,
    /// It was seen before, or its number is below the window.
    Duplicate,
}

impl BroadcastDedup {
    /// Holds windows for `max_origins` origins, at least one; the least recently seen origin is
    /// evicted first.
    pub(crate) fn new(max_origins: usize) -> Self {
        let (origins, by_last_seen) = (BTreeMap::new(), BTreeMap::new());
        Self { origins, by_last_seen, next: 0, max_origins: max_origins.max(1) }
    }

    /// Rebuilds the index that a checkpoint omits; `None` if two origins have the same count, or
    /// the limits are exceeded.
    pub(crate) fn restore(&mut self) -> Option<()> {
        let last_seen = |(origin, window): (&NodeId, &Window)| (window.last_seen, origin.clone());
        self.by_last_seen = self.origins.iter().map(last_seen).collect();
        let windows = self.origins.values().all(|window| window.below.len() <= WINDOW_WORDS);
        (self.by_last_seen.len() == self.origins.len()
            && self.origins.len() <= self.max_origins
            && self.max_origins > 0
            && windows)
            .then_some(())
    }

    /// Records the arrival of a broadcast; returns whether it is new.
    pub(crate) fn first_time(&mut self, id: &BroadcastId) -> Seen {
        let last_seen = self.next;
        self.next += 1;
        let Some(window) = self.origins.get_mut(&id.origin) else {
            self.make_room();
            self.origins.insert(id.origin.clone(), Window::new(id, last_seen));
            self.by_last_seen.insert(last_seen, id.origin.clone());
            return Seen::New;
        };
        let origin =
            self.by_last_seen.remove(&window.last_seen).expect("each origin is in the index");
        self.by_last_seen.insert(last_seen, origin);
        window.last_seen = last_seen;
        window.first_time(id)
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.origins.len() <= self.max_origins);
        assert_eq!(self.origins.len(), self.by_last_seen.len());
        for (last_seen, origin) in &self.by_last_seen {
            assert_eq!(self.origins[origin].last_seen, *last_seen);
        }
    }

    fn make_room(&mut self) {
        if self.origins.len() < self.max_origins {
            return;
        }
        let (_, origin) = self.by_last_seen.pop_first().expect("max_origins is above zero");
        self.origins.remove(&origin);
    }
}

/// Deduplication window of one origin.
#[derive(Debug, Deserialize, Serialize)]
struct Window {
    generation: u64,
    highest: u64,
    /// Bitmap of the numbers below the highest: the lowest bit of the first word stands for the
    /// next lower number, and so on. Numbers beyond the last word count as seen, so that an
    /// unbroken sequence needs no words.
    below: Vec<u64>,
    /// Count of the origin's latest broadcast.
    last_seen: u64,
}

impl Window {
    /// The window after an origin's first broadcast: no lower number was seen.
    fn new(id: &BroadcastId, last_seen: u64) -> Self {
        let words = id.number.div_ceil(64).min(WINDOW_WORDS as u64) as usize;
        Self { generation: id.generation, highest: id.number, below: vec![0; words], last_seen }
    }

    fn first_time(&mut self, id: &BroadcastId) -> Seen {
        match id.generation.cmp(&self.generation) {
            Ordering::Less => return Seen::Duplicate,
            Ordering::Equal => {}
            Ordering::Greater => {
                *self = Self::new(id, self.last_seen);
                return Seen::New;
            }
        }
        if id.number > self.highest {
            let distance = id.number - self.highest;
            self.shift(distance);
            self.highest = id.number;
            self.mark_seen(distance - 1);
            return Seen::New;
        }
        let Some(distance) = (self.highest - id.number).checked_sub(1) else {
            return Seen::Duplicate;
        };
        self.mark_seen(distance)
    }

    /// Marks the number `highest - 1 - distance` as seen.
    fn mark_seen(&mut self, distance: u64) -> Seen {
        let word = usize::try_from(distance / 64).unwrap_or(usize::MAX);
        let Some(bits) = self.below.get_mut(word) else { return Seen::Duplicate };
        let bit = 1 << (distance % 64);
        let seen = if *bits & bit == 0 { Seen::New } else { Seen::Duplicate };
        *bits |= bit;
        while self.below.last() == Some(&u64::MAX) {
            self.below.pop();
        }
        seen
    }

    /// Shifts the bitmap by `distance`, above zero; the numbers shifted in are not seen.
    fn shift(&mut self, distance: u64) {
        let words = usize::try_from(distance / 64).unwrap_or(usize::MAX);
        let bits = distance % 64;
        let old = self.below.len();
        let len = old.saturating_add(words).saturating_add(1).min(WINDOW_WORDS);
        self.below.resize(len, u64::MAX);
        for at in (0..len).rev() {
            let word = |below: usize| match at.checked_sub(below) {
                Some(from) if from < old => self.below[from],
                Some(_) => u64::MAX,
                None => 0,
            };
            let carried = if bits == 0 { 0 } else { word(words.saturating_add(1)) >> (64 - bits) };
            self.below[at] = word(words) << bits | carried;
        }
    }
}

/// Maximum size of a window below the highest number, in words of 64 numbers.
const WINDOW_WORDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Duplicate, New};
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn id(origin: u8, generation: u64, number: u64) -> BroadcastId {
        let origin = NodeId::new(&format!("n{origin}")).unwrap();
        BroadcastId { origin, generation, number }
    }

    /// The results for these numbers of one generation of one origin.
    fn seen<const N: usize>(numbers: [u64; N]) -> [Seen; N] {
        let mut dedup = BroadcastDedup::new(1);
        numbers.map(|number| dedup.first_time(&id(1, 1, number)))
    }

    #[test]
    fn each_is_new_once_in_any_order() {
        assert_eq!(
            seen([5, 3, 5, 9, 3, 4, 9]),
            [New, New, Duplicate, New, Duplicate, New, Duplicate]
        );
    }

    #[test]
    fn the_window_holds_the_1024_below_the_highest() {
        assert_eq!(seen([5000, 3976, 3976, 3975]), [New, New, Duplicate, Duplicate]);
        assert_eq!(seen([3976, 5000, 3976, 3977]), [New, New, Duplicate, New]);
        assert_eq!(seen([3900, 5000, 3900, 3976]), [New, New, Duplicate, New]);
    }

    #[test]
    fn a_window_for_numbers_in_order_has_no_words() {
        let mut dedup = BroadcastDedup::new(1);
        for number in 0..10_000 {
            assert_eq!(dedup.first_time(&id(1, 1, number)), New);
            assert_eq!(dedup.origins.values().map(|window| window.below.len()).sum::<usize>(), 0);
        }
        // Nor has one for any order within the window, once it is complete.
        for number in (10_000..11_000).rev().chain(11_000..11_001) {
            assert_eq!(dedup.first_time(&id(1, 1, number)), New);
        }
        assert!(dedup.origins.values().all(|window| window.below.is_empty()));
    }

    #[test]
    fn numbers_may_jump_across_the_whole_range() {
        let max = u64::MAX;
        assert_eq!(seen([0, max, 0, max, max - 1]), [New, New, Duplicate, Duplicate, New]);
        assert_eq!(
            seen([max - 1024, max, max - 1024, max - 1025]),
            [New, New, Duplicate, Duplicate]
        );
    }

    #[test]
    fn a_later_generation_starts_a_new_window_and_ends_the_earlier_one() {
        let mut dedup = BroadcastDedup::new(1);
        let mut seen = |generation, number| dedup.first_time(&id(1, generation, number));
        assert_eq!([seen(1, 7), seen(2, 7), seen(2, 7)], [New, New, Duplicate]);
        assert_eq!(seen(1, 8), Duplicate);
        assert_eq!([seen(u64::MAX, 0), seen(0, u64::MAX)], [New, Duplicate]);
    }

    #[test]
    fn the_least_recently_seen_origin_is_evicted() {
        let mut dedup = BroadcastDedup::new(2);
        let mut seen = |origin| dedup.first_time(&id(origin, 1, 0));
        assert_eq!([seen(1), seen(2)], [New, New]);
        assert_eq!(seen(1), Duplicate, "a duplicate counts as seeing the origin");
        assert_eq!(seen(3), New);
        assert_eq!([seen(1), seen(2)], [Duplicate, New], "2 was evicted");
    }

    /// Numbers close to one another, far from one another, and at both ends.
    fn numbers() -> impl Strategy<Value = u64> {
        let around = prop::sample::select(&[0, 10_000, u64::MAX - 1500][..]);
        prop_oneof![9 => (around, 0..1500u64).prop_map(|(base, n)| base + n), 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn no_broadcast_is_new_twice_and_each_within_the_window_is_new_once(
            ids in prop::collection::vec((0..3u8, 0..2u64, numbers()), 0..400),
        ) {
            let mut dedup = BroadcastDedup::new(3);
            let mut all = BTreeSet::new();
            for (origin, generation, number) in ids {
                let latest = all.range((origin, 0, 0)..=(origin, 1, u64::MAX)).last();
                let due = latest.is_none_or(|&(_, latest, highest)| {
                    generation > latest
                        || generation == latest && highest.saturating_sub(number) <= 1024
                });
                let first = all.insert((origin, generation, number));
                let seen = dedup.first_time(&id(origin, generation, number));
                prop_assert_eq!(seen == New, first && due);
                dedup.check();
            }
        }

        #[test]
        fn the_most_recently_seen_origins_keep_their_windows(
            origins in prop::collection::vec(0..8u8, 0..100),
            max in 1..6usize,
        ) {
            let mut dedup = BroadcastDedup::new(max);
            let mut latest: Vec<u8> = Vec::new();
            for origin in origins {
                let known = latest.iter().rev().take(max).any(|&other| other == origin);
                let seen = dedup.first_time(&id(origin, 1, 0));
                prop_assert_eq!(seen, if known { Duplicate } else { New });
                latest.retain(|&other| other != origin);
                latest.push(origin);
                dedup.check();
            }
        }
    }
}
