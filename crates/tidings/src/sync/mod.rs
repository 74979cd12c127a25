//! Anti-entropy: when nodes sync, how they find the differences between their membership tables,
//! and how they reconnect to members that failed.

pub(crate) mod diff;
pub(crate) mod reconnect;
pub(crate) mod trigger;

use crate::config::options::Options;
use crate::rng::{Rng, RngStream};
use crate::sync::reconnect::Reconnect;
use crate::sync::trigger::SyncTrigger;
use bytes::Bytes;

/// The anti-entropy of a node: when it syncs, with what, and the members that it tries to find
/// again.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Sync {
    pub(crate) trigger: SyncTrigger,
    pub(crate) reconnect: Reconnect,
    /// The application's state, sent with each sync.
    pub(crate) state: Bytes,
    pub(crate) rng: Rng,
    pub(crate) reconnect_rng: Rng,
}

impl Sync {
    pub(crate) fn new(seed: [u8; 32], options: &Options) -> Self {
        Self {
            trigger: SyncTrigger::default(),
            reconnect: Reconnect::new(options.max_reconnect),
            state: Bytes::new(),
            rng: Rng::new(seed, RngStream::Sync),
            reconnect_rng: Rng::new(seed, RngStream::Reconnect),
        }
    }
}
