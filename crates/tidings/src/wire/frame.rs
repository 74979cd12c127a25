//! Frames on streams, independent of the format: requests and replies in turns.

use super::message::PeerStatus;
use crate::error::Refusal;
use crate::member::NodeId;
use crate::membership::claim::Claim;
use crate::membership::range::Range;
use crate::stats::Reject;
use alloc::vec::Vec;
use bytes::Bytes;

/// The decoded body of a frame.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// Request: begins a sync.
    Sync(SyncHello),
    /// Reply to [`Frame::Sync`].
    SyncReply(SyncHello),
    /// Continues a sync: the reply to [`Frame::SyncReply`], and to another [`Frame::Compare`].
    Compare(Vec<SyncPart>),
    /// Request: claims to apply.
    Updates { to: Option<NodeId>, members: Claims },
    /// Request: a reliable message.
    Message(ReliableMessage),
    /// Reply to [`Frame::Updates`] and [`Frame::Message`]: received.
    Receipt,
    /// The content of a datagram, in stream-only mode. It has no reply.
    Packet { to: Option<NodeId>, from: NodeId, messages: Bytes },
    /// Request: a stream probe.
    Ping(StreamPing),
    /// Reply to [`Frame::Ping`].
    Pong(Pong),
    /// Request and reply of memberlist's push/pull: a whole membership table.
    #[cfg(feature = "memberlist")]
    PushPull(PushPull),
    /// Reply to any request: refused, with the reason.
    Refusal(Refusal),
}

impl Frame {
    /// The name of the node that a request is for, if its sender knows that.
    pub(crate) fn receiver(&self) -> Option<&NodeId> {
        match self {
            Self::Sync(SyncHello { to, .. })
            | Self::Updates { to, .. }
            | Self::Message(ReliableMessage { to, .. })
            | Self::Packet { to, .. }
            | Self::Ping(StreamPing { target: to, .. }) => to.as_ref(),
            _ => None,
        }
    }
}

/// The first frame of a sync from either side: the sender's identity, and the first parts.
#[derive(Clone, Debug)]
pub(crate) struct SyncHello {
    /// The member that a request is for; `None`: whoever is at the address, or this is the reply.
    pub(crate) to: Option<NodeId>,
    pub(crate) who: PeerIdentity,
    /// Whether the sender is a [`Newcomer`](Introduction::Newcomer).
    pub(crate) newcomer: bool,
    /// The data that the sender's application attaches to every sync.
    pub(crate) state: Bytes,
    pub(crate) parts: Vec<SyncPart>,
}

/// The way in which the sender of a sync introduces itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Introduction {
    /// By its name: the receiver knows it.
    Name,
    /// With its record.
    Record,
    /// With its record. It was no member in this life, and takes no name that a living node has.
    Newcomer,
}

/// The sender of a [`SyncHello`].
#[derive(Clone, Debug)]
pub(crate) enum PeerIdentity {
    /// The name of a member that the receiver should know.
    Name(NodeId),
    /// A node that introduces itself with its own claim.
    Member(Claim),
    /// A node that introduces itself with an address or metadata that is not acceptable.
    Unacceptable,
}

/// A whole membership table, as memberlist's push/pull carries it in each direction.
#[cfg(feature = "memberlist")]
#[derive(Clone, Debug)]
pub(crate) struct PushPull {
    /// Whether the initiator joins.
    pub(crate) join: bool,
    pub(crate) claims: Claims,
    /// The data that the sender's application attaches to every sync.
    pub(crate) state: Bytes,
}

/// A reliable message from one application to another; names are there if the format carries them.
#[derive(Clone, Debug)]
pub(crate) struct ReliableMessage {
    pub(crate) to: Option<NodeId>,
    pub(crate) from: Option<NodeId>,
    pub(crate) data: Bytes,
}

/// A stream probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamPing {
    /// The target's name; `None`: any node answers.
    pub(crate) target: Option<NodeId>,
    /// The token that the pong has to carry, in a format with tokens.
    pub(crate) token: Option<u32>,
}

/// The reply to a [`StreamPing`], with the same token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pong {
    pub(crate) token: Option<u32>,
    pub(crate) status: Option<PeerStatus>,
}

/// A part of a sync frame: what the sender knows about one range of members.
#[derive(Clone, Debug)]
pub(crate) enum SyncPart {
    /// The digest of the members present in the range.
    Digest { range: Range, digest: u64 },
    /// The digest of each sixteenth of the range.
    Split { range: Range, digests: SplitDigests },
    /// Everything that the sender tells about the range; `ask`: the receiver is to reply with its
    /// own records.
    Members { range: Range, claims: Claims, ask: bool },
}

/// The digests of a range's sixteenths, without those that are 0: as long as in the frame.
#[derive(Clone, Debug)]
pub(crate) struct SplitDigests {
    /// Bit `n` is set for each sixteenth `n` whose digest is not left out.
    pub(crate) filled: u16,
    pub(crate) digests: Vec<u64>,
}

impl SplitDigests {
    /// All of them.
    pub(crate) fn all(&self) -> [u64; 16] {
        let mut digests = self.digests.iter().copied();
        core::array::from_fn(|n| {
            let filled = self.filled & (1 << n) != 0;
            filled.then(|| digests.next()).flatten().unwrap_or(0)
        })
    }
}

/// Limits of what a frame is decoded to.
///
/// A record of a few bytes takes many in memory, so a peer could make a frame of `max_frame` bytes
/// take a multiple of that. Honest frames stay far below both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeLimits {
    /// Largest metadata of a member, in bytes.
    pub(crate) max_meta: usize,
    /// Memory that is left for decoded parts and claims, in bytes.
    left: usize,
}

impl DecodeLimits {
    /// The limits of a frame of a node with such options.
    ///
    /// Parts of a sync, of which the shortest has four bytes, take up to 16 times their length, and
    /// a frame of a sync has up to two chunks. Records in memberlist's format have at least 70
    /// bytes, and take less than four times that.
    pub(crate) fn new(max_meta: usize, max_frame: usize, sync_chunk: usize) -> Self {
        Self { max_meta, left: max_frame.saturating_mul(4).max(sync_chunk.saturating_mul(32)) }
    }

    /// No limits, for what this node has encoded itself.
    #[cfg(any(test, feature = "record"))]
    pub(crate) const NONE: Self = Self { max_meta: usize::MAX, left: usize::MAX };

    /// Takes memory for a decoded value, with `more` bytes beside it.
    pub(crate) fn take<T>(&mut self, more: usize) -> Result<(), Reject> {
        self.left = self.left.checked_sub(size_of::<T>() + more).ok_or(Reject::Oversized)?;
        Ok(())
    }
}

/// Claims about members, as a peer sent them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) claims: Vec<Claim>,
    /// Number of further claims, about members that are not acceptable.
    pub(crate) refused: usize,
}

impl Claims {
    /// Adds a claim that was decoded; `None` if it is not acceptable.
    pub(crate) fn push(
        &mut self,
        claim: Option<Claim>,
        limits: &mut DecodeLimits,
    ) -> Result<(), Reject> {
        let Some(claim) = claim else {
            self.refused += 1;
            return Ok(());
        };
        let meta = claim.profile.as_ref().map_or(0, |profile| profile.meta.len());
        limits.take::<Claim>(claim.id.as_str().len() + meta)?;
        self.claims.push(claim);
        Ok(())
    }
}
