//! A flight recorder for Tidings nodes: all inputs, in a file of bounded size, for exact replay.
//!
//! A [`Recorder`] works with any driver: call [`Recorder::record`] after each drive of the node,
//! and it appends the node's journal to the file. The file is a ring of segments; the newest
//! segment overwrites the oldest. A [`Recording`] reads the file, and [`tidings::replay`] replays
//! each of its segments:
//!
//! ```
//! use tidings::replay::Replay;
//! use tidings::{ClusterName, Config, Instant, Node, NodeId};
//! use tidings_record::{Limits, Recorder, Recording};
//!
//! # let path = std::env::temp_dir().join(format!("tidings-doc-{}.rec", std::process::id()));
//! let addr = "10.0.0.1:7946".parse()?;
//! let config = Config::lan(ClusterName::new("shop")?, NodeId::new("a")?, addr);
//! let mut node = Node::new(config, [7; 32], Instant::ZERO);
//! let mut recorder = Recorder::create(&path, Limits::default(), Instant::ZERO)?;
//! let mut buf = Vec::new();
//! for _ in 0..10 {
//!     node.handle_timeout(node.poll_timeout().expect("it runs"));
//!     while node.poll_output(&mut buf).is_some() {}
//!     recorder.record(&mut node);
//! }
//! recorder.finish(&mut node).wait()?;
//!
//! let recording = Recording::open(&path)?;
//! for segment in recording.segments() {
//!     let mut replay = Replay::new(&segment.checkpoint, &segment.journal)?;
//!     while let Some(step) = replay.step()? {
//!         assert_eq!(step.difference, None);
//!     }
//! }
//! # std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A recording has the node's traffic in plaintext and none of its keys: treat it like a core dump.
//! `docs/RECORDER.md` describes the format to the byte.

mod format;
mod recorder;
mod recording;
mod writer;

pub use recorder::{Finishing, Limits, RecordError, Recorder};
pub use recording::{Damage, OpenError, Recording, Segment};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
