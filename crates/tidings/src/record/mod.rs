//! The flight recorder's journal; without feature `record` a journal is never kept.

#[cfg(feature = "record")]
pub(crate) mod error;
mod input;
#[cfg(feature = "record")]
pub(crate) mod journal;
#[cfg(not(feature = "record"))]
#[path = "no_journal.rs"]
pub(crate) mod journal;
#[cfg(feature = "record")]
pub(crate) mod suspect;
