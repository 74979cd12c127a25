//! Broadcasts are delivered at most once: which ones were seen.

use crate::member::NodeId;
use crate::wire::message::BroadcastId;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use serde::{Deserialize, Serialize};

/// Which broadcasts were seen, of each origin's latest life.
///
/// Of an origin it holds the highest number, and which of the 1,024 below it were seen, as IPsec's
/// anti-replay window does (RFC 4303 §3.4.3). What came so late that it cannot tell counts as seen:
/// rather not at all than twice. Of an origin that was forgotten, all is new again.
///
/// So many, since what one node broadcasts at once comes in any order: those who pass it on tell what
/// they told least often.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BroadcastDedup {
    origins: BTreeMap<NodeId, Window>,
    /// By when they were heard from, as a count: longest ago first.
    #[serde(skip)]
    by_heard: BTreeMap<u64, NodeId>,
    next: u64,
    max_origins: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    New,
    /// It was seen before, or is too old to tell.
    Duplicate,
}

impl BroadcastDedup {
    /// Remembers `max_origins` origins, one at least; those that were heard from longest ago are
    /// forgotten.
    pub(crate) fn new(max_origins: usize) -> Self {
        let (origins, by_heard) = (BTreeMap::new(), BTreeMap::new());
        Self { origins, by_heard, next: 0, max_origins: max_origins.max(1) }
    }

    /// Notes by when each was heard from; `None` if two were at once, or they are too many.
    pub(crate) fn restore(&mut self) -> Option<()> {
        let heard = |(origin, window): (&NodeId, &Window)| (window.heard, origin.clone());
        self.by_heard = self.origins.iter().map(heard).collect();
        let windows = self.origins.values().all(|window| window.below.len() <= WINDOW_WORDS);
        (self.by_heard.len() == self.origins.len()
            && self.origins.len() <= self.max_origins
            && self.max_origins > 0
            && windows)
            .then_some(())
    }

    /// A broadcast arrived; says whether for the first time.
    pub(crate) fn first_time(&mut self, id: &BroadcastId) -> Seen {
        let heard = self.next;
        self.next += 1;
        let Some(window) = self.origins.get_mut(&id.origin) else {
            self.make_room();
            self.origins.insert(id.origin.clone(), Window::new(id, heard));
            self.by_heard.insert(heard, id.origin.clone());
            return Seen::New;
        };
        let origin = self.by_heard.remove(&window.heard).expect("who is known was heard from");
        self.by_heard.insert(heard, origin);
        window.heard = heard;
        window.first_time(id)
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.origins.len() <= self.max_origins);
        assert_eq!(self.origins.len(), self.by_heard.len());
        for (heard, origin) in &self.by_heard {
            assert_eq!(self.origins[origin].heard, *heard);
        }
    }

    fn make_room(&mut self) {
        if self.origins.len() < self.max_origins {
            return;
        }
        let (_, origin) = self.by_heard.pop_first().expect("there is room for one");
        self.origins.remove(&origin);
    }
}

/// What was seen of one origin.
#[derive(Debug, Deserialize, Serialize)]
struct Window {
    generation: u64,
    highest: u64,
    /// The lowest bit of the first stands for the number below the highest, and so on. What is not
    /// here any more counts as seen; so whatever was seen up to some number takes no room.
    below: Vec<u64>,
    /// When it was heard from last, as a count.
    heard: u64,
}

impl Window {
    /// The first one that is heard of: none of those below it were seen.
    fn new(id: &BroadcastId, heard: u64) -> Self {
        let words = id.number.div_ceil(64).min(WINDOW_WORDS as u64) as usize;
        Self { generation: id.generation, highest: id.number, below: vec![0; words], heard }
    }

    fn first_time(&mut self, id: &BroadcastId) -> Seen {
        match id.generation.cmp(&self.generation) {
            Ordering::Less => return Seen::Duplicate,
            Ordering::Equal => {}
            Ordering::Greater => {
                *self = Self::new(id, self.heard);
                return Seen::New;
            }
        }
        if id.number > self.highest {
            let distance = id.number - self.highest;
            self.move_up(distance);
            self.highest = id.number;
            self.see(distance - 1);
            return Seen::New;
        }
        let Some(distance) = (self.highest - id.number).checked_sub(1) else {
            return Seen::Duplicate;
        };
        self.see(distance)
    }

    /// Takes note of the number that is so far below the one below the highest.
    fn see(&mut self, distance: u64) -> Seen {
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

    /// Moves all up by a distance above zero, below which nothing was seen.
    fn move_up(&mut self, distance: u64) {
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

/// How far below the highest number one can tell, in words of 64.
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

    /// What becomes of these numbers of one life of one origin.
    fn seen<const N: usize>(numbers: [u64; N]) -> [Seen; N] {
        let mut once = BroadcastDedup::new(1);
        numbers.map(|number| once.first_time(&id(1, 1, number)))
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
    fn numbers_in_order_take_no_room() {
        let mut once = BroadcastDedup::new(1);
        for number in 0..10_000 {
            assert_eq!(once.first_time(&id(1, 1, number)), New);
            assert_eq!(once.origins.values().map(|window| window.below.len()).sum::<usize>(), 0);
        }
        // In any order within the window, it takes none in the end.
        for number in (10_000..11_000).rev().chain(11_000..11_001) {
            assert_eq!(once.first_time(&id(1, 1, number)), New);
        }
        assert!(once.origins.values().all(|window| window.below.is_empty()));
    }

    #[test]
    fn numbers_may_jump_as_far_as_there_are_numbers() {
        let max = u64::MAX;
        assert_eq!(seen([0, max, 0, max, max - 1]), [New, New, Duplicate, Duplicate, New]);
        assert_eq!(
            seen([max - 1024, max, max - 1024, max - 1025]),
            [New, New, Duplicate, Duplicate]
        );
    }

    #[test]
    fn a_later_life_begins_anew_and_ends_the_earlier_one() {
        let mut once = BroadcastDedup::new(1);
        let mut seen = |generation, number| once.first_time(&id(1, generation, number));
        assert_eq!([seen(1, 7), seen(2, 7), seen(2, 7)], [New, New, Duplicate]);
        assert_eq!(seen(1, 8), Duplicate);
        assert_eq!([seen(u64::MAX, 0), seen(0, u64::MAX)], [New, Duplicate]);
    }

    #[test]
    fn the_origin_that_is_silent_longest_is_forgotten() {
        let mut once = BroadcastDedup::new(2);
        let mut seen = |origin| once.first_time(&id(origin, 1, 0));
        assert_eq!([seen(1), seen(2)], [New, New]);
        assert_eq!(seen(1), Duplicate, "it is heard from, though with nothing new");
        assert_eq!(seen(3), New);
        assert_eq!([seen(1), seen(2)], [Duplicate, New], "2 was forgotten");
    }

    /// Numbers close to one another, far from one another, and at both ends.
    fn numbers() -> impl Strategy<Value = u64> {
        let around = prop::sample::select(&[0, 10_000, u64::MAX - 1500][..]);
        prop_oneof![9 => (around, 0..1500u64).prop_map(|(base, n)| base + n), 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice_and_all_within_the_window_is_new_once(
            ids in prop::collection::vec((0..3u8, 0..2u64, numbers()), 0..400),
        ) {
            let mut once = BroadcastDedup::new(3);
            let mut all = BTreeSet::new();
            for (origin, generation, number) in ids {
                let latest = all.range((origin, 0, 0)..=(origin, 1, u64::MAX)).last();
                let due = latest.is_none_or(|&(_, life, highest)| {
                    generation > life || generation == life && highest.saturating_sub(number) <= 1024
                });
                let first = all.insert((origin, generation, number));
                let seen = once.first_time(&id(origin, generation, number));
                prop_assert_eq!(seen == New, first && due);
                once.check();
            }
        }

        #[test]
        fn the_latest_origins_are_remembered_up_to_the_limit(
            origins in prop::collection::vec(0..8u8, 0..100),
            max in 1..6usize,
        ) {
            let mut once = BroadcastDedup::new(max);
            let mut latest: Vec<u8> = Vec::new();
            for origin in origins {
                let known = latest.iter().rev().take(max).any(|&other| other == origin);
                let seen = once.first_time(&id(origin, 1, 0));
                prop_assert_eq!(seen, if known { Duplicate } else { New });
                latest.retain(|&other| other != origin);
                latest.push(origin);
                once.check();
            }
        }
    }
}
