//! The gossip queue: which updates are still to be sent, and how often each was sent.

use crate::membership::table::MemberKey;
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use alloc::collections::BTreeMap;
use alloc::vec::{Drain, Vec};

/// The updates that a node still gossips, by key: changed members, or application broadcasts.
///
/// It holds no messages. An update is read from the membership table when a datagram is built, so
/// there is at most one entry for each member, a newer update replaces the older one, and each copy
/// is the latest.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(
    feature = "record",
    serde(bound(deserialize = "K: Copy + Ord + serde::Deserialize<'de>"))
)]
pub(crate) struct GossipQueue<K = MemberKey> {
    order: BTreeMap<QueuePosition, K>,
    #[cfg_attr(feature = "record", serde(skip))]
    positions: BTreeMap<K, QueuePosition>,
    next: u64,
    /// Scratch: the entries sent in the datagram that is being built.
    #[cfg_attr(feature = "record", serde(skip))]
    sent: Vec<QueuePosition>,
    /// Scratch: the keys that reached the retransmit limit with that datagram.
    #[cfg_attr(feature = "record", serde(skip))]
    done: Vec<K>,
}

/// Order of transmission: least-sent first, then oldest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct QueuePosition {
    transmits: u32,
    /// Number in the order of insertion: breaks ties.
    number: u64,
}

impl<K: Copy + Ord> GossipQueue<K> {
    /// Queues an update with no transmissions so far, in place of an earlier one with the same key.
    pub(crate) fn push(&mut self, key: K) {
        self.remove(key);
        self.insert(QueuePosition { transmits: 0, number: self.next }, key);
        self.next += 1;
    }

    /// Removes an update, if it is queued.
    pub(crate) fn remove(&mut self, key: K) {
        if let Some(position) = self.positions.remove(&key) {
            self.order.remove(&position);
        }
    }

    /// Rebuilds the index that a checkpoint omits; `None` if a key has two entries, or a count is
    /// out of range.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.positions = self.order.iter().map(|(&position, &key)| (key, position)).collect();
        let counts = self.order.keys().all(|position| position.transmits < u32::MAX);
        (counts && self.next <= MAX_COUNT && self.positions.len() == self.order.len()).then_some(())
    }

    #[cfg(feature = "record")]
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.order.values().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.positions.len(), "each entry is in the index");
        self.order.len()
    }

    /// The key that is offered first.
    pub(crate) fn first(&self) -> Option<K> {
        self.order.values().next().copied()
    }

    /// The most-sent entry that satisfies `matching`, among the `looks` most-sent ones; of several,
    /// the oldest that `looks` find.
    pub(crate) fn most_transmitted(&self, looks: usize, matching: impl Fn(K) -> bool) -> Option<K> {
        let mut most_sent = self.order.iter().rev().take(looks);
        let (&QueuePosition { transmits, .. }, &last) =
            most_sent.find(|&(_, &key)| matching(key))?;
        let as_often = self.order.range(QueuePosition { transmits, number: 0 }..);
        let mut as_often = as_often.map(|(_, &key)| key).take(looks);
        Some(as_often.find(|&key| matching(key)).unwrap_or(last))
    }

    /// Fills a gossip datagram: offers updates, least-sent first, until several did not fit or
    /// [`MAX_SKIPPED`] were skipped.
    ///
    /// `offer` appends the update to the datagram and returns the outcome. Updates that were sent
    /// `limit` times are removed and returned.
    pub(crate) fn transmit(&mut self, limit: u32, offer: impl FnMut(K) -> Offer) -> Drain<'_, K> {
        let mut sent = core::mem::take(&mut self.sent);
        sent.extend(self.offer(offer));
        for position in sent.drain(..) {
            let key = self.order.remove(&position).expect("it was offered");
            let transmits = position.transmits + 1;
            if transmits < limit {
                self.insert(QueuePosition { transmits, ..position }, key);
            } else {
                self.positions.remove(&key);
                self.done.push(key);
            }
        }
        if self.order.is_empty() {
            // Release the memory of a burst.
            sent.shrink_to(16);
        }
        self.sent = sent;
        self.done.drain(..)
    }

    /// Fills the rest of a ping or an ack in the same way.
    ///
    /// Piggybacked updates do not count against the limit: they cost no datagram of their own, and
    /// may go to a member that knows them.
    pub(crate) fn piggyback(&self, offer: impl FnMut(K) -> Offer) {
        self.offer(offer).for_each(drop);
    }

    /// Offers updates; returns those that count as sent.
    fn offer(&self, mut offer: impl FnMut(K) -> Offer) -> impl Iterator<Item = QueuePosition> {
        let (mut misses, mut skipped) = (0, 0);
        let offers = self.order.iter().map(move |(&position, &key)| (position, offer(key)));
        let fits = move |&(_, offer): &(QueuePosition, Offer)| {
            misses += u32::from(offer == Offer::NoRoom);
            skipped += u32::from(offer == Offer::Skip);
            misses < MAX_MISSES && skipped < MAX_SKIPPED
        };
        let counts = |offer| matches!(offer, Offer::Added | Offer::Skip);
        let sent =
            move |(position, offer): (QueuePosition, Offer)| counts(offer).then_some(position);
        offers.take_while(fits).filter_map(sent)
    }

    fn insert(&mut self, position: QueuePosition, key: K) {
        self.positions.insert(key, position);
        self.order.insert(position, key);
    }
}

impl<K> Default for GossipQueue<K> {
    fn default() -> Self {
        Self {
            order: BTreeMap::new(),
            positions: BTreeMap::new(),
            next: 0,
            sent: Vec::new(),
            done: Vec::new(),
        }
    }
}

/// Outcome of offering an update to a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offer {
    /// The datagram contains it.
    Added,
    /// The receiver of this datagram does not need it; it counts as sent.
    Skip,
    /// It does not fit into the rest of the datagram.
    NoRoom,
    /// Other receivers come first; it does not count as sent.
    Later,
}

/// Retransmit limit: how often each node sends an update in gossip datagrams, among `members`.
///
/// `mult × ceil(log10(members + 1))` (SWIM §4.1; memberlist's `RetransmitMult`), and at least two
/// gossip rounds, because memberlist's limit is too low for few members: with its preset for one
/// machine, each member of a small cluster sends an update to two others, and it misses some.
pub(crate) fn transmit_limit(mult: u32, members: usize, gossip_nodes: usize) -> u32 {
    // ceil(log10(n + 1)) is the number of decimal digits of n.
    let by_size = mult * (members.max(1).ilog10() + 1);
    by_size.max(2 * gossip_nodes as u32)
}

/// Number of updates that do not fit after which a datagram counts as full.
const MAX_MISSES: u32 = 4;
/// Number of updates that the receiver does not need after which no more are offered to a datagram.
/// Else an ack to an address that many members claim to have would take a look at all of them.
const MAX_SKIPPED: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table::MemberKey;
    use alloc::vec;

    fn key(n: u32) -> MemberKey {
        MemberKey::for_test(n)
    }

    /// The updates in a datagram with room for `room` of them, with a retransmit limit of 2.
    fn transmit(queue: &mut GossipQueue, room: usize) -> Vec<MemberKey> {
        let mut sent = vec![];
        queue.transmit(2, |key| {
            if sent.len() == room {
                return Offer::NoRoom;
            }
            sent.push(key);
            Offer::Added
        });
        sent
    }

    #[test]
    fn the_least_sent_update_comes_first_and_each_is_sent_up_to_the_limit() {
        let mut queue = GossipQueue::default();
        for n in 1..=3 {
            queue.push(key(n));
        }
        assert_eq!(transmit(&mut queue, 2), [key(1), key(2)]);
        assert_eq!(transmit(&mut queue, 2), [key(3), key(1)]);
        assert_eq!(transmit(&mut queue, 2), [key(2), key(3)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_piggybacked_update_does_not_count_against_the_limit() {
        let mut queue = GossipQueue::default();
        queue.push(key(1));
        for _ in 0..10 {
            let mut sent = vec![];
            queue.piggyback(|key| {
                sent.push(key);
                Offer::Added
            });
            assert_eq!(sent, [key(1)]);
        }
        assert_eq!(transmit(&mut queue, 1), [key(1)]);
    }

    #[test]
    fn a_newer_update_about_a_member_replaces_the_older_one() {
        let mut queue = GossipQueue::default();
        queue.push(key(1));
        assert_eq!(transmit(&mut queue, 1), [key(1)]);
        queue.push(key(1));
        assert_eq!(transmit(&mut queue, 1), [key(1)]);
        assert_eq!(transmit(&mut queue, 1), [key(1)]);
        assert_eq!(transmit(&mut queue, 1), []);
    }

    #[test]
    fn the_retransmit_limit_is_that_of_memberlist_but_at_least_two_gossip_rounds() {
        for (members, limit) in [(1, 6), (9, 6), (10, 8), (99, 8), (100, 12), (1000, 16)] {
            assert_eq!(transmit_limit(4, members, 3), limit, "{members} members");
        }
    }
}
