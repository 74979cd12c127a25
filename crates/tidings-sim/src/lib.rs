//! Tidings under virtual time: thousands of real nodes, repeatable from one seed.

mod check;
mod dice;
mod duration;
pub mod experiment;
mod lab;
mod link;
mod mischief;
pub mod report;
mod sample;
mod seen;
mod trace;
mod world;

pub use check::settling_time;
pub use dice::Dice;
pub use lab::{Effort, Lab, Progress};
pub use link::{Bursts, Cut, Jitter, Link};
#[doc(hidden)]
pub use mischief::Mischief;
pub use sample::Sample;
pub use seen::{Kind, Seen, Tally};
pub use trace::Trace;
pub use world::{Mood, Settings, World, id};
