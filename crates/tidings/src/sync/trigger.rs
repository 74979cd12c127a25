//! When a node starts a sync: at regular intervals, and while received digests differ from its own.

use crate::time::Instant;
use core::time::Duration;

/// Digest checks: the decision to sync, from the digests in pings and acks.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct SyncTrigger {
    /// Time of the first differing digest after an equal one; `None` if the latest was equal.
    differs_since: Option<Instant>,
    /// No sync starts before this.
    not_before: Instant,
    /// Number of syncs in a row that changed nothing.
    without_change: u32,
}

impl SyncTrigger {
    /// Handles a peer's digest; returns `true` if a sync with that peer is due.
    ///
    /// A sync is due once no digest was equal for `settle_time`, because gossip may still resolve
    /// the difference. The delay after each sync that changes nothing doubles, up to `max_wait`.
    pub(crate) fn on_digest(
        &mut self,
        now: Instant,
        same: bool,
        settle_time: Duration,
        max_wait: Duration,
    ) -> bool {
        if same {
            self.differs_since = None;
            self.without_change = 0;
            return false;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.since(since) < settle_time || now < self.not_before {
            return false;
        }
        let wait = settle_time.saturating_mul(2 << self.without_change.min(16)).min(max_wait);
        self.not_before = now + wait;
        self.without_change = self.without_change.saturating_add(1);
        true
    }

    /// The node learned something new: resets the backoff.
    pub(crate) fn on_change(&mut self) {
        self.without_change = 0;
    }
}

/// Interval between two regular syncs that a node initiates, among `members`.
///
/// The configured value for up to 32 members; beyond that it grows with the logarithm, so that a
/// cluster's sync traffic does not grow with the square of its size (memberlist's `pushPullScale`).
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
