//! Claims: what somebody says of a member.

use crate::member::{Incarnation, Meta, NodeId, State};
use core::net::SocketAddr;

/// What somebody says of a member.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) state: State,
    /// What the member says about itself; with news of a failure it does not travel.
    pub(crate) profile: Option<Profile>,
}

/// What a member says about itself in one of its incarnations.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) addr: SocketAddr,
    pub(crate) meta: Meta,
}
