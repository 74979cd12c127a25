//! Leaves: single messages of memberlist's datagrams, each a type byte and a msgpack struct.

use super::msgpack::{
    DecodeError, Value, decode_struct, encode_bool, encode_bytes, encode_bytes_or_nil,
    encode_number, encode_struct,
};
use crate::stats::Reject;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// One message of a datagram, inside all compounds and compression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Leaf<'a> {
    Ping(Ping<'a>),
    IndirectPing(IndirectPing<'a>),
    Ack(Ack),
    Nack { seq: u32 },
    Suspect(Accusation<'a>),
    Alive(Alive<'a>),
    Dead(Accusation<'a>),
    User(&'a [u8]),
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ping<'a> {
    pub(crate) seq: u32,
    /// The target's name; empty: any node answers.
    pub(crate) node: Cow<'a, [u8]>,
    pub(crate) source: Source<'a>,
}

/// The sender's address for acks, and its name; empty fields are omitted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Source<'a> {
    pub(crate) addr: Cow<'a, [u8]>,
    pub(crate) port: u16,
    pub(crate) node: Cow<'a, [u8]>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct IndirectPing<'a> {
    pub(crate) seq: u32,
    pub(crate) target: Cow<'a, [u8]>,
    pub(crate) port: u16,
    pub(crate) node: Cow<'a, [u8]>,
    pub(crate) nack: bool,
    pub(crate) source: Source<'a>,
}

/// An ack; its payload, for the sender's `PingDelegate`, is ignored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ack {
    pub(crate) seq: u32,
}

/// A suspect or dead message; a dead message from the member itself means that it left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Accusation<'a> {
    pub(crate) incarnation: u32,
    pub(crate) node: Cow<'a, [u8]>,
    pub(crate) from: Cow<'a, [u8]>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Alive<'a> {
    pub(crate) incarnation: u32,
    pub(crate) node: Cow<'a, [u8]>,
    pub(crate) addr: Cow<'a, [u8]>,
    pub(crate) port: u16,
    pub(crate) meta: Cow<'a, [u8]>,
    pub(crate) vsn: Cow<'a, [u8]>,
}

/// Decodes one message of a datagram; bytes after it are ignored.
pub(crate) fn read(leaf: &[u8]) -> Result<Leaf<'_>, Reject> {
    let (&kind, body) = leaf.split_first().ok_or(Reject::Malformed)?;
    let leaf = match kind {
        PING => decode_ping(&mut &body[..]).map(Leaf::Ping),
        INDIRECT_PING => decode_indirect_ping(body).map(Leaf::IndirectPing),
        ACK => decode_ack(&mut &body[..]).map(Leaf::Ack),
        NACK => decode_nack(body).map(|seq| Leaf::Nack { seq }),
        SUSPECT => decode_accusation(body).map(Leaf::Suspect),
        ALIVE => decode_alive(body).map(Leaf::Alive),
        DEAD => decode_accusation(body).map(Leaf::Dead),
        USER => Ok(Leaf::User(body)),
        _ => return Err(Reject::Unexpected),
    };
    leaf.map_err(|_| Reject::Malformed)
}

pub(super) fn decode_ping<'a>(bytes: &mut &'a [u8]) -> Result<Ping<'a>, DecodeError> {
    const NAMES: [&str; 5] = ["SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"];
    let mut ping = Ping::default();
    decode_struct(bytes, &NAMES, |n, value| {
        match n {
            0 => ping.seq = value.u32()?,
            1 => ping.node = value.bytes()?,
            n => ping.source.decode_field(n - 2, value)?,
        }
        Ok(())
    })?;
    Ok(ping)
}

impl<'a> Source<'a> {
    fn decode_field(&mut self, n: usize, value: Value<'a>) -> Result<(), DecodeError> {
        match n {
            0 => self.addr = value.bytes()?,
            1 => self.port = value.u16()?,
            _ => self.node = value.bytes()?,
        }
        Ok(())
    }

    /// Number of fields that are not empty.
    fn fields(&self) -> u8 {
        let Self { addr, port, node } = self;
        u8::from(!addr.is_empty()) + u8::from(*port != 0) + u8::from(!node.is_empty())
    }

    fn encode(&self, buf: &mut Vec<u8>) {
        if !self.addr.is_empty() {
            encode_bytes(buf, "SourceAddr", &self.addr);
        }
        if !self.node.is_empty() {
            encode_bytes(buf, "SourceNode", &self.node);
        }
        if self.port != 0 {
            encode_number(buf, "SourcePort", self.port.into());
        }
    }
}

fn decode_indirect_ping(mut bytes: &[u8]) -> Result<IndirectPing<'_>, DecodeError> {
    const NAMES: [&str; 8] =
        ["SeqNo", "Target", "Port", "Node", "Nack", "SourceAddr", "SourcePort", "SourceNode"];
    let mut ping = IndirectPing::default();
    decode_struct(&mut bytes, &NAMES, |n, value| {
        match n {
            0 => ping.seq = value.u32()?,
            1 => ping.target = value.bytes()?,
            2 => ping.port = value.u16()?,
            3 => ping.node = value.bytes()?,
            4 => ping.nack = value.bool()?,
            n => ping.source.decode_field(n - 5, value)?,
        }
        Ok(())
    })?;
    Ok(ping)
}

pub(super) fn decode_ack(bytes: &mut &[u8]) -> Result<Ack, DecodeError> {
    let mut ack = Ack::default();
    decode_struct(bytes, &["SeqNo", "Payload"], |n, value| {
        match n {
            0 => ack.seq = value.u32()?,
            _ => drop(value.bytes()?),
        }
        Ok(())
    })?;
    Ok(ack)
}

fn decode_nack(mut bytes: &[u8]) -> Result<u32, DecodeError> {
    let mut seq = 0;
    decode_struct(&mut bytes, &["SeqNo"], |_, value| {
        seq = value.u32()?;
        Ok(())
    })?;
    Ok(seq)
}

fn decode_accusation(mut bytes: &[u8]) -> Result<Accusation<'_>, DecodeError> {
    let mut accusation = Accusation::default();
    decode_struct(&mut bytes, &["Incarnation", "Node", "From"], |n, value| {
        match n {
            0 => accusation.incarnation = value.u32()?,
            1 => accusation.node = value.bytes()?,
            _ => accusation.from = value.bytes()?,
        }
        Ok(())
    })?;
    Ok(accusation)
}

fn decode_alive(mut bytes: &[u8]) -> Result<Alive<'_>, DecodeError> {
    const NAMES: [&str; 6] = ["Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"];
    let mut alive = Alive::default();
    decode_struct(&mut bytes, &NAMES, |n, value| {
        match n {
            0 => alive.incarnation = value.u32()?,
            1 => alive.node = value.bytes()?,
            2 => alive.addr = value.bytes()?,
            3 => alive.port = value.u16()?,
            4 => alive.meta = value.bytes()?,
            _ => alive.vsn = value.bytes()?,
        }
        Ok(())
    })?;
    Ok(alive)
}

impl Leaf<'_> {
    /// Appends the encoded message.
    pub(crate) fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Ping(ping) => ping.encode(buf),
            Self::IndirectPing(ping) => ping.encode(buf),
            Self::Ack(ack) => ack.encode(buf),
            Self::Nack { seq } => {
                buf.push(NACK);
                encode_struct(buf, 1);
                encode_number(buf, "SeqNo", *seq);
            }
            Self::Suspect(accusation) => accusation.encode(SUSPECT, buf),
            Self::Alive(alive) => alive.encode(buf),
            Self::Dead(accusation) => accusation.encode(DEAD, buf),
            Self::User(data) => {
                buf.push(USER);
                buf.extend_from_slice(data);
            }
        }
    }
}

impl Ping<'_> {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(PING);
        encode_struct(buf, 2 + self.source.fields());
        encode_bytes(buf, "Node", &self.node);
        encode_number(buf, "SeqNo", self.seq);
        self.source.encode(buf);
    }
}

impl IndirectPing<'_> {
    fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(INDIRECT_PING);
        encode_struct(buf, 5 + self.source.fields());
        encode_bool(buf, "Nack", self.nack);
        encode_bytes(buf, "Node", &self.node);
        encode_number(buf, "Port", self.port.into());
        encode_number(buf, "SeqNo", self.seq);
        self.source.encode(buf);
        encode_bytes(buf, "Target", &self.target);
    }
}

impl Ack {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(ACK);
        encode_struct(buf, 2);
        encode_bytes_or_nil(buf, "Payload", &[]);
        encode_number(buf, "SeqNo", self.seq);
    }
}

impl Accusation<'_> {
    fn encode(&self, kind: u8, buf: &mut Vec<u8>) {
        buf.push(kind);
        encode_struct(buf, 3);
        encode_bytes(buf, "From", &self.from);
        encode_number(buf, "Incarnation", self.incarnation);
        encode_bytes(buf, "Node", &self.node);
    }
}

impl Alive<'_> {
    fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(ALIVE);
        encode_struct(buf, 6);
        encode_bytes(buf, "Addr", &self.addr);
        encode_number(buf, "Incarnation", self.incarnation);
        encode_bytes_or_nil(buf, "Meta", &self.meta);
        encode_bytes(buf, "Node", &self.node);
        encode_number(buf, "Port", self.port.into());
        encode_bytes(buf, "Vsn", &self.vsn);
    }
}

pub(super) const PING: u8 = 0;
const INDIRECT_PING: u8 = 1;
pub(super) const ACK: u8 = 2;
const SUSPECT: u8 = 3;
const ALIVE: u8 = 4;
const DEAD: u8 = 5;
pub(super) const USER: u8 = 8;
const NACK: u8 = 11;
