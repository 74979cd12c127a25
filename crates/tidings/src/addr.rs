//! Canonical forms of socket addresses: of members, without a zone, and for connecting, with it.
//!
//! A zone, the scope id of an IPv6 address, is the index of an interface of this machine. Only
//! addresses that the application asks to connect to keep it; no member's address has one.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The canonical form of a member's address: IPv4 never mapped into IPv6, and no zone.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The canonical form of an address to connect to: IPv4 never mapped into IPv6; a zone is kept.
pub(crate) fn dialled(addr: SocketAddr) -> SocketAddr {
    match (addr.ip().to_canonical(), addr) {
        (IpAddr::V6(ip), SocketAddr::V6(v6)) => {
            SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, addr.port()),
    }
}

/// An address to connect to, serialized with its zone; for collections, where `serde(with)` does
/// not reach.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Dialled(#[serde(with = "self")] pub(crate) SocketAddr);

/// serde's binary form of a [`SocketAddr`], which omits the zone, with a third variant that has it.
#[derive(Deserialize, Serialize)]
enum Form {
    V4(Ipv4Addr, u16),
    V6(Ipv6Addr, u16),
    Zoned(Ipv6Addr, u16, u32),
}

pub(crate) fn serialize<S: Serializer>(
    addr: &SocketAddr,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        // Text includes the zone.
        return addr.serialize(serializer);
    }
    let form = match addr {
        SocketAddr::V4(v4) => Form::V4(*v4.ip(), v4.port()),
        SocketAddr::V6(v6) if v6.scope_id() == 0 => Form::V6(*v6.ip(), v6.port()),
        SocketAddr::V6(v6) => Form::Zoned(*v6.ip(), v6.port(), v6.scope_id()),
    };
    form.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    if deserializer.is_human_readable() {
        return SocketAddr::deserialize(deserializer);
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::V4(ip, port) => (ip, port).into(),
        Form::V6(ip, port) => (ip, port).into(),
        Form::Zoned(ip, port, scope) => SocketAddrV6::new(ip, port, 0, scope).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::{decode, encode};
    use alloc::vec::Vec;

    fn written<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, value);
        bytes
    }

    #[test]
    fn an_address_keeps_its_zone_and_without_one_is_encoded_as_serde_does() {
        for text in ["192.0.2.1:1", "[2001:db8::1]:2", "[fe80::1%7]:3"] {
            let addr: SocketAddr = text.parse().unwrap();
            let bytes = written(&Dialled(addr));
            assert_eq!(decode(&mut &*bytes), Ok(Dialled(addr)));
            assert_eq!(bytes == written(&addr), canonical(addr) == addr, "{text}");
        }
    }

    #[test]
    fn only_an_ipv6_address_to_connect_to_has_a_zone() {
        for (text, of_member, to_connect) in [
            ("[fe80::1%7]:3", "[fe80::1]:3", "[fe80::1%7]:3"),
            ("[::ffff:192.0.2.1%7]:3", "192.0.2.1:3", "192.0.2.1:3"),
        ] {
            let addr = text.parse().unwrap();
            assert_eq!(canonical(addr), of_member.parse().unwrap());
            assert_eq!(dialled(addr), to_connect.parse().unwrap());
        }
    }
}
