//! Anti-entropy: how two nodes find out where their memberships differ, and how lost members are found again.

pub(crate) mod diff;
pub(crate) mod index;
pub(crate) mod reconnect;
pub(crate) mod trigger;
