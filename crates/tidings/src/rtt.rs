//! Round trips: how long a member takes to answer, and how long to wait for it.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A member's round-trip time, smoothed as TCP does it (RFC 6298).
///
/// Four bytes, since there is one for every member: the two times are in units of 32 µs, up to two
/// seconds; zero stands for no measurement.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Rtt {
    smoothed: u16,
    variation: u16,
}

impl Rtt {
    /// Takes a measurement.
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

    /// The smoothed round-trip time, if there was a measurement.
    pub(crate) fn smoothed(self) -> Option<Duration> {
        (self.smoothed != 0).then(|| time(self.smoothed.into()))
    }

    /// How long to wait for an answer: the smoothed time and four times its variation, between
    /// `min` and `max`; `max` for a member that has not answered yet.
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
    fn without_a_measurement_the_wait_is_the_longest() {
        assert_eq!(timeout(Rtt::default()), 500 * MILLI);
        assert_eq!(Rtt::default().smoothed(), None);
    }

    #[test]
    fn the_first_measurement_gives_three_times_itself() {
        let mut rtt = Rtt::default();
        rtt.measure(64 * MILLI);
        assert_eq!(rtt.smoothed(), Some(64 * MILLI));
        assert_eq!(timeout(rtt), 192 * MILLI);
    }

    #[test]
    fn steady_answers_narrow_the_wait_and_a_late_one_widens_it() {
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
    fn any_measurement_is_taken() {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.measure(Duration::MAX);
            rtt.measure(Duration::ZERO);
        }
        assert_eq!(rtt.timeout(MILLI, 500 * MILLI), 500 * MILLI);
    }
}
