//! Deterministic simulator for Tidings: thousands of real nodes in virtual time, repeatable from
//! one seed.
//!
//! - A [`World`] is a set of nodes, each on a simulated machine, and the network between them. It
//!   advances only when told to, and checks every action of every node.
//! - A [`Scenario`] describes a cluster and the faults injected into it. It is read from a TOML
//!   file or [generated](Scenario::random) from a seed; [`Scenario::run`] reports the result, and
//!   [`Scenario::shrink`] reduces a failing one to a minimal one.
//! - An [`Experiment`](experiment::Experiment) measures the quality of the protocol in a
//!   [`Harness`] and returns a section of a [`Report`](report::Report).
//!
//! ```
//! use tidings_sim::Scenario;
//!
//! let scenario: Scenario = r#"
//!     nodes = 5
//!     duration = "30s"
//!
//!     [[step]]
//!     at = "10s"
//!     crash = 3
//! "#
//! .parse()?;
//! let run = scenario.run(7);
//! assert_eq!(run.failure, None);
//! assert_eq!(run.detections[0].observers, 4, "all other nodes detected it");
//! assert_eq!(run.hash, scenario.run(7).hash, "the same seed, the same history");
//! # Ok::<(), tidings_sim::ScenarioError>(())
//! ```

mod check;
mod detection;
mod duration;
mod events;
pub mod experiment;
mod harness;
mod injected_bug;
mod link;
pub mod report;
mod run;
mod sample;
pub mod scenario;
mod shrink;
mod sim_rng;
mod swarm;
mod trace;
mod world;

pub use check::convergence_bound;
pub use detection::Detection;
pub use events::{EventKind, LoggedEvent, ProbeRecord, Tally, Traffic};
pub use harness::{Effort, Harness, Progress};
#[doc(hidden)]
pub use injected_bug::InjectedBug;
pub use link::{Bursts, Cut, Jitter, Link};
pub use run::{Failure, Run, divergence};
pub use sample::Sample;
pub use scenario::{Scenario, ScenarioError, Wire};
pub use shrink::fails_same_way;
pub use sim_rng::SimRng;
pub use trace::Trace;
pub use world::{HostState, Settings, World, id};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
