//! What travels: datagrams of short messages, and streams of one frame each way.
//!
//! `docs/WIRE.md` describes the format to the byte. Decoders are total: any bytes become values
//! that hold what they promise, or a [`Reject`](crate::Reject).

pub(crate) mod codec;
pub(crate) mod datagram;
pub(crate) mod frame;

use crate::member::ClusterName;

/// The first byte of every datagram and every frame: Tidings' format, version 1.
pub(crate) const VERSION: u8 = 0xd1;

/// The most that one update takes in a datagram beside its metadata, with the datagram's header:
/// a name of 255 bytes, an IPv6 address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 310;

/// What binds a message to a cluster, worked out once from the cluster's name.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) name: ClusterName,
    /// Says at a glance whose a message is: the CRC-32 of the cluster's name.
    pub(crate) tag: u32,
}

impl Binding {
    pub(crate) fn new(name: &ClusterName) -> Self {
        Self { name: name.clone(), tag: crc32fast::hash(name.as_str().as_bytes()) }
    }

    /// The CRC-32 of the cluster's name followed by `bytes`: it fits in no other cluster.
    pub(crate) fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.tag);
        hasher.update(bytes);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests;
