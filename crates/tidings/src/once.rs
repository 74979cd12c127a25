//! Broadcasts are delivered at most once: which ones were seen.

use crate::broadcast::BroadcastId;
use crate::member::NodeId;
use alloc::collections::BTreeMap;
use core::cmp::Ordering;

/// Which broadcasts were seen, of each origin's latest life.
///
/// Of an origin it holds the highest number, and which of the 64 below it were seen, as IPsec's
/// anti-replay window does (RFC 4303 §3.4.3). What came so late that it cannot tell counts as seen:
/// rather not at all than twice. Of an origin that was forgotten, all is new again.
#[derive(Debug)]
pub(crate) struct Once {
    origins: BTreeMap<NodeId, Window>,
    /// By when they were heard from, as a count: longest ago first.
    by_heard: BTreeMap<u64, NodeId>,
    next: u64,
    max_origins: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    New,
    /// It was seen before, or is too old to tell.
    Again,
}

impl Once {
    /// Remembers `max_origins` origins, one at least; those that were heard from longest ago are
    /// forgotten.
    pub(crate) fn new(max_origins: usize) -> Self {
        let (origins, by_heard) = (BTreeMap::new(), BTreeMap::new());
        Self { origins, by_heard, next: 0, max_origins: max_origins.max(1) }
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
#[derive(Debug)]
struct Window {
    generation: u64,
    highest: u64,
    /// The lowest bit stands for the number below the highest, and so on.
    below: u64,
    /// When it was heard from last, as a count.
    heard: u64,
}

impl Window {
    fn new(id: &BroadcastId, heard: u64) -> Self {
        Self { generation: id.generation, highest: id.number, below: 0, heard }
    }

    fn first_time(&mut self, id: &BroadcastId) -> Seen {
        match id.generation.cmp(&self.generation) {
            Ordering::Less => return Seen::Again,
            Ordering::Equal => {}
            Ordering::Greater => {
                *self = Self::new(id, self.heard);
                return Seen::New;
            }
        }
        if id.number > self.highest {
            // The highest so far is the first below the next one; then all move by the rest.
            let rest = id.number - self.highest - 1;
            self.below = shifted(self.below << 1 | 1, rest);
            self.highest = id.number;
            return Seen::New;
        }
        let Some(distance) = (self.highest - id.number).checked_sub(1) else { return Seen::Again };
        let bit = shifted(1, distance);
        let is_new = bit != 0 && self.below & bit == 0;
        self.below |= bit;
        if is_new { Seen::New } else { Seen::Again }
    }
}

/// Moves bits up by any distance; those that leave the window are gone.
fn shifted(bits: u64, distance: u64) -> u64 {
    let distance = u32::try_from(distance).unwrap_or(u32::MAX);
    bits.checked_shl(distance).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Again, New};
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
        let mut once = Once::new(1);
        numbers.map(|number| once.first_time(&id(1, 1, number)))
    }

    #[test]
    fn each_is_new_once_in_any_order() {
        assert_eq!(seen([5, 3, 5, 9, 3, 4, 9]), [New, New, Again, New, Again, New, Again]);
    }

    #[test]
    fn the_window_holds_the_64_below_the_highest() {
        assert_eq!(seen([100, 36, 36, 35]), [New, New, Again, Again]);
        assert_eq!(seen([36, 100, 36, 37]), [New, New, Again, New]);
        assert_eq!(seen([35, 100, 35, 36]), [New, New, Again, New]);
    }

    #[test]
    fn numbers_may_jump_as_far_as_there_are_numbers() {
        let max = u64::MAX;
        assert_eq!(seen([0, max, 0, max, max - 1]), [New, New, Again, Again, New]);
        assert_eq!(seen([max - 64, max, max - 64, max - 65]), [New, New, Again, Again]);
    }

    #[test]
    fn a_later_life_begins_anew_and_ends_the_earlier_one() {
        let mut once = Once::new(1);
        let mut seen = |generation, number| once.first_time(&id(1, generation, number));
        assert_eq!([seen(1, 7), seen(2, 7), seen(2, 7)], [New, New, Again]);
        assert_eq!(seen(1, 8), Again);
        assert_eq!([seen(u64::MAX, 0), seen(0, u64::MAX)], [New, Again]);
    }

    #[test]
    fn who_was_heard_from_longest_ago_is_forgotten() {
        let mut once = Once::new(2);
        let mut seen = |origin| once.first_time(&id(origin, 1, 0));
        assert_eq!([seen(1), seen(2)], [New, New]);
        assert_eq!(seen(1), Again, "it is heard from, though with nothing new");
        assert_eq!(seen(3), New);
        assert_eq!([seen(1), seen(2)], [Again, New], "2 was forgotten");
    }

    /// Numbers close to one another, far from one another, and at both ends.
    fn numbers() -> impl Strategy<Value = u64> {
        let around = prop::sample::select(&[0, 1_000, u64::MAX - 150][..]);
        prop_oneof![9 => (around, 0..150u64).prop_map(|(base, n)| base + n), 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice_and_all_within_the_window_is_new_once(
            ids in prop::collection::vec((0..3u8, 0..2u64, numbers()), 0..400),
        ) {
            let mut once = Once::new(3);
            let mut all = BTreeSet::new();
            for (origin, generation, number) in ids {
                let latest = all.range((origin, 0, 0)..=(origin, 1, u64::MAX)).last();
                let due = latest.is_none_or(|&(_, life, highest)| {
                    generation > life || generation == life && highest.saturating_sub(number) <= 64
                });
                let first = all.insert((origin, generation, number));
                let seen = once.first_time(&id(origin, generation, number));
                prop_assert_eq!(seen == New, first && due);
                once.check();
            }
        }

        #[test]
        fn as_many_origins_are_remembered_as_were_heard_from_last(
            origins in prop::collection::vec(0..8u8, 0..100),
            max in 1..6usize,
        ) {
            let mut once = Once::new(max);
            let mut latest: Vec<u8> = Vec::new();
            for origin in origins {
                let known = latest.iter().rev().take(max).any(|&other| other == origin);
                let seen = once.first_time(&id(origin, 1, 0));
                prop_assert_eq!(seen, if known { Again } else { New });
                latest.retain(|&other| other != origin);
                latest.push(origin);
                once.check();
            }
        }
    }
}
