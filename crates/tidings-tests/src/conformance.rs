//! The conformance suite's view of an adapter: one blocking interface to all of them.
//!
//! An [`Adapter`] starts [`Node`]s; a [`FaultyPeer`] is a TCP server that misbehaves. The suite is
//! in `tests/conformance`. To test another adapter, add a constant in `adapter.rs`.

mod adapter;
mod alone;
mod faulty_peer;
mod node;
mod settings;

pub use adapter::{
    ADAPTERS, ASYNC_IO, ASYNC_STD, Adapter, SMOL, STD, Settings, TOKIO, alive_tasks,
};
pub use alone::alone;
pub use faulty_peer::{Fault, FaultyPeer, read_to_close};
pub use node::{Node, wait, within};
pub use settings::{id, key, loopback, patient, quick, trusting, with};

use std::time::Duration;

/// Deadline of every wait.
pub const LIMIT: Duration = Duration::from_secs(30);
