//! Seeds: the addresses through which the node finds its cluster, tried for as long as it runs.

use crate::addr::{Dialled, canonical, dialled};
use crate::error::{ExchangeError, Refusal};
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
    /// Whether the application vouches for it; the others are hints.
    trusted: bool,
    attempt: Attempt,
    backoff: Backoff,
    /// The error that was reported last; `None` after a success.
    error: Option<ExchangeError>,
}

/// How long to wait after the latest attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
enum Backoff {
    /// After so many attempts in a row without success.
    Failures(u32),
    /// The seed has asked for another attempt, so many times in a row.
    Soon(u32),
    /// The seed refuses for good.
    Final,
    /// This node refuses the seed: each attempt makes it a member there and takes that back.
    Unwanted,
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
    /// Number of members present, all of which may have the same seeds; 1 for a node that knows
    /// nobody.
    pub(crate) present: usize,
}

impl Pace {
    fn mean_wait(self, backoff: Backoff) -> Duration {
        let doublings = match backoff {
            Backoff::Soon(_) => return self.first,
            Backoff::Unwanted => return self.longest.saturating_mul(MAX_SHARE),
            Backoff::Final => 16,
            Backoff::Failures(failures) => failures.saturating_sub(1).min(16),
        };
        if self.present == 1 {
            return self.first.saturating_mul(1 << doublings).min(self.longest);
        }
        let share = u32::try_from(self.present / MEMBERS_PER_WAIT).unwrap_or(MAX_SHARE);
        self.longest.saturating_mul(share.clamp(1, MAX_SHARE))
    }
}

impl Seeds {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { list: Vec::new(), rng }
    }

    /// Replaces the seeds, or the hints; those that were there keep their backoff.
    pub(crate) fn set(&mut self, addrs: &[SocketAddr], trusted: bool) {
        let others = self.list.iter().filter(|seed| seed.trusted != trusted).map(|seed| seed.addr);
        let others = others.map(|addr| (addr, !trusted));
        let these = addrs.iter().map(|&addr| (Dialled(dialled(addr)), trusted));
        let mut all: Vec<_> = others.chain(these).collect();
        // A seed that is a hint too is a seed.
        all.sort_unstable_by_key(|&(addr, trusted)| (addr, !trusted));
        all.dedup_by_key(|&mut (addr, _)| addr);
        let list = all.into_iter().map(|(addr, trusted)| match self.find(addr) {
            Some(at) => Seed { trusted, ..self.list[at].clone() },
            None => Seed {
                addr,
                trusted,
                attempt: Attempt::Never,
                backoff: Backoff::Failures(0),
                error: None,
            },
        });
        self.list = list.collect();
    }

    /// Forgets the waits of all seeds.
    pub(crate) fn retry(&mut self) {
        for seed in self.list.iter_mut().filter(|seed| seed.attempt != Attempt::Running) {
            (seed.attempt, seed.backoff) = (Attempt::Never, Backoff::Failures(0));
        }
    }

    /// Whether an address is that of a seed, and not only of a hint.
    pub(crate) fn is_trusted(&self, addr: SocketAddr) -> bool {
        self.find(Dialled(addr)).is_some_and(|at| self.list[at].trusted)
    }

    fn find(&self, addr: Dialled) -> Option<usize> {
        self.list.binary_search_by_key(&addr, |seed| seed.addr).ok()
    }

    /// The seeds, without the hints.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.list.iter().filter(|seed| seed.trusted).map(|seed| seed.addr.0)
    }

    /// Whether any seed or hint is not at `own`, the node's own address.
    pub(crate) fn has_others(&self, own: SocketAddr) -> bool {
        self.list.iter().any(|seed| canonical(seed.addr.0) != own)
    }

    /// The time of the next attempt at any seed; `None` if there is no seed that is not tried now.
    pub(crate) fn next(&self, pace: Pace) -> Option<Instant> {
        self.list.iter().filter_map(|seed| seed.due(pace)).min()
    }

    /// Begins an attempt at a seed that is due; at a hint only if no seed is, and if `hints` are
    /// wanted.
    pub(crate) fn begin(&mut self, now: Instant, pace: Pace, hints: bool) -> Option<SocketAddr> {
        let at = self.pick(now, pace, true);
        let at = at.or_else(|| if hints { self.pick(now, pace, false) } else { None })?;
        self.list[at].attempt = Attempt::Running;
        Some(self.list[at].addr.0)
    }

    /// The seed, or hint, that has been due for longest; one at random of those that never were
    /// tried.
    fn pick(&mut self, now: Instant, pace: Pace, trusted: bool) -> Option<usize> {
        let all = self.list.iter().enumerate().filter(|(_, seed)| seed.trusted == trusted);
        let never = all.clone().filter(|(_, seed)| seed.attempt == Attempt::Never);
        let count = never.clone().count();
        if count > 0 {
            let pick = self.rng.below(count);
            return never.map(|(at, _)| at).nth(pick);
        }
        let due = all.filter_map(|(at, seed)| Some((seed.due(pace)?, at)));
        due.filter(|&(due, _)| due <= now).min().map(|(_, at)| at)
    }

    /// The number of hints that are being tried.
    pub(crate) fn running_hints(&self) -> usize {
        let running = |seed: &&Seed| !seed.trusted && seed.attempt == Attempt::Running;
        self.list.iter().filter(running).count()
    }

    /// Ends an attempt that was not made, because the seed is a member that is present, or this
    /// node itself.
    pub(crate) fn skip(&mut self, now: Instant, addr: SocketAddr) {
        self.end(now, addr, |seed| (seed.backoff, seed.error) = (Backoff::Failures(0), None));
    }

    /// Ends an attempt; returns the error if it is to be reported: the one before was another.
    pub(crate) fn on_attempt_ended(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        answer: Result<(), ExchangeError>,
    ) -> Option<ExchangeError> {
        let error = answer.err();
        let mut is_new = false;
        // That it asks for another attempt, or is this node itself, is no failure.
        let is_told = error.is_none_or(ExchangeError::is_failure);
        self.end(now, addr, |seed| {
            seed.backoff = match (error, seed.backoff) {
                (None, _) => Backoff::Failures(0),
                (Some(ExchangeError::Refused(Refusal::CheckingName)), Backoff::Soon(times))
                    if times < MAX_SOON =>
                {
                    Backoff::Soon(times + 1)
                }
                (
                    Some(ExchangeError::Refused(Refusal::CheckingName)),
                    Backoff::Failures(_) | Backoff::Final,
                ) => Backoff::Soon(1),
                // This node's own rules, after the peer made it a member.
                (
                    Some(ExchangeError::NotAccepted(
                        Refusal::AddressNotAllowed | Refusal::NotAdmitted,
                    )),
                    _,
                ) => Backoff::Unwanted,
                (Some(error), _) if error.is_final() => Backoff::Final,
                (Some(_), Backoff::Failures(failures)) => {
                    Backoff::Failures(failures.saturating_add(1))
                }
                (Some(_), _) => Backoff::Failures(1),
            };
            if is_told {
                is_new = error != seed.error;
                seed.error = error;
            }
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
            (seed.attempt, seed.error) = (Attempt::Never, None);
            seed.backoff = Backoff::Failures(0);
        }
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self) -> bool {
        let ordered = self.list.windows(2).all(|pair| pair[0].addr < pair[1].addr);
        ordered && self.list.len() <= 2 * MAX_SEEDS
    }
}

impl Seed {
    /// When it is to be tried; `None` while it is.
    fn due(&self, pace: Pace) -> Option<Instant> {
        match self.attempt {
            Attempt::Never => Some(Instant::ZERO),
            Attempt::Running => None,
            Attempt::Ended { at, share } => {
                let wait = pace.mean_wait(self.backoff);
                Some(at + wait / SHARE * share)
            }
        }
    }
}

/// The largest number of seeds, of a node or of one join, and of hints.
pub(crate) const MAX_SEEDS: usize = 1024;
/// Waits are randomized by half in either direction, in this many steps, so that nodes do not act
/// in step.
const SHARE: u32 = 1024;
/// The members who try one seed in the time of one wait, about: in a larger cluster each waits
/// longer.
const MEMBERS_PER_WAIT: usize = 8;
/// Attempts in a row for which a seed may ask; an honest one asks for one or two.
const MAX_SOON: u32 = 4;
/// The most waits that one takes, however large the cluster is or seems: 16 minutes with the preset
/// `lan`.
const MAX_SHARE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngStream;
    use alloc::collections::BTreeMap;
    use alloc::vec;

    const SECOND: Duration = Duration::from_secs(1);
    const ALONE: Pace = Pace { first: SECOND, longest: Duration::from_secs(30), present: 1 };
    const SILENT: ExchangeError = ExchangeError::TimedOut;

    fn addr(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    fn seeds(count: u8) -> Seeds {
        let mut seeds = Seeds::new(Rng::new([1; 32], RngStream::Seeds));
        seeds.set(&(1..=count).map(addr).collect::<Vec<_>>(), true);
        seeds
    }

    /// The number of attempts at one seed in a time, each of which fails with `error` at once.
    fn attempts(pace: Pace, error: ExchangeError, time: Duration) -> u32 {
        let (mut seeds, mut now, mut attempts) = (seeds(1), Instant::ZERO, 0);
        while let Some(due) = seeds.next(pace).filter(|due| due.since(Instant::ZERO) <= time) {
            now = now.max(due);
            assert_eq!(seeds.begin(now, pace, true), Some(addr(1)));
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
        let hundred = Pace { present: 100, ..ALONE };
        let hour = attempts(hundred, SILENT, 3600 * SECOND);
        assert!((5..=20).contains(&hour), "{hour}");
    }

    #[test]
    fn seeds_that_stay_keep_their_backoff_and_new_ones_are_tried_at_once() {
        let mut seeds = seeds(2);
        for _ in 0..2 {
            let tried = seeds.begin(Instant::ZERO, ALONE, true).unwrap();
            seeds.on_attempt_ended(Instant::ZERO, tried, Err(SILENT));
        }
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, true), None);
        seeds.set(&[addr(2), addr(3), addr(3)], true);
        assert_eq!(seeds.iter().collect::<Vec<_>>(), vec![addr(2), addr(3)]);
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, true), Some(addr(3)));
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, true), None);
        // What is a hint too is still a seed.
        seeds.set(&[addr(3), addr(4)], false);
        assert!(seeds.is_trusted(addr(3)) && !seeds.is_trusted(addr(4)));
        assert_eq!(seeds.iter().count(), 2);
        seeds.set(&[], false);
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, true), None);
        seeds.set(&[], true);
        assert_eq!(seeds.on_attempt_ended(Instant::ZERO, addr(3), Err(SILENT)), None);
        assert_eq!(seeds.next(ALONE), None);
    }

    #[test]
    fn the_seed_that_has_waited_longest_is_tried_first() {
        let mut seeds = seeds(3);
        let mut tried = BTreeMap::new();
        for second in 0..600 {
            let now = Instant::ZERO + SECOND * second;
            // One at a time: there is no room for more, and all are due.
            if let Some(seed) = seeds.begin(now, Pace { longest: SECOND, ..ALONE }, true) {
                *tried.entry(seed).or_insert(0) += 1;
                seeds.on_attempt_ended(now, seed, Err(SILENT));
            }
        }
        assert!(tried.len() == 3 && tried.values().all(|&count| count > 150), "{tried:?}");
    }

    #[test]
    fn hints_are_tried_after_seeds() {
        let mut seeds = seeds(1);
        seeds.set(&(2..=9).map(addr).collect::<Vec<_>>(), false);
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, true), Some(addr(1)));
        assert_eq!(seeds.begin(Instant::ZERO, ALONE, false), None);
        assert!(seeds.begin(Instant::ZERO, ALONE, true).is_some());
        assert_eq!(seeds.running_hints(), 1);
        seeds.on_attempt_ended(Instant::ZERO, addr(1), Err(SILENT));
        let later = Instant::ZERO + 60 * SECOND;
        assert_eq!(seeds.begin(later, ALONE, true), Some(addr(1)), "before hints never tried");
    }

    #[test]
    fn a_seed_that_checks_the_name_is_asked_again_soon_and_one_that_is_not_wanted_rarely() {
        let (mut seeds, among) = (seeds(1), Pace { present: 1000, ..ALONE });
        let mut wait = |error| {
            let now = seeds.next(among).unwrap();
            seeds.begin(now, among, true);
            seeds.on_attempt_ended(now, addr(1), Err(error));
            seeds.next(among).unwrap().since(now)
        };
        let checking = ExchangeError::Refused(Refusal::CheckingName);
        for _ in 0..MAX_SOON {
            assert!(wait(checking) < 2 * SECOND);
        }
        assert!(wait(checking) > 300 * SECOND, "it asks too often");
        assert!(wait(SILENT) > 300 * SECOND, "as the others do");
        assert!(wait(ExchangeError::NotAccepted(Refusal::NotAdmitted)) > 300 * SECOND);
    }
}
