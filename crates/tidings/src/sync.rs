//! Sync: how often the whole membership is compared with another member's.

use core::time::Duration;

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
