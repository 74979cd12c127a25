//! Formatting and comparison of figures in the tables of experiments.

use crate::harness::Harness;
use crate::report::significant;
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::World;
use std::time::Duration;

/// Draws seeds for an experiment; each experiment has its own.
pub(super) fn seeds(harness: &Harness, experiment: u64, count: usize) -> Vec<u64> {
    let mut rng = SimRng::new(harness.seed(), experiment);
    (0..count).map(|_| rng.u64()).collect()
}

/// Note on the invariant checks for the end of a section.
pub(super) fn violations_note(violations: u64) -> String {
    if violations == 0 {
        "The invariants were checked at every step of every run; none was violated.".into()
    } else {
        format!("Invariant violations: {violations}.")
    }
}

/// A statistic with its 95 % confidence interval: `1.02 (0.99–1.05)`.
pub(super) fn with_interval(sample: &Sample, statistic: impl Fn(&Sample) -> f64) -> String {
    if sample.is_empty() {
        return significant(f64::NAN, 3);
    }
    let (low, high) = sample.interval(&statistic);
    let [value, low, high] = [statistic(sample), low, high].map(|value| significant(value, 3));
    if low == high { value } else { format!("{value} ({low}–{high})") }
}

/// A share with its 95 % confidence interval, by the normal approximation: `0.0286 ± 0.0003`.
pub(super) fn share_with_error(events: u64, of: u64) -> String {
    let share = events as f64 / of as f64;
    let off = 1.96 * (share * (1.0 - share) / of as f64).sqrt();
    if events == 0 {
        return format!("0 of {}", crate::report::count(of));
    }
    format!("{} ± {}", significant(share, 3), significant(off, 1))
}

/// Compares a figure with the expected one; `same` if the relative difference is within
/// `tolerance`.
pub(super) fn compare(ours: f64, expected: f64, tolerance: f64, same: &str) -> String {
    let off = ours / expected - 1.0;
    match off {
        _ if !off.is_finite() => "—".into(),
        _ if off.abs() <= tolerance => same.into(),
        _ if off > 1.0 => format!("{} times as much", significant(off + 1.0, 2)),
        _ => {
            let way = if off > 0.0 { "above" } else { "below" };
            format!("{} % {way}", significant(off.abs() * 100.0, 2))
        }
    }
}

/// Compares a statistic of a sample with the expected value; `same` if its confidence interval
/// contains that.
pub(super) fn compare_sample(
    sample: &Sample,
    statistic: impl Fn(&Sample) -> f64,
    expected: f64,
    same: &str,
) -> String {
    let (low, high) = sample.interval(&statistic);
    let tolerance = if (low..=high).contains(&expected) { f64::INFINITY } else { 0.01 };
    compare(statistic(sample), expected, tolerance, same)
}

/// Compares two figures of which the lower one is better.
pub(super) fn improvement(ours: f64, theirs: f64) -> String {
    match theirs / ours {
        _ if ours == 0.0 => "better: none".into(),
        times if times >= 1.0 => format!("{} times better", significant(times, 2)),
        times if times.is_finite() => {
            format!("worse: {} times as much", significant(1.0 / times, 2))
        }
        _ => "—".into(),
    }
}

/// A duration in seconds.
pub(super) fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Panics if a world has violated an invariant, because its results are worthless then.
pub(super) fn assert_no_violations(world: &World, seed: u64) {
    let violations = world.violations();
    assert!(violations.is_empty(), "with seed {seed}: {violations:#?}");
}
