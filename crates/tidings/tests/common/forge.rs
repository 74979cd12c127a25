//! Datagrams and frames written by hand, as WIRE.md describes them and not as the crate does it.

#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddrV4;

pub const CLUSTER: &str = "test";

/// A datagram that holds these messages.
pub fn datagram(messages: &[Vec<u8>]) -> Vec<u8> {
    datagram_for(CLUSTER, messages)
}

pub fn datagram_for(cluster: &str, messages: &[Vec<u8>]) -> Vec<u8> {
    let body = messages.concat();
    let checksum = crc32fast::hash(&[cluster.as_bytes(), &body].concat());
    let tag = crc32fast::hash(cluster.as_bytes());
    [&[0xd1], &tag.to_le_bytes()[..], &checksum.to_le_bytes(), &body].concat()
}

/// A frame of a kind, with a body after that.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    frame_for(CLUSTER, kind, body)
}

pub fn frame_for(cluster: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let body = [&text(cluster), &[kind][..], body].concat();
    let checksum = crc32fast::hash(&[cluster.as_bytes(), &body].concat());
    let tag = crc32fast::hash(cluster.as_bytes());
    let length = body.len() as u32;
    let header = [tag.to_le_bytes(), length.to_le_bytes(), checksum.to_le_bytes()].concat();
    [&[0xd1], &header[..], &body].concat()
}

/// The body of a greeting: the sender introduces itself, and tells of these and itself.
pub fn greeting(members: &[Vec<u8>]) -> Vec<u8> {
    let sender = members.first().cloned().unwrap_or_else(|| vec![0x20, 1, b'?']);
    const MEMBERS_AND_ASK: u8 = 3;
    [sender, vec![0, MEMBERS_AND_ASK], members.concat(), vec![0xff]].concat()
}

/// A ping of a sender in its incarnation 1.0, with the digest 0.
pub fn ping(token: u32, target: &str) -> Vec<u8> {
    let target = crc32fast::hash(target.as_bytes());
    [&[0], &token.to_le_bytes()[..], &target.to_le_bytes(), &[1, 0, 0, 0, 0, 0]].concat()
}

pub fn ping_request(token: u32, within_ms: u64, target: &str) -> Vec<u8> {
    [&[1], &token.to_le_bytes()[..], &varint(within_ms), &text(target)].concat()
}

/// An ack of a sender in its incarnation 1.0.
pub fn ack(token: u32, digest: u32) -> Vec<u8> {
    [&[2], &token.to_le_bytes()[..], &[1, 0], &digest.to_le_bytes()].concat()
}

pub fn nack(token: u32) -> Vec<u8> {
    [&[3], &token.to_le_bytes()[..]].concat()
}

pub fn alive(name: &str, addr: &str, generation: u64, number: u64, meta: &[u8]) -> Vec<u8> {
    [&[8][..], &profile(name, addr, generation, number, meta)].concat()
}

pub fn suspect(accuser: u32, name: &str, generation: u64, number: u64) -> Vec<u8> {
    [&[10], &accuser.to_le_bytes()[..], &about(name, generation, number)].concat()
}

pub fn failed(name: &str, generation: u64, number: u64) -> Vec<u8> {
    [&[11][..], &about(name, generation, number)].concat()
}

pub fn left(name: &str, generation: u64, number: u64) -> Vec<u8> {
    [&[12][..], &about(name, generation, number)].concat()
}

/// One member of a frame: 0 alive, 1 suspect, 2 failed, 3 left.
pub fn member(state: u8, name: &str, addr: &str, generation: u64, meta: &[u8]) -> Vec<u8> {
    [&[state][..], &profile(name, addr, generation, 0, meta)].concat()
}

fn profile(name: &str, addr: &str, generation: u64, number: u64, meta: &[u8]) -> Vec<u8> {
    let addr: SocketAddrV4 = addr.parse().unwrap();
    let mut bytes = [&addr.ip().octets()[..], &addr.port().to_le_bytes()].concat();
    bytes.extend(about(name, generation, number));
    bytes.extend(varint(meta.len() as u64));
    bytes.extend(meta);
    bytes
}

fn about(name: &str, generation: u64, number: u64) -> Vec<u8> {
    [text(name), varint(generation), varint(number)].concat()
}

fn text(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.into()].concat()
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}
