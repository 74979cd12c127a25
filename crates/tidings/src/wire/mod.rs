//! Wire formats: encoding and decoding of datagrams and of frames on streams.
//!
//! The values are the same in every format: [`message`] and [`frame`]. Their bytes are those of
//! [`tidings`], our own format, or of `memberlist`; [`Format`] is the one that a node speaks.
//! Decoders are total: any bytes become valid values, or a [`Reject`](crate::Reject).

#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) mod codec;
#[cfg(feature = "encryption")]
pub(crate) mod crypto_state;
#[cfg(feature = "record")]
pub(crate) mod dissect;
pub(crate) mod format;
pub(crate) mod frame;
#[cfg(feature = "record")]
pub(crate) mod journal_note;
#[cfg(all(feature = "encryption", not(feature = "record")))]
#[path = "no_journal_note.rs"]
pub(crate) mod journal_note;
#[cfg(feature = "memberlist")]
pub(crate) mod memberlist;
pub(crate) mod message;
#[cfg(feature = "record")]
pub(crate) mod postcard;
pub(crate) mod tidings;
pub(crate) mod writer;

pub(crate) use format::Format;
pub(crate) use writer::Writer;

/// State of one stream that binds its frames to one another.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(not(feature = "record"), allow(dead_code, reason = "not every format uses all of it"))]
pub(crate) struct StreamBinding {
    /// The nonces of the last frame that this node sent, and of the last one that it received, if
    /// these were sealed.
    sent: Option<[u8; 24]>,
    received: Option<[u8; 24]>,
    /// Number of frames so far, in both directions.
    frames: u32,
    /// Whether this node opened the stream.
    ours: bool,
    progress: ParseProgress,
}

impl StreamBinding {
    /// The state of a new stream; `ours` if this node opened it.
    pub(crate) fn new(ours: bool) -> Self {
        Self { ours, ..Self::default() }
    }

    /// Whether no count of a restored stream is near its end.
    #[cfg(feature = "record")]
    pub(crate) fn is_countable(&self) -> bool {
        self.frames < u32::MAX / 2 && self.progress.records <= MAX_COUNT
    }

    /// The start of the nonce of the peer's first frame on a stream that the peer opened; `None` if
    /// it was not sealed, or after further frames.
    pub(crate) fn opening(&self) -> Option<u64> {
        let nonce = self.received.filter(|_| !self.ours && self.frames == 1)?;
        let (start, _) = nonce.split_first_chunk().expect("it has 24 bytes");
        Some(u64::from_le_bytes(*start))
    }

    /// Whether the frame that was received last is the one that this node sent last on `other`:
    /// then somebody connected two streams of this node with each other, or one with itself.
    ///
    /// Nonces are drawn at random, so no other frame has it, and nobody without the key can change
    /// it.
    pub(crate) fn is_reflection_of(&self, other: &Self) -> bool {
        self.received.is_some() && self.received == other.sent
    }
}

/// The parse position in a long message that arrives in chunks.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(not(feature = "record"), allow(dead_code, reason = "not every format uses all of it"))]
pub(crate) struct ParseProgress {
    /// What the header says, once it was parsed.
    header: Option<Header>,
    /// Offset of the first record that was not parsed yet.
    at: usize,
    /// Number of records parsed.
    records: u64,
    /// Length of the message below which it cannot be complete.
    pub(crate) needed: usize,
}

/// The header of a push/pull.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(not(feature = "memberlist"), allow(dead_code, reason = "no other format has it"))]
struct Header {
    join: bool,
    /// Number of records.
    nodes: u64,
    /// Length in bytes of the application's state behind them.
    state: u64,
    /// Offset of the first record.
    len: usize,
}

/// The part of an encoded frame that is not encrypted.
#[cfg(feature = "record")]
pub(crate) fn in_clear(frame: &[u8]) -> &[u8] {
    #[cfg(feature = "memberlist")]
    if let Some(clear) = memberlist::in_clear(frame) {
        return clear;
    }
    tidings::in_clear(frame)
}

/// Length of the question whether a member is at an address, in bytes: a bare ping in plaintext.
pub(crate) const QUESTION: usize = 27;

/// Whether the address is one that a single node can have. Members with other addresses are not
/// accepted, so that a peer cannot make nodes send to a group of hosts or to nowhere.
///
/// Not reachable: port 0, and unspecified, multicast, broadcast and IPv4-mapped addresses (an IPv4
/// address has one form, the short one).
pub(crate) fn is_reachable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let mapped = ip.to_canonical() != ip;
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast && !mapped
}
