//! When the node wants to be called again, and what for.

use crate::member::NodeId;
use crate::members::Key;
use crate::stream::StreamId;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a node waits for.
///
/// Shown by [`Node::next_timer`](crate::Node::next_timer), for logs and tests.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Timer {
    /// Output waits: poll it.
    Output,
    /// A probe round ends and the next begins.
    Probe,
    /// The direct ping was not answered: ask others.
    ProbeTimeout,
    /// There is news to gossip.
    Gossip,
    /// The membership is compared with another member's.
    Sync,
    /// Members that failed or left long ago are forgotten.
    Reap,
    /// A suspect did not contradict.
    Suspicion(NodeId),
    /// A stream took too long.
    Stream(StreamId),
    /// A ping made for another member was not answered.
    Relay,
    /// A ping that the application asked for was not answered.
    Ping,
    /// A seed that broke a join off is asked again.
    Retry,
    /// Members that were lost are looked for.
    Heal,
}

/// The kinds that a node has one of; the order breaks ties.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Single {
    ProbeTimeout,
    Probe,
    Gossip,
    Sync,
    Reap,
    Heal,
}

/// A timer that is set, by what it belongs to; the order breaks ties.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Slot {
    Single(Single),
    Suspicion(Key),
    Stream(StreamId),
    Relay(u32),
    Ping(u32),
    Retry(u64),
}

/// All deadlines of a node: fixed slots for the singles, an ordered set for the rest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Timers {
    singles: [Option<Instant>; SINGLES.len()],
    keyed: BTreeMap<Slot, Instant>,
    #[serde(skip)]
    order: BTreeSet<(Instant, Slot)>,
}

const SINGLES: [Single; 6] =
    [Single::ProbeTimeout, Single::Probe, Single::Gossip, Single::Sync, Single::Reap, Single::Heal];

impl Timers {
    /// Puts the timers in order; `None` if a single one is among the others.
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.order = self.keyed.iter().map(|(&slot, &at)| (at, slot)).collect();
        let single = |slot: &Slot| matches!(slot, Slot::Single(_));
        (!self.keyed.keys().any(single)).then_some(())
    }

    /// All that are set, in the order in which they are due.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, Slot)> {
        let singles = SINGLES.iter().filter_map(|&single| {
            self.singles[single as usize].map(|at| (at, Slot::Single(single)))
        });
        let mut all: Vec<_> = singles.chain(self.order.iter().copied()).collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, slot: Slot, at: Instant) {
        if let Slot::Single(single) = slot {
            self.singles[single as usize] = Some(at);
            return;
        }
        if let Some(earlier) = self.keyed.insert(slot, at) {
            self.order.remove(&(earlier, slot));
        }
        self.order.insert((at, slot));
    }

    /// Stops a timer, if it is set.
    pub(crate) fn clear(&mut self, slot: Slot) {
        if let Slot::Single(single) = slot {
            self.singles[single as usize] = None;
        } else if let Some(at) = self.keyed.remove(&slot) {
            self.order.remove(&(at, slot));
        }
    }

    pub(crate) fn at(&self, slot: Slot) -> Option<Instant> {
        match slot {
            Slot::Single(single) => self.singles[single as usize],
            _ => self.keyed.get(&slot).copied(),
        }
    }

    /// The timer that is due first.
    pub(crate) fn next(&self) -> Option<(Instant, Slot)> {
        let singles = SINGLES.iter().filter_map(|&single| {
            self.singles[single as usize].map(|at| (at, Slot::Single(single)))
        });
        singles.chain(self.order.first().copied()).min()
    }

    /// Takes the first timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Slot> {
        let (at, slot) = self.next()?;
        if at > now {
            return None;
        }
        self.clear(slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_out_in_order_and_ties_are_broken_by_kind() {
        let at = Instant::from_nanos;
        let relay = Slot::Relay;
        let mut timers = Timers::default();
        timers.set(relay(2), at(7));
        timers.set(relay(1), at(7));
        timers.set(Slot::Single(Single::Probe), at(7));
        timers.set(relay(3), at(5));
        timers.set(relay(3), at(6));
        timers.set(relay(4), at(1));
        timers.clear(relay(4));
        assert_eq!(timers.next(), Some((at(6), relay(3))));
        assert_eq!(timers.pop(at(5)), None);
        let popped: Vec<_> = core::iter::from_fn(|| timers.pop(at(7))).collect();
        assert_eq!(popped, [relay(3), Slot::Single(Single::Probe), relay(1), relay(2)]);
        assert_eq!(timers.next(), None);
    }
}
