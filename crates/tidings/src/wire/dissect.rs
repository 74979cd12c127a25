//! What a message says, for people.

use super::Format;
#[cfg(feature = "memberlist")]
use super::frame::PushPull;
use super::frame::{Claims, Frame, PeerIdentity, ReliableMessage, SyncHello, SyncPart};
use super::message::{Message, PeerStatus};
use super::tidings;
use super::writer::Messages;
use crate::error::Refusal;
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::wire::message::Accuser;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// One thing that is summaries in a datagram or in a frame.
///
/// `Display` tells it in a few words. Where a message names a member by four bytes, so does this:
/// [`Replay::name`](crate::replay::Replay::name) knows who that is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MessageSummary {
    /// "Answer, if you are the one I mean."
    Ping {
        /// What the answer has to carry.
        token: u32,
        /// Who is meant; `None` if anybody is.
        target: Option<ShortName>,
        /// In which incarnation the sender is, if that is told.
        incarnation: Option<Incarnation>,
        /// What the sender's membership comes down to, if that is told.
        digest: Option<u32>,
    },
    /// "Ping that member for me."
    PingRequest {
        /// What the answer has to carry.
        token: u32,
        /// For how long an answer is of use, if that is told.
        within: Option<Duration>,
        /// Who is to be pinged.
        target: NodeId,
    },
    /// "I am here", or "whom you asked for is".
    Ack {
        /// What the ping carried.
        token: u32,
        /// In which incarnation the one is who is there, if that is told.
        incarnation: Option<Incarnation>,
        /// What its membership comes down to, if that is told.
        digest: Option<u32>,
    },
    /// "I asked for you and have no answer so far."
    Nack {
        /// What the request carried.
        token: u32,
    },
    /// News of a member.
    Claim {
        /// Who it is.
        id: NodeId,
        /// In which state it is summaries to be.
        state: State,
        /// In which incarnation.
        incarnation: Incarnation,
        /// Where it is, if that is told.
        addr: Option<SocketAddr>,
        /// Who suspects it, where that is told.
        accuser: Option<ShortName>,
    },
    /// A message of an application's to another one's.
    UserMessage {
        /// Who sends it, if that is told.
        from: Option<NodeId>,
        /// How many bytes it has.
        len: usize,
    },
    /// A message of an application's to all.
    Broadcast {
        /// Who began it.
        origin: NodeId,
        /// Which one of the origin's it is.
        number: u64,
        /// How many bytes it has.
        len: usize,
    },
    /// "Let us compare what we know", or "let us".
    Sync {
        /// Who says so; `None` if it is no member that is taken.
        from: Option<NodeId>,
        /// Whether it answers.
        reply: bool,
    },
    /// "This is all that I know", as memberlist's nodes say it; the claims follow.
    #[cfg(feature = "memberlist")]
    PushPull {
        /// Whether whoever began it joins.
        join: bool,
    },
    /// What a range of members comes down to, or the sixteenths of one.
    Digests,
    /// "I did", or "I have it".
    Receipt,
    /// "Are you there?", over a stream.
    StreamPing {
        /// Who is meant; `None` if anybody is.
        target: Option<NodeId>,
    },
    /// "I am", over a stream.
    StreamPong {
        /// In which incarnation it is, if that is told.
        incarnation: Option<Incarnation>,
    },
    /// "No."
    Refusal(Refusal),
    /// News of a member that is not taken.
    UnacceptableMember,
    /// Something that this version does not know.
    Unknown,
    /// What cannot be read: it is malformed, or was sealed before the recording began.
    Unreadable,
}

/// What stands for a member's name where a message has no room for it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ShortName(pub(crate) u32);

impl ShortName {
    /// What stands for this name.
    pub fn of(id: &NodeId) -> Self {
        Self(id.short())
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
            Self::Ping { target: None, .. } => f.write_str("ping to anybody"),
            Self::PingRequest { target, within, .. } => {
                write!(f, "request to ping {target}")?;
                within.map_or(Ok(()), |within| write!(f, " within {within:?}"))
            }
            Self::Ack { .. } => f.write_str("ack"),
            Self::Nack { .. } => f.write_str("nack"),
            Self::Claim { id, state, incarnation, accuser, addr } => {
                write!(f, "{id} is {state} in {incarnation}")?;
                if let Some(addr) = addr {
                    write!(f, ", at {addr}")?;
                }
                accuser.map_or(Ok(()), |accuser| write!(f, ", accused by {accuser}"))
            }
            Self::UserMessage { from: Some(from), len } => {
                write!(f, "message from {from}, {len} bytes")
            }
            Self::UserMessage { from: None, len } => write!(f, "message, {len} bytes"),
            Self::Broadcast { origin, number, len } => {
                write!(f, "broadcast {number} of {origin}, {len} bytes")
            }
            Self::Sync { from, reply } => {
                f.write_str(if *reply { "agrees to sync" } else { "begins to sync" })?;
                from.as_ref().map_or(Ok(()), |from| write!(f, ": {from}"))
            }
            #[cfg(feature = "memberlist")]
            Self::PushPull { join } => {
                f.write_str(if *join { "push/pull of a join" } else { "push/pull" })
            }
            Self::Digests => f.write_str("digests"),
            Self::Receipt => f.write_str("taken"),
            Self::StreamPing { target: Some(target) } => {
                write!(f, "ping to {target} over a stream")
            }
            Self::StreamPing { target: None } => f.write_str("ping to anybody over a stream"),
            Self::StreamPong { .. } => f.write_str("pong over a stream"),
            Self::Refusal(refusal) => write!(f, "refused: {refusal}"),
            Self::UnacceptableMember => f.write_str("news of somebody who is not taken"),
            Self::Unknown => f.write_str("something unknown"),
            Self::Unreadable => f.write_str("something unreadable"),
        }
    }
}

/// What is summaries in a datagram that a node got or, in a replay, gave.
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

/// What is summaries in a frame that a replayed node writes.
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

pub(crate) fn in_frame(frame: &Frame) -> Vec<MessageSummary> {
    match frame {
        Frame::Sync(hello) => summarize_hello(hello, false),
        Frame::SyncReply(hello) => summarize_hello(hello, true),
        Frame::Compare(parts) => summarize_parts(parts),
        Frame::Updates { members } => summarize_claims(members).collect(),
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
        Message::Ping(ping) => {
            let (incarnation, digest) = split_status(ping.status);
            MessageSummary::Ping {
                token: ping.token,
                target: ping.target.map(ShortName),
                incarnation,
                digest,
            }
        }
        Message::PingRequest(request) => MessageSummary::PingRequest {
            token: request.token,
            within: request.within,
            target: request.target.clone(),
        },
        Message::Ack(ack) => {
            let (incarnation, digest) = split_status(ack.status);
            MessageSummary::Ack { token: ack.token, incarnation, digest }
        }
        Message::Nack { token } => MessageSummary::Nack { token: *token },
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
