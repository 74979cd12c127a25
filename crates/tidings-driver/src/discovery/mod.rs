//! Sources of seeds: where a node looks for members of its cluster, again and again.
//!
//! One thread for each node does all lookups, so that the node waits for none. It gives the node
//! the addresses of all sources whenever they have changed; the node tries them.

mod exec;
mod read;
mod schedule;
mod source;
#[cfg(feature = "srv")]
mod srv;
mod thread;

pub(crate) use read::MAX_SEEDS;
pub use read::SourceError;
pub use source::{InvalidSource, SeedSource};
pub(crate) use thread::Discovery;
