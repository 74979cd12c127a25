//! Healing: how the two sides of a partition find each other again.

use crate::addr::{Dialled, canonical};
use crate::member::NodeId;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Who was lost, and where they and the seeds may be found again.
///
/// They are remembered for longer than the dead are, without an end but in bounded number, and tried
/// one at a time, ever less often.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reconnect {
    /// Members that failed and have not come back, the latest last.
    lost: VecDeque<(NodeId, SocketAddr)>,
    /// Seeds of joins that succeeded, the latest last.
    seeds: VecDeque<Dialled>,
    max: usize,
    /// How many attempts in a row found nobody.
    attempts: u32,
    /// Members that failed one soon after the other.
    failures: usize,
    last_failure: Instant,
    /// Whether the application was told of these.
    reported: bool,
}

impl Reconnect {
    /// Remembers at most `max` members and as many seeds.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            lost: VecDeque::new(),
            seeds: VecDeque::new(),
            max,
            attempts: 0,
            failures: 0,
            last_failure: Instant::ZERO,
            reported: false,
        }
    }

    /// A member failed, of whom there were `before`; returns how many failed with it if that looks
    /// like a partition, the first time.
    ///
    /// It does if within a `window` each a quarter of the members failed, and three at least.
    pub(crate) fn on_failed(
        &mut self,
        now: Instant,
        id: &NodeId,
        addr: SocketAddr,
        present: usize,
        window: Duration,
    ) -> Option<usize> {
        self.remove_lost(id);
        remember(&mut self.lost, self.max, (id.clone(), addr));
        self.attempts = 0;
        if now.since(self.last_failure) > window {
            (self.failures, self.reported) = (0, false);
        }
        self.last_failure = now;
        self.failures += 1;
        let many = self.failures >= 3 && self.failures * 4 >= present + self.failures;
        (many && !core::mem::replace(&mut self.reported, true)).then_some(self.failures)
    }

    /// A member is there, or left.
    pub(crate) fn remove_lost(&mut self, id: &NodeId) {
        self.lost.retain(|(lost, _)| lost != id);
    }

    /// A seed took us in, or did not answer while another one did.
    pub(crate) fn add_seed(&mut self, addr: SocketAddr) {
        self.seeds.retain(|seed| seed.0 != addr);
        remember(&mut self.seeds, self.max, Dialled(addr));
    }

    /// Whoever was at this address has left.
    pub(crate) fn remove_seed(&mut self, addr: SocketAddr) {
        self.seeds.retain(|seed| canonical(seed.0) != addr);
    }

    /// Somebody to try, at random; `is_present` says where a member is known to be.
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
        self.lost.iter().map(|&(_, addr)| addr).chain(self.seeds.iter().map(|seed| seed.0))
    }

    /// How long to wait until somebody is tried, where `present` members do the same.
    ///
    /// Each failed attempt doubles it, from `first` to `longest`. Where many have lost a few, each
    /// waits longer, so that all together try each of them once in that time.
    pub(crate) fn wait(
        &self,
        rng: &mut Rng,
        present: usize,
        first: Duration,
        longest: Duration,
    ) -> Duration {
        let backed_off = first.saturating_mul(1 << self.attempts.min(16)).min(longest);
        let crowd = (present / self.lost.len().max(1)).max(1);
        let wait = backed_off.saturating_mul(u32::try_from(crowd).unwrap_or(u32::MAX));
        // From half of it to one and a half, so that nodes do not act together.
        wait / 2 + rng.within(wait)
    }

    /// Whether there is anybody to find.
    pub(crate) fn has_candidates(&self) -> bool {
        !self.lost.is_empty() || !self.seeds.is_empty()
    }

    /// An attempt has ended: whoever answered at the address is found, be it somebody else.
    pub(crate) fn on_attempt_ended(&mut self, addr: SocketAddr, found: bool) {
        if found {
            self.attempts = 0;
            self.lost.retain(|&(_, lost)| lost != canonical(addr));
        } else {
            self.attempts = self.attempts.saturating_add(1);
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.lost.len() <= self.max && self.seeds.len() <= self.max);
    }
}

fn remember<T>(list: &mut VecDeque<T>, max: usize, item: T) {
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
    fn many_failures_in_short_time_look_like_a_partition_once() {
        let mut reconnect = Reconnect::new(8);
        assert_eq!(fail(&mut reconnect, 1, 1, 9), None);
        assert_eq!(fail(&mut reconnect, 2, 2, 8), None);
        assert_eq!(fail(&mut reconnect, 3, 3, 7), Some(3));
        assert_eq!(fail(&mut reconnect, 4, 4, 6), None, "it was reported");
        for n in 5..9 {
            assert_eq!(
                fail(&mut reconnect, 100 * n as u64, n, 5),
                None,
                "one at a time is no partition"
            );
        }
        for n in 10..20 {
            assert_eq!(fail(&mut reconnect, 9000, n, 100), None, "nor are few of many");
        }
    }

    #[test]
    fn a_lost_member_is_tried_until_it_is_back_and_the_latest_are_remembered() {
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
    fn attempts_become_rarer_and_are_shared_among_the_nodes_that_try() {
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
