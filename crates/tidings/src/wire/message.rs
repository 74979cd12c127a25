//! What datagrams say, in whatever format.

use crate::incarnation::Incarnation;
use crate::member::NodeId;
use crate::membership::claim::Claim;
#[cfg(feature = "memberlist")]
use crate::stats::Reject;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// One message in a datagram.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Ping(Ping),
    PingRequest(PingRequest),
    Ack(Ack),
    /// "I asked for you and have no answer so far."
    Nack {
        token: u32,
    },
    Update(Update),
    /// A message of the sender's application.
    User(UserMessage),
    Broadcast(Broadcast),
    /// News about a member that we do not take.
    RefusedMember,
    /// A kind that this version does not know; it was skipped.
    Unknown,
    /// One that cannot be read, in a format in which the others can be all the same.
    #[cfg(feature = "memberlist")]
    Unreadable(Reject),
}

/// "Answer, if you are the one I mean."
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ping {
    pub(crate) token: u32,
    /// The short name of whoever is meant, since an address may have passed on to another node; `None`
    /// if anybody is.
    pub(crate) target: Option<u32>,
    pub(crate) status: Option<PeerStatus>,
    /// Where the sender says that it takes the answer; `None` if that is where the ping came from.
    pub(crate) reply_to: Option<SocketAddr>,
}

/// "Ping that member for me."
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PingRequest {
    pub(crate) token: u32,
    pub(crate) target: NodeId,
    /// Where that one is for the sender, if that is told.
    pub(crate) at: Option<SocketAddr>,
    /// For how long an answer is of use, if that is told.
    pub(crate) within: Option<Duration>,
    /// Whether the sender wants to be told if there is none.
    pub(crate) nack: bool,
    /// As in a [`Ping`].
    pub(crate) reply_to: Option<SocketAddr>,
}

/// "I am here", or "whom you asked for is"; what else it says is about the one who is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ack {
    pub(crate) token: u32,
    pub(crate) status: Option<PeerStatus>,
}

/// What a member says of itself with a sign of life, in a format that has room for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct PeerStatus {
    pub(crate) incarnation: Incarnation,
    /// What its membership comes down to.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) digest: u32,
}

/// News about a member.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) claim: Claim,
    /// Who suspects it, where it is suspected.
    pub(crate) accuser: Accuser,
}

/// A message of an application's to another one's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UserMessage {
    /// Whose it is, if that is told.
    pub(crate) from: Option<NodeId>,
    pub(crate) data: Bytes,
}

/// Who accuses a member, as far as a message tells.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) enum Accuser {
    #[default]
    Unknown,
    /// By its short name, which stands for it where there is no room for more.
    Short(u32),
    /// By its name, in a format that has no other.
    #[cfg(feature = "memberlist")]
    Named(NodeId),
}

impl Accuser {
    /// Its short name, if it is known.
    pub(crate) fn known(&self) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Short(short) => Some(*short),
            #[cfg(feature = "memberlist")]
            Self::Named(name) => Some(name.short()),
        }
    }

    /// The same with 0 for whoever is not known.
    pub(crate) fn short(&self) -> u32 {
        self.known().unwrap_or_default()
    }
}

impl From<u32> for Accuser {
    fn from(short: u32) -> Self {
        if short == 0 { Self::Unknown } else { Self::Short(short) }
    }
}

/// A message from one member's application to those of all members.
///
/// What it holds should be memory of its own: a part of a datagram would keep all of that.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Broadcast {
    pub(crate) id: BroadcastId,
    /// A later one of the same origin with the same key replaces this one; none if empty.
    pub(crate) key: Bytes,
    pub(crate) payload: Bytes,
}

/// Names a broadcast; of two from one origin, the later one is greater.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct BroadcastId {
    pub(crate) origin: NodeId,
    /// The origin's life.
    pub(crate) generation: u64,
    /// Which one of that life, from zero.
    pub(crate) number: u64,
}
