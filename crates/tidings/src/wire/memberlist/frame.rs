//! Frames: conversion between our frames and the messages of memberlist's streams.

use super::datagram::profile;
use super::leaf::{Ack, Ping, Source};
use super::stream::{
    Message, Record, encode_error, encode_push_pull, encode_record, encode_user, read,
};
use super::{Envelope, Octets, incarnation, name, number};
use crate::error::Refusal;
use crate::member::{Member, NodeId, State};
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::wire::StreamBinding;
use crate::wire::frame::{
    Claims, DecodeLimits, Frame, Pong, PushPull, ReliableMessage, StreamPing,
};
use alloc::vec::Vec;
use bytes::Bytes;

impl Envelope {
    pub(crate) fn push_pull<'m>(
        &self,
        join: bool,
        members: impl Iterator<Item = &'m Member>,
        state: &[u8],
    ) -> Vec<u8> {
        let (mut records, mut count) = (Vec::new(), 0);
        for member in members {
            encode_member(&mut records, member);
            count += 1;
        }
        let mut buf = Vec::with_capacity(records.len() + state.len() + 64);
        let len = u32::try_from(state.len()).expect("max_sync_state is at most 32 MiB");
        encode_push_pull(&mut buf, join, count, len);
        buf.append(&mut records);
        buf.extend_from_slice(state);
        buf
    }

    pub(crate) fn message(&self, data: &[u8]) -> Vec<u8> {
        let mut buf = Vec::new();
        encode_user(&mut buf, data);
        buf
    }

    pub(crate) fn ping(&self, target: &NodeId, token: u32) -> Vec<u8> {
        let ip = Octets::new(self.addr.ip(), false);
        let [node, own] = [target, &self.name].map(|id| id.as_str().as_bytes().into());
        let source = Source { addr: ip.as_bytes().into(), port: self.addr.port(), node: own };
        let mut buf = Vec::new();
        Ping { seq: token, node, source }.encode(&mut buf);
        buf
    }

    pub(crate) fn pong(&self, token: u32) -> Vec<u8> {
        let mut buf = Vec::new();
        Ack { seq: token }.encode(&mut buf);
        buf
    }

    /// The error reply to a message that we cannot read because of its encryption; `None` for other
    /// reasons.
    pub(crate) fn complaint(&self, reject: Reject) -> Option<Vec<u8>> {
        let error = match reject {
            Reject::Key => "what came is encrypted, and no key of ours opens it",
            Reject::Plaintext => "what came is not encrypted, and has to be",
            _ => return None,
        };
        let mut buf = Vec::new();
        encode_error(&mut buf, error);
        Some(buf)
    }

    /// The error reply for a refusal; `None` for those that memberlist's nodes do not reply to.
    pub(crate) fn refused(&self, refusal: Refusal) -> Option<Vec<u8>> {
        let mut buf = Vec::new();
        (refusal == Refusal::AddressNotAllowed).then(|| encode_error(&mut buf, NOT_ALLOWED))?;
        Some(buf)
    }

    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limit: usize,
        binding: &mut StreamBinding,
        limits: DecodeLimits,
    ) -> Result<Option<Frame>, Reject> {
        let (mut opened, mut scratch) = (Vec::new(), Vec::new());
        let opened = self.open_frame(bytes, limit, binding, &mut opened)?;
        let Some((plain, whole)) = opened else { return Ok(None) };
        let message = read(plain, whole, limit, &mut binding.progress, &mut scratch)?;
        message.map(|message| frame(message, limits)).transpose()
    }

    /// Decodes a frame that a replayed node wrote.
    #[cfg(feature = "record")]
    pub(crate) fn frame_in(&self, bytes: &[u8]) -> Option<Frame> {
        let (plain, mut scratch) = (self.plaintext_of_frame(bytes)?, Vec::new());
        let message =
            read(&plain, true, usize::MAX, &mut Default::default(), &mut scratch).ok()??;
        frame(message, DecodeLimits::NONE).ok()
    }
}

fn encode_member(buf: &mut Vec<u8>, member: &Member) {
    let ip = Octets::new(member.addr().ip(), member.versions.mapped);
    let record = Record {
        name: member.id().as_str().as_bytes().into(),
        addr: ip.as_bytes().into(),
        port: member.addr().port(),
        meta: member.meta().as_bytes().into(),
        incarnation: number(member.incarnation()),
        state: match member.state() {
            State::Alive => ALIVE,
            State::Suspect => SUSPECT,
            State::Failed => DEAD,
            State::Left => LEFT,
        },
        vsn: (&member.versions.versions[..]).into(),
    };
    encode_record(buf, &record);
}

fn frame(message: Message<'_>, mut limits: DecodeLimits) -> Result<Frame, Reject> {
    Ok(match message {
        Message::PushPull { join, records, state } => {
            let mut claims = Claims::default();
            for record in records {
                claims.push(claim(&record, limits.max_meta), &mut limits)?;
            }
            Frame::PushPull(PushPull { join, claims, state: Bytes::copy_from_slice(state) })
        }
        Message::Ping(Ping { seq, node, .. }) => {
            let target = match &node[..] {
                [] => None,
                node => Some(name(node).ok_or(Reject::Malformed)?),
            };
            Frame::Ping(StreamPing { target, token: Some(seq) })
        }
        Message::Ack(Ack { seq }) => Frame::Pong(Pong { token: Some(seq), status: None }),
        Message::User(data) => Frame::Message(ReliableMessage {
            to: None,
            from: None,
            data: Bytes::copy_from_slice(data),
        }),
        Message::Error(text) if *text == *NOT_ALLOWED.as_bytes() => {
            Frame::Refusal(Refusal::AddressNotAllowed)
        }
        Message::Error(_) => Frame::Refusal(Refusal::Unreadable),
    })
}

/// The claim in a push/pull record; `None` if it is not acceptable.
fn claim(record: &Record<'_>, max_meta: usize) -> Option<Claim> {
    let Record { addr, port, meta, vsn, .. } = record;
    let state = match record.state {
        ALIVE => State::Alive,
        SUSPECT => State::Suspect,
        DEAD => State::Failed,
        LEFT => State::Left,
        _ => return None,
    };
    Some(Claim {
        id: name(&record.name)?,
        incarnation: incarnation(record.incarnation),
        state,
        profile: Some(profile(addr, *port, meta, vsn, max_meta)?),
    })
}

/// The text of the error reply to a node at an address in no allowed network.
const NOT_ALLOWED: &str = "your address is in none of the networks that are allowed here";

const ALIVE: u8 = 0;
const SUSPECT: u8 = 1;
const DEAD: u8 = 2;
const LEFT: u8 = 3;
