//! When a node starts a sync: at a regular interval, and when digests differ for a while.

use crate::time::Instant;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Whether those whom we hear of know the same as we do: every probe is a sync check.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct SyncTrigger {
    /// Since when nobody agreed with us; `None` while somebody did last.
    differs_since: Option<Instant>,
    /// Before this no comparison is begun.
    not_before: Instant,
    /// How many comparisons in a row have changed nothing.
    fruitless: u32,
}

impl SyncTrigger {
    /// Somebody's digest was heard; `true` if it is time to compare.
    ///
    /// A difference is given time to `settle`: news may be under way. Comparisons that change nothing
    /// are begun ever less often, up to once in `longest`.
    pub(crate) fn on_digest(
        &mut self,
        now: Instant,
        same: bool,
        settle: Duration,
        longest: Duration,
    ) -> bool {
        if same {
            self.differs_since = None;
            self.fruitless = 0;
            return false;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.since(since) < settle || now < self.not_before {
            return false;
        }
        let wait = settle.saturating_mul(2 << self.fruitless.min(16)).min(longest);
        self.not_before = now + wait;
        self.fruitless += 1;
        true
    }

    /// A comparison has brought something new.
    pub(crate) fn on_change(&mut self) {
        self.fruitless = 0;
    }
}

/// The time between two syncs that a node begins, among `members`.
///
/// Up to 32 members as configured; beyond that it grows with the logarithm, so that the traffic of
/// a cluster does not grow with its square (memberlist's `pushPullScale`).
pub(crate) fn interval(configured: Duration, members: usize) -> Duration {
    const THRESHOLD: u32 = 5; // 2^5 = 32 members
    let scale = match members.max(1).next_power_of_two().ilog2() {
        log2 if log2 <= THRESHOLD => 1,
        log2 => log2 - THRESHOLD + 1,
    };
    configured.saturating_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intervals_are_those_of_memberlist() {
        let second = Duration::from_secs(1);
        for (members, scale) in
            [(0, 1), (1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (1000, 6), (10_000, 10)]
        {
            assert_eq!(interval(second, members), second * scale, "{members} members");
        }
    }
}
