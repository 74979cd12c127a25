//! Listening and advertised addresses.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use tidings_driver::StartError;
use tidings_tests::conformance::{Adapter, LIMIT, Node, id, loopback, patient, quick};

tests! {
    plain only: [
        a_taken_port_is_an_error_that_names_the_address,
        port_0_is_a_free_one_and_the_node_tells_which,
        an_address_that_others_cannot_reach_is_not_advertised,
        an_address_in_no_allowed_network_is_not_advertised,
        nodes_find_each_other_by_ipv6,
        a_node_that_listens_for_both_reaches_nodes_at_ipv4_and_ipv6,
    ]
}

fn a_taken_port_is_an_error_that_names_the_address(adapter: &Adapter) {
    let taken = TcpListener::bind(loopback()).unwrap();
    let addr = taken.local_addr().unwrap();
    let error = adapter.bind(quick("a").with_addr(addr)).unwrap_err();
    assert!(
        matches!(error, StartError::Socket { protocol: "TCP", addr: named, .. } if named == addr)
    );
    assert!(error.to_string().starts_with(&format!("cannot listen on TCP {addr}: ")), "{error}");

    // Another test may have the TCP port of the same number: try another one then.
    let taken_for_udp = || {
        let taken = UdpSocket::bind(loopback()).unwrap();
        let addr = taken.local_addr().unwrap();
        match adapter.bind(quick("a").with_addr(addr)).unwrap_err() {
            StartError::Socket { protocol: "TCP", .. } => None,
            error => Some((addr, error)),
        }
    };
    let (addr, error) = (0..100).find_map(|_| taken_for_udp()).expect("some port is free for TCP");
    assert!(
        matches!(error, StartError::Socket { protocol: "UDP", addr: named, .. } if named == addr)
    );
}

fn port_0_is_a_free_one_and_the_node_tells_which(adapter: &Adapter) {
    let [a, b] = adapter.nodes(quick, ["a", "b"]);
    let addr = a.addr();
    assert_eq!((addr.ip(), a.local().addr()), (loopback().ip(), addr));
    assert!(addr.port() != 0 && addr != b.addr());
    for taken in [TcpListener::bind(addr).map(drop), UdpSocket::bind(addr).map(drop)] {
        assert!(taken.is_err(), "the node does not listen at {addr}");
    }
}

fn an_address_in_no_allowed_network_is_not_advertised(adapter: &Adapter) {
    let networks = ["127.0.0.0/8".parse().unwrap()];
    let config = quick("a").to_builder().allowed_networks(networks).build().unwrap();
    let error = adapter.bind_to(loopback(), config.with_addr("192.0.2.7:0".parse().unwrap()));
    let error = error.unwrap_err();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    let said = "allowed_networks (127.0.0.0/8) do not have this node's own address, 192.0.2.7; ";
    assert!(error.to_string().starts_with(said), "{error}");
}

fn an_address_that_others_cannot_reach_is_not_advertised(adapter: &Adapter) {
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = adapter.bind(quick("a").with_addr(anywhere)).unwrap_err();
    let said = "other nodes cannot reach 0.0.0.0:";
    assert!(error.to_string().starts_with(said), "{error}");
    assert!(error.to_string().contains("set `advertise`"), "{error}");
    // On all interfaces, with an address to advertise.
    let a = adapter.bind_to(anywhere, patient("a")).unwrap();
    let b = adapter.start(patient("b"));
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    assert_all_reach_all(&[&a, &b]);
}

fn nodes_find_each_other_by_ipv6(adapter: &Adapter) {
    let Some(here) = ipv6() else { return };
    let [a, b] = ["a", "b"].map(|name| adapter.start(patient(name).with_addr(here)));
    assert!(a.addr().is_ipv6(), "{}", a.addr());
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    assert_all_reach_all(&[&a, &b]);
}

fn a_node_that_listens_for_both_reaches_nodes_at_ipv4_and_ipv6(adapter: &Adapter) {
    let Some(here) = ipv6() else { return };
    let anywhere: SocketAddr = "[::]:0".parse().unwrap();
    let both = |name: &str, told| adapter.bind_to(anywhere, patient(name).with_addr(told)).unwrap();
    let (at_4, at_6) = (both("at-4", loopback()), both("at-6", here));
    assert_eq!(at_4.join([at_6.addr()]).unwrap(), 2);
    assert_all_reach_all(&[&at_4, &at_6]);
    // One node for IPv4 only and one for IPv6 only, which the others reach by that address.
    let only_4 = adapter.start(patient("only-4"));
    assert!(only_4.join([at_4.addr()]).unwrap() > 1);
    assert_all_reach_all(&[&at_4, &only_4]);
    let only_6 = adapter.start(patient("only-6").with_addr(here));
    assert!(only_6.join([at_6.addr()]).unwrap() > 1);
    assert_all_reach_all(&[&at_6, &only_6]);
}

/// A free port of the IPv6 loopback address, if the machine has one.
fn ipv6() -> Option<SocketAddr> {
    let here = "[::1]:0".parse().unwrap();
    if let Err(error) = UdpSocket::bind(here) {
        eprintln!("skipped: there is no IPv6 here: {error}");
        return None;
    }
    Some(here)
}

/// Asserts that each node reaches all others, by datagrams and over streams.
fn assert_all_reach_all(nodes: &[&Node]) {
    for from in nodes {
        for to in nodes {
            let to = to.local();
            // A join ends before the other side has taken all that it was sent.
            assert!(from.wait_for_member(to.id(), LIMIT).is_some(), "{to} is no member");
            from.ping(to.id()).unwrap();
            from.send_reliable(&id(to.id().as_str()), "do you hear?").unwrap();
        }
    }
}
