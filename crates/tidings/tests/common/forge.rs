//! An encoder of datagrams and frames that follows WIRE.md and shares no code with the crate.

#![allow(dead_code, unreachable_pub)]

use std::hash::Hasher;
use std::net::SocketAddrV4;

pub const CLUSTER: &str = "test";

/// Whether all test nodes encrypt, and these functions too: with the feature `encryption`, under
/// which every test of behaviour runs a second time.
pub const ENCRYPTED: bool = cfg!(feature = "encryption");

/// A datagram that holds these messages.
pub fn datagram(messages: &[Vec<u8>]) -> Vec<u8> {
    #[cfg(feature = "encryption")]
    return encrypted::datagram(&messages.concat());
    #[cfg(not(feature = "encryption"))]
    plain_datagram(CLUSTER, messages)
}

/// The messages in a datagram of a test node.
pub fn open(datagram: &[u8]) -> Vec<u8> {
    #[cfg(feature = "encryption")]
    if datagram[0] != 0xd1 {
        return encrypted::open(datagram);
    }
    datagram[9..].into()
}

/// Adds the test keys to a node's configuration, if the tests encrypt.
pub fn with_keys(config: tidings::Config) -> tidings::Config {
    #[cfg(feature = "encryption")]
    return config
        .to_builder()
        .encryption(encrypted::keyring(), tidings::Plaintext::Refused)
        .build()
        .unwrap();
    #[cfg(not(feature = "encryption"))]
    config
}

pub fn plain_datagram(cluster: &str, messages: &[Vec<u8>]) -> Vec<u8> {
    let body = messages.concat();
    let checksum = crc32fast::hash(&[cluster.as_bytes(), &body].concat());
    let tag = crc32fast::hash(cluster.as_bytes());
    [&[0xd1], &tag.to_le_bytes()[..], &checksum.to_le_bytes(), &body].concat()
}

/// The first frame on a stream, of this kind.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    #[cfg(feature = "encryption")]
    return encrypted::frame(&[&[kind], body].concat());
    #[cfg(not(feature = "encryption"))]
    plain_frame(CLUSTER, kind, body)
}

/// A later frame on a stream, after `before` frames in either direction, of which `answer` is the
/// latest.
pub fn later_frame(answer: &[u8], before: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    #[cfg(feature = "encryption")]
    return encrypted::later_frame(answer, before, &[&[kind], body].concat());
    #[cfg(not(feature = "encryption"))]
    {
        let _ = (answer, before);
        plain_frame(CLUSTER, kind, body)
    }
}

pub fn plain_frame(cluster: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let body = [&text(cluster), &[kind][..], body].concat();
    let checksum = crc32fast::hash(&[cluster.as_bytes(), &body].concat());
    let tag = crc32fast::hash(cluster.as_bytes());
    let length = body.len() as u32;
    let header = [tag.to_le_bytes(), length.to_le_bytes(), checksum.to_le_bytes()].concat();
    [&[0xd1], &header[..], &body].concat()
}

/// The kind of a plain frame that opens a stream of the test cluster.
pub fn kind(frame: &[u8]) -> Option<u8> {
    let name = CLUSTER.len();
    frame.get(13 + 1 + name).copied().filter(|_| frame[14..].starts_with(CLUSTER.as_bytes()))
}

/// The body of a sync for whoever is at the address: a hello of the sender, which is the first of
/// these members, and its table.
pub fn sync_hello(members: &[Vec<u8>]) -> Vec<u8> {
    let sender = members.first().cloned().unwrap_or_else(|| vec![0x20, 1, b'?']);
    const MEMBERS_AND_ASK: u8 = 3;
    [vec![0], sender, vec![0, MEMBERS_AND_ASK], members.concat(), vec![0xff]].concat()
}

/// The answer of a seed named `?` to a join, with these members.
pub fn join_answer(members: &[Vec<u8>]) -> Vec<u8> {
    const MEMBERS: u8 = 2;
    let body = [&[0x20, 1, b'?', 0, MEMBERS][..], &members.concat(), &[0xff]].concat();
    plain_frame(CLUSTER, 1, &body)
}

/// A ping of n1 in its incarnation 1.0, with the digest 0.
pub fn ping(token: u32, target: &str) -> Vec<u8> {
    let target = target_tag(token, target.as_bytes());
    let sender = [&sender_tag(b"n1", 1).to_le_bytes()[..], &[0, 0, 0, 0, 0]].concat();
    [&[0], &token.to_le_bytes()[..], &target.to_le_bytes(), &sender].concat()
}

/// A ping of this sender in the incarnation with this number of its generation.
pub fn ping_numbered(sender: &str, generation: u64, number: u8, target: &str) -> Vec<u8> {
    let mut ping = ping(7, target);
    ping[9..13].copy_from_slice(&sender_tag(sender.as_bytes(), generation).to_le_bytes());
    ping[13] = number;
    ping
}

/// The tag of a ping's target.
pub fn target_tag(token: u32, name: &[u8]) -> u32 {
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name);
    let mixed = u64::from(token).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (hasher.finish().wrapping_mul(mixed | 1) >> 32) as u32
}

/// The short name of a sender and its generation, in one number.
pub fn sender_tag(name: &[u8], generation: u64) -> u32 {
    crc32fast::hash(name) ^ (generation ^ generation >> 32) as u32
}

/// A ping of the sender with this tag, in its incarnation 0, with the digest 0.
pub fn ping_by(token: u32, target: &str, sender: u32) -> Vec<u8> {
    let target = target_tag(token, target.as_bytes());
    let numbers = [token, target, sender].map(u32::to_le_bytes).concat();
    [&[0][..], &numbers, &[0; 5]].concat()
}

/// A ping request of n1 in generation 1.
pub fn ping_request(token: u32, within_ms: u64, target: &str) -> Vec<u8> {
    ping_request_of(sender_tag(b"n1", 1), token, within_ms, target)
}

pub fn ping_request_of(sender: u32, token: u32, within_ms: u64, target: &str) -> Vec<u8> {
    let numbers = [token.to_le_bytes(), sender.to_le_bytes()].concat();
    [&[1], &numbers[..], &varint(within_ms), &text(target)].concat()
}

/// An ack of a sender in its incarnation 1.0.
pub fn ack(token: u32, digest: u32) -> Vec<u8> {
    [&[2], &token.to_le_bytes()[..], &[1, 0], &digest.to_le_bytes()].concat()
}

pub fn ack_in(token: u32, generation: u64, number: u64) -> Vec<u8> {
    [&[2], &token.to_le_bytes()[..], &varint(generation), &varint(number), &[0; 4]].concat()
}

pub fn nack(token: u32) -> Vec<u8> {
    [&[3], &token.to_le_bytes()[..]].concat()
}

/// A nack of a relay whose connection was refused.
pub fn refused(token: u32) -> Vec<u8> {
    [&[6], &token.to_le_bytes()[..]].concat()
}

/// A ping request of n1 in generation 1, whose connection was refused.
pub fn connect_request(token: u32, within_ms: u64, target: &str) -> Vec<u8> {
    [&[7], &ping_request(token, within_ms, target)[1..]].concat()
}

pub fn user_message(from: &str, data: &[u8]) -> Vec<u8> {
    [&[4][..], &text(from), &varint(data.len() as u64), data].concat()
}

pub fn broadcast(origin: &str, generation: u64, number: u64, key: &[u8], data: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [varint(bytes.len() as u64), bytes.into()].concat();
    let numbers = [varint(generation), varint(number)].concat();
    [&[5][..], &text(origin), &numbers, &sized(key), &sized(data)].concat()
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

/// Added to the state of a member of which the sender was only told.
pub const TOLD: u8 = 0x40;

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

fn varint(n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, n);
    bytes
}

fn put_varint(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

// ---- without allocations and never encrypted, for benches and tests of a node's costs ----

/// Writes a datagram with a ping of a sender, by its tag, in its incarnation 0.
pub fn write_ping(buf: &mut Vec<u8>, token: u32, target: u32, sender: u32, digest: u32) {
    begin(buf, 0);
    buf.extend_from_slice(&token.to_le_bytes());
    buf.extend_from_slice(&target.to_le_bytes());
    buf.extend_from_slice(&sender.to_le_bytes());
    buf.push(0);
    buf.extend_from_slice(&digest.to_le_bytes());
    close(buf);
}

/// Writes a datagram with an ack of a sender in its incarnation `generation`.0.
pub fn write_ack(buf: &mut Vec<u8>, token: u32, generation: u64, digest: u32) {
    begin(buf, 2);
    buf.extend_from_slice(&token.to_le_bytes());
    put_varint(buf, generation);
    buf.push(0);
    buf.extend_from_slice(&digest.to_le_bytes());
    close(buf);
}

/// The token and the digest of the ping with which a datagram begins, if it does.
pub fn read_ping(datagram: &[u8]) -> Option<(u32, u32)> {
    let body = datagram.get(HEADER..).filter(|body| body.first() == Some(&0))?;
    let token = u32::from_le_bytes(body[1..5].try_into().unwrap());
    let number = &body[13..];
    let last = number.iter().position(|byte| byte & 0x80 == 0)?;
    Some((token, u32::from_le_bytes(number[last + 1..][..4].try_into().unwrap())))
}

/// Whether a datagram holds updates only.
pub fn is_gossip(datagram: &[u8]) -> bool {
    datagram.get(HEADER).is_some_and(|&kind| kind >= 8)
}

fn begin(buf: &mut Vec<u8>, kind: u8) {
    buf.clear();
    buf.resize(HEADER, 0);
    buf.push(kind);
}

fn close(buf: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(CLUSTER.as_bytes());
    let tag = hasher.clone().finalize().to_le_bytes();
    hasher.update(&buf[HEADER..]);
    buf[0] = 0xd1;
    buf[1..5].copy_from_slice(&tag);
    buf[5..HEADER].copy_from_slice(&hasher.finalize().to_le_bytes());
}

/// Length of a datagram's header: version, cluster tag, checksum.
const HEADER: usize = 9;

// ---- encrypted ----

/// Encrypted datagrams and frames as WIRE.md describes them, with another crate's cipher.
#[cfg(feature = "encryption")]
pub mod encrypted {
    use super::{CLUSTER, varint};
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use chacha20poly1305::{XChaCha20Poly1305, XNonce};
    use std::sync::atomic::{AtomicU64, Ordering};
    use tidings::{Cipher, Key, Keyring};

    pub const KEY: [u8; 32] = [7; 32];
    /// The time at which test nodes start, in seconds.
    const NOW: u64 = 1;
    /// Numbers the nonces.
    static SEALED: AtomicU64 = AtomicU64::new(0);

    pub fn keyring() -> Keyring {
        Keyring::new(Key::new(Cipher::ChaCha20Poly1305, KEY))
    }

    pub fn datagram(messages: &[u8]) -> Vec<u8> {
        datagram_at(NOW, messages)
    }

    pub fn datagram_at(time: u64, messages: &[u8]) -> Vec<u8> {
        let sealed = seal(&datagram_binding(), &[varint(time), messages.into()].concat());
        [&[0xe1][..], &tag(), &sealed].concat()
    }

    pub fn open(datagram: &[u8]) -> Vec<u8> {
        let (head, rest) = datagram.split_at(5);
        let (nonce, sealed) = rest.split_at(24);
        let payload = Payload { msg: sealed, aad: &datagram_binding() };
        // Some tests have other keys or clusters, and do not look into their datagrams.
        if head[1..] != tag() {
            return Vec::new();
        }
        assert_eq!(head[0], 0xe1);
        let Ok(opened) = cipher().decrypt(&nonce_of(nonce), payload) else { return Vec::new() };
        let time = opened.iter().position(|byte| byte & 0x80 == 0).unwrap();
        opened[time + 1..].into()
    }

    pub fn frame(body: &[u8]) -> Vec<u8> {
        // The first frame of a stream: number 0, no frame before it.
        bound_frame(REQUEST, 0, [0; 24], body)
    }

    /// A later frame on a stream that the tests opened, which replies to `answer`.
    pub fn later_frame(answer: &[u8], before: u32, body: &[u8]) -> Vec<u8> {
        bound_frame(REQUEST, before, answer[9..33].try_into().unwrap(), body)
    }

    const REQUEST: u8 = 1;

    /// A frame in this direction, 1 from the side that opened the stream, 2 from the other, in
    /// reply to the frame with the nonce `replies_to`.
    pub fn bound_frame(direction: u8, before: u32, replies_to: [u8; 24], body: &[u8]) -> Vec<u8> {
        let binding =
            [&[direction][..], &before.to_le_bytes(), &replies_to, CLUSTER.as_bytes()].concat();
        let sealed = seal(&binding, &[&varint(NOW), body].concat());
        let length = (sealed.len() as u32).to_le_bytes();
        [&[0xe1][..], &tag(), &length, &sealed].concat()
    }

    fn seal(binding: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [9; 24];
        nonce[..8].copy_from_slice(&SEALED.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        let sealed = cipher().encrypt(&nonce_of(&nonce), Payload { msg: plain, aad: binding });
        [&nonce[..], &sealed.unwrap()].concat()
    }

    fn datagram_binding() -> Vec<u8> {
        [&[0], CLUSTER.as_bytes()].concat()
    }

    fn tag() -> [u8; 4] {
        crc32fast::hash(CLUSTER.as_bytes()).to_le_bytes()
    }

    fn cipher() -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&KEY.into())
    }

    fn nonce_of(nonce: &[u8]) -> XNonce {
        <[u8; 24]>::try_from(nonce).unwrap().into()
    }
}
