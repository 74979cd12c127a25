//! A node's snapshot: a file with what it remembers from one life to the next.
//!
//! A thread writes it: lazily while members come and go, at once when the node leaves or stops.

mod contents;
mod file;
mod thread;

pub use contents::SnapshotDefect;
pub(crate) use contents::{Contents, Known};
pub(crate) use file::load;
pub(crate) use thread::Writer;
