//! Test support: Tidings agents among real Go programs (interoperability), and nodes of every
//! adapter (the [`conformance`] suite).
//!
//! A [`Scene`] is the environment of one interoperability test. It has addresses of its own; it
//! starts [`Peer`]s (a memberlist node in Go, or `tidings agent`, which have the same commands and
//! output), [`Serf`] and [`Alertmanager`] processes; it ends them all and checks their logs. The
//! [`runner`] runs many scenes in parallel. `interop/` has the programs to install, and how.
//!
//! Every wait is for a condition, with a deadline.

mod alertmanager;
pub mod conformance;
pub mod logs;
mod network;
mod peer;
mod process;
mod programs;
pub mod runner;
mod scene;
mod serf;
mod settings;
mod transcript;

pub use alertmanager::Alertmanager;
pub use network::Network;
pub use peer::{Mark, Peer, hex};
pub use programs::{Kind, tidings};
pub use scene::Scene;
pub use serf::{Serf, SerfSettings};
pub use settings::Settings;

use std::time::Duration;

/// Longest wait for an update to reach all members: memberlist's gossip sometimes misses a node,
/// which then waits for the next push/pull, up to 30 seconds.
pub const UPDATE_DEADLINE: Duration = Duration::from_secs(45);

/// Longest wait for the result of a command.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(20);

/// The code in the workspace's README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The code in docs/GUIDE.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/GUIDE.md")]
struct Guide;

/// The code in EMBEDDING compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/EMBEDDING.md")]
struct Embedding;

/// The code of docs/CONTRACTS.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/CONTRACTS.md")]
struct Contracts;

/// The code of docs/RECORDER.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/RECORDER.md")]
struct FlightRecorder;

/// The code of docs/INTEROP.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/INTEROP.md")]
struct Interop;
