//! The flight recorder's journal.

pub(crate) mod journal;
