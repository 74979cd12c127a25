//! What a replay reads in datagrams and frames: those that a node made, and those that it opened.

use super::{SEALED_FRAME_HEADER, SEALED_HEADER, SEALED_TRAILER, SEALED_VERSION, envelope, frame};
use crate::member::ClusterName;
use crate::wire::codec;
use crate::wire::frame::Frame;
use alloc::vec::Vec;

/// The first bytes of a datagram: what was added when it was sealed, if it is.
pub(in crate::wire) fn head(datagram: &[u8]) -> &[u8] {
    &datagram[..datagram.len().min(SEALED_HEADER)]
}

/// What anybody can read of a frame that we made.
pub(in crate::wire) fn in_clear(frame: &[u8]) -> &[u8] {
    match frame.first() {
        Some(&SEALED_VERSION) => &frame[..frame.len().min(SEALED_FRAME_HEADER)],
        _ => frame,
    }
}

/// The messages of a datagram that a node got, which was opened to this if it was sealed, or that a
/// replayed node made.
pub(in crate::wire) fn messages_in(datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
    let plain = opened.and_then(behind_time);
    plain.or_else(|| unsealed(datagram, envelope::HEADER, SEALED_HEADER)).map(Into::into)
}

/// The frame that a replayed node writes.
pub(in crate::wire) fn frame_in(bytes: &[u8]) -> Option<Frame> {
    let mut body = unsealed(bytes, envelope::FRAME_HEADER, SEALED_FRAME_HEADER)?;
    if bytes.first() != Some(&SEALED_VERSION) {
        codec::take::<ClusterName>(&mut body).ok()?;
    }
    let (&kind, body) = body.split_first()?;
    frame::read(kind, body, usize::MAX).ok()
}

fn behind_time(mut plain: &[u8]) -> Option<&[u8]> {
    codec::take::<u64>(&mut plain).ok()?;
    Some(plain)
}

/// What is behind the header of a datagram or of a frame that is not sealed, or that a replayed node
/// made, which has no keys and encrypts nothing; the header is so long, or so long if it is sealed.
fn unsealed(bytes: &[u8], plain: usize, sealed: usize) -> Option<&[u8]> {
    match bytes.first()? {
        &SEALED_VERSION => {
            behind_time(bytes.get(sealed..bytes.len().saturating_sub(SEALED_TRAILER))?)
        }
        _ => bytes.get(plain..),
    }
}
