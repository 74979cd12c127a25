//! Our own format: `docs/WIRE.md` describes it to the byte.

pub(crate) mod compare;
pub(crate) mod datagram;
#[cfg(feature = "record")]
mod dissect;
pub(crate) mod envelope;
pub(crate) mod frame;
mod profile;
#[cfg(feature = "encryption")]
pub(crate) mod sealed;

pub(crate) use datagram::{Messages, Writer, broadcast_len, max_user_message, messages};
#[cfg(feature = "record")]
pub(super) use dissect::{frame_in, head, in_clear, messages_in};
pub(crate) use envelope::Envelope;

/// The first byte of every datagram and every frame that is sealed: Tidings' format, version 1.
const SEALED_VERSION: u8 = 0xe1;
/// Of a sealed datagram: version, cluster tag, nonce.
#[cfg(any(feature = "encryption", feature = "record"))]
const SEALED_HEADER: usize = 1 + 4 + 24;
/// Of a sealed frame: version, cluster tag, length of what follows, nonce.
#[cfg(any(feature = "encryption", feature = "record"))]
const SEALED_FRAME_HEADER: usize = 1 + 4 + 4 + 24;
/// What comes behind either.
#[cfg(feature = "record")]
const SEALED_TRAILER: usize = 16;

#[cfg(test)]
mod tests;
