//! Sizes of messages that bound the configuration; tests of the wire formats hold them.

/// The most that one update takes in a datagram beside its metadata, with the datagram's envelope,
/// sealed or not: a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

/// The most that one update takes in a datagram beside its metadata and a label, with the datagram's
/// envelope, encrypted or not: a name of 255 bytes, 16 bytes of address, and the longest numbers.
#[cfg(feature = "memberlist")]
pub(crate) const MEMBERLIST_UPDATE_OVERHEAD: usize = 400;

/// The most that a ping takes beside a label, or a request for one: two names of 255 bytes.
#[cfg(feature = "memberlist")]
pub(crate) const MEMBERLIST_PING_OVERHEAD: usize = 700;
