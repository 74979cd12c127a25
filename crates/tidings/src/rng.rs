//! Random numbers: an independent stream for each part of a node, all from one seed.

use core::time::Duration;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
#[cfg(feature = "record")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The random number generator of one part of a node, seeded from the node's seed.
///
/// The algorithm is fixed (ChaCha with 8 rounds), so that a recorded seed replays after upgrades.
/// Each part has its own ChaCha stream, so that a change in one part does not alter the random
/// choices of the others.
#[derive(Clone, Debug)]
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    pub(crate) fn new(seed: [u8; 32], stream: RngStream) -> Self {
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(stream as u64);
        Self(rng)
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which must not be zero.
    ///
    /// By multiplication (Lemire 2019). The bias is below `bound / 2^32`, which is negligible for
    /// the choice of peers.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0 && u32::try_from(bound).is_ok());
        ((u64::from(self.u32()) * bound as u64) >> 32) as usize
    }

    /// A duration in `0..max`.
    pub(crate) fn within(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(self.u64()) * u128::from(nanos)) >> 64) as u64)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// As the seed, the stream, and the number of words drawn from it.
#[cfg(feature = "record")]
impl Serialize for Rng {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(rng) = self;
        (rng.get_seed(), rng.get_stream(), rng.get_word_pos()).serialize(serializer)
    }
}

#[cfg(feature = "record")]
impl<'de> Deserialize<'de> for Rng {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seed, stream, drawn) = Deserialize::deserialize(deserializer)?;
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(stream);
        rng.set_word_pos(drawn);
        Ok(Self(rng))
    }
}

/// The parts that draw random numbers, each with the number of its ChaCha stream, which never
/// changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RngStream {
    Members = 0,
    Probe = 1,
    Gossip = 2,
    Sync = 3,
    Reconnect = 4,
    #[cfg(feature = "encryption")]
    Nonces = 5,
    Ping = 6,
    Seeds = 7,
}
