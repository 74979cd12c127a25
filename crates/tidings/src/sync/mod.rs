//! Anti-entropy: when nodes sync, how they find the differences between their membership tables,
//! and how they reconnect to members that failed.

pub(crate) mod diff;
pub(crate) mod index;
pub(crate) mod reconnect;
pub(crate) mod trigger;
