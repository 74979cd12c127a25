//! The verdict lease: how long a node may declare others failed after a recent ack.

use crate::time::Instant;
use core::time::Duration;

/// The time until which a node may declare others failed, after a probe of its own was acked.
///
/// A node that is cut off or stalled gets no refutations. Without a lease, suspicion timers stand
/// still.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct VerdictLease {
    until: Instant,
}

impl VerdictLease {
    /// At its start a node has no lease.
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now }
    }

    /// Renews the lease for two and a half probe rounds, because a probe was acked; returns when
    /// the last lease ended, if there was a gap.
    pub(crate) fn renew(&mut self, now: Instant, round: Duration) -> Option<Instant> {
        let gap = (now > self.until).then_some(self.until);
        self.until = now + round * 5 / 2;
        gap
    }

    /// Extends the lease by a round that was spent on suspects, or on members that never answered:
    /// their silence says nothing about this node.
    pub(crate) fn extend(&mut self, now: Instant, round: Duration) {
        if self.is_valid(now - round) {
            self.until += round;
        }
    }

    #[cfg(feature = "record")]
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        now <= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_two_and_a_half_rounds_in_which_others_are_probed() {
        let second = Duration::from_secs(1);
        let at = |seconds: u32| Instant::ZERO + second * seconds;
        let mut lease = VerdictLease::new(at(0));
        assert!(!lease.is_valid(at(1)));
        assert_eq!(lease.renew(at(4), second), Some(at(0)));
        assert!(lease.is_valid(at(6)) && !lease.is_valid(at(7)));
        assert_eq!(lease.renew(at(6), second), None);
        lease.extend(at(8), second);
        assert!(lease.is_valid(at(9)));
        assert_eq!(lease.renew(at(20), second), Some(at(9) + second / 2));
    }
}
