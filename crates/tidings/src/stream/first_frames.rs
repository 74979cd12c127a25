//! The first frames of the streams that peers opened, so that none counts twice.

use alloc::collections::VecDeque;

/// The first frames of peers' streams that this node accepted, latest last, by the first eight
/// bytes of their random nonces.
///
/// Somebody without a key can repeat a recorded frame, and make none: only accepted frames of this
/// node's own peers take the places here.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct FirstFrames(VecDeque<u64>);

impl FirstFrames {
    /// Adds a frame, and forgets the oldest one if there are too many; `false` if it is there.
    pub(crate) fn add(&mut self, nonce: u64) -> bool {
        if self.0.contains(&nonce) {
            return false;
        }
        if self.0.len() >= MAX_FIRST_FRAMES {
            self.0.pop_front();
        }
        self.0.push_back(nonce);
        true
    }

    /// Whether restored ones are not too many.
    #[cfg(feature = "record")]
    pub(crate) fn is_bounded(&self) -> bool {
        self.0.len() <= MAX_FIRST_FRAMES
    }
}

/// Number of first frames that are remembered, in 32 KiB: a day of syncs at the usual rate.
const MAX_FIRST_FRAMES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_once_while_it_is_remembered() {
        let mut frames = FirstFrames::default();
        for nonce in 0..MAX_FIRST_FRAMES as u64 {
            assert!(frames.add(nonce));
        }
        assert!(!frames.add(0) && !frames.add(9));
        assert!(frames.add(u64::MAX), "it takes the place of the oldest");
        assert!(!frames.add(1) && frames.add(0));
        assert_eq!(frames.0.len(), MAX_FIRST_FRAMES);
    }
}
