//! What all drivers of a [`Node`](tidings::Node) have in common, whatever they run on.
//!
//! A driver moves bytes and time between a node and the system. Here is what has nothing to do with how it
//! waits: a [`DriverState`] is a node with its waiting commands, its events and its recording; [`start`]
//! makes one with its sockets; a [`Handle`] is what an application holds, and asks without
//! waiting. A driver of its own is what implements [`Drive`]: the crates `tidings-std`,
//! `tidings-async-io` and `tidings-tokio` are examples.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "async")]
pub mod asynchronous;
pub mod begin;
mod error;
mod handle;
#[cfg(feature = "encryption")]
mod keys;
mod lookup;
pub mod prelude;
pub mod sockets;
mod state;
pub mod streams;

pub use error::{BindError, CommandError, JoinFailed};
pub use handle::{Drive, Handle};
#[cfg(feature = "encryption")]
pub use keys::KeyError;
pub use lookup::{LookupError, Seeds, look_up, services};
pub use state::{DriverState, Emitter, MAX_EVENTS, Started, start};
