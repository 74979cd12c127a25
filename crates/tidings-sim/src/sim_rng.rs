//! Random number generator of the simulation: the same numbers for a seed on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
use std::time::Duration;

/// A deterministic random number generator for one purpose, seeded by a number.
///
/// Each purpose has its own ChaCha stream, so that a change in how one thing is drawn does not
/// shift the others. Logarithms come from `libm`, because the results of system libraries differ.
#[derive(Clone, Debug)]
pub struct SimRng(ChaCha8Rng);

impl SimRng {
    /// The generator of a seed for a purpose, which may be any number.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// The next 32 bytes, as a seed for a node.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// The next 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.u64()) * bound as u128) >> 64) as usize
    }

    /// A uniform number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `true` with the given probability; draws nothing if the probability is 0 or at least 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.unit() < probability)
    }

    /// A uniform duration in `[0, span)`.
    pub fn uniform(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.unit())
    }

    /// An exponentially distributed duration, capped at 30 times the mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64((-libm::log(1.0 - self.unit())).min(30.0))
    }

    /// A number from the standard normal distribution (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        libm::sqrt(-2.0 * libm::log(1.0 - radius)) * libm::cos(core::f64::consts::TAU * angle)
    }

    /// A uniformly chosen item.
    ///
    /// # Panics
    ///
    /// If the slice is empty.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A random sample of `count` numbers from `0..of`, in ascending order; all of them if `count`
    /// is larger.
    pub fn sample_sorted(&mut self, count: usize, of: usize) -> Vec<usize> {
        let mut all: Vec<_> = (0..of).collect();
        let count = count.min(of);
        for at in 0..count {
            let other = at + self.below(of - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_each_purpose_its_own() {
        let draw = |seed, purpose| {
            let mut rng = SimRng::new(seed, purpose);
            [rng.u64(), rng.below(1 << 40) as u64, rng.uniform(Duration::MAX / 4).as_secs()]
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn distributions_have_their_means() {
        let mut rng = SimRng::new(1, 0);
        let count = 20_000;
        let mean = |draw: &mut dyn FnMut() -> f64| {
            (0..count).map(|_| draw()).sum::<f64>() / f64::from(count)
        };
        let second = Duration::from_secs(1);
        let exponential = mean(&mut || rng.exponential(second).as_secs_f64());
        assert!((0.97..1.03).contains(&exponential), "{exponential}");
        let normal = mean(&mut || rng.normal());
        assert!(normal.abs() < 0.03, "{normal}");
        let chance = mean(&mut || f64::from(u8::from(rng.chance(0.25))));
        assert!((0.24..0.26).contains(&chance), "{chance}");
        assert_eq!(rng.sample_sorted(3, 3), [0, 1, 2]);
        assert_eq!(rng.sample_sorted(2, 100).len(), 2);
    }
}
