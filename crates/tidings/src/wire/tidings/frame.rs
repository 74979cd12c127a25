//! Frames: what travels on a stream. Each answers the one before.

use super::Envelope;
use super::compare::{NAME, put_member, put_name, take_member, take_parts};
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::stream::Refusal;
use crate::wire::Thread;
use crate::wire::codec::{put, take};
use crate::wire::frame::{Claims, Frame, Greeting, Letter, Pong, StreamPing, Who};
use crate::wire::message::Pulse;
use alloc::vec::Vec;
use bytes::Bytes;

/// A greeting, to which the parts of a comparison are appended.
pub(crate) fn sync(
    envelope: &Envelope,
    reply: bool,
    local: &Member,
    introduce: bool,
    state: &[u8],
) -> Vec<u8> {
    let mut buf = envelope.begin_frame(if reply { SYNCED } else { SYNC });
    if introduce {
        put_member(&mut buf, local);
    } else {
        put_name(&mut buf, local);
    }
    put(&mut buf, state);
    buf
}

/// A frame with which a comparison goes on, to which its parts are appended.
pub(crate) fn compare(envelope: &Envelope) -> Vec<u8> {
    envelope.begin_frame(COMPARE)
}

pub(crate) fn news(envelope: &Envelope, member: &Member) -> Vec<u8> {
    let mut buf = envelope.begin_frame(NEWS);
    put_member(&mut buf, member);
    buf
}

pub(crate) fn message(envelope: &Envelope, to: &NodeId, from: &NodeId, data: &[u8]) -> Vec<u8> {
    let mut buf = envelope.begin_frame(MESSAGE);
    put(&mut buf, &(to, from));
    buf.extend_from_slice(data);
    buf
}

pub(crate) fn packet(envelope: &Envelope, from: &NodeId, messages: &[u8]) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PACKET);
    put(&mut buf, from);
    buf.extend_from_slice(messages);
    buf
}

pub(crate) fn ping(envelope: &Envelope, target: &NodeId) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PING);
    put(&mut buf, target);
    buf
}

pub(crate) fn pong(envelope: &Envelope, pulse: Pulse) -> Vec<u8> {
    let mut buf = envelope.begin_frame(PONG);
    put(&mut buf, &pulse);
    buf
}

pub(crate) fn taken(envelope: &Envelope) -> Vec<u8> {
    envelope.begin_frame(TAKEN)
}

pub(crate) fn refused(envelope: &Envelope, refusal: Refusal) -> Vec<u8> {
    let mut buf = envelope.begin_frame(REFUSED);
    buf.push(refusal as u8);
    buf
}

/// Looks at what a stream brought so far, at most `limit` bytes of it; returns the frame if it is
/// complete.
pub(crate) fn parse(
    bytes: &[u8],
    envelope: &mut Envelope,
    limit: usize,
    thread: &mut Thread,
    max_meta: usize,
) -> Result<Option<Frame>, Reject> {
    let mut scratch = Vec::new();
    match envelope.open_frame(bytes, limit, thread, &mut scratch)? {
        Some((kind, body)) => read(kind, body, max_meta).map(Some),
        None => Ok(None),
    }
}

/// Reads the body of a frame of such a kind.
pub(super) fn read(kind: u8, mut body: &[u8], max_meta: usize) -> Result<Frame, Reject> {
    Ok(match kind {
        SYNC => Frame::Sync(take_greeting(body, max_meta)?),
        SYNCED => Frame::Synced(take_greeting(body, max_meta)?),
        COMPARE => Frame::Compare(take_parts(body, max_meta)?),
        NEWS => Frame::News { members: take_members(body, max_meta)? },
        MESSAGE => {
            let (to, from) = take::<(NodeId, NodeId)>(&mut body)?;
            let (to, from) = (Some(to), Some(from));
            Frame::Message(Letter { to, from, data: Bytes::copy_from_slice(body) })
        }
        TAKEN => Frame::Taken,
        PACKET => Frame::Packet { from: take(&mut body)?, messages: Bytes::copy_from_slice(body) },
        PING => {
            let target = Some(take(&mut body)?);
            Frame::Ping(StreamPing { target, token: None })
        }
        PONG => {
            let pulse = Some(take(&mut body)?);
            Frame::Pong(Pong { token: None, pulse })
        }
        REFUSED => Frame::Refused(Refusal::from_u8(take(&mut body)?)),
        _ => return Err(Reject::Unexpected),
    })
}

fn take_greeting(mut body: &[u8], max_meta: usize) -> Result<Greeting, Reject> {
    let who = match take::<u8>(&mut body)? {
        NAME => Who::Name(take(&mut body)?),
        head => match take_member(head, &mut body, max_meta)? {
            Some(claim) => Who::Member(claim),
            None => Who::Unacceptable,
        },
    };
    let state = Bytes::copy_from_slice(take(&mut body)?);
    Ok(Greeting { who, state, parts: take_parts(body, max_meta)? })
}

fn take_members(mut body: &[u8], max_meta: usize) -> Result<Claims, Reject> {
    let mut members = Claims::default();
    while let Some((&head, rest)) = body.split_first() {
        body = rest;
        match take_member(head, &mut body, max_meta)? {
            Some(claim) => members.claims.push(claim),
            None => members.refused += 1,
        }
    }
    Ok(members)
}

/// The most that a frame with a message takes beside the message, behind its length: two names and
/// the cluster's, all of the longest, and the envelope, sealed or not.
pub(crate) const MESSAGE_OVERHEAD: usize = 900;

const SYNC: u8 = 0;
const SYNCED: u8 = 1;
const NEWS: u8 = 2;
const TAKEN: u8 = 3;
const REFUSED: u8 = 4;
const COMPARE: u8 = 5;
const MESSAGE: u8 = 6;
const PING: u8 = 7;
const PONG: u8 = 8;
const PACKET: u8 = 9;
