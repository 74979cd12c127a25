//! An encoder of memberlist's messages that shares no code with the crate.

#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddrV4;

/// The value of a message's field; `Raw` is any msgpack.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Bool(bool),
    Raw(&'a [u8]),
}

use Value::{Bool, Bytes, Number, Raw};

/// The version vector of memberlist's nodes without a delegate.
pub const VSN: &[u8] = &[1, 5, 2, 0, 0, 0];

/// A message of a type, with these fields.
pub fn message(kind: u8, fields: &[(&str, Value<'_>)]) -> Vec<u8> {
    [vec![kind], map(fields)].concat()
}

pub fn ping(seq: u32, node: &str) -> Vec<u8> {
    message(0, &[("Node", Bytes(node.as_bytes())), ("SeqNo", Number(seq.into()))])
}

/// A ping that asks for the ack at this address.
pub fn ping_from(seq: u32, node: &str, addr: &[u8], port: u16) -> Vec<u8> {
    message(
        0,
        &[
            ("Node", Bytes(node.as_bytes())),
            ("SeqNo", Number(seq.into())),
            ("SourceAddr", Bytes(addr)),
            ("SourceNode", Bytes(b"whoever")),
            ("SourcePort", Number(port.into())),
        ],
    )
}

pub fn indirect_ping(seq: u32, node: &str, addr: &str, nack: bool) -> Vec<u8> {
    let (ip, port) = octets(addr);
    message(
        1,
        &[
            ("Nack", Bool(nack)),
            ("Node", Bytes(node.as_bytes())),
            ("Port", Number(port.into())),
            ("SeqNo", Number(seq.into())),
            ("Target", Bytes(&ip)),
        ],
    )
}

pub fn ack(seq: u32) -> Vec<u8> {
    message(2, &[("Payload", Raw(&[0xc0])), ("SeqNo", Number(seq.into()))])
}

pub fn nack(seq: u32) -> Vec<u8> {
    message(11, &[("SeqNo", Number(seq.into()))])
}

pub fn suspect(incarnation: u32, node: &str, from: &str) -> Vec<u8> {
    accusation(3, incarnation, node, from)
}

/// A dead message; a leave if `from` is the node itself.
pub fn dead(incarnation: u32, node: &str, from: &str) -> Vec<u8> {
    accusation(5, incarnation, node, from)
}

fn accusation(kind: u8, incarnation: u32, node: &str, from: &str) -> Vec<u8> {
    message(
        kind,
        &[
            ("From", Bytes(from.as_bytes())),
            ("Incarnation", Number(incarnation.into())),
            ("Node", Bytes(node.as_bytes())),
        ],
    )
}

pub fn alive(incarnation: u32, node: &str, addr: &str, meta: &[u8]) -> Vec<u8> {
    let (ip, port) = octets(addr);
    alive_with(incarnation, node.as_bytes(), &ip, port, meta, VSN)
}

pub fn alive_with(
    incarnation: u32,
    node: &[u8],
    ip: &[u8],
    port: u16,
    meta: &[u8],
    vsn: &[u8],
) -> Vec<u8> {
    message(
        4,
        &[
            ("Addr", Bytes(ip)),
            ("Incarnation", Number(incarnation.into())),
            ("Meta", Bytes(meta)),
            ("Node", Bytes(node)),
            ("Port", Number(port.into())),
            ("Vsn", Bytes(vsn)),
        ],
    )
}

/// A message of the application's in a datagram.
pub fn user(data: &[u8]) -> Vec<u8> {
    [&[8], data].concat()
}

/// One datagram of several messages.
pub fn compound(parts: &[Vec<u8>]) -> Vec<u8> {
    let lengths: Vec<_> = parts.iter().flat_map(|part| (part.len() as u16).to_be_bytes()).collect();
    [&[7, parts.len() as u8], &lengths[..], &parts.concat()].concat()
}

pub fn crc(message: &[u8]) -> Vec<u8> {
    [&[12], &crc32fast::hash(message).to_be_bytes()[..], message].concat()
}

/// A datagram or the start of a stream, with the label before it unless that is empty.
pub fn labelled(label: &str, message: &[u8]) -> Vec<u8> {
    if label.is_empty() {
        return message.into();
    }
    [&[0xf4, label.len() as u8], label.as_bytes(), message].concat()
}

pub fn compress(message: &[u8]) -> Vec<u8> {
    let mut encoder = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8);
    compressed(&encoder.encode(message).expect("any bytes can be compressed"))
}

/// A compressed message with these compressed bytes.
pub fn compressed(lzw: &[u8]) -> Vec<u8> {
    message(9, &[("Algo", Number(0)), ("Buf", Bytes(lzw))])
}

// ---- streams ----

pub fn push_pull(join: bool, records: &[Vec<u8>], state: &[u8]) -> Vec<u8> {
    let header = push_pull_header(join, records.len() as u64, state.len() as u64);
    [header, records.concat(), state.into()].concat()
}

pub fn push_pull_header(join: bool, nodes: u64, state: u64) -> Vec<u8> {
    let (nodes, state) = (Number(nodes), Number(state));
    message(6, &[("Join", Bool(join)), ("Nodes", nodes), ("UserStateLen", state)])
}

/// One member of a push/pull: 0 alive, 1 suspect, 2 dead, 3 left.
pub fn record(state: u8, incarnation: u32, name: &str, addr: &str, meta: &[u8]) -> Vec<u8> {
    let (ip, port) = octets(addr);
    record_with(state, incarnation, name.as_bytes(), &ip, port, meta, VSN)
}

pub fn record_with(
    state: u8,
    incarnation: u32,
    name: &[u8],
    ip: &[u8],
    port: u16,
    meta: &[u8],
    vsn: &[u8],
) -> Vec<u8> {
    map(&[
        ("Addr", Bytes(ip)),
        ("Incarnation", Number(incarnation.into())),
        ("Meta", Bytes(meta)),
        ("Name", Bytes(name)),
        ("Port", Number(port.into())),
        ("State", Number(state.into())),
        ("Vsn", Bytes(vsn)),
    ])
}

/// A message of the application's on a stream.
pub fn reliable(data: &[u8]) -> Vec<u8> {
    [reliable_header(data.len() as u64), data.into()].concat()
}

pub fn reliable_header(len: u64) -> Vec<u8> {
    message(8, &[("UserMsgLen", Number(len))])
}

pub fn error(said: &str) -> Vec<u8> {
    message(13, &[("Error", Bytes(said.as_bytes()))])
}

// ---- decoding ----

/// The sequence number of the ping in a datagram: its only message or the first of a compound,
/// after a label and a checksum. `None` without a ping, or if compressed or encrypted.
pub fn ping_in(datagram: &[u8]) -> Option<u32> {
    let mut rest = datagram;
    if let [0xf4, len, inner @ ..] = rest {
        rest = inner.get(usize::from(*len)..)?;
    }
    if let [12, inner @ ..] = rest {
        rest = inner.get(4..)?;
    }
    if let [7, count, inner @ ..] = rest {
        rest = inner.get(2 * usize::from(*count)..)?;
    }
    number_after(rest.strip_prefix(&[0])?, b"\xa5SeqNo")
}

/// The number that follows a key.
fn number_after(bytes: &[u8], key: &[u8]) -> Option<u32> {
    let at = bytes.windows(key.len()).position(|window| window == key)?;
    match bytes[at + key.len()..] {
        [small @ ..0x80, ..] => Some(small.into()),
        [0xcc, a, ..] => Some(a.into()),
        [0xcd, a, b, ..] => Some(u16::from_be_bytes([a, b]).into()),
        [0xce, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

// ---- msgpack ----

/// The bytes of one field in a message.
pub fn field(key: &str, data: &[u8]) -> Vec<u8> {
    map(&[(key, Bytes(data))])[1..].into()
}

fn map(fields: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut bytes = vec![0x80 | fields.len() as u8];
    for (key, value) in fields {
        put_raw(&mut bytes, key.as_bytes());
        match value {
            Number(number) => put_number(&mut bytes, *number),
            Bytes(data) => put_raw(&mut bytes, data),
            Bool(truth) => bytes.push(0xc2 + u8::from(*truth)),
            Raw(msgpack) => bytes.extend_from_slice(msgpack),
        }
    }
    bytes
}

fn put_raw(bytes: &mut Vec<u8>, data: &[u8]) {
    match data.len() {
        short @ ..32 => bytes.push(0xa0 | short as u8),
        some @ ..0x1_0000 => {
            bytes.push(0xda);
            bytes.extend_from_slice(&(some as u16).to_be_bytes());
        }
        long => {
            bytes.push(0xdb);
            bytes.extend_from_slice(&(long as u32).to_be_bytes());
        }
    }
    bytes.extend_from_slice(data);
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    match number {
        0..0x80 => bytes.push(number as u8),
        0x80..0x1_0000_0000 => {
            bytes.push(0xce);
            bytes.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            bytes.push(0xcf);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn octets(addr: &str) -> ([u8; 4], u16) {
    let addr: SocketAddrV4 = addr.parse().expect("an IPv4 address with a port");
    (addr.ip().octets(), addr.port())
}
