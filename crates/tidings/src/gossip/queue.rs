//! Dissemination: which news is still to be told, and how often it was.

use crate::membership::table::MemberKey;
use alloc::collections::BTreeMap;
use alloc::vec::{Drain, Vec};
use serde::{Deserialize, Serialize};

/// The news that a node still spreads, by key: members about which something changed, or what the
/// application broadcasts.
///
/// It holds no messages. What is told of a member is read from the table when a datagram is built,
/// so that newer news replaces older by itself, there is at most one entry for each member, and
/// every copy is the freshest.
#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "K: Copy + Ord + Deserialize<'de>"))]
pub(crate) struct GossipQueue<K = MemberKey> {
    order: BTreeMap<QueuePosition, K>,
    #[serde(skip)]
    positions: BTreeMap<K, QueuePosition>,
    next: u64,
    /// Scratch: what the datagram that is being built has taken.
    #[serde(skip)]
    sent: Vec<QueuePosition>,
    /// Scratch: what that datagram told for the last time.
    #[serde(skip)]
    done: Vec<K>,
}

/// Whose turn it is: least told first, then oldest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct QueuePosition {
    transmits: u32,
    /// When it was put in, as a count: breaks ties.
    number: u64,
}

impl<K: Copy + Ord> GossipQueue<K> {
    /// Spreads the news about a member from the start, replacing what was spread about it.
    pub(crate) fn push(&mut self, key: K) {
        self.stop(key);
        self.put(QueuePosition { transmits: 0, number: self.next }, key);
        self.next += 1;
    }

    /// Stops to spread news about a member.
    pub(crate) fn stop(&mut self, key: K) {
        if let Some(position) = self.positions.remove(&key) {
            self.order.remove(&position);
        }
    }

    /// Notes the place of each key; `None` if one has two.
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.positions = self.order.iter().map(|(&position, &key)| (key, position)).collect();
        (self.positions.len() == self.order.len()).then_some(())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.order.values().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.positions.len(), "each entry has its place");
        self.order.len()
    }

    /// What is offered first.
    pub(crate) fn first(&self) -> Option<K> {
        self.order.values().next().copied()
    }

    /// Of `those`, what was told most often; of several, the oldest.
    pub(crate) fn most_transmitted(&self, those: impl Fn(K) -> bool) -> Option<K> {
        let (&QueuePosition { transmits, .. }, _) =
            self.order.iter().rfind(|&(_, &key)| those(key))?;
        let as_often = self.order.range(QueuePosition { transmits, number: 0 }..);
        as_often.map(|(_, &key)| key).find(|&key| those(key))
    }

    /// Fills a datagram of gossip: offers members, least told first, until too many did not fit.
    ///
    /// `offer` puts the news about a member into the datagram and says what came of it. News that
    /// was told `limit` times is done, and returned.
    pub(crate) fn transmit(&mut self, limit: u32, offer: impl FnMut(K) -> Offer) -> Drain<'_, K> {
        let mut sent = core::mem::take(&mut self.sent);
        sent.extend(self.offer(offer));
        for position in sent.drain(..) {
            let key = self.order.remove(&position).expect("it was offered");
            let transmits = position.transmits + 1;
            if transmits < limit {
                self.put(QueuePosition { transmits, ..position }, key);
            } else {
                self.positions.remove(&key);
                self.done.push(key);
            }
        }
        if self.order.is_empty() {
            // What a burst took is given back.
            sent.shrink_to(16);
        }
        self.sent = sent;
        self.done.drain(..)
    }

    /// Fills what room a ping or an ack leaves, in the same way.
    ///
    /// What rides is not counted: it takes no datagram of its own, and may go to one who knows it.
    pub(crate) fn piggyback(&self, offer: impl FnMut(K) -> Offer) {
        self.offer(offer).for_each(drop);
    }

    /// Offers members; returns those that need not be offered to the same receiver again.
    fn offer(&self, mut offer: impl FnMut(K) -> Offer) -> impl Iterator<Item = QueuePosition> {
        let mut misses = 0;
        let offers = self.order.iter().map(move |(&position, &key)| (position, offer(key)));
        let fits = move |&(_, offer): &(QueuePosition, Offer)| {
            misses += u32::from(offer == Offer::NoRoom);
            misses < MAX_MISSES
        };
        let told = |offer| matches!(offer, Offer::Added | Offer::Skip);
        let sent = move |(position, offer): (QueuePosition, Offer)| told(offer).then_some(position);
        offers.take_while(fits).filter_map(sent)
    }

    fn put(&mut self, position: QueuePosition, key: K) {
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

/// What came of offering a piece of news to a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offer {
    /// It is in the datagram.
    Added,
    /// It need not be told to whom this datagram goes, and counts as told.
    Skip,
    /// It does not fit into what is left.
    NoRoom,
    /// It is for others first.
    Later,
}

/// How often a piece of news is told by each member, among `members`.
///
/// `mult × ceil(log10(members + 1))` (SWIM §4.1; memberlist's `RetransmitMult`), and at least two
/// rounds of gossip: what is right for many members is too little for a few. With memberlist's
/// preset for one machine each member of a small cluster tells two others, and news misses some.
pub(crate) fn transmit_limit(mult: u32, members: usize, gossip_nodes: usize) -> u32 {
    // ceil(log10(n + 1)) is the number of decimal digits of n.
    let by_size = mult * (members.max(1).ilog10() + 1);
    by_size.max(2 * gossip_nodes as u32)
}

/// How many pieces that do not fit are passed over before a datagram counts as full.
const MAX_MISSES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table::MemberKey;
    use alloc::vec;

    fn key(n: u32) -> MemberKey {
        MemberKey::for_test(n)
    }

    fn filled(news: &mut GossipQueue, room: usize) -> Vec<MemberKey> {
        let mut told = vec![];
        news.transmit(2, |key| {
            if told.len() == room {
                return Offer::NoRoom;
            }
            told.push(key);
            Offer::Added
        });
        told
    }

    #[test]
    fn the_least_sent_comes_first_and_each_is_sent_up_to_the_limit() {
        let mut news = GossipQueue::default();
        for n in 1..=3 {
            news.push(key(n));
        }
        assert_eq!(filled(&mut news, 2), [key(1), key(2)]);
        assert_eq!(filled(&mut news, 2), [key(3), key(1)]);
        assert_eq!(filled(&mut news, 2), [key(2), key(3)]);
        assert!(news.is_empty());
    }

    #[test]
    fn piggyback_on_a_probe_is_not_counted() {
        let mut news = GossipQueue::default();
        news.push(key(1));
        for _ in 0..10 {
            let mut told = vec![];
            news.piggyback(|key| {
                told.push(key);
                Offer::Added
            });
            assert_eq!(told, [key(1)]);
        }
        assert_eq!(filled(&mut news, 1), [key(1)]);
    }

    #[test]
    fn a_newer_update_about_a_member_replaces_the_older_one() {
        let mut news = GossipQueue::default();
        news.push(key(1));
        assert_eq!(filled(&mut news, 1), [key(1)]);
        news.push(key(1));
        assert_eq!(filled(&mut news, 1), [key(1)]);
        assert_eq!(filled(&mut news, 1), [key(1)]);
        assert_eq!(filled(&mut news, 1), []);
    }

    #[test]
    fn the_transmit_limit_is_that_of_memberlist_but_two_rounds_of_gossip_at_least() {
        for (members, limit) in [(1, 6), (9, 6), (10, 8), (99, 8), (100, 12), (1000, 16)] {
            assert_eq!(transmit_limit(4, members, 3), limit, "{members} members");
        }
    }
}
