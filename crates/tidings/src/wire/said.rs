//! What a message says, for people.

use super::compare::Part;
use super::datagram::{self, Message};
use super::envelope::{FRAME_HEADER, HEADER};
use super::frame::{Frame, Greeting, Who};
use super::{SEALED_FRAME_HEADER, SEALED_HEADER};
use super::{codec, frame};
use crate::claim::Claim;
use crate::member::{ClusterName, Incarnation, NodeId, State};
use crate::stream::Refusal;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// One thing that is said in a datagram or in a frame.
///
/// `Display` tells it in a few words. Where a message names a member by four bytes, so does this:
/// [`Replay::name`](crate::replay::Replay::name) knows who that is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// "Answer, if you are the one I mean."
    Ping {
        /// What the answer has to carry.
        token: u32,
        /// Who is meant.
        target: ShortName,
        /// In which incarnation the sender is.
        incarnation: Incarnation,
        /// What the sender's membership comes down to.
        digest: u32,
    },
    /// "Ping that member for me."
    PingRequest {
        /// What the answer has to carry.
        token: u32,
        /// For how long an answer is of use.
        within: Duration,
        /// Who is to be pinged.
        target: NodeId,
    },
    /// "I am here", or "whom you asked for is".
    Ack {
        /// What the ping carried.
        token: u32,
        /// In which incarnation the one is who is there.
        incarnation: Incarnation,
        /// What its membership comes down to.
        digest: u32,
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
        /// In which state it is said to be.
        state: State,
        /// In which incarnation.
        incarnation: Incarnation,
        /// Where it is, if that is told.
        addr: Option<SocketAddr>,
        /// Who suspects it, where that is told.
        accuser: Option<ShortName>,
    },
    /// A message of an application's to another one's.
    Message {
        /// Who sends it.
        from: NodeId,
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
    /// What a range of members comes down to, or the sixteenths of one.
    Digests,
    /// "I did", or "I have it".
    Taken,
    /// "Are you there?", over a stream.
    StreamPing {
        /// Who is meant.
        target: NodeId,
    },
    /// "I am", over a stream.
    StreamPong {
        /// In which incarnation it is.
        incarnation: Incarnation,
    },
    /// "No."
    Refused(Refusal),
    /// News of a member that is not taken.
    NotTaken,
    /// Something that this version does not know.
    Unknown,
    /// What cannot be read: it is malformed, or was sealed before the recording began.
    Unreadable,
}

/// What stands for a member's name where a message has no room for it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ShortName(pub(crate) u32);

impl ShortName {
    /// What stands for this name.
    pub fn of(id: &NodeId) -> Self {
        Self(id.short())
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", self.0)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping { target, .. } => write!(f, "ping to {target}"),
            Self::PingRequest { target, within, .. } => {
                write!(f, "request to ping {target} within {within:?}")
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
            Self::Message { from, len } => write!(f, "message from {from}, {len} bytes"),
            Self::Broadcast { origin, number, len } => {
                write!(f, "broadcast {number} of {origin}, {len} bytes")
            }
            Self::Sync { from, reply } => {
                f.write_str(if *reply { "agrees to sync" } else { "begins to sync" })?;
                from.as_ref().map_or(Ok(()), |from| write!(f, ": {from}"))
            }
            Self::Digests => f.write_str("digests"),
            Self::Taken => f.write_str("taken"),
            Self::StreamPing { target } => write!(f, "ping to {target} over a stream"),
            Self::StreamPong { .. } => f.write_str("pong over a stream"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::NotTaken => f.write_str("news of somebody who is not taken"),
            Self::Unknown => f.write_str("something unknown"),
            Self::Unreadable => f.write_str("something unreadable"),
        }
    }
}

/// What is said in a datagram that a node got or, in a replay, gave.
pub(crate) fn in_datagram(datagram: &[u8], opened: Option<&[u8]>) -> Vec<Said> {
    match opened.and_then(behind_time).or_else(|| super::unsealed(datagram, HEADER, SEALED_HEADER))
    {
        Some(messages) => in_messages(messages),
        None => [Said::Unreadable].into(),
    }
}

/// What is said in a frame that a replayed node writes.
pub(crate) fn in_written(bytes: &[u8]) -> Vec<Said> {
    frame_in(bytes).map_or_else(|| [Said::Unreadable].into(), |frame| in_frame(&frame))
}

fn frame_in(bytes: &[u8]) -> Option<Frame> {
    let mut body = super::unsealed(bytes, FRAME_HEADER, SEALED_FRAME_HEADER)?;
    if bytes.first() != Some(&super::SEALED_VERSION) {
        codec::take::<ClusterName>(&mut body).ok()?;
    }
    let (&kind, body) = body.split_first()?;
    frame::read(kind, body, usize::MAX).ok()
}

pub(super) fn behind_time(mut plain: &[u8]) -> Option<&[u8]> {
    codec::take::<u64>(&mut plain).ok()?;
    Some(plain)
}

fn in_messages(messages: &[u8]) -> Vec<Said> {
    let all = datagram::messages(messages, usize::MAX);
    all.map(|message| message.map_or(Said::Unreadable, |message| of_message(&message))).collect()
}

pub(crate) fn in_frame(frame: &Frame) -> Vec<Said> {
    match frame {
        Frame::Sync(greeting) => of_greeting(greeting, false),
        Frame::Synced(greeting) => of_greeting(greeting, true),
        Frame::Compare(parts) => of_parts(parts),
        Frame::News { members } => members.claims.iter().map(|claim| of_claim(claim, 0)).collect(),
        Frame::Message { from, data, .. } => {
            [Said::Message { from: from.clone(), len: data.len() }].into()
        }
        Frame::Taken => [Said::Taken].into(),
        Frame::Packet { messages, .. } => in_messages(messages),
        Frame::Ping { target } => [Said::StreamPing { target: target.clone() }].into(),
        Frame::Pong(pong) => [Said::StreamPong { incarnation: pong.incarnation }].into(),
        Frame::Refused(refusal) => [Said::Refused(*refusal)].into(),
    }
}

fn of_greeting(Greeting { who, parts, .. }: &Greeting, reply: bool) -> Vec<Said> {
    let (from, claim) = match who {
        Who::Name(id) => (Some(id.clone()), None),
        Who::Member(claim) => (Some(claim.id.clone()), Some(of_claim(claim, 0))),
        Who::Unacceptable => (None, Some(Said::NotTaken)),
    };
    let mut said = Vec::from([Said::Sync { from, reply }]);
    said.extend(claim);
    said.extend(of_parts(parts));
    said
}

fn of_parts(parts: &[Part]) -> Vec<Said> {
    let mut said = Vec::new();
    for part in parts {
        match part {
            Part::Digest { .. } | Part::Split { .. } => said.push(Said::Digests),
            Part::Members { claims, .. } => {
                said.extend(claims.claims.iter().map(|claim| of_claim(claim, 0)));
                said.extend((0..claims.refused).map(|_| Said::NotTaken));
            }
        }
    }
    said
}

fn of_message(message: &Message) -> Said {
    match message {
        Message::Ping(ping) => Said::Ping {
            token: ping.token,
            target: ShortName(ping.target),
            incarnation: ping.incarnation,
            digest: ping.digest,
        },
        Message::PingRequest(request) => Said::PingRequest {
            token: request.token,
            within: Duration::from_millis(request.within_ms.into()),
            target: request.target.clone(),
        },
        Message::Ack(ack) => {
            Said::Ack { token: ack.token, incarnation: ack.incarnation, digest: ack.digest }
        }
        Message::Nack(nack) => Said::Nack { token: nack.token },
        Message::Update(update) => of_claim(&update.claim, update.accuser),
        Message::Note(note) => Said::Message { from: note.from.clone(), len: note.data.len() },
        Message::Broadcast(broadcast) => Said::Broadcast {
            origin: broadcast.id.origin.clone(),
            number: broadcast.id.number,
            len: broadcast.payload.len(),
        },
        Message::Refused => Said::NotTaken,
        Message::Unknown => Said::Unknown,
    }
}

fn of_claim(claim: &Claim, accuser: u32) -> Said {
    let Claim { id, incarnation, state, profile } = claim;
    Said::Claim {
        id: id.clone(),
        state: *state,
        incarnation: *incarnation,
        addr: profile.as_ref().map(|profile| profile.addr),
        accuser: (accuser != 0).then_some(ShortName(accuser)),
    }
}
