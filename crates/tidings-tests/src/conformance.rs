//! Every adapter as the conformance suite sees it: all offer the same, and here all of it blocks.
//!
//! An [`Adapter`] starts [`Node`]s, a [`Stranger`] is somebody at an address who is none. The suite is
//! in `tests/conformance`; what a further adapter needs is a constant in `adapter.rs`.

mod adapter;
mod alone;
mod node;
mod settings;
mod stranger;

pub use adapter::{
    ADAPTERS, ASYNC_IO, ASYNC_STD, Adapter, SMOL, STD, Settings, TOKIO, alive_tasks,
};
pub use alone::alone;
pub use node::{Node, wait, within};
pub use settings::{id, key, loopback, patient, quick, trusting, with};
pub use stranger::{Manner, Stranger, hear_out};

use std::time::Duration;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(30);
