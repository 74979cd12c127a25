//! Datagrams: conversion between our messages and memberlist's leaves.

use super::leaf::{
    Accusation, Ack as AckLeaf, Alive, IndirectPing, Leaf, Ping as PingLeaf, Source,
};
use super::packet::{self, Leaves, MAX_PARTS};
use super::{Envelope, Octets, address, incarnation, leaf, name, number, versions};
use crate::member::{Member, Meta, NodeId, State, name_hash};
use crate::membership::claim::{Claim, Profile};
use crate::stats::Reject;
use crate::wire::message::Accuser;
use crate::wire::message::Broadcast;
use crate::wire::message::{Ack, Message, Ping, PingRequest, Update, UserMessage, target_tag};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

/// Encoder of one datagram, to which leaves are appended.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    buf: &'a mut Vec<u8>,
    /// Offset of the first leaf.
    start: usize,
    limit: usize,
    /// Bytes that completing the datagram adds, at most.
    trailer: usize,
    /// Lengths of the leaves so far.
    lengths: [u16; MAX_PARTS],
    parts: usize,
    /// The sender.
    name: NodeId,
    addr: SocketAddr,
    nacks: bool,
}

impl<'a> Writer<'a> {
    /// Begins a datagram of at most `limit` bytes in `buf`.
    pub(crate) fn begin(envelope: &Envelope, buf: &'a mut Vec<u8>, limit: usize) -> Self {
        let trailer = envelope.begin(buf);
        let limit = limit - trailer;
        let (start, lengths, parts) = (buf.len(), [0; MAX_PARTS], 0);
        let (name, addr, nacks) = (envelope.name.clone(), envelope.addr, envelope.nacks);
        Self { buf, start, limit, trailer, lengths, parts, name, addr, nacks }
    }

    pub(crate) fn ping(&mut self, token: u32, target: &NodeId) {
        let (ip, own) = (Octets::new(self.addr.ip(), false), self.name.clone());
        let source = source(&ip, self.addr.port(), &own);
        let node = target.as_str().as_bytes().into();
        self.push(&Leaf::Ping(PingLeaf { seq: token, node, source }));
    }

    pub(crate) fn ping_request(&mut self, token: u32, target: &Member) {
        let (ip, own) = (Octets::new(self.addr.ip(), false), self.name.clone());
        let at = Octets::new(target.addr().ip(), target.versions.mapped);
        self.push(&Leaf::IndirectPing(IndirectPing {
            seq: token,
            target: at.as_bytes().into(),
            port: target.addr().port(),
            node: target.id().as_str().as_bytes().into(),
            nack: self.nacks,
            source: source(&ip, self.addr.port(), &own),
        }));
    }

    pub(crate) fn ack(&mut self, token: u32) {
        self.push(&Leaf::Ack(AckLeaf { seq: token }));
    }

    pub(crate) fn nack(&mut self, token: u32) {
        self.push(&Leaf::Nack { seq: token });
    }

    /// Appends an update with a member's current record; `false` if there is no room.
    ///
    /// If the accuser's name is not known, we are the accuser, as with memberlist.
    pub(crate) fn update(&mut self, member: &Member, accuser: &Accuser) -> bool {
        let own = self.name.clone();
        let accuser = match accuser {
            Accuser::Named(name) => name,
            _ => &own,
        };
        let [node, accuser, own] = [member.id(), accuser, &own].map(|id| id.as_str().as_bytes());
        let incarnation = number(member.incarnation());
        let (node, accuser) = (Cow::Borrowed(node), Cow::Borrowed(accuser));
        let ip = Octets::new(member.addr().ip(), member.versions.mapped);
        self.push(&match member.state() {
            State::Alive => Leaf::Alive(Alive {
                incarnation,
                node,
                addr: ip.as_bytes().into(),
                port: member.addr().port(),
                meta: member.meta().as_bytes().into(),
                vsn: (&member.versions.versions[..]).into(),
            }),
            State::Suspect => Leaf::Suspect(Accusation { incarnation, node, from: accuser }),
            State::Failed => Leaf::Dead(Accusation { incarnation, node, from: own.into() }),
            State::Left => Leaf::Dead(Accusation { incarnation, from: node.clone(), node }),
        })
    }

    /// Appends a message of our application; the caller checked that it fits.
    pub(crate) fn user_message(&mut self, data: &[u8]) {
        self.push(&Leaf::User(data));
    }

    /// Appends a broadcast; `false` if there is no room.
    pub(crate) fn broadcast(&mut self, broadcast: &Broadcast) -> bool {
        self.push(&Leaf::User(&broadcast.payload))
    }

    /// Length of the datagram so far, completed, in bytes.
    pub(crate) fn len(&self) -> usize {
        // A single leaf stands by itself.
        let len = if self.parts > 1 { self.len_with(self.parts) } else { self.buf.len() };
        len + self.trailer
    }

    /// Room that is left for one message, in bytes.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.len_with(self.parts + 1))
    }

    /// Keeps bytes free for later messages, until [`Self::release`].
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.limit -= bytes;
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.limit += bytes;
    }

    /// Ends the leaves, and wraps them in a compound if there are several; returns their offset, or
    /// `None` if there are none.
    pub(crate) fn end(self) -> Option<usize> {
        if self.parts > 1 {
            packet::wrap_compound(self.buf, self.start, &self.lengths[..self.parts]);
        }
        (self.parts > 0).then_some(self.start)
    }

    /// Length of the datagram with the header of a compound of `parts` parts.
    fn len_with(&self, parts: usize) -> usize {
        self.buf.len() + 2 + 2 * parts
    }

    /// Appends a leaf; `false` if there is no room.
    fn push(&mut self, leaf: &Leaf<'_>) -> bool {
        let before = self.buf.len();
        leaf.encode(self.buf);
        let length = u16::try_from(self.buf.len() - before).ok();
        let fits = self.parts < MAX_PARTS && self.len_with(self.parts + 1) <= self.limit;
        match length.filter(|_| fits) {
            Some(length) => {
                self.lengths[self.parts] = length;
                self.parts += 1;
                true
            }
            None => {
                self.buf.truncate(before);
                false
            }
        }
    }
}

/// Our own address and name, to which acks are sent.
fn source<'a>(ip: &'a Octets, port: u16, name: &'a NodeId) -> Source<'a> {
    Source { addr: ip.as_bytes().into(), port, node: name.as_str().as_bytes().into() }
}

/// The longest data, in bytes, of a user message that fits into `room`.
pub(crate) fn max_user_message(room: usize) -> usize {
    room.saturating_sub(1)
}

/// Encoded length of a broadcast, in bytes: a user message without origin and key.
pub(crate) fn broadcast_len(broadcast: &Broadcast) -> usize {
    1 + broadcast.payload.len()
}

/// Iterator over the messages of an expanded datagram; a malformed one does not end it.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    leaves: Leaves<'a>,
    max_meta: usize,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(expanded: &'a [u8], max_meta: usize) -> Self {
        Self { leaves: packet::leaves(expanded), max_meta }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        let leaf = self.leaves.next()?;
        let message = leaf::read(leaf).and_then(|leaf| message(leaf, self.max_meta));
        Some(Ok(message.unwrap_or_else(Message::Unreadable)))
    }
}

fn message(leaf: Leaf<'_>, max_meta: usize) -> Result<Message, Reject> {
    Ok(match leaf {
        Leaf::Ping(PingLeaf { seq: token, node, source }) => {
            let target = (!node.is_empty()).then(|| target_tag(token, name_hash(&node)));
            Message::Ping(Ping { token, target, sender: None, reply_to: reply_to(&source) })
        }
        Leaf::IndirectPing(IndirectPing { seq: token, target, port, node, nack, source }) => {
            let (at, _) = address(&target, port).ok_or(Reject::Malformed)?;
            let (target, reply_to) = (name(&node).ok_or(Reject::Malformed)?, reply_to(&source));
            Message::PingRequest(PingRequest {
                token,
                target,
                sender: None,
                at: Some(at),
                within: None,
                nack,
                refused: false,
                reply_to,
            })
        }
        Leaf::Ack(AckLeaf { seq: token }) => Message::Ack(Ack { token, status: None }),
        Leaf::Nack { seq: token } => Message::Nack { token, refused: false },
        Leaf::Suspect(accusation) => accusation_update(&accusation, State::Suspect)?,
        Leaf::Dead(accusation) => {
            let left = accusation.node == accusation.from;
            accusation_update(&accusation, if left { State::Left } else { State::Failed })?
        }
        Leaf::Alive(alive) => {
            let id = name(&alive.node);
            let profile = profile(&alive.addr, alive.port, &alive.meta, &alive.vsn, max_meta);
            let (Some(id), Some(profile)) = (id, profile) else {
                return Ok(Message::RefusedMember);
            };
            let (incarnation, state) = (incarnation(alive.incarnation), State::Alive);
            let claim = Claim { id, incarnation, state, profile: Some(profile) };
            Message::Update(Update { claim, accuser: Accuser::Unknown, refused: false })
        }
        Leaf::User(data) => {
            Message::User(UserMessage { from: None, data: Bytes::copy_from_slice(data) })
        }
    })
}

fn accusation_update(accusation: &Accusation<'_>, state: State) -> Result<Message, Reject> {
    let Accusation { incarnation: number, node, from } = accusation;
    let Some(id) = name(node) else { return Ok(Message::RefusedMember) };
    let claim = Claim { id, incarnation: incarnation(*number), state, profile: None };
    let accuser = name(from).map_or(Accuser::Unknown, Accuser::Named);
    Ok(Message::Update(Update { claim, accuser, refused: false }))
}

/// A member's address, metadata and versions; `None` if any of them is not acceptable.
pub(super) fn profile(
    ip: &[u8],
    port: u16,
    meta: &[u8],
    vsn: &[u8],
    max_meta: usize,
) -> Option<Profile> {
    let (addr, mapped) = address(ip, port)?;
    let versions = versions(vsn, mapped)?;
    (meta.len() <= max_meta).then(|| Profile { addr, meta: Meta::new(meta), versions, told: false })
}

fn reply_to(source: &Source<'_>) -> Option<SocketAddr> {
    address(&source.addr, source.port).map(|(addr, _)| addr)
}
