//! Our own format: `docs/WIRE.md` describes it to the byte.

pub(crate) mod compare;
pub(crate) mod datagram;
pub(crate) mod envelope;
pub(crate) mod frame;
mod profile;
#[cfg(feature = "encryption")]
pub(crate) mod sealed;

use super::codec;
use super::frame::Frame;
use crate::member::ClusterName;
use alloc::vec::Vec;

pub(crate) use datagram::{Messages, Writer, broadcast_len, max_user_message, messages};
pub(crate) use envelope::Envelope;

/// The first bytes of a datagram: what was added when it was sealed, if it is.
pub(super) fn head(datagram: &[u8]) -> &[u8] {
    &datagram[..datagram.len().min(SEALED_HEADER)]
}

/// What anybody can read of a frame that we made.
pub(super) fn in_clear(frame: &[u8]) -> &[u8] {
    match frame.first() {
        Some(&SEALED_VERSION) => &frame[..frame.len().min(SEALED_FRAME_HEADER)],
        _ => frame,
    }
}

/// The messages of a datagram that a node got, which was opened to this if it was sealed, or that a
/// replayed node made.
pub(super) fn messages_in(datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
    let plain = opened.and_then(skip_time);
    plain.or_else(|| plain_body(datagram, envelope::HEADER, SEALED_HEADER)).map(Into::into)
}

/// The frame that a replayed node writes.
pub(super) fn frame_in(bytes: &[u8]) -> Option<Frame> {
    let mut body = plain_body(bytes, envelope::FRAME_HEADER, SEALED_FRAME_HEADER)?;
    if bytes.first() != Some(&SEALED_VERSION) {
        codec::decode::<ClusterName>(&mut body).ok()?;
    }
    let (&kind, body) = body.split_first()?;
    frame::read(kind, body, usize::MAX).ok()
}

fn skip_time(mut plain: &[u8]) -> Option<&[u8]> {
    codec::decode::<u64>(&mut plain).ok()?;
    Some(plain)
}

/// What is behind the header of a datagram or of a frame that is not sealed, or that a replayed node
/// made, which has no keys and encrypts nothing; the header is so long, or so long if it is sealed.
fn plain_body(bytes: &[u8], plain: usize, sealed: usize) -> Option<&[u8]> {
    match bytes.first()? {
        &SEALED_VERSION => {
            skip_time(bytes.get(sealed..bytes.len().saturating_sub(SEALED_TRAILER))?)
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
