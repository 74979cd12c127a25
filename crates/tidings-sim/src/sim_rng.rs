//! SimRng: random numbers that are the same for a seed on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
use std::time::Duration;

/// Random numbers for one purpose, drawn from a seed.
///
/// Each purpose has a ChaCha stream of its own, so that a change in how one thing is drawn does not
/// reshuffle the others. Logarithms come from `libm`, since those of operating systems differ.
#[derive(Clone, Debug)]
pub struct SimRng(ChaCha8Rng);

impl SimRng {
    /// The rng of a seed for a purpose, of which there may be any number.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// A seed for a node.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.u64()) * bound as u128) >> 64) as usize
    }

    /// A number from 0 up to and without 1.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of such a probability comes to pass; draws nothing if that is certain.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.unit() < probability)
    }

    /// A length of time up to and without `span`.
    pub fn uniform(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.unit())
    }

    /// A length of time that is exponentially distributed; never more than 30 times the mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64((-libm::log(1.0 - self.unit())).min(30.0))
    }

    /// A number of the standard normal distribution (Box and Muller's).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        libm::sqrt(-2.0 * libm::log(1.0 - radius)) * libm::cos(core::f64::consts::TAU * angle)
    }

    /// One of them.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// So many of `0..of` in ascending order, or all of them.
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
