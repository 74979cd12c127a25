//! Claims: what somebody says of a member, and what that changes.

use crate::incarnation::Incarnation;
use crate::member::{Member, Meta, NodeId, ProtocolVersions, State};
use crate::membership::table::MemberKey;
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

impl Claim {
    /// Whether it says all that is known of a member, and nothing else.
    pub(crate) fn is_all_of(&self, member: &Member) -> bool {
        let same = |profile: &Profile| profile.addr == member.addr() && profile.meta == member.meta;
        (self.incarnation, self.state) == (member.incarnation, member.state)
            && self.profile.as_ref().is_some_and(same)
    }
}

/// What a member says about itself in one of its incarnations.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) addr: SocketAddr,
    pub(crate) meta: Meta,
    pub(crate) versions: ProtocolVersions,
}

/// What a claim changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// Nothing: it was known.
    Unchanged,
    /// Nothing: something newer is known of this member.
    Stale(MemberKey),
    /// Nothing: the member is unknown and the claim does not say who it is.
    Unknown,
    /// Nothing: there is no room for another member.
    Full,
    /// Two nodes claim the name in one incarnation, the known one and one at `other`.
    Conflict { key: MemberKey, other: SocketAddr },
    /// Nothing: the name is taken, and belongs to a node at another address than `other`.
    Disputed { key: MemberKey, other: SocketAddr },
    /// A member that was not there is there.
    Joined(MemberKey),
    /// A member that was there has a new incarnation, and a new address or metadata.
    Updated(MemberKey),
    /// A member has a new incarnation, but is as it was.
    Refreshed(MemberKey),
    /// A suspect contradicted; its address or metadata may be new too.
    Recovered(MemberKey, Updated),
    /// A member became suspect.
    Suspected(MemberKey),
    /// A member failed.
    Failed(MemberKey),
    /// A member left.
    Left(MemberKey),
    /// Somebody who is not there was noted, so that old news cannot bring it back.
    Tombstoned(MemberKey),
}

/// Whether what a member says about itself is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Updated {
    No,
    Yes,
}
