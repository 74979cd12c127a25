//! Summaries of messages, for people who read a replay.

use super::Format;
#[cfg(feature = "memberlist")]
use super::frame::PushPull;
use super::frame::{Claims, Frame, PeerIdentity, ReliableMessage, SyncHello, SyncPart};
use super::message::{Message, PeerStatus, target_tag};
use super::tidings;
use super::writer::Messages;
use crate::error::Refusal;
use crate::event::ByteCount;
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::wire::message::Accuser;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// Summary of one message in a datagram, or of one part of a frame.
///
/// `Display` is a short text. If a message identifies a member by its short name, so does this;
/// [`Replay::name`](crate::replay::Replay::name) returns the full name. A ping has but a tag of its
/// target.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MessageSummary {
    /// A probe.
    Ping {
        /// The token that the ack carries.
        token: u32,
        /// The target; `None`: any node answers.
        target: Option<TargetTag>,
        /// The number of the sender's incarnation, without its generation, in a format that carries
        /// it.
        number: Option<u64>,
        /// The digest of the sender's membership table, in a format that carries it.
        digest: Option<u32>,
    },
    /// A request to a relay to ping a member (indirect probe).
    PingRequest {
        /// The token that the ack carries.
        token: u32,
        /// Time for which an ack remains useful, in a format that carries it.
        within: Option<Duration>,
        /// The member to ping.
        target: NodeId,
    },
    /// The reply to a ping, or a relay's to a ping request.
    Ack {
        /// The token of the ping or ping request.
        token: u32,
        /// The probed member's incarnation, in a format that carries it.
        incarnation: Option<Incarnation>,
        /// The digest of its membership table, in a format that carries it.
        digest: Option<u32>,
    },
    /// A relay's reply: no ack from the target in time.
    Nack {
        /// The token of the ping request.
        token: u32,
    },
    /// A claim about a member: an update, or a record in a sync.
    Claim {
        /// The member's name.
        id: NodeId,
        /// The claimed state.
        state: State,
        /// The claimed incarnation.
        incarnation: Incarnation,
        /// The member's address, if the claim carries it.
        addr: Option<SocketAddr>,
        /// The accuser of a suspicion, if it is known.
        accuser: Option<ShortName>,
    },
    /// A message from one application to another, in a datagram or reliable.
    UserMessage {
        /// The sender, in a format that carries it.
        from: Option<NodeId>,
        /// Length of the message, in bytes.
        len: usize,
    },
    /// A message from one application to all others.
    Broadcast {
        /// The member that broadcast it first.
        origin: NodeId,
        /// Its number within the origin's generation, from 0.
        number: u64,
        /// Length of the message, in bytes.
        len: usize,
    },
    /// The first frame of a sync from either side; summaries of its parts follow.
    Sync {
        /// The sender; `None` if it introduces itself with an unacceptable address or metadata.
        from: Option<NodeId>,
        /// Whether it is the reply.
        reply: bool,
    },
    /// memberlist's push/pull, in either direction; summaries of its claims follow.
    #[cfg(feature = "memberlist")]
    PushPull {
        /// The join flag: whether the initiator joins.
        join: bool,
    },
    /// The digest of a range of members, or the digests of its sixteenths.
    Digests,
    /// A receipt for an update or a reliable message.
    Receipt,
    /// A stream probe.
    StreamPing {
        /// The target; `None`: any node answers.
        target: Option<NodeId>,
    },
    /// The reply to a stream probe.
    StreamPong {
        /// The sender's incarnation, in a format that carries it.
        incarnation: Option<Incarnation>,
    },
    /// A refusal, with the reason.
    Refusal(Refusal),
    /// A claim about a member whose name, address or metadata is not acceptable; it was skipped.
    UnacceptableMember,
    /// A message of a kind that this version does not know.
    Unknown,
    /// A message that cannot be read: it is malformed, or was sealed before the recording began.
    Unreadable,
}

/// A member's short name: the CRC-32 of its name, in messages that have no room for the name.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ShortName(pub(crate) u32);

impl ShortName {
    /// The short name of this member.
    pub fn of(id: &NodeId) -> Self {
        Self(id.short())
    }
}

/// A ping's tag for its target: a hash of the target's name and the ping's token.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TargetTag {
    token: u32,
    tag: u32,
}

impl TargetTag {
    /// Whether it is the tag of this member. Of two names it is so by chance once in 2^31.
    pub fn is_of(&self, id: &NodeId) -> bool {
        self.tag == target_tag(self.token, id.hash())
    }
}

impl fmt::Debug for TargetTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TargetTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag {:08x}", self.tag)
    }
}

impl fmt::Debug for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", self.0)
    }
}

impl fmt::Display for MessageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping { target: Some(target), .. } => write!(f, "ping to {target}"),
            Self::Ping { target: None, .. } => f.write_str("ping to any node"),
            Self::PingRequest { target, within, .. } => {
                write!(f, "ping request for {target}")?;
                within.map_or(Ok(()), |within| write!(f, ", useful for {within:?}"))
            }
            Self::Ack { .. } => f.write_str("ack"),
            Self::Nack { .. } => f.write_str("nack"),
            Self::Claim { id, state, incarnation, accuser, addr } => {
                write!(f, "update: {id} is {state} in incarnation {incarnation}")?;
                if let Some(addr) = addr {
                    write!(f, ", at {addr}")?;
                }
                accuser.map_or(Ok(()), |accuser| write!(f, ", suspected by {accuser}"))
            }
            Self::UserMessage { from: Some(from), len } => {
                write!(f, "user message from {from}, {}", ByteCount(*len))
            }
            Self::UserMessage { from: None, len } => write!(f, "user message, {}", ByteCount(*len)),
            Self::Broadcast { origin, number, len } => {
                write!(f, "broadcast {number} from {origin}, {}", ByteCount(*len))
            }
            Self::Sync { from, reply } => {
                f.write_str(if *reply { "sync reply" } else { "sync request" })?;
                from.as_ref().map_or(Ok(()), |from| write!(f, " from {from}"))
            }
            #[cfg(feature = "memberlist")]
            Self::PushPull { join } => {
                f.write_str(if *join { "push/pull with join flag" } else { "push/pull" })
            }
            Self::Digests => f.write_str("sync digests"),
            Self::Receipt => f.write_str("receipt"),
            Self::StreamPing { target: Some(target) } => {
                write!(f, "stream ping to {target}")
            }
            Self::StreamPing { target: None } => f.write_str("stream ping to any node"),
            Self::StreamPong { .. } => f.write_str("stream pong"),
            Self::Refusal(refusal) => write!(f, "refusal: {refusal}"),
            Self::UnacceptableMember => f.write_str("update: unacceptable member"),
            Self::Unknown => f.write_str("message of an unknown kind"),
            Self::Unreadable => f.write_str("unreadable message"),
        }
    }
}

/// Summaries of the messages in a datagram that a node received or, in a replay, sent.
///
/// `opened` is the plaintext, if the datagram was sealed.
pub(crate) fn in_datagram(
    wire: &Format,
    datagram: &[u8],
    opened: Option<&[u8]>,
) -> Vec<MessageSummary> {
    match wire.messages_in(datagram, opened) {
        Some(messages) => summarize_messages(wire.messages(&messages, usize::MAX)),
        None => [MessageSummary::Unreadable].into(),
    }
}

/// Summaries of a frame that a replayed node wrote.
pub(crate) fn in_written(wire: &Format, bytes: &[u8]) -> Vec<MessageSummary> {
    wire.frame_in(bytes)
        .map_or_else(|| [MessageSummary::Unreadable].into(), |frame| in_frame(&frame))
}

fn summarize_messages(messages: Messages<'_>) -> Vec<MessageSummary> {
    let one = |message: Result<Message, Reject>| {
        message.map_or(MessageSummary::Unreadable, |message| summarize_message(&message))
    };
    messages.map(one).collect()
}

/// Summaries of the content of a frame.
pub(crate) fn in_frame(frame: &Frame) -> Vec<MessageSummary> {
    match frame {
        Frame::Sync(hello) => summarize_hello(hello, false),
        Frame::SyncReply(hello) => summarize_hello(hello, true),
        Frame::Compare(parts) => summarize_parts(parts),
        Frame::Updates { members, .. } => summarize_claims(members).collect(),
        Frame::Message(ReliableMessage { from, data, .. }) => {
            [MessageSummary::UserMessage { from: from.clone(), len: data.len() }].into()
        }
        Frame::Receipt => [MessageSummary::Receipt].into(),
        Frame::Packet { messages, .. } => {
            summarize_messages(Messages::Tidings(tidings::messages(messages, usize::MAX)))
        }
        Frame::Ping(ping) => [MessageSummary::StreamPing { target: ping.target.clone() }].into(),
        Frame::Pong(pong) => {
            let incarnation = pong.status.map(|status| status.incarnation);
            [MessageSummary::StreamPong { incarnation }].into()
        }
        #[cfg(feature = "memberlist")]
        Frame::PushPull(PushPull { join, claims, .. }) => {
            let mut summaries = Vec::from([MessageSummary::PushPull { join: *join }]);
            summaries.extend(summarize_claims(claims));
            summaries
        }
        Frame::Refusal(refusal) => [MessageSummary::Refusal(*refusal)].into(),
    }
}

fn summarize_hello(SyncHello { who, parts, .. }: &SyncHello, reply: bool) -> Vec<MessageSummary> {
    let (from, claim) = match who {
        PeerIdentity::Name(id) => (Some(id.clone()), None),
        PeerIdentity::Member(claim) => {
            (Some(claim.id.clone()), Some(summarize_claim(claim, &Accuser::Unknown)))
        }
        PeerIdentity::Unacceptable => (None, Some(MessageSummary::UnacceptableMember)),
    };
    let mut summaries = Vec::from([MessageSummary::Sync { from, reply }]);
    summaries.extend(claim);
    summaries.extend(summarize_parts(parts));
    summaries
}

fn summarize_parts(parts: &[SyncPart]) -> Vec<MessageSummary> {
    let mut summaries = Vec::new();
    for part in parts {
        match part {
            SyncPart::Digest { .. } | SyncPart::Split { .. } => {
                summaries.push(MessageSummary::Digests)
            }
            SyncPart::Members { claims, .. } => summaries.extend(summarize_claims(claims)),
        }
    }
    summaries
}

fn summarize_claims(claims: &Claims) -> impl Iterator<Item = MessageSummary> {
    let accepted = claims.claims.iter().map(|claim| summarize_claim(claim, &Accuser::Unknown));
    accepted.chain((0..claims.refused).map(|_| MessageSummary::UnacceptableMember))
}

fn summarize_message(message: &Message) -> MessageSummary {
    match message {
        Message::Ping(ping) => MessageSummary::Ping {
            token: ping.token,
            target: ping.target.map(|tag| TargetTag { token: ping.token, tag }),
            number: ping.sender.map(|sender| sender.number),
            digest: ping.sender.map(|sender| sender.digest),
        },
        Message::PingRequest(request) => MessageSummary::PingRequest {
            token: request.token,
            within: request.within,
            target: request.target.clone(),
        },
        Message::Ack(ack) => {
            let (incarnation, digest) = split_status(ack.status);
            MessageSummary::Ack { token: ack.token, incarnation, digest }
        }
        Message::Nack { token, .. } => MessageSummary::Nack { token: *token },
        Message::Update(update) => summarize_claim(&update.claim, &update.accuser),
        Message::User(message) => {
            MessageSummary::UserMessage { from: message.from.clone(), len: message.data.len() }
        }
        Message::Broadcast(broadcast) => MessageSummary::Broadcast {
            origin: broadcast.id.origin.clone(),
            number: broadcast.id.number,
            len: broadcast.payload.len(),
        },
        Message::RefusedMember => MessageSummary::UnacceptableMember,
        Message::Unknown => MessageSummary::Unknown,
        #[cfg(feature = "memberlist")]
        Message::Unreadable(_) => MessageSummary::Unreadable,
    }
}

fn split_status(status: Option<PeerStatus>) -> (Option<Incarnation>, Option<u32>) {
    (status.map(|status| status.incarnation), status.map(|status| status.digest))
}

fn summarize_claim(claim: &Claim, accuser: &Accuser) -> MessageSummary {
    let Claim { id, incarnation, state, profile } = claim;
    MessageSummary::Claim {
        id: id.clone(),
        state: *state,
        incarnation: *incarnation,
        addr: profile.as_ref().map(|profile| profile.addr),
        accuser: accuser.known().map(ShortName),
    }
}
