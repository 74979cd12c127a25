//! Claims about members, and the changes that they cause in the membership table.

use crate::incarnation::Incarnation;
use crate::member::{Member, Meta, NodeId, ProtocolVersions, State};
use crate::membership::table::MemberKey;
use core::net::SocketAddr;

/// A claim: a member's incarnation and state, as a node states them (SWIM's Alive, Suspect and
/// Confirm messages).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Claim {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) state: State,
    /// The member's own data; gossiped suspicions, failures and leaves omit it.
    pub(crate) profile: Option<Profile>,
}

impl Claim {
    /// The member's address, if the claim has it.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.profile.as_ref().map(|profile| profile.addr)
    }

    /// Whether the claim equals the table's record of a member.
    pub(crate) fn is_all_of(&self, member: &Member) -> bool {
        let same = |profile: &Profile| profile.addr == member.addr() && profile.meta == member.meta;
        (self.incarnation, self.state) == (member.incarnation, member.state)
            && self.profile.as_ref().is_some_and(same)
    }
}

/// Address, metadata and versions that a member announces in one of its incarnations.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Profile {
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) addr: SocketAddr,
    pub(crate) meta: Meta,
    pub(crate) versions: ProtocolVersions,
    /// Whether who says this was only told of the member there; see
    /// [`Node::is_validated`](crate::Node::is_validated).
    pub(crate) told: bool,
}

/// Effect of a claim on the membership table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// No change: the claim was known.
    Unchanged,
    /// No change: the table has a newer claim about this member.
    Stale(MemberKey),
    /// No change: the member is unknown, and the claim has no address and metadata.
    Unknown,
    /// No change: the table has `max_members` members, and all are present.
    Full,
    /// Two nodes claim the name in one incarnation; the table now has the one with the higher
    /// address, and `other` is the address of the other.
    Conflict { key: MemberKey, other: SocketAddr },
    /// No change: the name belongs to a node at another address than `other`.
    Disputed { key: MemberKey, other: SocketAddr },
    /// A member is present that was unknown or had left.
    Joined(MemberKey),
    /// A member that had failed is present again.
    Returned(MemberKey, Life),
    /// A present member has a new address or metadata.
    Updated(MemberKey, Life),
    /// A member has a new incarnation, and is otherwise unchanged.
    Refreshed(MemberKey, Life),
    /// A suspect refuted; its address or metadata may be new too.
    Recovered(MemberKey, Updated, Life),
    /// A member became suspect, or is so in a new incarnation.
    Suspected(MemberKey, Life),
    /// A member failed.
    Failed(MemberKey),
    /// A member left.
    Left(MemberKey),
    /// A tombstone of an absent member was added or raised, so that stale updates cannot bring it
    /// back.
    Tombstoned(MemberKey),
}

/// Whether a claim changed a member's address or metadata.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Updated {
    No,
    Yes,
}

/// Whether a member is in the life in which it was known, or has been restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Life {
    Same,
    New {
        /// The last incarnation of the earlier life that was known.
        earlier: Incarnation,
    },
}
