//! Gossip: the queue of updates, the broadcasts of applications, and their deduplication.

pub(crate) mod broadcast;
pub(crate) mod broadcast_key;
pub(crate) mod dedup;
pub(crate) mod queue;

use crate::config::options::Options;
use crate::gossip::broadcast::Broadcasts;
use crate::gossip::dedup::BroadcastDedup;
use crate::gossip::queue::GossipQueue;
use crate::rng::{Rng, RngStream};
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::time::Instant;

/// The gossip of a node: the updates and broadcasts that it still sends, and when.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Gossip {
    /// Members whose updates are still sent.
    pub(crate) queue: GossipQueue,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) dedup: BroadcastDedup,
    /// The number of this node's next broadcast.
    pub(crate) next_broadcast: u64,
    /// Datagrams built so far: alternates between updates and broadcasts, and between accusers.
    pub(crate) datagrams_built: u64,
    /// The earliest time of the next gossip: one interval after the last.
    pub(crate) next_at: Instant,
    /// When a round may be early again.
    pub(crate) urgent_at: Instant,
    pub(crate) rng: Rng,
}

impl Gossip {
    pub(crate) fn new(seed: [u8; 32], options: &Options, now: Instant) -> Self {
        Self {
            queue: GossipQueue::default(),
            broadcasts: Broadcasts::new(options.max_broadcasts, options.max_broadcast_bytes),
            dedup: BroadcastDedup::new(options.max_members),
            next_broadcast: 0,
            datagrams_built: 0,
            next_at: now,
            urgent_at: Instant::ZERO,
            rng: Rng::new(seed, RngStream::Gossip),
        }
    }

    /// Whether an update or a broadcast is still to be sent.
    pub(crate) fn is_pending(&self) -> bool {
        !self.queue.is_empty() || !self.broadcasts.is_empty()
    }

    /// Rebuilds the parts that a checkpoint leaves out; `None` if the rest is not consistent.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.queue.restore()?;
        self.broadcasts.restore()?;
        self.dedup.restore()?;
        (self.next_broadcast.max(self.datagrams_built) <= MAX_COUNT).then_some(())
    }
}
