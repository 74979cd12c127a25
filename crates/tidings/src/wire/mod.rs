//! What travels: datagrams of short messages, and streams of frames in turn.
//!
//! `docs/WIRE.md` describes the format to the byte. Decoders are total: any bytes become values
//! that hold what they promise, or a [`Reject`](crate::Reject).

use serde::{Deserialize, Serialize};

pub(crate) mod codec;
pub(crate) mod compare;
pub(crate) mod datagram;
pub(crate) mod envelope;
pub(crate) mod frame;
pub(crate) mod said;
#[cfg(feature = "encryption")]
pub(crate) mod sealed;

pub(crate) use envelope::Envelope;

/// The most that one update takes in a datagram beside its metadata, with the datagram's envelope,
/// sealed or not: a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

/// What binds the frames of one stream to one another.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Thread {
    /// The nonce of its first frame, if that was sealed.
    first: Option<[u8; 24]>,
    /// How many frames there were, both ways.
    frames: u32,
}

/// The first bytes of a datagram: what was added when it was sealed, if it is.
pub(crate) fn head(datagram: &[u8]) -> &[u8] {
    &datagram[..datagram.len().min(SEALED_HEADER)]
}

/// What anybody can read of a frame that we made.
pub(crate) fn in_clear(frame: &[u8]) -> &[u8] {
    match frame.first() {
        Some(&SEALED_VERSION) => &frame[..frame.len().min(SEALED_FRAME_HEADER)],
        _ => frame,
    }
}

/// What is behind the header of a datagram or of a frame that is not sealed, or that a replayed node
/// made, which has no keys and encrypts nothing; the header is so long, or so long if it is sealed.
fn unsealed(bytes: &[u8], plain: usize, sealed: usize) -> Option<&[u8]> {
    match bytes.first()? {
        &SEALED_VERSION => {
            said::behind_time(bytes.get(sealed..bytes.len().saturating_sub(SEALED_TRAILER))?)
        }
        _ => bytes.get(plain..),
    }
}

/// The first byte of every datagram and every frame that is sealed: Tidings' format, version 1.
const SEALED_VERSION: u8 = 0xe1;
/// Of a sealed datagram: version, cluster tag, nonce.
const SEALED_HEADER: usize = 1 + 4 + 24;
/// Of a sealed frame: version, cluster tag, length of what follows, nonce.
const SEALED_FRAME_HEADER: usize = 1 + 4 + 4 + 24;
/// What comes behind either.
const SEALED_TRAILER: usize = 16;

#[cfg(test)]
mod tests;
