//! Reads datagrams and frames for a replay: those that the node made, and those that it opened.

use super::{SEALED_FRAME_HEADER, SEALED_HEADER, SEALED_TRAILER, SEALED_VERSION, envelope, frame};
use crate::member::ClusterName;
use crate::wire::codec;
use crate::wire::frame::{DecodeLimits, Frame};
use alloc::vec::Vec;

/// The first bytes of a datagram of ours: if it is sealed, the header before the sealed part.
pub(in crate::wire) fn head(datagram: &[u8]) -> &[u8] {
    &datagram[..datagram.len().min(SEALED_HEADER)]
}

/// The part of an encoded frame that is not encrypted.
pub(in crate::wire) fn in_clear(frame: &[u8]) -> &[u8] {
    match frame.first() {
        Some(&SEALED_VERSION) => &frame[..frame.len().min(SEALED_FRAME_HEADER)],
        _ => frame,
    }
}

/// The encoded messages of a datagram, for a summary. `opened` is the plaintext of a received
/// datagram that was sealed; without it, the datagram is plain or made by a replayed node.
pub(in crate::wire) fn messages_in(datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
    let plain = opened.and_then(skip_time);
    plain.or_else(|| plain_body(datagram, envelope::HEADER, SEALED_HEADER)).map(Into::into)
}

/// Decodes a frame that a replayed node wrote.
pub(in crate::wire) fn frame_in(bytes: &[u8]) -> Option<Frame> {
    let mut body = plain_body(bytes, envelope::FRAME_HEADER, SEALED_FRAME_HEADER)?;
    if bytes.first() != Some(&SEALED_VERSION) {
        codec::decode::<ClusterName>(&mut body).ok()?;
    }
    let (&kind, body) = body.split_first()?;
    frame::read(kind, body, DecodeLimits::NONE).ok()
}

/// The rest of a sealed message's plaintext, behind the time.
fn skip_time(mut plain: &[u8]) -> Option<&[u8]> {
    codec::decode::<u64>(&mut plain).ok()?;
    Some(plain)
}

/// The bytes behind the header of a datagram or frame that is plain, or that a replayed node made
/// (it has no keys and encrypts nothing). `plain` and `sealed` are the lengths of the two headers.
fn plain_body(bytes: &[u8], plain: usize, sealed: usize) -> Option<&[u8]> {
    match bytes.first()? {
        &SEALED_VERSION => {
            skip_time(bytes.get(sealed..bytes.len().saturating_sub(SEALED_TRAILER))?)
        }
        _ => bytes.get(plain..),
    }
}
