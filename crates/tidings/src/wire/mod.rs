//! What travels: datagrams of short messages, and streams of frames in turn.
//!
//! What is said is the same in every format: [`message`] and [`frame`]. How it is written is
//! [`tidings`]', our own format, or another one's; [`Format`] is the one that a node speaks. Decoders are
//! total: any bytes become values that hold what they promise, or a [`Reject`](crate::Reject).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use serde::{Deserialize, Serialize};

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

/// The most that one update takes in a datagram beside its metadata, with the datagram's envelope,
/// sealed or not: a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

/// What binds the frames of one stream to one another.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(not(feature = "record"), allow(dead_code, reason = "not every format uses all of it"))]
pub(crate) struct StreamBinding {
    /// The nonce of its first frame, if that was sealed.
    first: Option<[u8; 24]>,
    /// How many frames there were, both ways.
    frames: u32,
    /// Whether we opened the stream.
    ours: bool,
    seen: ParseProgress,
}

impl StreamBinding {
    /// Of a stream that is ours or not.
    pub(crate) fn new(ours: bool) -> Self {
        Self { ours, ..Self::default() }
    }
}

/// How far something long that comes in pieces was looked at.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(not(feature = "record"), allow(dead_code, reason = "not every format uses all of it"))]
pub(crate) struct ParseProgress {
    /// Where the first record begins that was not seen; 0 before any.
    at: usize,
    /// How many records were.
    records: u64,
}

/// What anybody can read of a frame that we made.
pub(crate) fn in_clear(frame: &[u8]) -> &[u8] {
    #[cfg(feature = "memberlist")]
    if let Some(clear) = memberlist::in_clear(frame) {
        return clear;
    }
    tidings::in_clear(frame)
}

/// Whether one node can send to such an address: members with others are not taken, so that nobody
/// can be told to send to a group of hosts or to nowhere.
///
/// An IPv4 address has one form here, the short one.
pub(crate) fn is_reachable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let mapped = ip.to_canonical() != ip;
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast && !mapped
}
