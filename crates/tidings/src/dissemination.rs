//! Dissemination: which news is still to be told, and how often it was.

use crate::members::Key;
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
pub(crate) struct Dissemination<K = Key> {
    order: BTreeMap<Place, K>,
    #[serde(skip)]
    places: BTreeMap<K, Place>,
    next: u64,
    /// Scratch: what the datagram that is being built has taken.
    #[serde(skip)]
    taken: Vec<Place>,
    /// Scratch: what that datagram told for the last time.
    #[serde(skip)]
    done: Vec<K>,
}

/// Whose turn it is: least told first, then oldest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Place {
    transmits: u32,
    /// When it was put in, as a count: breaks ties.
    number: u64,
}

impl<K: Copy + Ord> Dissemination<K> {
    /// Spreads the news about a member from the start, replacing what was spread about it.
    pub(crate) fn spread(&mut self, key: K) {
        self.stop(key);
        self.put(Place { transmits: 0, number: self.next }, key);
        self.next += 1;
    }

    /// Stops to spread news about a member.
    pub(crate) fn stop(&mut self, key: K) {
        if let Some(place) = self.places.remove(&key) {
            self.order.remove(&place);
        }
    }

    /// Notes the place of each key; `None` if one has two.
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.places = self.order.iter().map(|(&place, &key)| (key, place)).collect();
        (self.places.len() == self.order.len()).then_some(())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.order.values().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.places.len(), "each entry has its place");
        self.order.len()
    }

    /// What is offered first.
    pub(crate) fn first(&self) -> Option<K> {
        self.order.values().next().copied()
    }

    /// Of `those`, what was told most often; of several, the oldest.
    pub(crate) fn most_told(&self, those: impl Fn(K) -> bool) -> Option<K> {
        let (&Place { transmits, .. }, _) = self.order.iter().rfind(|&(_, &key)| those(key))?;
        let as_often = self.order.range(Place { transmits, number: 0 }..);
        as_often.map(|(_, &key)| key).find(|&key| those(key))
    }

    /// Fills a datagram of gossip: offers members, least told first, until too many did not fit.
    ///
    /// `offer` puts the news about a member into the datagram and says what came of it. News that
    /// was told `limit` times is done, and returned.
    pub(crate) fn tell(&mut self, limit: u32, offer: impl FnMut(K) -> Offer) -> Drain<'_, K> {
        let mut taken = core::mem::take(&mut self.taken);
        taken.extend(self.offer(offer));
        for place in taken.drain(..) {
            let key = self.order.remove(&place).expect("it was offered");
            let transmits = place.transmits + 1;
            if transmits < limit {
                self.put(Place { transmits, ..place }, key);
            } else {
                self.places.remove(&key);
                self.done.push(key);
            }
        }
        if self.order.is_empty() {
            // What a burst took is given back.
            taken.shrink_to(16);
        }
        self.taken = taken;
        self.done.drain(..)
    }

    /// Fills what room a ping or an ack leaves, in the same way.
    ///
    /// What rides is not counted: it takes no datagram of its own, and may go to one who knows it.
    pub(crate) fn ride(&self, offer: impl FnMut(K) -> Offer) {
        self.offer(offer).for_each(drop);
    }

    /// Offers members; returns those that need not be offered to the same receiver again.
    fn offer(&self, mut offer: impl FnMut(K) -> Offer) -> impl Iterator<Item = Place> {
        let mut misses = 0;
        let offers = self.order.iter().map(move |(&place, &key)| (place, offer(key)));
        let fits = move |&(_, offer): &(Place, Offer)| {
            misses += u32::from(offer == Offer::NoRoom);
            misses < MAX_MISSES
        };
        let told = |offer| matches!(offer, Offer::Taken | Offer::Moot);
        let taken = move |(place, offer): (Place, Offer)| told(offer).then_some(place);
        offers.take_while(fits).filter_map(taken)
    }

    fn put(&mut self, place: Place, key: K) {
        self.places.insert(key, place);
        self.order.insert(place, key);
    }
}

impl<K> Default for Dissemination<K> {
    fn default() -> Self {
        Self {
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            next: 0,
            taken: Vec::new(),
            done: Vec::new(),
        }
    }
}

/// What came of offering a piece of news to a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offer {
    /// It is in the datagram.
    Taken,
    /// It need not be told to whom this datagram goes, and counts as told.
    Moot,
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
    use crate::members::Key;
    use alloc::vec;

    fn key(n: u32) -> Key {
        Key::for_test(n)
    }

    fn filled(news: &mut Dissemination, room: usize) -> Vec<Key> {
        let mut told = vec![];
        news.tell(2, |key| {
            if told.len() == room {
                return Offer::NoRoom;
            }
            told.push(key);
            Offer::Taken
        });
        told
    }

    #[test]
    fn the_least_told_comes_first_and_each_is_told_up_to_the_limit() {
        let mut news = Dissemination::default();
        for n in 1..=3 {
            news.spread(key(n));
        }
        assert_eq!(filled(&mut news, 2), [key(1), key(2)]);
        assert_eq!(filled(&mut news, 2), [key(3), key(1)]);
        assert_eq!(filled(&mut news, 2), [key(2), key(3)]);
        assert!(news.is_empty());
    }

    #[test]
    fn what_rides_on_a_probe_is_not_counted() {
        let mut news = Dissemination::default();
        news.spread(key(1));
        for _ in 0..10 {
            let mut told = vec![];
            news.ride(|key| {
                told.push(key);
                Offer::Taken
            });
            assert_eq!(told, [key(1)]);
        }
        assert_eq!(filled(&mut news, 1), [key(1)]);
    }

    #[test]
    fn newer_news_about_a_member_replaces_what_was_told() {
        let mut news = Dissemination::default();
        news.spread(key(1));
        assert_eq!(filled(&mut news, 1), [key(1)]);
        news.spread(key(1));
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
