//! Witnesses: the members that answered this node last, which it asks for indirect pings.

use crate::membership::table::MemberKey;
use crate::rng::Rng;
use alloc::vec::Vec;

/// The members that answered this node's pings last, and a search for others that do.
///
/// Where most of a cluster is gone, a relay picked from all members is a dead one, and its silence
/// says nothing about this node. The nack of a relay that has just answered does.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Witnesses {
    /// In the order in which they were added.
    recent: Vec<MemberKey>,
    /// The pings of the latest search, by token.
    searched: Vec<(u32, MemberKey)>,
}

impl Witnesses {
    /// Adds a member, which answered.
    pub(crate) fn add(&mut self, key: MemberKey) {
        if self.recent.contains(&key) {
            return;
        }
        if self.recent.len() == MAX_WITNESSES {
            self.recent.remove(0);
        }
        self.recent.push(key);
    }

    /// Removes a member, which did not answer or departed.
    pub(crate) fn remove(&mut self, key: MemberKey) {
        self.recent.retain(|&recent| recent != key);
    }

    /// Removes all members and ends the search.
    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.searched.clear();
    }

    /// Picks up to `count` eligible witnesses, from a random one on, into `picked`.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        count: usize,
        eligible: impl Fn(MemberKey) -> bool,
        picked: &mut Vec<MemberKey>,
    ) {
        picked.clear();
        if self.recent.is_empty() {
            return;
        }
        let (before, from) = self.recent.split_at(rng.below(self.recent.len()));
        let all = from.iter().chain(before).copied();
        picked.extend(all.filter(|&key| eligible(key)).take(count));
    }

    /// Begins a search, which ends the one before. Who is a witness now may be gone as well.
    pub(crate) fn begin_search(&mut self) {
        self.clear();
    }

    /// Registers a ping of the search.
    pub(crate) fn search(&mut self, token: u32, key: MemberKey) {
        self.searched.push((token, key));
    }

    /// Handles an ack; `true` if it answers a ping of the search, whose target is a witness now.
    pub(crate) fn found(&mut self, token: u32) -> bool {
        let Some(at) = self.searched.iter().position(|&(searched, _)| searched == token) else {
            return false;
        };
        let (_, key) = self.searched.swap_remove(at);
        self.add(key);
        true
    }

    /// A member departed.
    pub(crate) fn on_departed(&mut self, key: MemberKey) {
        self.remove(key);
        self.searched.retain(|&(_, searched)| searched != key);
    }

    /// Whether a restored list is within its limits.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self, known: impl Fn(MemberKey) -> bool) -> bool {
        let searched = self.searched.iter().map(|&(_, key)| key);
        self.recent.len() <= MAX_WITNESSES
            && self.searched.len() <= SEARCHED
            && self.recent.iter().copied().chain(searched).all(known)
    }
}

/// Members remembered as witnesses: enough that three relays are picked from different ones each
/// time, and few enough that all have answered lately.
const MAX_WITNESSES: usize = 16;
/// Members pinged in a search for witnesses.
pub(crate) const SEARCHED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngStream;

    fn key(n: u32) -> MemberKey {
        MemberKey::for_test(n)
    }

    #[test]
    fn the_latest_that_answered_are_picked_each_once() {
        let mut rng = Rng::new([1; 32], RngStream::Probe);
        let (mut witnesses, mut picked) = (Witnesses::default(), Vec::new());
        witnesses.pick(&mut rng, 3, |_| true, &mut picked);
        assert_eq!(picked, []);
        for n in (0..40).chain([39]) {
            witnesses.add(key(n));
        }
        witnesses.remove(key(31));
        witnesses.on_departed(key(32));
        witnesses.pick(&mut rng, 99, |key| key.index() != 33, &mut picked);
        picked.sort_unstable();
        let expected: Vec<_> = (24..40).filter(|n| !(31..34).contains(n)).map(key).collect();
        assert_eq!(picked, expected);
        witnesses.pick(&mut rng, 3, |_| true, &mut picked);
        assert_eq!(picked.len(), 3);
    }

    #[test]
    fn a_member_found_by_a_search_is_a_witness_and_an_ack_counts_once() {
        let mut rng = Rng::new([1; 32], RngStream::Probe);
        let (mut witnesses, mut picked) = (Witnesses::default(), Vec::new());
        witnesses.begin_search();
        witnesses.search(7, key(1));
        witnesses.search(8, key(2));
        assert!(!witnesses.found(9), "another token");
        assert!(witnesses.found(8) && !witnesses.found(8));
        witnesses.pick(&mut rng, 3, |_| true, &mut picked);
        assert_eq!(picked, [key(2)]);
        witnesses.begin_search();
        assert!(!witnesses.found(7), "the search is over");
    }
}
