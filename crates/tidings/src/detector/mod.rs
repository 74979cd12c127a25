//! Failure detection: probes, indirect pings, suspicions, and the node's local health.

pub(crate) mod health;
pub(crate) mod indirect;
pub(crate) mod lease;
pub(crate) mod probe;
pub(crate) mod suspicion;
pub(crate) mod user_pings;
