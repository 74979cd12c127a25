//! Sizes of messages that bound the options; tests of the wire formats check them.

/// Upper bound of an update's size in a datagram without its metadata, in bytes, with the
/// datagram's envelope, sealed or not: a name of 255 bytes, an IPv6 address, and the longest
/// numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 360;

/// Upper bound of an update's size in a datagram of memberlist's format, without metadata and
/// label, in bytes, with the envelope, encrypted or not: a name of 255 bytes, 16 bytes of address,
/// and the longest numbers.
#[cfg(feature = "memberlist")]
pub(crate) const MEMBERLIST_UPDATE_OVERHEAD: usize = 400;

/// Upper bound of the size of a ping or a ping request in memberlist's format, without label, in
/// bytes: two names of 255 bytes.
#[cfg(feature = "memberlist")]
pub(crate) const MEMBERLIST_PING_OVERHEAD: usize = 700;
