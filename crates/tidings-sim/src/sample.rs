//! Statistics over repeated measurements.

use crate::sim_rng::SimRng;

/// A sample of measurements of one quantity.
#[derive(Clone, Debug, Default)]
pub struct Sample(Vec<f64>);

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }
}

impl Sample {
    /// Number of measurements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the sample is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mean; NaN if the sample is empty.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The quantile for a share of 0 to 1, interpolated between measurements; NaN if the sample is
    /// empty.
    pub fn quantile(&self, share: f64) -> f64 {
        let Some(last) = self.0.len().checked_sub(1) else { return f64::NAN };
        let at = share.clamp(0.0, 1.0) * last as f64;
        let (below, above) = (self.0[at.floor() as usize], self.0[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The maximum.
    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The 95 % confidence interval of a statistic: bootstrap percentiles over 1,000 resamples.
    pub fn interval(&self, statistic: impl Fn(&Self) -> f64) -> (f64, f64) {
        let mut rng = SimRng::new(self.0.len() as u64, 3);
        let resampled = (0..RESAMPLES)
            .map(|_| statistic(&(0..self.len()).map(|_| self.0[rng.below(self.len())]).collect()));
        let resampled: Self = resampled.filter(|value| !value.is_nan()).collect();
        (resampled.quantile(0.025), resampled.quantile(0.975))
    }
}

const RESAMPLES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_and_the_interval_holds_the_mean() {
        let sample: Sample = [3.0, 1.0, 2.0, 4.0].into_iter().collect();
        assert_eq!((sample.mean(), sample.median(), sample.max()), (2.5, 2.5, 4.0));
        assert_eq!(sample.quantile(0.0), 1.0);
        let (low, high) = sample.interval(Sample::mean);
        assert!(low < 2.5 && 2.5 < high && low >= 1.0 && high <= 4.0);
        assert!(Sample::default().mean().is_nan() && Sample::default().median().is_nan());
    }
}
