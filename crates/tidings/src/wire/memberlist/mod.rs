//! HashiCorp memberlist's wire format, protocols 1 to 5.
//!
//! A datagram is, from outside in: a label, encryption, a checksum, compression, and a compound of
//! leaves, each of which is one message in msgpack. A stream carries one message each way: a label,
//! encryption, compression, and the message. `docs/INTEROP.md` lists where we differ from
//! memberlist, and why.

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

/// A member's name as a peer sent it, also if people could not see or type it; `None` if it is not
/// a valid name.
fn name(bytes: &[u8]) -> Option<NodeId> {
    NodeId::foreign(core::str::from_utf8(bytes).ok()?).ok()
}

/// The incarnation number for memberlist's `u32`, at most `u32::MAX`.
fn number(incarnation: Incarnation) -> u32 {
    u32::try_from(incarnation.number).unwrap_or(u32::MAX)
}

/// memberlist's incarnation number, in generation 0.
fn incarnation(number: u32) -> Incarnation {
    Incarnation { generation: 0, number: number.into() }
}

/// An address as a peer sent it, and whether that was IPv4 in 16 bytes (IPv4-mapped); `None` if it
/// is not [reachable](is_reachable).
fn address(ip: &[u8], port: u16) -> Option<(SocketAddr, bool)> {
    let sent = match ip.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
    };
    let addr = SocketAddr::new(sent.to_canonical(), port);
    is_reachable(addr).then_some((addr, addr.ip() != sent))
}

/// The bytes of an IP address: 4, or 16 for IPv6 and IPv4-mapped addresses.
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

/// A member's protocol versions (`Vsn`), if they are valid: at least six numbers, `min` and `max`
/// first, with `0 < min <= max`. A shorter vector crashes memberlist up to 0.6.0, so it is never
/// passed on.
fn versions(vsn: &[u8], mapped: bool) -> Option<ProtocolVersions> {
    let &versions = vsn.first_chunk()?;
    let [min, max, ..]: [u8; 6] = versions;
    (min > 0 && min <= max).then_some(ProtocolVersions { versions, mapped })
}

#[cfg(test)]
mod tests;
