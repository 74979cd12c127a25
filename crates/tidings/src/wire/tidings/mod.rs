//! Tidings' own wire format; `docs/WIRE.md` describes it to the byte.

pub(crate) mod clock;
pub(crate) mod compare;
pub(crate) mod datagram;
#[cfg(feature = "record")]
mod dissect;
pub(crate) mod envelope;
pub(crate) mod frame;
mod profile;
#[cfg(feature = "encryption")]
pub(crate) mod sealed;

#[cfg(feature = "record")]
pub(crate) use clock::MessageClock;
pub(crate) use datagram::{Messages, Writer, broadcast_len, max_user_message, messages};
#[cfg(feature = "record")]
pub(super) use dissect::{frame_in, head, in_clear, messages_in};
pub(crate) use envelope::Envelope;

/// First byte of all sealed datagrams and frames: Tidings' format, version 1.
const SEALED_VERSION: u8 = 0xe1;
/// Header length of a sealed datagram: version, cluster tag, nonce.
#[cfg(any(feature = "encryption", feature = "record"))]
const SEALED_HEADER: usize = 1 + 4 + 24;
/// Header length of a sealed frame: version, cluster tag, length of the rest, nonce.
#[cfg(any(feature = "encryption", feature = "record"))]
const SEALED_FRAME_HEADER: usize = 1 + 4 + 4 + 24;
/// Length of the authentication tag behind either.
#[cfg(feature = "record")]
const SEALED_TRAILER: usize = 16;

#[cfg(test)]
mod tests;
