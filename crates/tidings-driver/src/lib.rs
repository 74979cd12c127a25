//! The common part of all drivers of a [`Node`](tidings::Node), whatever runtime they use.
//!
//! A driver moves bytes and time between a node and the operating system. Applications do not need
//! this crate: an adapter (`tidings-tokio`, `tidings-smol`, `tidings-async-std`, `tidings-std`,
//! `tidings-async-io`) re-exports what they use of it.
//!
//! - For applications: the handle and the events, [`blocking`] or [`asynchronous`], and the
//!   [`Builder`] that starts a node.
//! - For drivers: [`start`] opens the sockets and makes a [`DriverState`], which is a node with its
//!   pending commands, its events and its recording; a driver implements [`Drive`] for it, and
//!   [`build`] makes the application's side. `tidings-std`, `tidings-async-io` and `tidings-tokio`
//!   are examples.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod advertise;
#[cfg(feature = "async")]
pub mod asynchronous;
mod background;
mod begin;
pub mod blocking;
pub mod build;
mod builder;
mod discovery;
mod driver_config;
mod error;
mod handle;
#[cfg(feature = "encryption")]
mod keys;
mod link;
mod lookup;
mod notice;
mod observer;
pub mod prelude;
mod recording;
mod seed;
mod snapshot;
pub mod sockets;
mod state;
pub mod streams;
mod wall_clock;
mod watch;

pub use builder::Builder;
pub use discovery::{InvalidSource, SeedSource, SourceError};
pub use driver_config::DriverConfig;
pub use error::{CommandError, JoinError, SeedError, SetSeedsError, StartError};
pub use handle::Drive;
#[cfg(feature = "encryption")]
pub use keys::KeyError;
pub use lookup::{LookupError, look_up, services};
pub use notice::Notice;
pub use observer::Observer;
pub use recording::Finishing;
pub use seed::Seed;
pub use snapshot::SnapshotDefect;
pub use state::{DriverState, Emitter, MAX_EVENT_BYTES, MAX_EVENTS, Started, start};
