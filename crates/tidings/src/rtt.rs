//! Round-trip times, and the probe timeouts that follow from them.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A member's round-trip time, smoothed as in TCP (RFC 6298).
///
/// It takes four bytes, because each member has one: both times are in units of 32 µs, up to two
/// seconds. Zero means no measurement.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Rtt {
    smoothed: u16,
    variation: u16,
}

impl Rtt {
    /// Adds a measurement.
    pub(crate) fn measure(&mut self, rtt: Duration) {
        let rtt = rtt.as_micros() / u128::from(UNIT_MICROS);
        let rtt = u16::try_from(rtt).unwrap_or(u16::MAX).max(1);
        if self.smoothed == 0 {
            *self = Self { smoothed: rtt, variation: rtt / 2 };
            return;
        }
        let weighted = |old: u16, weight: u32, new: u16| {
            ((u32::from(old) * (weight - 1) + u32::from(new) + weight / 2) / weight) as u16
        };
        self.variation = weighted(self.variation, 4, self.smoothed.abs_diff(rtt));
        self.smoothed = weighted(self.smoothed, 8, rtt).max(1);
    }

    /// The smoothed round-trip time; `None` without a measurement.
    pub(crate) fn smoothed(self) -> Option<Duration> {
        (self.smoothed != 0).then(|| time(self.smoothed.into()))
    }

    /// The probe timeout: the smoothed time plus four times its variation, at least `min` and at
    /// most `max`; `max` without a measurement.
    pub(crate) fn timeout(self, min: Duration, max: Duration) -> Duration {
        if self.smoothed == 0 {
            return max;
        }
        let units = u64::from(self.smoothed) + 4 * u64::from(self.variation);
        time(units).max(min).min(max)
    }
}

fn time(units: u64) -> Duration {
    Duration::from_micros(units * UNIT_MICROS)
}

const UNIT_MICROS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn timeout(rtt: Rtt) -> Duration {
        rtt.timeout(Duration::ZERO, 500 * MILLI)
    }

    #[test]
    fn without_a_measurement_the_timeout_is_the_maximum() {
        assert_eq!(timeout(Rtt::default()), 500 * MILLI);
        assert_eq!(Rtt::default().smoothed(), None);
    }

    #[test]
    fn the_timeout_after_the_first_measurement_is_three_times_that() {
        let mut rtt = Rtt::default();
        rtt.measure(64 * MILLI);
        assert_eq!(rtt.smoothed(), Some(64 * MILLI));
        assert_eq!(timeout(rtt), 192 * MILLI);
    }

    #[test]
    fn steady_round_trips_shorten_the_timeout_and_a_slow_one_extends_it() {
        let mut rtt = Rtt::default();
        for _ in 0..40 {
            rtt.measure(64 * MILLI);
        }
        assert!(timeout(rtt) < 66 * MILLI, "{:?}", timeout(rtt));
        assert_eq!(rtt.timeout(100 * MILLI, 500 * MILLI), 100 * MILLI);
        rtt.measure(264 * MILLI);
        assert!(timeout(rtt) > 250 * MILLI, "{:?}", timeout(rtt));
    }

    #[test]
    fn extreme_measurements_stay_within_the_range() {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.measure(Duration::MAX);
            rtt.measure(Duration::ZERO);
        }
        assert_eq!(rtt.timeout(MILLI, 500 * MILLI), 500 * MILLI);
    }
}
