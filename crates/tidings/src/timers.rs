//! When the node wants to be called again, and what for.

use crate::member::NodeId;
use crate::membership::table::MemberKey;
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
    IndirectPing,
    /// A ping that the application asked for was not answered.
    Ping,
    /// A seed that broke a join off is asked again.
    Retry,
    /// Members that were lost are looked for.
    Reconnect,
}

/// The kinds that a node has one of; the order breaks ties.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum FixedTimer {
    ProbeTimeout,
    Probe,
    Gossip,
    Sync,
    Reap,
    Reconnect,
}

/// A timer that is set, by what it belongs to; the order breaks ties.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum TimerKey {
    Fixed(FixedTimer),
    Suspicion(MemberKey),
    Stream(StreamId),
    IndirectPing(u32),
    UserPing(u32),
    Retry(u64),
}

/// All deadlines of a node: fixed slots for the singles, an ordered set for the rest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Timers {
    fixed: [Option<Instant>; FIXED_TIMERS.len()],
    keyed: BTreeMap<TimerKey, Instant>,
    #[serde(skip)]
    order: BTreeSet<(Instant, TimerKey)>,
}

const FIXED_TIMERS: [FixedTimer; 6] = [
    FixedTimer::ProbeTimeout,
    FixedTimer::Probe,
    FixedTimer::Gossip,
    FixedTimer::Sync,
    FixedTimer::Reap,
    FixedTimer::Reconnect,
];

impl Timers {
    /// Puts the timers in order; `None` if a single one is among the others.
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.order = self.keyed.iter().map(|(&key, &at)| (at, key)).collect();
        let timer = |key: &TimerKey| matches!(key, TimerKey::Fixed(_));
        (!self.keyed.keys().any(timer)).then_some(())
    }

    /// All that are set, in the order in which they are due.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, TimerKey)> {
        let fixed = FIXED_TIMERS
            .iter()
            .filter_map(|&timer| self.fixed[timer as usize].map(|at| (at, TimerKey::Fixed(timer))));
        let mut all: Vec<_> = fixed.chain(self.order.iter().copied()).collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, key: TimerKey, at: Instant) {
        if let TimerKey::Fixed(timer) = key {
            self.fixed[timer as usize] = Some(at);
            return;
        }
        if let Some(earlier) = self.keyed.insert(key, at) {
            self.order.remove(&(earlier, key));
        }
        self.order.insert((at, key));
    }

    /// Stops a timer, if it is set.
    pub(crate) fn clear(&mut self, key: TimerKey) {
        if let TimerKey::Fixed(timer) = key {
            self.fixed[timer as usize] = None;
        } else if let Some(at) = self.keyed.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    pub(crate) fn at(&self, key: TimerKey) -> Option<Instant> {
        match key {
            TimerKey::Fixed(timer) => self.fixed[timer as usize],
            _ => self.keyed.get(&key).copied(),
        }
    }

    /// The timer that is due first.
    pub(crate) fn next(&self) -> Option<(Instant, TimerKey)> {
        let fixed = FIXED_TIMERS
            .iter()
            .filter_map(|&timer| self.fixed[timer as usize].map(|at| (at, TimerKey::Fixed(timer))));
        fixed.chain(self.order.first().copied()).min()
    }

    /// Takes the first timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<TimerKey> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_out_in_order_and_ties_are_broken_by_kind() {
        let at = Instant::from_nanos;
        let relay = TimerKey::IndirectPing;
        let mut timers = Timers::default();
        timers.set(relay(2), at(7));
        timers.set(relay(1), at(7));
        timers.set(TimerKey::Fixed(FixedTimer::Probe), at(7));
        timers.set(relay(3), at(5));
        timers.set(relay(3), at(6));
        timers.set(relay(4), at(1));
        timers.clear(relay(4));
        assert_eq!(timers.next(), Some((at(6), relay(3))));
        assert_eq!(timers.pop(at(5)), None);
        let popped: Vec<_> = core::iter::from_fn(|| timers.pop(at(7))).collect();
        assert_eq!(popped, [relay(3), TimerKey::Fixed(FixedTimer::Probe), relay(1), relay(2)]);
        assert_eq!(timers.next(), None);
    }
}
