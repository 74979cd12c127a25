//! Runs Tidings agents among real Go programs, and says whether they get along; and the nodes of every
//! adapter, for the [`conformance`] suite.
//!
//! A [`Scene`] is where one test plays: it has addresses of its own, starts [`Peer`]s (a memberlist
//! node in Go, or `tidings agent`, which take the same commands and print the same lines), [`Serf`]
//! and [`Alertmanager`] processes, ends them all, and reads their logs. The [`runner`] runs many
//! scenes side by side. What is to be installed, and how, is in `interop/`.
//!
//! All that waits here waits for a condition with a deadline.

mod alertmanager;
pub mod conformance;
mod journal;
pub mod logs;
mod network;
mod peer;
mod process;
mod programs;
pub mod runner;
mod scene;
mod serf;
mod settings;

pub use alertmanager::Alertmanager;
pub use network::Network;
pub use peer::{Mark, Peer, hex};
pub use programs::Kind;
pub use scene::Scene;
pub use serf::{Serf, SerfSettings};
pub use settings::Settings;

use std::time::Duration;

/// How long news may take to reach all: memberlist's gossip sometimes misses a node, which then
/// waits for the next push/pull, up to 30 seconds.
pub const NEWS: Duration = Duration::from_secs(45);

/// How long a command may take to be answered.
pub const ANSWER: Duration = Duration::from_secs(20);

/// The code in docs/EMBEDDING.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/EMBEDDING.md")]
struct Embedding;

/// The code in docs/RECORDER.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/RECORDER.md")]
struct FlightRecorder;
