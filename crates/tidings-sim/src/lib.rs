//! Tidings under virtual time: thousands of real nodes, repeatable from one seed.

mod check;
mod dice;
mod duration;
mod link;
mod mischief;
pub mod report;
mod seen;
mod trace;
mod world;

pub use check::settling_time;
pub use dice::Dice;
pub use link::{Bursts, Cut, Jitter, Link};
#[doc(hidden)]
pub use mischief::Mischief;
pub use seen::{Kind, Seen, Tally};
pub use trace::Trace;
pub use world::{Mood, Settings, World, id};
