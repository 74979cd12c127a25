//! Encoding and decoding of frames.

use super::Envelope;
use super::compare::{NAME, decode_member, decode_parts, encode_member, encode_name};
use crate::error::Refusal;
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::wire::StreamBinding;
use crate::wire::codec::{decode, encode};
use crate::wire::frame::{
    Claims, DecodeLimits, Frame, Introduction, PeerIdentity, Pong, ReliableMessage, StreamPing,
    SyncHello,
};
use crate::wire::message::PeerStatus;
use alloc::vec::Vec;
use bytes::Bytes;

/// Begins a sync with our hello; the caller appends the parts.
///
/// `to`: the member that it is for, unless it is for whoever is at the address.
pub(crate) fn sync(
    envelope: &Envelope,
    to: Option<&NodeId>,
    local: &Member,
    introduction: Introduction,
    state: &[u8],
) -> Vec<u8> {
    let newcomer = introduction == Introduction::Newcomer;
    let mut buf = envelope.begin_frame(if newcomer { SYNC_OF_NEWCOMER } else { SYNC });
    encode(&mut buf, &to);
    encode_hello(&mut buf, local, introduction != Introduction::Name, state);
    buf
}

/// Begins the reply to a sync with our hello; the caller appends the parts.
pub(crate) fn sync_reply(
    envelope: &Envelope,
    local: &Member,
    introduce: bool,
    state: &[u8],
) -> Vec<u8> {
    let mut buf = envelope.begin_frame(SYNC_REPLY);
    encode_hello(&mut buf, local, introduce, state);
    buf
}

fn encode_hello(buf: &mut Vec<u8>, local: &Member, introduce: bool, state: &[u8]) {
    if introduce {
        encode_member(buf, local, false);
    } else {
        encode_name(buf, local);
    }
    encode(buf, state);
}

/// Begins a frame that continues a sync; the caller appends the parts.
pub(crate) fn compare(envelope: &Envelope) -> Vec<u8> {
    envelope.begin_frame(COMPARE)
}

pub(crate) fn updates(envelope: &Envelope, to: Option<&NodeId>, member: &Member) -> Vec<u8> {
    let mut buf = envelope.begin_frame(UPDATES);
    encode(&mut buf, &to);
    encode_member(&mut buf, member, false);
    buf
}

pub(crate) fn message(envelope: &Envelope, to: &NodeId, from: &NodeId, data: &[u8]) -> Vec<u8> {
    let mut buf = envelope.begin_frame(MESSAGE);
    encode(&mut buf, &(to, from));
    buf.extend_from_slice(data);
    buf
}

pub(crate) fn packet(
    envelope: &Envelope,
    to: Option<&NodeId>,
    from: &NodeId,
    messages: &[u8],
) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PACKET);
    encode(&mut buf, &(to, from));
    buf.extend_from_slice(messages);
    buf
}

pub(crate) fn ping(envelope: &Envelope, target: &NodeId) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PING);
    encode(&mut buf, target);
    buf
}

pub(crate) fn pong(envelope: &Envelope, status: PeerStatus) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PONG);
    encode(&mut buf, &status);
    buf
}

pub(crate) fn receipt(envelope: &Envelope) -> Vec<u8> {
    envelope.begin_frame(RECEIPT)
}

pub(crate) fn refusal(envelope: &Envelope, refusal: Refusal) -> Vec<u8> {
    let mut buf = envelope.begin_frame(REFUSED);
    buf.push(refusal as u8);
    buf
}

/// Parses the bytes that a stream received so far; returns the frame if it is complete.
///
/// # Errors
///
/// As soon as the bytes cannot become a valid frame of at most `limit` bytes.
pub(crate) fn parse(
    bytes: &[u8],
    envelope: &mut Envelope,
    limit: usize,
    binding: &mut StreamBinding,
    limits: DecodeLimits,
) -> Result<Option<Frame>, Reject> {
    let mut scratch = Vec::new();
    match envelope.open_frame(bytes, limit, binding, &mut scratch)? {
        Some((kind, body)) => read(kind, body, limits).map(Some),
        None => Ok(None),
    }
}

/// Decodes the body of a frame of this kind.
pub(super) fn read(kind: u8, mut body: &[u8], limits: DecodeLimits) -> Result<Frame, Reject> {
    let limits = &mut { limits };
    Ok(match kind {
        SYNC | SYNC_OF_NEWCOMER => {
            let (to, newcomer) = (decode(&mut body)?, kind == SYNC_OF_NEWCOMER);
            Frame::Sync(SyncHello { to, newcomer, ..decode_hello(body, limits)? })
        }
        SYNC_REPLY => Frame::SyncReply(decode_hello(body, limits)?),
        COMPARE => Frame::Compare(decode_parts(body, limits)?),
        UPDATES => {
            let to = decode(&mut body)?;
            Frame::Updates { to, members: decode_members(body, limits)? }
        }
        MESSAGE => {
            let (to, from) = decode::<(NodeId, NodeId)>(&mut body)?;
            let (to, from) = (Some(to), Some(from));
            Frame::Message(ReliableMessage { to, from, data: Bytes::copy_from_slice(body) })
        }
        RECEIPT => Frame::Receipt,
        PACKET => {
            let (to, from) = decode(&mut body)?;
            Frame::Packet { to, from, messages: Bytes::copy_from_slice(body) }
        }
        PING => {
            let target = Some(decode(&mut body)?);
            Frame::Ping(StreamPing { target, token: None })
        }
        PONG => {
            let status = Some(decode(&mut body)?);
            Frame::Pong(Pong { token: None, status })
        }
        REFUSED => Frame::Refusal(Refusal::from_u8(decode(&mut body)?)),
        _ => return Err(Reject::Unexpected),
    })
}

fn decode_hello(mut body: &[u8], limits: &mut DecodeLimits) -> Result<SyncHello, Reject> {
    let who = match decode::<u8>(&mut body)? {
        NAME => PeerIdentity::Name(decode(&mut body)?),
        head => match decode_member(head, &mut body, limits.max_meta)? {
            Some(claim) => PeerIdentity::Member(claim),
            None => PeerIdentity::Unacceptable,
        },
    };
    let state = Bytes::copy_from_slice(decode(&mut body)?);
    Ok(SyncHello { to: None, who, newcomer: false, state, parts: decode_parts(body, limits)? })
}

fn decode_members(mut body: &[u8], limits: &mut DecodeLimits) -> Result<Claims, Reject> {
    let mut members = Claims::default();
    while let Some((&head, rest)) = body.split_first() {
        body = rest;
        members.push(decode_member(head, &mut body, limits.max_meta)?, limits)?;
    }
    Ok(members)
}

/// Upper bound, in bytes, of a user message frame's overhead behind the length: the longest names
/// of sender, receiver and cluster, and the envelope, sealed or not.
pub(crate) const MESSAGE_OVERHEAD: usize = 900;

const SYNC: u8 = 0;
const SYNC_REPLY: u8 = 1;
const UPDATES: u8 = 2;
const RECEIPT: u8 = 3;
const REFUSED: u8 = 4;
const COMPARE: u8 = 5;
const MESSAGE: u8 = 6;
const PING: u8 = 7;
const PONG: u8 = 8;
const PACKET: u8 = 9;
const SYNC_OF_NEWCOMER: u8 = 10;
