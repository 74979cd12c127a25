//! Evidence: whether a node hears enough to pronounce others failed.

use crate::time::Instant;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Until when a node may pronounce verdicts: for a while after its own probe was answered.
///
/// A node that is cut off or stalled hears no contradictions. Time in which it has no evidence that
/// it hears anybody does not count against a suspect.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct VerdictLease {
    until: Instant,
}

impl VerdictLease {
    /// At its start a node has heard nobody.
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now }
    }

    /// A probe was answered; returns since when there was no evidence, if there was none.
    ///
    /// It is good for two and a half probe rounds.
    pub(crate) fn renew(&mut self, now: Instant, round: Duration) -> Option<Instant> {
        let gap = (now > self.until).then_some(self.until);
        self.until = now + round * 5 / 2;
        gap
    }

    /// A round was spent on a suspect that did not answer: that says nothing about ourselves.
    pub(crate) fn extend(&mut self, now: Instant, round: Duration) {
        if self.is_valid(now - round) {
            self.until += round;
        }
    }

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
