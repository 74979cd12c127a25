//! Seeds: the addresses through which the node finds its cluster, tried for as long as it runs.

use crate::addr::{Dialled, canonical, dialled};
use crate::error::ExchangeError;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// The node's seeds, and the backoff between attempts at each.
///
/// While the node knows nobody, each seed is tried with exponential backoff. Afterwards the seeds
/// that are no members are tried at a low rate, so that islands which share a seed merge.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Seeds {
    /// Ordered by address.
    list: Vec<Seed>,
    rng: Rng,
}

/// A seed, with its latest attempt.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Seed {
    addr: Dialled,
    attempt: Attempt,
    /// Attempts in a row without success.
    failures: u32,
    /// The error that was reported last; `None` after a success.
    error: Option<ExchangeError>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
enum Attempt {
    /// There was none.
    Never,
    Running,
    /// The latest one ended then; `share` of 1,024ths of the wait is taken.
    Ended {
        at: Instant,
        share: u32,
    },
}

/// The waits between two attempts at one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The first wait, which each failure doubles; for a node that knows nobody.
    pub(crate) first: Duration,
    /// The longest one.
    pub(crate) longest: Duration,
    /// Whether the node knows nobody.
    pub(crate) alone: bool,
    /// Number of members present, all of which may have the same seeds.
    pub(crate) present: usize,
}

impl Pace {
    /// The mean wait after so many failures in a row.
    fn wait(self, failures: u32) -> Duration {
        if self.alone {
            let doublings = failures.saturating_sub(1).min(16);
            return self.first.saturating_mul(1 << doublings).min(self.longest);
        }
        let share = u32::try_from(self.present / MEMBERS_PER_WAIT).unwrap_or(u32::MAX);
        self.longest.saturating_mul(share.max(1))
    }
}

impl Seeds {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { list: Vec::new(), rng }
    }

    /// Replaces the seeds; those that were there keep their backoff.
    pub(crate) fn set(&mut self, addrs: &[SocketAddr]) {
        let mut addrs: Vec<_> = addrs.iter().map(|&addr| Dialled(dialled(addr))).collect();
        addrs.sort_unstable();
        addrs.dedup();
        let list = addrs.into_iter().map(|addr| match self.find(addr) {
            Some(at) => self.list[at].clone(),
            None => Seed { addr, attempt: Attempt::Never, failures: 0, error: None },
        });
        self.list = list.collect();
    }

    fn find(&self, addr: Dialled) -> Option<usize> {
        self.list.binary_search_by_key(&addr, |seed| seed.addr).ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.list.iter().map(|seed| seed.addr.0)
    }

    /// Whether any seed is not at `own`, the node's own address.
    pub(crate) fn has_others(&self, own: SocketAddr) -> bool {
        self.iter().any(|seed| canonical(seed) != own)
    }

    /// The time of the next attempt at any seed; `None` if there is no seed that is not tried now.
    pub(crate) fn next(&self, pace: Pace) -> Option<Instant> {
        self.list.iter().filter_map(|seed| seed.due(pace)).min()
    }

    /// Begins an attempt at a seed that is due; one picked at random of those that never were
    /// tried.
    pub(crate) fn begin(&mut self, now: Instant, pace: Pace) -> Option<SocketAddr> {
        let due = |seed: &&mut Seed| seed.due(pace).is_some_and(|due| due <= now);
        let never = |seed: &Seed| seed.attempt == Attempt::Never;
        let count = self.list.iter().filter(|seed| never(seed)).count();
        let seed = if count > 0 {
            let pick = self.rng.below(count);
            self.list.iter_mut().filter(|seed| never(seed)).nth(pick)?
        } else {
            self.list.iter_mut().find(due)?
        };
        seed.attempt = Attempt::Running;
        Some(seed.addr.0)
    }

    /// Ends an attempt that was not made, because the seed is a member that is present, or this
    /// node itself.
    pub(crate) fn skip(&mut self, now: Instant, addr: SocketAddr) {
        self.end(now, addr, |seed| (seed.failures, seed.error) = (0, None));
    }

    /// Ends an attempt; returns the error if it is to be reported: the one before was another.
    ///
    /// After a refusal that is final the next wait is the longest one.
    pub(crate) fn on_attempt_ended(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        answer: Result<(), ExchangeError>,
    ) -> Option<ExchangeError> {
        let error = answer.err();
        let mut is_new = false;
        self.end(now, addr, |seed| {
            seed.failures = match error {
                None => 0,
                Some(error) if error.is_final() => u32::MAX,
                Some(_) => seed.failures.saturating_add(1),
            };
            is_new = error != seed.error;
            seed.error = error;
        });
        error.filter(|_| is_new)
    }

    fn end(&mut self, now: Instant, addr: SocketAddr, update: impl FnOnce(&mut Seed)) {
        let share = SHARE / 2 + self.rng.below(SHARE as usize) as u32;
        // It may have been taken out.
        let Some(at) = self.find(Dialled(addr)) else { return };
        let seed = &mut self.list[at];
        seed.attempt = Attempt::Ended { at: now, share };
        update(seed);
    }

    /// Forgets all attempts, because the node has left.
    pub(crate) fn reset(&mut self) {
        for seed in &mut self.list {
            (seed.attempt, seed.failures, seed.error) = (Attempt::Never, 0, None);
        }
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self) -> bool {
        let ordered = self.list.windows(2).all(|pair| pair[0].addr < pair[1].addr);
        ordered && self.list.len() <= MAX_SEEDS
    }
}

impl Seed {
    /// When it is to be tried; `None` while it is.
    fn due(&self, pace: Pace) -> Option<Instant> {
        match self.attempt {
            Attempt::Never => Some(Instant::ZERO),
            Attempt::Running => None,
            Attempt::Ended { at, share } => {
                let wait = pace.wait(self.failures);
                Some(at + wait / SHARE * share)
            }
        }
    }
}

/// The largest number of seeds, of a node or of one join.
pub(crate) const MAX_SEEDS: usize = 1024;
/// Waits are randomized by half in either direction, in this many steps, so that nodes do not act
/// in step.
const SHARE: u32 = 1024;
/// The members who try one seed in the time of one wait, about: in a larger cluster each waits
/// longer.
const MEMBERS_PER_WAIT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;
    use crate::rng::RngStream;
    use alloc::vec;

    const SECOND: Duration = Duration::from_secs(1);
    const ALONE: Pace =
        Pace { first: SECOND, longest: Duration::from_secs(30), alone: true, present: 1 };
    const SILENT: ExchangeError = ExchangeError::TimedOut;

    fn addr(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    fn seeds(count: u8) -> Seeds {
        let mut seeds = Seeds::new(Rng::new([1; 32], RngStream::Seeds));
        seeds.set(&(1..=count).map(addr).collect::<Vec<_>>());
        seeds
    }

    /// The number of attempts at one seed in a time, each of which fails with `error` at once.
    fn attempts(pace: Pace, error: ExchangeError, time: Duration) -> u32 {
        let (mut seeds, mut now, mut attempts) = (seeds(1), Instant::ZERO, 0);
        while let Some(due) = seeds.next(pace).filter(|due| due.since(Instant::ZERO) <= time) {
            now = now.max(due);
            assert_eq!(seeds.begin(now, pace), Some(addr(1)));
            assert_eq!(seeds.next(pace), None, "one attempt at a time");
            let told = seeds.on_attempt_ended(now, addr(1), Err(error));
            assert_eq!(told, (attempts == 0).then_some(error), "an error is reported once");
            attempts += 1;
        }
        attempts
    }

    #[test]
    fn a_seed_is_tried_a_handful_of_times_a_minute_and_never_given_up() {
        let first_minute = attempts(ALONE, SILENT, 60 * SECOND);
        assert!((5..=8).contains(&first_minute), "{first_minute}");
        let hour = attempts(ALONE, SILENT, 3600 * SECOND);
        assert!((100..=140).contains(&hour), "{hour}");
    }

    #[test]
    fn after_a_final_refusal_and_among_members_it_is_tried_rarely() {
        let refused = ExchangeError::Refused(Refusal::ForeignCluster);
        assert!(attempts(ALONE, refused, 60 * SECOND) <= 4);
        let hundred = Pace { alone: false, present: 100, ..ALONE };
        let hour = attempts(hundred, SILENT, 3600 * SECOND);
        assert!((5..=20).contains(&hour), "{hour}");
    }

    #[test]
    fn seeds_that_stay_keep_their_backoff_and_new_ones_are_tried_at_once() {
        let mut seeds = seeds(2);
        for _ in 0..2 {
            let tried = seeds.begin(Instant::ZERO, ALONE).unwrap();
            seeds.on_attempt_ended(Instant::ZERO, tried, Err(SILENT));
        }
        assert_eq!(seeds.begin(Instant::ZERO, ALONE), None);
        seeds.set(&[addr(2), addr(3), addr(3)]);
        assert_eq!(seeds.iter().collect::<Vec<_>>(), vec![addr(2), addr(3)]);
        assert_eq!(seeds.begin(Instant::ZERO, ALONE), Some(addr(3)));
        assert_eq!(seeds.begin(Instant::ZERO, ALONE), None);
        seeds.set(&[]);
        assert_eq!(seeds.on_attempt_ended(Instant::ZERO, addr(3), Err(SILENT)), None);
        assert_eq!(seeds.next(ALONE), None);
    }
}
