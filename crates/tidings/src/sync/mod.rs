//! Anti-entropy: when nodes sync, how they find the differences between their membership tables,
//! how they reconnect to members that failed, and how they find their cluster through seeds.

pub(crate) mod diff;
pub(crate) mod name_checks;
pub(crate) mod ready;
pub(crate) mod reconnect;
pub(crate) mod seeds;
pub(crate) mod trigger;

use crate::config::options::Options;
use crate::rng::{Rng, RngStream};
use crate::sync::name_checks::NameChecks;
use crate::sync::ready::Readiness;
use crate::sync::reconnect::Reconnect;
use crate::sync::seeds::Seeds;
use crate::sync::trigger::SyncTrigger;
use bytes::Bytes;

/// The anti-entropy of a node: when it syncs, with what, and the members that it tries to find
/// again.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Sync {
    pub(crate) trigger: SyncTrigger,
    pub(crate) reconnect: Reconnect,
    pub(crate) seeds: Seeds,
    pub(crate) ready: Readiness,
    pub(crate) name_checks: NameChecks,
    /// Whether any peer knows this node as a member.
    pub(crate) is_member: bool,
    /// Whether this node has refused itself as a newcomer.
    pub(crate) met_itself: bool,
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
            seeds: Seeds::new(Rng::new(seed, RngStream::Seeds)),
            ready: Readiness::default(),
            name_checks: NameChecks::default(),
            is_member: false,
            met_itself: false,
            state: Bytes::new(),
            rng: Rng::new(seed, RngStream::Sync),
            reconnect_rng: Rng::new(seed, RngStream::Reconnect),
        }
    }
}
