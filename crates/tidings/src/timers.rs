//! The deadlines of a node.

use crate::member::NodeId;
use crate::membership::table::MemberKey;
use crate::stream::StreamId;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
#[cfg(any(test, feature = "record"))]
use alloc::vec::Vec;

/// The kind of a node's next timer, as [`Node::next_timer`](crate::Node::next_timer) returns it,
/// for logs and tests.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Timer {
    /// Outputs are queued: call [`poll_output`](crate::Node::poll_output).
    Output,
    /// The probe interval ends: the probe is judged, and the next one starts.
    Probe,
    /// No ack for the direct ping: the indirect probe starts.
    ProbeTimeout,
    /// The next gossip round, because updates or broadcasts are queued.
    Gossip,
    /// The next sync with a random member (anti-entropy).
    Sync,
    /// The oldest tombstones expire: their members are forgotten.
    Reap,
    /// A suspicion expires: the member did not refute it, and is declared failed.
    Suspicion(NodeId),
    /// A stream exceeds [`stream_timeout`](crate::Options::stream_timeout).
    Stream(StreamId),
    /// No ack for a ping that this node sent on behalf of another member: it sends a nack, or ends
    /// the indirect ping.
    IndirectPing,
    /// No ack for a ping of the application.
    Ping,
    /// A join asks a seed again that reset or closed the stream without an answer.
    Retry,
    /// The next attempt to reach a member that failed (Serf's reconnect).
    Reconnect,
    /// The next attempt at a seed ([`Node::set_seeds`](crate::Node::set_seeds)).
    Seed,
    /// The check whether the node has settled ([`Node::is_ready`](crate::Node::is_ready)).
    Ready,
    /// The next check of a member that refuses connections
    /// ([`refusal_evidence`](crate::Options::refusal_evidence)), or the end of one.
    Refusal,
    /// The next ping of a member that flaps, or the end of the series
    /// ([`flap_suppress`](crate::Options::flap_suppress)).
    Damping,
}

/// A timer that each node has once; the order of variants breaks ties.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum FixedTimer {
    ProbeTimeout,
    Probe,
    Gossip,
    Sync,
    Reap,
    Reconnect,
    Refusal,
    Damping,
    Seeds,
    Ready,
}

/// The key of a timer: its kind, and the object that it belongs to; the order of variants breaks
/// ties.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum TimerKey {
    Fixed(FixedTimer),
    Suspicion(MemberKey),
    Stream(StreamId),
    IndirectPing(u32),
    UserPing(u32),
    Retry(u64),
}

/// All deadlines of a node: one slot for each fixed timer, an ordered set for all others.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Timers {
    /// [`Instant::MAX`]: not set.
    fixed: [Instant; FIXED_TIMERS.len()],
    /// The earliest of those that are seldom set, the first one of several.
    #[cfg_attr(feature = "record", serde(skip))]
    first_seldom: usize,
    keyed: BTreeMap<TimerKey, Instant>,
    #[cfg_attr(feature = "record", serde(skip))]
    order: BTreeSet<(Instant, TimerKey)>,
}

/// The number of fixed timers that each probe round or round of gossip sets; they come first.
const OFTEN: usize = 3;

const FIXED_TIMERS: [FixedTimer; 10] = [
    FixedTimer::ProbeTimeout,
    FixedTimer::Probe,
    FixedTimer::Gossip,
    FixedTimer::Sync,
    FixedTimer::Reap,
    FixedTimer::Reconnect,
    FixedTimer::Refusal,
    FixedTimer::Damping,
    FixedTimer::Seeds,
    FixedTimer::Ready,
];

impl Default for Timers {
    fn default() -> Self {
        let fixed = [Instant::MAX; FIXED_TIMERS.len()];
        Self { fixed, first_seldom: OFTEN, keyed: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl Timers {
    /// Rebuilds the order after deserialization; `None` if a fixed timer is among the keyed ones.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.order = self.keyed.iter().map(|(&key, &at)| (at, key)).collect();
        self.find_first_seldom();
        let is_fixed = |key: &TimerKey| matches!(key, TimerKey::Fixed(_));
        (!self.keyed.keys().any(is_fixed)).then_some(())
    }

    /// All timers that are set, in the order in which they are due.
    #[cfg(feature = "record")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, TimerKey)> {
        let fixed = FIXED_TIMERS.iter().map(|&timer| TimerKey::Fixed(timer));
        let fixed = fixed.filter_map(|timer| Some((self.at(timer)?, timer)));
        let mut all: Vec<_> = fixed.chain(self.order.iter().copied()).collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, key: TimerKey, at: Instant) {
        if let TimerKey::Fixed(timer) = key {
            return self.set_fixed(timer as usize, at);
        }
        if let Some(earlier) = self.keyed.insert(key, at) {
            self.order.remove(&(earlier, key));
        }
        self.order.insert((at, key));
    }

    fn set_fixed(&mut self, timer: usize, at: Instant) {
        self.fixed[timer] = at;
        if timer >= OFTEN {
            self.find_first_seldom();
        }
    }

    fn find_first_seldom(&mut self) {
        self.first_seldom = OFTEN;
        for timer in OFTEN + 1..FIXED_TIMERS.len() {
            if self.fixed[timer] < self.fixed[self.first_seldom] {
                self.first_seldom = timer;
            }
        }
    }

    /// Stops a timer, if it is set.
    pub(crate) fn clear(&mut self, key: TimerKey) {
        if let TimerKey::Fixed(timer) = key {
            self.set_fixed(timer as usize, Instant::MAX);
        } else if let Some(at) = self.keyed.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    pub(crate) fn at(&self, key: TimerKey) -> Option<Instant> {
        match key {
            TimerKey::Fixed(timer) => {
                Some(self.fixed[timer as usize]).filter(|&at| at < Instant::MAX)
            }
            _ => self.keyed.get(&key).copied(),
        }
    }

    /// The earliest timer; of several at one time, the first in the order of their keys.
    pub(crate) fn next(&self) -> Option<(Instant, TimerKey)> {
        let mut first = self.first_seldom;
        for timer in (0..OFTEN).rev() {
            if self.fixed[timer] <= self.fixed[first] {
                first = timer;
            }
        }
        let at = self.fixed[first];
        let fixed = (at < Instant::MAX).then_some((at, TimerKey::Fixed(FIXED_TIMERS[first])));
        match self.order.first() {
            Some(&(at, key)) if fixed.is_none_or(|(earliest, _)| at < earliest) => Some((at, key)),
            _ => fixed,
        }
    }

    /// Removes and returns the earliest timer that is due at `now`.
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
    fn timers_pop_in_order_of_time_and_ties_are_broken_by_kind() {
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

    #[test]
    fn the_earliest_fixed_timer_is_known_however_they_are_moved() {
        let (mut timers, mut draw) = (Timers::default(), 7_u64);
        for _ in 0..10_000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let timer = FIXED_TIMERS[(draw >> 33) as usize % FIXED_TIMERS.len()];
            match (draw >> 40) % 8 {
                0 => timers.clear(TimerKey::Fixed(timer)),
                at => timers.set(TimerKey::Fixed(timer), Instant::from_nanos(at)),
            }
            let set = FIXED_TIMERS.iter().map(|&timer| TimerKey::Fixed(timer));
            let first = set.filter_map(|timer| Some((timers.at(timer)?, timer))).min();
            assert_eq!(timers.next(), first);
        }
    }
}
