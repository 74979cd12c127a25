//! Reconnect: the sides of a partition find each other again by trying lost members (Serf's term).

use crate::addr::{Dialled, canonical};
use crate::member::NodeId;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

/// Lost members and seeds that the node tries to reach again, and the backoff between attempts.
///
/// Unlike tombstones they are kept without a time limit, but in bounded number. Each attempt tries
/// one of them.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Reconnect {
    /// Members that failed and did not return, the latest last.
    lost: VecDeque<Lost>,
    /// Seeds that accepted the node or did not answer while another one did, the latest last.
    seeds: VecDeque<Dialled>,
    max: usize,
    /// Number of failed attempts in a row.
    failed_attempts: u32,
    /// Number of members that failed, each within the window after the one before, and did not
    /// return.
    failures: usize,
    last_failure: Instant,
    /// `PartitionSuspected` was emitted for these failures.
    reported: bool,
}

/// A member that failed and did not return.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Lost {
    id: NodeId,
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    addr: SocketAddr,
    /// It counts in the current series of failures.
    counts: bool,
}

impl Reconnect {
    /// An empty list for at most `max` members and as many seeds.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            lost: VecDeque::new(),
            seeds: VecDeque::new(),
            max,
            failed_attempts: 0,
            failures: 0,
            last_failure: Instant::ZERO,
            reported: false,
        }
    }

    /// Records that a member failed, with `present` members left; returns the number of recent
    /// failures if they suggest a partition, once for each series of failures.
    ///
    /// They do if a quarter of the members failed, and at least three, each within `window` after
    /// the one before.
    pub(crate) fn on_failed(
        &mut self,
        now: Instant,
        id: &NodeId,
        addr: SocketAddr,
        present: usize,
        window: Duration,
    ) -> Option<usize> {
        self.remove_lost(id);
        self.failed_attempts = 0;
        if now.since(self.last_failure) > window {
            (self.failures, self.reported) = (0, false);
            self.lost.iter_mut().for_each(|lost| lost.counts = false);
        }
        push_bounded(&mut self.lost, self.max, Lost { id: id.clone(), addr, counts: true });
        self.last_failure = now;
        self.failures = self.failures.saturating_add(1);
        // A quarter of those that were present.
        let is_partition = self.failures >= 3 && self.failures.saturating_mul(3) >= present;
        (is_partition && !core::mem::replace(&mut self.reported, true)).then_some(self.failures)
    }

    /// Forgets that attempts failed.
    pub(crate) fn retry(&mut self) {
        self.failed_attempts = 0;
    }

    /// Removes a lost member, because it is present again or left.
    pub(crate) fn remove_lost(&mut self, id: &NodeId) {
        let Some(at) = self.lost.iter().position(|lost| lost.id == *id) else { return };
        let lost = self.lost.remove(at);
        self.failures =
            self.failures.saturating_sub(usize::from(lost.is_some_and(|lost| lost.counts)));
    }

    /// Whether any member is lost.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether a member failed and has not answered since.
    pub(crate) fn is_lost(&self, id: &NodeId) -> bool {
        self.lost.iter().any(|lost| lost.id == *id)
    }

    /// Adds a seed that accepted the node, or that did not answer while another one did.
    pub(crate) fn add_seed(&mut self, addr: SocketAddr) {
        self.seeds.retain(|seed| seed.0 != addr);
        push_bounded(&mut self.seeds, self.max, Dialled(addr));
    }

    /// Removes the seed at an address, because the member there left.
    pub(crate) fn remove_seed(&mut self, addr: SocketAddr) {
        self.seeds.retain(|seed| canonical(seed.0) != addr);
    }

    /// Whether an address is a seed's.
    pub(crate) fn is_seed(&self, addr: SocketAddr) -> bool {
        self.seeds.iter().any(|seed| seed.0 == addr)
    }

    /// Picks an address to try, at random; `is_present` returns whether a member present has it.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        is_present: impl Fn(SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let candidates = || self.candidates().filter(|&addr| !is_present(canonical(addr)));
        let count = candidates().count();
        if count == 0 { None } else { candidates().nth(rng.below(count)) }
    }

    fn candidates(&self) -> impl Iterator<Item = SocketAddr> {
        self.lost.iter().map(|lost| lost.addr).chain(self.seeds.iter().map(|seed| seed.0))
    }

    /// The wait before the next attempt, if all `present` members do the same.
    ///
    /// Each failed attempt doubles it, from `min_wait` to `max_wait`. If many members lost few,
    /// each waits longer, so that all together try each lost member about once in that time.
    pub(crate) fn wait(
        &self,
        rng: &mut Rng,
        present: usize,
        min_wait: Duration,
        max_wait: Duration,
    ) -> Duration {
        let backed_off = min_wait.saturating_mul(1 << self.failed_attempts.min(16)).min(max_wait);
        let nodes_per_lost = (present / self.lost.len().max(1)).max(1);
        let wait = backed_off.saturating_mul(u32::try_from(nodes_per_lost).unwrap_or(u32::MAX));
        // Randomized by half in either direction, so that nodes do not act in step.
        wait / 2 + rng.within(wait)
    }

    /// Whether there is any address to try, present or not.
    pub(crate) fn has_candidates(&self) -> bool {
        !self.lost.is_empty() || !self.seeds.is_empty()
    }

    /// Records the end of an attempt. After an answer (`found`), no lost member is tried at this
    /// address any more, even if another member answered there.
    pub(crate) fn on_attempt_ended(&mut self, addr: SocketAddr, found: bool) {
        if found {
            self.failed_attempts = 0;
            self.lost.retain(|lost| lost.addr != canonical(addr));
        } else {
            self.failed_attempts = self.failed_attempts.saturating_add(1);
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.lost.len() <= self.max && self.seeds.len() <= self.max);
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, max: usize, item: T) {
    if list.len() >= max {
        list.pop_front();
    }
    if max > 0 {
        list.push_back(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngStream;
    use alloc::format;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(n: usize) -> NodeId {
        NodeId::new(&format!("n{n}")).unwrap()
    }

    fn addr(n: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n as u8], 7946))
    }

    fn fail(reconnect: &mut Reconnect, at: u64, n: usize, present: usize) -> Option<usize> {
        let now = Instant::ZERO + SECOND * at as u32;
        reconnect.on_failed(now, &id(n), addr(n), present, 10 * SECOND)
    }

    #[test]
    fn many_failures_in_a_short_time_are_reported_as_a_partition_once() {
        let mut reconnect = Reconnect::new(8);
        assert_eq!(fail(&mut reconnect, 1, 1, 9), None);
        assert_eq!(fail(&mut reconnect, 2, 2, 8), None);
        assert_eq!(fail(&mut reconnect, 3, 3, 7), Some(3));
        assert_eq!(fail(&mut reconnect, 4, 4, 6), None, "reported once");
        for n in 5..9 {
            assert_eq!(
                fail(&mut reconnect, 100 * n as u64, n, 5),
                None,
                "failures far apart are no partition"
            );
        }
        for n in 10..20 {
            assert_eq!(
                fail(&mut reconnect, 9000, n, 100),
                None,
                "nor are few failures among many members"
            );
        }
    }

    #[test]
    fn a_member_that_fails_and_returns_again_and_again_is_no_partition() {
        let mut reconnect = Reconnect::new(8);
        for second in 1..9 {
            assert_eq!(fail(&mut reconnect, second, 1, 4), None);
            reconnect.remove_lost(&id(1));
        }
        assert_eq!(fail(&mut reconnect, 9, 2, 4), None);
        assert_eq!(fail(&mut reconnect, 9, 3, 4), None);
        assert_eq!(fail(&mut reconnect, 10, 1, 4), Some(3), "three that are still gone are one");
    }

    #[test]
    fn lost_members_are_tried_until_they_return_and_the_latest_are_kept() {
        let mut reconnect = Reconnect::new(3);
        let mut rng = Rng::new([1; 32], RngStream::Reconnect);
        for n in 1..=5 {
            fail(&mut reconnect, 1, n, 9);
        }
        reconnect.remove_lost(&id(4));
        reconnect.add_seed(addr(9));
        let mut tried: alloc::vec::Vec<_> =
            (0..100).filter_map(|_| reconnect.pick(&mut rng, |at| at == addr(9))).collect();
        tried.sort();
        tried.dedup();
        assert_eq!(tried, [addr(3), addr(5)]);
        reconnect.on_attempt_ended(addr(3), true);
        reconnect.remove_lost(&id(5));
        assert_eq!(reconnect.pick(&mut rng, |_| false), Some(addr(9)), "the seed is left");
        reconnect.remove_seed(addr(9));
        assert!(!reconnect.has_candidates());
    }

    #[test]
    fn attempts_back_off_and_are_shared_among_the_members_present() {
        let mut reconnect = Reconnect::new(8);
        let mut rng = Rng::new([1; 32], RngStream::Reconnect);
        fail(&mut reconnect, 1, 1, 9);
        let mut wait =
            |reconnect: &Reconnect, present| reconnect.wait(&mut rng, present, SECOND, 60 * SECOND);
        let between = |wait: Duration, mean: u32| {
            assert!(wait >= SECOND * mean / 2 && wait <= SECOND * mean * 3 / 2, "{wait:?}");
        };
        between(wait(&reconnect, 1), 1);
        between(wait(&reconnect, 20), 20);
        for _ in 0..3 {
            reconnect.on_attempt_ended(addr(1), false);
        }
        between(wait(&reconnect, 1), 8);
        for _ in 0..100 {
            reconnect.on_attempt_ended(addr(1), false);
        }
        between(wait(&reconnect, 1), 60);
    }
}
