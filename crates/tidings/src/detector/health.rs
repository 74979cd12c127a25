//! Local health: a node's estimate of its own health.

use core::time::Duration;

/// The local health score (Lifeguard §IV-A).
///
/// A node that misses acks and nacks may be slow itself. The worse its score, the longer its probe
/// rounds, and the later it suspects others.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct LocalHealth {
    /// 0 is healthy.
    score: u32,
    /// The score stays below this; 1 switches local health off.
    limit: u32,
}

impl LocalHealth {
    pub(crate) fn new(limit: u32) -> Self {
        Self { score: 0, limit }
    }

    /// Whether a restored score is one of a node with this limit.
    #[cfg(feature = "record")]
    pub(crate) fn is_below(&self, limit: u32) -> bool {
        self.limit == limit && self.score < limit
    }

    pub(crate) fn score(&self) -> u32 {
        self.score
    }

    /// Improves the score by one, because a probe was acked.
    pub(crate) fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Resets the score, because all relays of a probe answered.
    pub(crate) fn recover(&mut self) {
        self.score = 0;
    }

    /// Worsens the score.
    pub(crate) fn worsen(&mut self, by: u32) {
        self.score = self.score.saturating_add(by).min(self.limit - 1);
    }

    /// The duration of a probe round. The timeout of the direct ping and suspicions are *not*
    /// scaled, as in memberlist: the additional time is for the relays.
    pub(crate) fn scale(&self, probe_interval: Duration) -> Duration {
        probe_interval.saturating_mul(self.score + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_in_its_range_and_scales_the_interval() {
        let second = Duration::from_secs(1);
        let mut health = LocalHealth::new(8);
        health.improve();
        assert_eq!(health.scale(second), second);
        health.worsen(3);
        assert_eq!(health.scale(second), second * 4);
        health.worsen(100);
        assert_eq!(health.scale(second), second * 8);
        let mut off = LocalHealth::new(1);
        off.worsen(3);
        assert_eq!(off.scale(second), second);
    }
}
