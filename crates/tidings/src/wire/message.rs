//! Messages in datagrams, independent of the format.

use crate::incarnation::Incarnation;
use crate::member::NodeId;
use crate::membership::claim::Claim;
#[cfg(feature = "memberlist")]
use crate::stats::Reject;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

/// One message in a datagram.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Ping(Ping),
    PingRequest(PingRequest),
    Ack(Ack),
    /// A relay got no ack from the target of a ping request in time, or the target refused its
    /// connection.
    Nack {
        token: u32,
        refused: bool,
    },
    Update(Update),
    /// A message from the sender's application.
    User(UserMessage),
    Broadcast(Broadcast),
    /// An update about a member that is not acceptable; it was skipped.
    RefusedMember,
    /// A message of a kind that this version does not know; it was skipped.
    Unknown,
    /// A malformed message, in a format in which the messages after it can still be read.
    #[cfg(feature = "memberlist")]
    Unreadable(Reject),
}

impl Message {
    /// Whether a datagram is sent for this message, so that it has no other one like it.
    pub(crate) fn is_payload(&self) -> bool {
        matches!(self, Self::Ping(_) | Self::PingRequest(_) | Self::Ack(_) | Self::Nack { .. })
    }
}

/// A probe, which its target answers with an [`Ack`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ping {
    pub(crate) token: u32,
    /// The [tag](target_tag) of the target, because its address may have passed to another node;
    /// `None`: any node answers.
    pub(crate) target: Option<u32>,
    /// The sender, in a format that has room.
    pub(crate) sender: Option<PingSender>,
    /// The address for the ack; `None`: the source address of the ping.
    pub(crate) reply_to: Option<SocketAddr>,
}

/// The sender of a [`Ping`], and its status.
///
/// The receiver knows the rest of the incarnation, and applies the status only if the tag is that
/// of the member at the source address: a ping that somebody repeats from another address, or from
/// an earlier life of that member, says nothing about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PingSender {
    /// The sender's tag; see [`sender_tag`].
    pub(crate) tag: u32,
    /// The number of its incarnation within its generation.
    pub(crate) number: u64,
    /// Digest of its membership table, folded to 32 bits.
    pub(crate) digest: u32,
}

/// A member's short name and generation in 32 bits: of one name, no two generations that are less
/// than 2^32 apart have the same.
pub(crate) fn sender_tag(short: u32, generation: u64) -> u32 {
    short ^ generation as u32 ^ (generation >> 32) as u32
}

/// The tag of a ping's target: 32 bits of the [hash](crate::member::name_hash) of its name, mixed
/// with the ping's token.
///
/// Whoever invents a member at the address of another one cannot choose a name for which that other
/// one answers: two names share a tag for about one token of 2^31 (multiply-shift; Dietzfelbinger
/// et al., 1997). The factor is the token, mixed as in SplitMix64.
pub(crate) fn target_tag(token: u32, name: u64) -> u32 {
    let factor = u64::from(token).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let factor = (factor ^ (factor >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (name.wrapping_mul(factor | 1) >> 32) as u32
}

/// A request to a relay to ping a member (indirect probe).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PingRequest {
    pub(crate) token: u32,
    pub(crate) target: NodeId,
    /// The [tag](sender_tag) of the sender, in a format that carries it.
    pub(crate) sender: Option<u32>,
    /// The target's address as the sender knows it, in a format that carries it.
    pub(crate) at: Option<SocketAddr>,
    /// Time for which an ack remains useful, in a format that carries it.
    pub(crate) within: Option<Duration>,
    /// Whether the sender wants a nack if the target does not answer.
    pub(crate) nack: bool,
    /// Whether the target refused the sender's connection: the relay is to connect too.
    pub(crate) refused: bool,
    /// As in [`Ping`].
    pub(crate) reply_to: Option<SocketAddr>,
}

/// The reply to a [`Ping`], or a relay's to a [`PingRequest`]; the status is the probed member's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ack {
    pub(crate) token: u32,
    pub(crate) status: Option<PeerStatus>,
}

/// A member's incarnation and digest, which its acks carry in a format that has room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct PeerStatus {
    pub(crate) incarnation: Incarnation,
    /// Digest of its membership table, folded to 32 bits.
    #[cfg_attr(feature = "record", serde(with = "postcard::fixint::le"))]
    pub(crate) digest: u32,
}

/// A claim about a member, with the accuser of a suspicion.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) claim: Claim,
    /// The accuser, if the claim is a suspicion.
    pub(crate) accuser: Accuser,
    /// Whether the member is suspected because it refuses connections.
    pub(crate) refused: bool,
}

/// A datagram message from one application to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UserMessage {
    /// The sender, in a format that carries it.
    pub(crate) from: Option<NodeId>,
    pub(crate) data: Bytes,
}

/// The member that suspects another, as far as the message identifies it.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Accuser {
    #[default]
    Unknown,
    /// Identified by its short name, to save room.
    Short(u32),
    /// Identified by its name, in a format without short names.
    #[cfg(feature = "memberlist")]
    Named(NodeId),
}

impl Accuser {
    /// The accuser's short name, if it is known.
    pub(crate) fn known(&self) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Short(short) => Some(*short),
            #[cfg(feature = "memberlist")]
            Self::Named(name) => Some(name.short()),
        }
    }

    /// The accuser's short name, or 0 if it is not known.
    pub(crate) fn short(&self) -> u32 {
        self.known().unwrap_or_default()
    }
}

impl From<u32> for Accuser {
    fn from(short: u32) -> Self {
        if short == 0 { Self::Unknown } else { Self::Short(short) }
    }
}

/// A message from one member's application to the applications of all members.
///
/// `key` and `payload` should own their memory: a slice of a datagram would keep all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Broadcast {
    pub(crate) id: BroadcastId,
    /// A later broadcast of the same origin with the same key replaces this one. Empty: no key.
    pub(crate) key: Bytes,
    pub(crate) payload: Bytes,
}

/// The identity of a broadcast; of two from one origin, the later one is greater.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct BroadcastId {
    pub(crate) origin: NodeId,
    /// The origin's generation.
    pub(crate) generation: u64,
    /// Numbered within the generation, from 0.
    pub(crate) number: u64,
}
