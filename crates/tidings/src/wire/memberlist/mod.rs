//! HashiCorp memberlist's wire format, protocols 1 to 5.
//!
//! A datagram is, from outside in: a label, encryption, a checksum, compression, a compound of leaves, each
//! of them msgpack. A stream carries one message each way: a label, encryption, compression, and the
//! message. `docs/INTEROP.md` says what we do in another way than memberlist, and why.

mod datagram;
mod envelope;
mod frame;
mod label;
mod leaf;
mod lzw;
mod msgpack;
mod packet;
mod stream;

pub(crate) use datagram::{Messages, Writer, broadcast_len, max_user_message};
pub(crate) use envelope::Envelope;
#[cfg(feature = "record")]
pub(crate) use envelope::in_clear;

use crate::incarnation::Incarnation;
use crate::member::{NodeId, ProtocolVersions};
use crate::wire::is_reachable;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most that one update takes in a datagram beside its metadata and a label, with the datagram's
/// envelope, encrypted or not: a name of 255 bytes, 16 bytes of address, and the longest numbers.
pub(crate) const UPDATE_OVERHEAD: usize = 400;

/// The most that a ping takes beside a label, or a request for one: two names of 255 bytes.
pub(crate) const PING_OVERHEAD: usize = 700;

/// The names that others give to members, if they are ones that we take.
fn name(bytes: &[u8]) -> Option<NodeId> {
    NodeId::new(core::str::from_utf8(bytes).ok()?).ok()
}

fn number(incarnation: Incarnation) -> u32 {
    u32::try_from(incarnation.number).unwrap_or(u32::MAX)
}

fn incarnation(number: u32) -> Incarnation {
    Incarnation { generation: 0, number: number.into() }
}

/// An address as somebody says it, and whether that is IPv4 in 16 bytes; `None` if nobody can send to it.
fn address(ip: &[u8], port: u16) -> Option<(SocketAddr, bool)> {
    let said = match ip.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
    };
    let addr = SocketAddr::new(said.to_canonical(), port);
    is_reachable(addr).then_some((addr, addr.ip() != said))
}

/// An IP address in the form in which its owner says it.
struct Octets {
    octets: [u8; 16],
    len: usize,
}

impl Octets {
    fn new(ip: IpAddr, mapped: bool) -> Self {
        let mut octets = [0; 16];
        let len = match ip {
            IpAddr::V4(ip) if mapped => {
                octets = ip.to_ipv6_mapped().octets();
                16
            }
            IpAddr::V4(ip) => {
                octets[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                octets = ip.octets();
                16
            }
        };
        Self { octets, len }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// What a member says of how it speaks, if that makes sense; a shorter vector crashes memberlist up to
/// 0.6.0, and is never passed on.
fn versions(vsn: &[u8], mapped: bool) -> Option<ProtocolVersions> {
    let &versions = vsn.first_chunk()?;
    let [min, max, ..]: [u8; 6] = versions;
    (min > 0 && min <= max).then_some(ProtocolVersions { versions, mapped })
}

#[cfg(test)]
mod tests;
