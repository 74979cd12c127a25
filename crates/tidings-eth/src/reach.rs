//! The addresses to which a caller connects because a member advertised them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses to which a caller connects because a member advertised them.
///
/// A member may write any address into what it advertises, and a caller that connects to all of
/// them can be made to send requests to services that only it can reach. By default a caller
/// connects to public addresses, and to the address of the advertising member itself unless that is
/// on loopback. Addresses from the caller's own configuration are not restricted.
///
/// Link-local addresses and others at which clouds serve credentials, multicast, unspecified and
/// reserved ones are never reached. An address in IPv6 that stands for one in IPv4 counts as that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reach {
    /// Whether private addresses are reached: RFC 1918, RFC 6598 (100.64.0.0/10), and unique local
    /// ones in IPv6 (fc00::/7). Off by default.
    pub private: bool,
    /// Whether loopback addresses are reached. Off by default.
    pub loopback: bool,
}

impl Reach {
    /// Only public addresses, and members' own.
    pub const PUBLIC: Self = Self { private: false, loopback: false };
    /// Private addresses, too.
    pub const PRIVATE: Self = Self { private: true, loopback: false };
    /// Private and loopback addresses, too: for tests on one machine.
    pub const LOCAL: Self = Self { private: true, loopback: true };

    /// `Ok` if `ip`, which the member at `member` advertised, may be reached.
    ///
    /// # Errors
    ///
    /// The class of the address, if the configuration does not allow it.
    pub fn check(self, ip: IpAddr, member: Option<IpAddr>) -> Result<(), NotReached> {
        let ip = canonical(ip);
        match classify(ip) {
            Class::Public => Ok(()),
            Class::Private if self.private || member.map(canonical) == Some(ip) => Ok(()),
            Class::Loopback if self.loopback => Ok(()),
            Class::Private => Err(NotReached::Private),
            Class::Loopback => Err(NotReached::Loopback),
            Class::Special => Err(NotReached::Special),
        }
    }
}

/// The reason why a caller does not connect to an advertised address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotReached {
    /// The address is private, and not the member's own.
    Private,
    /// The address is on loopback.
    Loopback,
    /// The address is link-local, multicast, unspecified or reserved.
    Special,
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "a private address; allow_private permits those",
            Self::Loopback => "a loopback address; allow_loopback permits those",
            Self::Special => "a link-local, multicast or reserved address, which is never reached",
        })
    }
}

impl std::error::Error for NotReached {}

enum Class {
    Public,
    Private,
    Loopback,
    Special,
}

fn classify(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => classify_v6(ip),
    }
}

/// By the registry of special-purpose addresses (RFC 6890).
fn classify_v4(ip: Ipv4Addr) -> Class {
    match ip.octets() {
        [127, ..] => Class::Loopback,
        // Where Alibaba Cloud serves credentials.
        [100, 100, 100, 200] => Class::Special,
        [100, second, ..] if second & 0xc0 == 64 => Class::Private,
        _ if ip.is_private() => Class::Private,
        // "This network", protocol assignments, benchmarks, and class E with broadcast.
        [0, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] | [240..=255, ..] => Class::Special,
        _ if ip.is_link_local() || ip.is_multicast() || ip.is_documentation() => Class::Special,
        _ => Class::Public,
    }
}

fn classify_v6(ip: Ipv6Addr) -> Class {
    match ip.segments() {
        _ if ip.is_loopback() => Class::Loopback,
        // Where AWS serves credentials.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Class::Special,
        _ if ip.is_unique_local() => Class::Private,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Special,
        // Global unicast (RFC 4291 §2.4) as far as it is assigned.
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291 §2.5.5.2), translated by
/// NAT64 (RFC 6052), or in the prefix of 6to4 (RFC 3056).
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: Reach, ip: &str, member: Option<&str>) -> Result<(), NotReached> {
        reach.check(ip.parse().unwrap(), member.map(|ip| ip.parse().unwrap()))
    }

    #[test]
    fn public_addresses_are_reached() {
        for ip in ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::9.9.9.9"] {
            assert_eq!(check(Reach::PUBLIC, ip, None), Ok(()), "{ip}");
        }
    }

    #[test]
    fn private_addresses_are_a_switch_except_the_members_own() {
        for ip in ["10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::7"] {
            assert_eq!(check(Reach::PUBLIC, ip, None), Err(NotReached::Private), "{ip}");
            assert_eq!(
                check(Reach::PUBLIC, ip, Some("10.0.0.8")),
                Err(NotReached::Private),
                "{ip}"
            );
            assert_eq!(check(Reach::PUBLIC, ip, Some(ip)), Ok(()), "{ip}");
            assert_eq!(check(Reach::PRIVATE, ip, None), Ok(()), "{ip}");
        }
        assert_eq!(check(Reach::PUBLIC, "10.0.0.7", Some("::ffff:10.0.0.7")), Ok(()));
    }

    #[test]
    fn loopback_is_a_switch_even_for_a_member_that_says_it_is_there() {
        for ip in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "2002:7f00:1::"] {
            assert_eq!(check(Reach::PUBLIC, ip, Some(ip)), Err(NotReached::Loopback), "{ip}");
            assert_eq!(check(Reach::PRIVATE, ip, Some(ip)), Err(NotReached::Loopback), "{ip}");
            assert_eq!(check(Reach::LOCAL, ip, None), Ok(()), "{ip}");
        }
    }

    #[test]
    fn special_addresses_are_never_reached() {
        for ip in [
            "0.0.0.0",
            "0.0.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "4000::1",
        ] {
            assert_eq!(check(Reach::LOCAL, ip, Some(ip)), Err(NotReached::Special), "{ip}");
        }
    }
}
