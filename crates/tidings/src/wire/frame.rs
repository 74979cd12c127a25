//! What travels on streams, in whatever format. Each frame answers the one before.

use super::message::PeerStatus;
use crate::error::Refusal;
use crate::member::NodeId;
use crate::membership::claim::Claim;
use crate::membership::range::Range;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a frame says.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// "Let us compare what we know": a request.
    Sync(SyncHello),
    /// "Let us": the reply.
    SyncReply(SyncHello),
    /// How the comparison goes on: the reply to either of those, and to itself.
    Compare(Vec<SyncPart>),
    /// "Take note": a request.
    Updates { members: Claims },
    /// "This is for you": a request.
    Message(ReliableMessage),
    /// "I did", or "I have it": the reply.
    Receipt,
    /// What would be in a datagram, from a node that sends none: a request without a reply.
    Packet { from: NodeId, messages: Bytes },
    /// "Are you there?": a request.
    Ping(StreamPing),
    /// "I am": the reply.
    Pong(Pong),
    /// "This is all that I know": a request, and its reply.
    #[cfg(feature = "memberlist")]
    PushPull(PushPull),
    /// "No": the reply to any request.
    Refusal(Refusal),
}

/// How a comparison begins, on either side.
#[derive(Clone, Debug)]
pub(crate) struct SyncHello {
    pub(crate) who: PeerIdentity,
    /// What the application wants to be told at every sync.
    pub(crate) state: Bytes,
    pub(crate) parts: Vec<SyncPart>,
}

/// Who greets.
#[derive(Clone, Debug)]
pub(crate) enum PeerIdentity {
    /// A member that is known already, by its name.
    Name(NodeId),
    /// One that introduces itself.
    Member(Claim),
    /// One that introduces itself and that we do not take.
    Unacceptable,
}

/// A whole membership, as memberlist's nodes tell each other.
#[cfg(feature = "memberlist")]
#[derive(Clone, Debug)]
pub(crate) struct PushPull {
    /// Whether the one who began it joins.
    pub(crate) join: bool,
    pub(crate) claims: Claims,
    /// What the application wants to be told at every sync.
    pub(crate) state: Bytes,
}

/// A message of an application's to another one's, as far as its format tells whose and for whom.
#[derive(Clone, Debug)]
pub(crate) struct ReliableMessage {
    pub(crate) to: Option<NodeId>,
    pub(crate) from: Option<NodeId>,
    pub(crate) data: Bytes,
}

/// A ping over a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamPing {
    /// Who is meant; `None` if anybody is.
    pub(crate) target: Option<NodeId>,
    /// What the answer has to carry, in a format in which it does.
    pub(crate) token: Option<u32>,
}

/// The answer to one, with the same token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pong {
    pub(crate) token: Option<u32>,
    pub(crate) status: Option<PeerStatus>,
}

/// What one side says of a range of members.
#[derive(Clone, Debug)]
pub(crate) enum SyncPart {
    /// "Those who are present come down to this; is it the same with you?"
    Digest { range: Range, digest: u64 },
    /// The same for each sixteenth of the range.
    Split { range: Range, digests: [u64; 16] },
    /// "This is all that I know of them"; and, if `ask`, "tell me what you know".
    Members { range: Range, claims: Claims, ask: bool },
}

/// Members as somebody else knows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) claims: Vec<Claim>,
    /// How many more there were that we do not take.
    pub(crate) refused: usize,
}
