//! What all drivers of a [`Node`](tidings::Node) have in common, whatever they run on.
//!
//! A driver moves bytes and time between a node and the system. Here is what has nothing to do with how it
//! waits: a [`Host`] is a node with its waiting commands, its events and its recording; [`start`]
//! makes one with its sockets; a [`Handle`] is what an application holds, and asks without
//! waiting. A driver of its own is what implements [`Drive`]: the crates `tidings-std`,
//! `tidings-async-io` and `tidings-tokio` are examples.

#[cfg(feature = "async")]
pub mod asynchronous;
pub mod begin;
mod error;
mod handle;
mod host;
#[cfg(feature = "encryption")]
mod keys;
pub mod links;
mod lookup;
pub mod sockets;
pub mod vocabulary;

pub use error::{BindError, CommandError, JoinFailed};
pub use handle::{Drive, Handle};
pub use host::{Emitter, Host, MAX_EVENTS, Started, start};
#[cfg(feature = "encryption")]
pub use keys::KeyError;
pub use lookup::{LookupError, Seeds, look_up, services};
