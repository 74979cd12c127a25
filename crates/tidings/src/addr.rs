//! Addresses in the forms that they have here: as members tell them, and as they are dialled.
//!
//! A zone, the scope id of an IPv6 address, is the number of an interface of this machine. It is kept
//! for what the application says is to be dialled, and is nowhere else: no member is known with one.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address in the one form that members have: IPv4 as IPv4, and without a zone.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// An address in the one form in which it is dialled: IPv4 as IPv4, and with its zone if it has one.
pub(crate) fn dialled(addr: SocketAddr) -> SocketAddr {
    match (addr.ip().to_canonical(), addr) {
        (IpAddr::V6(ip), SocketAddr::V6(v6)) => {
            SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, addr.port()),
    }
}

/// An address that is dialled, where it is in a collection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Dialled(#[serde(with = "self")] pub(crate) SocketAddr);

/// As serde writes a [`SocketAddr`], which leaves out the zone, and one more form for those that have
/// one.
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
        // The text has the zone.
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
    #[cfg(feature = "record")]
    use crate::wire::postcard::{decode, encode};
    #[cfg(feature = "record")]
    use alloc::vec::Vec;

    #[cfg(feature = "record")]
    fn written<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, value);
        bytes
    }

    #[cfg(feature = "record")]
    #[test]
    fn what_is_written_has_the_zone_and_else_is_as_serde_writes_it() {
        for text in ["192.0.2.1:1", "[2001:db8::1]:2", "[fe80::1%7]:3"] {
            let addr: SocketAddr = text.parse().unwrap();
            let bytes = written(&Dialled(addr));
            assert_eq!(decode(&mut &*bytes), Ok(Dialled(addr)));
            assert_eq!(bytes == written(&addr), canonical(addr) == addr, "{text}");
        }
    }

    #[test]
    fn only_what_is_dialled_has_a_zone_and_ipv4_never_has() {
        for (text, known, dials) in [
            ("[fe80::1%7]:3", "[fe80::1]:3", "[fe80::1%7]:3"),
            ("[::ffff:192.0.2.1%7]:3", "192.0.2.1:3", "192.0.2.1:3"),
        ] {
            let addr = text.parse().unwrap();
            assert_eq!(canonical(addr), known.parse().unwrap());
            assert_eq!(dialled(addr), dials.parse().unwrap());
        }
    }
}
