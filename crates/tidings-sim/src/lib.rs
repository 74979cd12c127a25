//! Tidings under virtual time: thousands of real nodes, repeatable from one seed.

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
pub use scenario::{Scenario, ScenarioError};
pub use seen::{Kind, Probed, Seen, Tally, Traffic};
pub use shrink::fails_alike;
pub use trace::Trace;
pub use world::{Mood, Settings, World, id};
