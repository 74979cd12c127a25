//! Axis scales: the visible range and the positions of the ticks.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// The visible range of an axis.
///
/// A logarithmic scale is linear in the base-10 logarithms of the values; that is where values are
/// placed.
#[derive(Debug)]
pub(super) struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
    light_ticks: Vec<f64>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Linear { decimals: usize },
    Log,
}

/// The position of a value on the axis, or `None` if it cannot be drawn.
pub(super) fn placed(value: f64, log: bool) -> Option<f64> {
    let at = if log { value.log10() } else { value };
    (at.is_finite() && at.abs() < LARGEST).then_some(at)
}

impl Scale {
    /// A scale that contains all given positions.
    pub(super) fn over(placed: impl Iterator<Item = f64>, log: bool) -> Self {
        let ends = placed.fold(None, |ends: Option<(f64, f64)>, at| {
            Some(ends.map_or((at, at), |(low, high)| (low.min(at), high.max(at))))
        });
        let (low, high) = ends.unwrap_or((0.0, 1.0));
        if log { Self::log(low, high) } else { Self::linear(low, high) }
    }

    /// A linear scale from tick to tick, starting at 0 if that is near.
    fn linear(low: f64, high: f64) -> Self {
        let low = if low > 0.0 && low < high * 0.6 { 0.0 } else { low };
        // A range of (nearly) equal values is widened.
        let size = low.abs().max(high.abs());
        let (low, high) = match () {
            () if size < SMALLEST => (0.0, 1.0),
            () if high - low > size * 1e-9 => (low, high),
            () if low > 0.0 => (0.0, high * 1.25),
            () => (low * 1.25, 0.0),
        };
        let step = nice_step((high - low) / LINEAR_STEPS);
        let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
        let ticks = (0..=(last - first) as i32).map(|n| (first + f64::from(n)) * step).collect();
        let decimals = (-step.log10().floor()).clamp(0.0, MOST_DECIMALS) as usize;
        let range = first * step..last * step;
        Self { range, ticks, light_ticks: Vec::new(), kind: Kind::Linear { decimals } }
    }

    /// A logarithmic scale from slightly below the minimum to slightly above the maximum, because
    /// the next power of ten could be far.
    fn log(low: f64, high: f64) -> Self {
        let widen = ((LEAST_DECADES - (high - low)) / 2.0).max((high - low) * 0.04);
        let range = low - widen..high + widen;
        let decades = range.end - range.start;
        let powers = || range.start.floor() as i32..=range.end.ceil() as i32;
        let multiples = |factors: &[f64]| -> Vec<f64> {
            let all = powers().flat_map(|power| {
                factors.iter().map(move |factor| f64::from(power) + factor.log10())
            });
            all.filter(|at| range.contains(at)).collect()
        };
        let few_powers = || {
            let stride = (decades / MOST_POWERS).ceil() as i32;
            let some = powers().filter(|power| power % stride == 0).map(f64::from);
            some.filter(|at| range.contains(at)).collect()
        };
        let ticks = if decades < 2.5 { multiples(&[1.0, 2.0, 5.0]) } else { few_powers() };
        let light_ticks = if decades < 6.0 {
            multiples(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
        } else {
            Vec::new()
        };
        Self { range, ticks, light_ticks, kind: Kind::Log }
    }
}

impl Ranged for Scale {
    type ValueType = f64;
    type FormatOption = NoDefaultFormatting;

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    fn map(&self, at: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (at - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let light = hint.weight().allow_light_points();
        if light { self.light_ticks.clone() } else { self.ticks.clone() }
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(at: &f64) -> String {
        at.to_string()
    }

    /// The label of a tick.
    fn format_ext(&self, at: &f64) -> String {
        match self.kind {
            Kind::Linear { decimals } => number(*at, decimals),
            Kind::Log => {
                let decimals = (-at.floor()).clamp(0.0, MOST_DECIMALS) as usize;
                number(10f64.powf(*at), decimals)
            }
        }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powi(least.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

/// A number in a few characters.
fn number(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let size = value.abs();
    if !(1e-4..1e13).contains(&size) {
        // Three digits suffice: ticks are apart by more.
        let scientific = format!("{value:.2e}");
        let (digits, exponent) =
            scientific.split_once('e').expect("the `e` format has an exponent");
        return format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= unit && size >= 1e4 {
            let shown = format!("{:.3}", value / unit);
            return format!("{}{name}", shown.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{value:.decimals$}")
}

/// Largest placed value; above it, differences might not be finite.
const LARGEST: f64 = 1e300;
/// Smallest range; below it, differences might be too small to divide by.
const SMALLEST: f64 = 1e-200;
const MOST_DECIMALS: f64 = 16.0;
/// Approximate maximum number of steps between ticks.
const LINEAR_STEPS: f64 = 6.0;
const LEAST_DECADES: f64 = 0.8;
/// Maximum number of labelled powers of ten on one axis.
const MOST_POWERS: f64 = 9.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        assert_eq!(labels(&[0.3, 9.5], false), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&[98.2, 100.0], false), ["98.0", "98.5", "99.0", "99.5", "100.0"]);
        assert_eq!(
            labels(&[-2.0, 30_000.0], false),
            ["-5000", "0", "5000", "10k", "15k", "20k", "25k", "30k"]
        );
        assert_eq!(
            labels(&[2.0], false),
            ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"].map(|l| l.replace("0.0", "0"))
        );
    }

    #[test]
    fn logarithmic_ticks_are_powers_or_few_multiples_of_them() {
        assert_eq!(labels(&[0.002, 4000.0], true), ["0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels(&[8.0, 300.0], true), ["10", "20", "50", "100", "200"]);
        assert_eq!(labels(&[3.0], true), ["2", "5"]);
        assert_eq!(labels(&[1e-9, 1e12], true).first().unwrap(), "1e-9");
    }

    #[test]
    fn what_a_logarithm_does_not_have_is_not_placed() {
        assert_eq!(
            [0.0, -1.0, f64::NAN, f64::INFINITY].map(|value| placed(value, true)),
            [None; 4]
        );
        assert_eq!(placed(-1.0, false), Some(-1.0));
        assert_eq!(placed(f64::MAX, false), None);
    }

    fn labels(values: &[f64], log: bool) -> Vec<String> {
        let scale = Scale::over(values.iter().filter_map(|&value| placed(value, log)), log);
        scale.ticks.iter().map(|at| scale.format_ext(at)).collect()
    }
}
