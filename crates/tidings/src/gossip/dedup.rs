//! Deduplication of broadcasts: a node delivers each one at most once.

use crate::member::NodeId;
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::wire::message::BroadcastId;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Deduplication windows: the broadcasts already seen from each origin's latest generation.
///
/// Seen numbers are kept in blocks of 64, of which an origin has at most 128: enough for a burst of
/// 4,096 broadcasts that arrive in any order, because each forwarder sends its least-sent ones
/// first. That is as many as a node queues by default
/// ([`max_broadcasts`](crate::Options::max_broadcasts)). Blocks in which all numbers were seen are closed, and stored as ranges, so that an
/// unbroken sequence takes two words. So is the oldest block that is a quarter full if there are
/// too many of these: a lost broadcast is better than a duplicate. Emptier ones are forgotten.
///
/// Nothing is concluded from a number about others far from it. A window below the highest number,
/// as IPsec's (RFC 4303 §3.4.3), is for senders with a key: without one, anybody can forge a number
/// so high that all later broadcasts of the origin fall below the window.
///
/// After an origin's window was evicted, all of its broadcasts count as new again.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct BroadcastDedup {
    origins: BTreeMap<NodeId, Window>,
    /// Origins by the count of their latest broadcast, least recent first.
    #[cfg_attr(feature = "record", serde(skip))]
    by_last_seen: BTreeMap<u64, NodeId>,
    /// The number of blocks and ranges of all origins.
    #[cfg_attr(feature = "record", serde(skip))]
    held: usize,
    next: u64,
    max_origins: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    New,
    /// It was seen before, or its block is closed.
    Duplicate,
}

impl BroadcastDedup {
    /// Holds windows for `max_origins` origins, at least one; the least recently seen origin is
    /// evicted first.
    pub(crate) fn new(max_origins: usize) -> Self {
        let (origins, by_last_seen) = (BTreeMap::new(), BTreeMap::new());
        Self { origins, by_last_seen, held: 0, next: 0, max_origins: max_origins.max(1) }
    }

    /// Rebuilds the index that a checkpoint omits; `None` if two origins have the same count, or
    /// the limits are exceeded.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        let last_seen = |(origin, window): (&NodeId, &Window)| (window.last_seen, origin.clone());
        self.by_last_seen = self.origins.iter().map(last_seen).collect();
        self.held = self.origins.values().map(Window::len).sum();
        let windows = self.origins.values().all(Window::is_valid);
        (self.next <= MAX_COUNT
            && self.by_last_seen.len() == self.origins.len()
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
            if self.origins.len() >= self.max_origins {
                self.evict();
            }
            self.origins.insert(id.origin.clone(), Window::new(id, last_seen));
            self.by_last_seen.insert(last_seen, id.origin.clone());
            self.held += 1;
            return Seen::New;
        };
        let origin =
            self.by_last_seen.remove(&window.last_seen).expect("each origin is in the index");
        self.by_last_seen.insert(last_seen, origin);
        window.last_seen = last_seen;
        let before = window.len();
        let seen = window.first_time(id);
        self.held = self.held - before + window.len();
        while self.held > MAX_HELD && self.origins.len() > 1 {
            self.evict();
        }
        seen
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.origins.len() <= self.max_origins);
        assert_eq!(self.origins.len(), self.by_last_seen.len());
        assert_eq!(self.held, self.origins.values().map(Window::len).sum::<usize>());
        assert!(self.held <= MAX_HELD.max(3 * MAX_OPEN) || self.origins.len() == 1);
        for (last_seen, origin) in &self.by_last_seen {
            let window = &self.origins[origin];
            assert_eq!(window.last_seen, *last_seen);
            assert!(window.open.len() <= 2 * MAX_OPEN && window.closed.len() <= MAX_CLOSED);
        }
    }

    /// Forgets the least recently seen origin.
    fn evict(&mut self) {
        let (_, origin) = self.by_last_seen.pop_first().expect("there is an origin");
        let window = self.origins.remove(&origin);
        self.held -= window.map_or(0, |window| window.len());
    }
}

/// Deduplication window of one origin.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Window {
    generation: u64,
    /// Blocks of which some numbers were seen, in the order of their first numbers' arrival.
    open: Vec<Block>,
    /// Ranges of blocks of which all numbers count as seen; no two of them touch.
    closed: Vec<Blocks>,
    /// Count of the origin's latest broadcast.
    last_seen: u64,
}

/// The numbers from `64 × index` to `64 × index + 63`: the lowest bit stands for the first.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Block {
    index: u64,
    seen: u64,
}

/// The blocks from the first to the last index.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Blocks {
    first: u64,
    last: u64,
}

impl Block {
    fn is_dense(&self) -> bool {
        self.seen.count_ones() >= DENSE
    }
}

impl Window {
    /// The window after an origin's first broadcast: no other number was seen.
    fn new(id: &BroadcastId, last_seen: u64) -> Self {
        let open = vec![Block { index: id.number / 64, seen: 1 << (id.number % 64) }];
        Self { generation: id.generation, open, closed: Vec::new(), last_seen }
    }

    /// The number of its blocks and ranges.
    fn len(&self) -> usize {
        self.open.len() + self.closed.len()
    }

    /// Whether a deserialized window is within the limits.
    #[cfg(feature = "record")]
    fn is_valid(&self) -> bool {
        self.open.len() <= 2 * MAX_OPEN
            && self.closed.len() <= MAX_CLOSED
            && self.closed.iter().all(|range| range.first <= range.last && range.last <= MAX_INDEX)
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
        let (index, bit) = (id.number / 64, 1 << (id.number % 64));
        if self.closed.iter().any(|range| (range.first..=range.last).contains(&index)) {
            return Seen::Duplicate;
        }
        let Some(at) = self.open.iter().rposition(|block| block.index == index) else {
            self.open_block(Block { index, seen: bit });
            return Seen::New;
        };
        let block = &mut self.open[at];
        if block.seen & bit != 0 {
            return Seen::Duplicate;
        }
        block.seen |= bit;
        if block.seen == u64::MAX {
            self.open.remove(at);
            self.close(index);
        } else if block.seen.count_ones() == DENSE {
            if let Some(oldest) = self.remove_oldest(Block::is_dense) {
                self.close(oldest.index);
            }
        }
        Seen::New
    }

    /// Adds a block; the oldest sparse one is forgotten if there is no room.
    fn open_block(&mut self, block: Block) {
        self.open.push(block);
        self.remove_oldest(|block| !block.is_dense());
    }

    /// Removes the oldest block of a kind, if there are too many of them.
    fn remove_oldest(&mut self, is_of_kind: fn(&Block) -> bool) -> Option<Block> {
        let oldest = self.open.iter().position(is_of_kind)?;
        let count = self.open.iter().filter(|block| is_of_kind(block)).count();
        (count > MAX_OPEN).then(|| self.open.remove(oldest))
    }

    /// Closes a block; if there is no room, the shortest range is forgotten.
    fn close(&mut self, index: u64) {
        let mut range = Blocks { first: index, last: index };
        self.closed.retain(|other| {
            let touches = other.last + 1 == range.first || range.last + 1 == other.first;
            if touches {
                range.first = range.first.min(other.first);
                range.last = range.last.max(other.last);
            }
            !touches
        });
        if self.closed.len() >= MAX_CLOSED {
            let len = |at: &usize| self.closed[*at].last - self.closed[*at].first;
            let shortest = (0..self.closed.len()).min_by_key(len).expect("there is a range");
            self.closed.remove(shortest);
        }
        self.closed.push(range);
    }
}

/// Largest number of blocks and ranges of all origins, of 16 bytes each: the windows of a hundred
/// thousand origins in order, and then those of three hundred that are full.
const MAX_HELD: usize = 1 << 18;
/// Largest number of sparse blocks of an origin, and of dense ones.
const MAX_OPEN: usize = 64;
/// Numbers of a block that have to be seen to make it dense. A forger has to send so many for each
/// block, and 64 such blocks to close one of the origin's; fewer hide nothing that comes later.
const DENSE: u32 = 16;
/// Ranges of closed blocks of an origin: as many as there can be between open blocks, which close
/// in any order.
const MAX_CLOSED: usize = MAX_OPEN;
/// The index of the last block.
#[cfg(feature = "record")]
const MAX_INDEX: u64 = u64::MAX / 64;

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
    fn forged_numbers_hide_none_that_come_later() {
        for (every, duplicates_too) in [(10, true), (1, false)] {
            let mut dedup = BroadcastDedup::new(1);
            let mut first_time = |number| dedup.first_time(&id(1, 1, number));
            assert_eq!(first_time(u64::MAX), New, "also as the first of its origin");
            for number in 0..10_000 {
                assert_eq!(first_time(number), New);
                assert_eq!(first_time(number), Duplicate);
                // Forged ones all over the range, and just ahead.
                for forged in [number << 45 | 1 << 63, number * 64 + 20_000] {
                    if number % every == 0 {
                        first_time(forged);
                        assert_eq!(first_time(forged), Duplicate);
                    }
                }
            }
            if duplicates_too {
                assert!((0..9_900).all(|number| first_time(number) == Duplicate));
            }
        }
    }

    #[test]
    fn a_burst_in_any_order_is_new_once() {
        for step in [1, 3, 511, 4095] {
            let mut dedup = BroadcastDedup::new(1);
            for n in 0..4096 {
                let number = 4992 + n * step % 4096;
                assert_eq!(dedup.first_time(&id(1, 1, number)), New);
            }
            for number in 4992..9088 {
                assert_eq!(dedup.first_time(&id(1, 1, number)), Duplicate);
            }
        }
    }

    #[test]
    fn the_oldest_of_too_many_dense_blocks_counts_as_seen() {
        for (blocks, then) in [(65, Duplicate), (64, New)] {
            let mut dedup = BroadcastDedup::new(1);
            let mut first_time = |number| dedup.first_time(&id(1, 1, number));
            for block in 0..blocks {
                assert!((0..16).all(|n| first_time(block * 64 + n) == New));
            }
            assert_eq!(first_time(63), then);
        }
    }

    #[test]
    fn a_window_for_numbers_in_order_has_two_words() {
        let mut dedup = BroadcastDedup::new(1);
        let size = |dedup: &BroadcastDedup| {
            let window = dedup.origins.values().next().unwrap();
            (window.open.len(), window.closed.len())
        };
        for number in 0..10_000 {
            assert_eq!(dedup.first_time(&id(1, 1, number)), New);
            assert!(size(&dedup) <= (1, 1));
        }
        // Nor has one for any order more than a few words, once it is complete.
        for number in (10_000..11_000).rev().chain(11_000..11_008) {
            assert_eq!(dedup.first_time(&id(1, 1, number)), New);
        }
        assert_eq!(size(&dedup), (0, 1));
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

    /// Numbers close to one another, and at both ends: of at most 16 blocks.
    fn numbers() -> impl Strategy<Value = u64> {
        let around = prop::sample::select(&[0, 10_000, u64::MAX - 250][..]);
        (around, 0..250u64).prop_map(|(base, n)| base + n)
    }

    proptest! {
        #[test]
        fn each_broadcast_of_the_latest_generation_is_new_once(
            ids in prop::collection::vec((0..3u8, 0..2u64, numbers()), 0..400),
        ) {
            let mut dedup = BroadcastDedup::new(3);
            let mut all = BTreeSet::new();
            for (origin, generation, number) in ids {
                let latest = all.range((origin, 0, 0)..=(origin, 1, u64::MAX)).last();
                let due = latest.is_none_or(|&(_, latest, _)| generation >= latest);
                let first = all.insert((origin, generation, number));
                let seen = dedup.first_time(&id(origin, generation, number));
                prop_assert_eq!(seen == New, first && due);
                dedup.check();
            }
        }

        #[test]
        fn any_numbers_take_bounded_memory_and_hide_none_far_from_them(
            numbers in prop::collection::vec(any::<u64>(), 0..400),
        ) {
            let mut dedup = BroadcastDedup::new(1);
            for (real, number) in numbers.into_iter().enumerate() {
                dedup.first_time(&id(1, 1, number | 1 << 40));
                prop_assert_eq!(dedup.first_time(&id(1, 1, real as u64)), New);
                prop_assert_eq!(dedup.first_time(&id(1, 1, real as u64)), Duplicate);
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
