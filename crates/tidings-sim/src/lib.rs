//! Tidings under virtual time: thousands of real nodes, repeatable from one seed.
//!
//! - A [`World`] has nodes, each with a machine around it, and the network between them. It goes on
//!   when it is told to, and checks everything that the nodes do.
//! - A [`Scenario`] says what a cluster lives through. It is read from a file, or
//!   [drawn](Scenario::drawn) from a seed; [`Scenario::run`] tells what came of it, and
//!   [`Scenario::shrunk`] cuts one that fails down to what it takes.
//! - An [`Experiment`](experiment::Experiment) measures how good the protocol is, in a [`Lab`], and
//!   gives a section of a [`Report`](report::Report).
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
//! assert_eq!(run.incidents[0].by, 4, "all others noticed");
//! assert_eq!(run.hash, scenario.run(7).hash, "the same seed, the same history");
//! # Ok::<(), tidings_sim::ScenarioError>(())
//! ```

mod check;
mod dice;
mod duration;
pub mod experiment;
mod incident;
mod lab;
mod link;
mod mischief;
pub mod report;
mod run;
mod sample;
pub mod scenario;
mod seen;
mod shrink;
mod swarm;
mod trace;
mod world;

pub use check::settling_time;
pub use dice::Dice;
pub use incident::Incident;
pub use lab::{Effort, Lab, Progress};
pub use link::{Bursts, Cut, Jitter, Link};
#[doc(hidden)]
pub use mischief::Mischief;
pub use run::{Failure, Run, disagreement};
pub use sample::Sample;
pub use scenario::{Scenario, ScenarioError, Wire};
pub use seen::{Kind, Probed, Seen, Tally, Traffic};
pub use shrink::fails_alike;
pub use trace::Trace;
pub use world::{Mood, Settings, World, id};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
