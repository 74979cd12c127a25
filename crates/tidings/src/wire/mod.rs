//! What travels: datagrams of short messages, and streams of frames in turn.
//!
//! `docs/WIRE.md` describes the format to the byte. Decoders are total: any bytes become values
//! that hold what they promise, or a [`Reject`](crate::Reject).

pub(crate) mod codec;
pub(crate) mod compare;
pub(crate) mod datagram;
pub(crate) mod envelope;
pub(crate) mod frame;
#[cfg(feature = "encryption")]
pub(crate) mod sealed;

pub(crate) use envelope::Envelope;

/// The most that one update takes in a datagram beside its metadata, with the datagram's envelope,
/// sealed or not: a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

/// What binds the frames of one stream to one another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thread {
    /// The nonce of its first frame, if that was sealed.
    #[cfg_attr(not(feature = "encryption"), expect(dead_code, reason = "nothing is sealed"))]
    first: Option<[u8; 24]>,
    /// How many frames there were, both ways.
    frames: u32,
}

/// The first byte of every datagram and every frame that is sealed: Tidings' format, version 1.
const SEALED_VERSION: u8 = 0xe1;

#[cfg(test)]
mod tests;
