//! Gossip: the queue of updates, the broadcasts of applications, and their deduplication.

pub(crate) mod broadcast;
pub(crate) mod broadcast_key;
pub(crate) mod dedup;
pub(crate) mod queue;
