//! The address that a node advertises when it listens on all interfaces.

use crate::error::StartError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address of this machine that other nodes reach, for a node that listens at `bind`: `bind`
/// itself unless it is unspecified, else the source address of the default route, else the
/// machine's only address that is not the loopback interface's.
pub(crate) fn address(bind: SocketAddr) -> Result<IpAddr, StartError> {
    if !bind.ip().is_unspecified() {
        return Ok(bind.ip());
    }
    let interfaces = || {
        let found = if_addrs::get_if_addrs().unwrap_or_default();
        found.into_iter().map(|interface| interface.ip()).collect()
    };
    choose(bind, by_route(bind), interfaces)
}

fn choose(
    bind: SocketAddr,
    by_route: Option<IpAddr>,
    interfaces: impl FnOnce() -> Vec<IpAddr>,
) -> Result<IpAddr, StartError> {
    if let Some(addr) = by_route {
        return Ok(addr);
    }
    let mut candidates = interfaces();
    candidates.retain(|&addr| is_reachable(addr) && (bind.is_ipv6() || addr.is_ipv4()));
    candidates.sort_unstable();
    candidates.dedup();
    match candidates[..] {
        [addr] => Ok(addr),
        _ => Err(StartError::Advertise { bind, candidates }),
    }
}

/// The source address of the default route. To connect a UDP socket sends nothing.
fn by_route(bind: SocketAddr) -> Option<IpAddr> {
    let v4 = || source((Ipv4Addr::UNSPECIFIED, 0).into(), (DOCUMENTATION_4, 9).into());
    let v6 = || source((Ipv6Addr::UNSPECIFIED, 0).into(), (DOCUMENTATION_6, 9).into());
    // A socket for IPv6 takes IPv4 too on most systems.
    if bind.is_ipv4() { v4() } else { v6().or_else(v4) }
}

fn source(from: SocketAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let addr = socket.local_addr().ok()?.ip();
    is_reachable(addr).then_some(addr)
}

/// Whether other machines may reach an address, and may reach it without a zone.
fn is_reachable(addr: IpAddr) -> bool {
    let link_local = match addr {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !addr.is_unspecified() && !addr.is_loopback() && !link_local
}

/// In TEST-NET-1 (RFC 5737), where no host is.
const DOCUMENTATION_4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// In the documentation prefix (RFC 3849).
const DOCUMENTATION_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7946);
    const ANY_6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 7946);

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_node_that_listens_at_one_address_advertises_it() {
        assert_eq!(address("10.0.0.7:7946".parse().unwrap()).unwrap(), ips(&["10.0.0.7"])[0]);
    }

    #[test]
    fn the_route_decides_if_there_is_one() {
        let route = ips(&["10.0.0.7"])[0];
        let chosen = choose(ANY_4, Some(route), || unreachable!("the interfaces do not matter"));
        assert_eq!(chosen.unwrap(), route);
    }

    #[test]
    fn without_a_route_the_only_address_that_others_may_reach_is_advertised() {
        let all = ips(&["127.0.0.1", "169.254.3.4", "10.0.0.7", "::1", "fe80::1", "2001:db8::7"]);
        let only = |bind, all: &[IpAddr]| choose(bind, None, || all.to_vec());
        assert_eq!(only(ANY_4, &all).unwrap(), ips(&["10.0.0.7"])[0]);
        assert_eq!(only(ANY_6, &ips(&["::1", "2001:db8::7"])).unwrap(), ips(&["2001:db8::7"])[0]);
    }

    #[test]
    fn several_addresses_are_an_error_that_lists_them_and_names_the_option() {
        let error = choose(ANY_4, None, || ips(&["172.17.0.1", "10.0.0.7"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the node listens at 0.0.0.0:7946, and other nodes might reach it at 10.0.0.7 or \
             172.17.0.1; set `advertise` to the address of this machine that they reach"
        );
    }

    #[test]
    fn no_address_is_an_error_that_names_the_option() {
        let error = choose(ANY_4, None, || ips(&["127.0.0.1"])).unwrap_err().to_string();
        assert!(error.contains("no address") && error.contains("`advertise`"), "{error}");
    }
}
