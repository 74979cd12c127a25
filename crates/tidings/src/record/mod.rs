//! The journal of the flight recorder.

pub(crate) mod journal;
