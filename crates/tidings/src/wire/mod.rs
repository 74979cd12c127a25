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

pub(crate) use envelope::{Envelope, Thread};

/// The most that one update takes in a datagram beside its metadata, with the datagram's envelope,
/// sealed or not: a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

#[cfg(test)]
mod tests;
