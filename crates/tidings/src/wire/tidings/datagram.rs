//! Datagrams: a header, then messages one after another, to the end.

use super::Envelope;
use super::profile::{decode_profile, encode_profile};
use crate::member::{Member, NodeId, State};
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::wire::codec::{Encode, Fixed, decode, encode};
use crate::wire::message::Accuser;
use crate::wire::message::{Ack, Message, PeerStatus, Ping, PingRequest, PingSender, target_tag};
use crate::wire::message::{Broadcast, BroadcastId, Update, UserMessage};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// The longest data, in bytes, of a user message from `from` that fits into `room`.
pub(crate) fn max_user_message(from: &NodeId, room: usize) -> usize {
    let name = from.as_str().len();
    let left = room.saturating_sub(1 + varint_len(name as u64) + name);
    left.saturating_sub(varint_len(left as u64))
}

/// Encoded length of a broadcast, in bytes.
pub(crate) fn broadcast_len(broadcast: &Broadcast) -> usize {
    let Broadcast { id, key, payload } = broadcast;
    let sized = |len: usize| varint_len(len as u64) + len;
    let numbers = varint_len(id.generation) + varint_len(id.number);
    1 + sized(id.origin.as_str().len()) + numbers + sized(key.len()) + sized(payload.len())
}

fn varint_len(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

/// Encoder of one datagram, to which messages are appended.
///
/// A message that would exceed the datagram's limit is removed again.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    buf: &'a mut Vec<u8>,
    /// Offset of the first message.
    start: usize,
    limit: usize,
    /// Bytes that completing the datagram adds.
    trailer: usize,
}

impl<'a> Writer<'a> {
    /// Begins a datagram of at most `limit` bytes in `buf`.
    pub(crate) fn begin(envelope: &Envelope, buf: &'a mut Vec<u8>, limit: usize) -> Self {
        let trailer = envelope.begin(buf);
        let start = buf.len();
        Self { buf, start, limit: limit - trailer, trailer }
    }

    pub(crate) fn ping(&mut self, token: u32, target: &NodeId, sender: PingSender) {
        self.message(PING, &(Fixed(token), Fixed(target_tag(token, target.hash())), sender));
    }

    pub(crate) fn ping_request(
        &mut self,
        token: u32,
        sender: u32,
        target: &NodeId,
        within: Duration,
        refused: bool,
    ) {
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let kind = if refused { CONNECT_REQUEST } else { PING_REQUEST };
        self.message(kind, &(Fixed(token), Fixed(sender), within_ms, target));
    }

    pub(crate) fn ack(&mut self, token: u32, status: PeerStatus) {
        self.message(ACK, &(Fixed(token), status));
    }

    pub(crate) fn nack(&mut self, token: u32, refused: bool) {
        self.message(if refused { REFUSED } else { NACK }, &Fixed(token));
    }

    /// Appends an update with a member's current record; `false` if there is no room.
    ///
    /// `refused`: it is a suspicion because the member refuses connections.
    pub(crate) fn update(&mut self, member: &Member, accuser: &Accuser, refused: bool) -> bool {
        let before = self.buf.len();
        let Member { id, incarnation, state, .. } = member;
        match state {
            State::Alive => {
                self.buf.push(if member.addr().is_ipv6() { ALIVE_V6 } else { ALIVE_V4 });
                encode_profile(self.buf, member);
            }
            State::Suspect => {
                self.buf.push(if refused { SUSPECT_REFUSED } else { SUSPECT });
                let accuser = accuser.short();
                encode(self.buf, &(Fixed(accuser), id, incarnation));
            }
            State::Failed | State::Left => {
                self.buf.push(if *state == State::Failed { FAILED } else { LEFT });
                encode(self.buf, &(id, incarnation));
            }
        }
        self.truncate_unless_fits(before)
    }

    /// Appends a message of our application; the caller checked that it fits.
    pub(crate) fn user_message(&mut self, from: &NodeId, data: &[u8]) {
        self.message(USER_MESSAGE, &(from, data));
    }

    /// Appends a broadcast; `false` if there is no room.
    pub(crate) fn broadcast(&mut self, broadcast: &Broadcast) -> bool {
        let before = self.buf.len();
        let Broadcast { id: BroadcastId { origin, generation, number }, key, payload } = broadcast;
        self.message(BROADCAST, &(origin, *generation, *number, &key[..], &payload[..]));
        self.truncate_unless_fits(before)
    }

    /// Offset of the first message.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Length of the datagram so far, completed, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.buf.len() + self.trailer
    }

    /// Room that is left, in bytes.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.buf.len())
    }

    /// Keeps bytes free for later messages, until [`Self::release`].
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.limit -= bytes;
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.limit += bytes;
    }

    fn truncate_unless_fits(&mut self, before: usize) -> bool {
        let fits = self.buf.len() <= self.limit;
        if !fits {
            self.buf.truncate(before);
        }
        fits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buf.len() == self.start
    }

    fn message<T: Encode>(&mut self, kind: u8, body: &T) {
        self.buf.push(kind);
        encode(self.buf, body);
    }
}

/// Decodes the messages of an opened datagram.
pub(crate) fn messages(messages: &[u8], max_meta: usize) -> Messages<'_> {
    Messages { rest: messages, max_meta }
}

/// Iterator over the messages of a datagram, in order; it ends after a malformed one.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
    max_meta: usize,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        let message = self.message(kind);
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

impl Messages<'_> {
    fn message(&mut self, kind: u8) -> Result<Message, Reject> {
        let rest = &mut self.rest;
        let update = |claim, accuser| {
            Message::Update(Update { claim, accuser, refused: kind == SUSPECT_REFUSED })
        };
        Ok(match kind {
            PING => {
                let (Fixed(token), Fixed(target), sender) = decode(rest)?;
                let (target, sender) = (Some(target), Some(sender));
                Message::Ping(Ping { token, target, sender, reply_to: None })
            }
            PING_REQUEST | CONNECT_REQUEST => {
                let (Fixed(token), Fixed(sender), within_ms, target) =
                    decode::<(_, _, u32, _)>(rest)?;
                let within = Some(Duration::from_millis(within_ms.into()));
                Message::PingRequest(PingRequest {
                    token,
                    target,
                    sender: Some(sender),
                    at: None,
                    within,
                    nack: true,
                    refused: kind == CONNECT_REQUEST,
                    reply_to: None,
                })
            }
            ACK => {
                let (Fixed(token), status) = decode(rest)?;
                Message::Ack(Ack { token, status: Some(status) })
            }
            NACK | REFUSED => {
                let Fixed(token) = decode(rest)?;
                Message::Nack { token, refused: kind == REFUSED }
            }
            ALIVE_V4 | ALIVE_V6 => {
                match decode_profile(rest, State::Alive, (kind == ALIVE_V6, false), self.max_meta)?
                {
                    Some(claim) => update(claim, Accuser::Unknown),
                    None => Message::RefusedMember,
                }
            }
            SUSPECT | SUSPECT_REFUSED => {
                let (Fixed(accuser), id, incarnation) = decode(rest)?;
                update(
                    Claim { id, incarnation, state: State::Suspect, profile: None },
                    accuser.into(),
                )
            }
            FAILED | LEFT => {
                let (id, incarnation) = decode(rest)?;
                let state = if kind == FAILED { State::Failed } else { State::Left };
                update(Claim { id, incarnation, state, profile: None }, Accuser::Unknown)
            }
            USER_MESSAGE => {
                let (from, data) = decode::<(NodeId, &[u8])>(rest)?;
                Message::User(UserMessage { from: Some(from), data: Bytes::copy_from_slice(data) })
            }
            BROADCAST => {
                let (origin, generation, number, key, payload) =
                    decode::<(NodeId, u64, u64, &[u8], &[u8])>(rest)?;
                Message::Broadcast(Broadcast {
                    id: BroadcastId { origin, generation, number },
                    key: Bytes::copy_from_slice(key),
                    payload: Bytes::copy_from_slice(payload),
                })
            }
            FIRST_SKIPPABLE.. => {
                decode::<&[u8]>(rest)?;
                Message::Unknown
            }
            _ => return Err(Reject::Malformed),
        })
    }
}

const PING: u8 = 0;
const PING_REQUEST: u8 = 1;
const ACK: u8 = 2;
const NACK: u8 = 3;
const USER_MESSAGE: u8 = 4;
const BROADCAST: u8 = 5;
/// A [`NACK`] of a relay whose connection the target refused.
const REFUSED: u8 = 6;
/// A [`PING_REQUEST`] of a node whose connection the target refused.
const CONNECT_REQUEST: u8 = 7;
const ALIVE_V4: u8 = 8;
const ALIVE_V6: u8 = 9;
const SUSPECT: u8 = 10;
const FAILED: u8 = 11;
const LEFT: u8 = 12;
/// A [`SUSPECT`] that refuses connections.
const SUSPECT_REFUSED: u8 = 13;
/// The first of the kinds that carry their length, so that older versions can skip them.
const FIRST_SKIPPABLE: u8 = 64;
