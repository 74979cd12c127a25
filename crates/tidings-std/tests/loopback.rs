//! Real nodes on real sockets; every test waits on conditions.

mod common;

use common::{config, start, wait, wait_for};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use tidings_std::{
    BindError, ClusterName, CommandError, Config, Event, Meta, NodeId, State, Tidings,
};

fn state(node: &Tidings, name: &str) -> Option<State> {
    node.member(&NodeId::new(name).unwrap()).map(|member| member.state())
}

#[test]
fn nodes_find_each_other_and_notice_who_fails_and_who_leaves() {
    let (a, events) = start("a");
    let (b, _b) = start("b");
    let (c, _c) = start("c");
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    assert_eq!(c.join([b.addr()]).unwrap(), 3);
    for node in [&a, &b, &c] {
        wait(|| node.members().len() == 3);
    }
    drop(b);
    wait_for(&events, |event| matches!(event, Event::Failed(m) if m.id().as_str() == "b"));
    wait(|| state(&c, "b") == Some(State::Failed));
    assert_eq!(c.leave(), Ok(1));
    drop(c);
    wait_for(&events, |event| matches!(event, Event::Left(m) if m.id().as_str() == "c"));
    assert_eq!(state(&a, "c"), Some(State::Left));
    assert_eq!(a.members().len(), 1);
}

#[test]
fn metadata_travels() {
    let (a, events) = start("a");
    let (b, _b) = start("b");
    b.join([a.addr()]).unwrap();
    b.set_meta(Meta::from("role=db")).unwrap();
    wait_for(&events, |event| matches!(event, Event::Updated(m) if &m.meta()[..] == b"role=db"));
}

#[test]
fn a_taken_port_is_an_error_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let error = Tidings::bind(config("a").with_addr(addr)).unwrap_err();
    assert!(
        matches!(error, BindError::Socket { protocol: "TCP", addr: named, .. } if named == addr)
    );
    assert!(error.to_string().starts_with(&format!("cannot listen on TCP {addr}: ")), "{error}");

    // Another test may have the TCP port of the same number: then with another one.
    let taken_for_udp = || {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        match Tidings::bind(config("a").with_addr(addr)).unwrap_err() {
            BindError::Socket { protocol: "TCP", .. } => None,
            error => Some((addr, error)),
        }
    };
    let (addr, error) = (0..100).find_map(|_| taken_for_udp()).expect("some port is free for TCP");
    assert!(
        matches!(error, BindError::Socket { protocol: "UDP", addr: named, .. } if named == addr)
    );
}

#[test]
fn an_address_that_others_cannot_reach_is_not_advertised() {
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = Tidings::bind(config("a").with_addr(anywhere)).unwrap_err();
    assert!(error.to_string().contains("advertise"), "{error}");
    // On all interfaces, with an address to tell others.
    let (a, _events) = Tidings::bind_to(anywhere, config("a")).unwrap();
    let (b, _b) = start("b");
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
}

#[test]
fn a_join_to_a_dead_address_fails_and_says_which() {
    // A port that is taken, and on which nobody listens.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let dead = socket.local_addr().unwrap().as_socket().unwrap();
    let (a, _events) = start("a");
    let error = a.join([dead]).unwrap_err();
    assert_eq!(error.to_string(), format!("no seed answered: {dead}: nobody listens there"));
    let (b, _b) = start("b");
    assert_eq!(a.join([dead, b.addr()]).unwrap(), 2, "one that answers is enough");
}

#[test]
fn a_join_to_somebody_who_is_silent_fails_at_its_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (a, _events) = start("a");
    let start = Instant::now();
    let error = a.join([silent.local_addr().unwrap()]).unwrap_err();
    assert!(matches!(error.error, CommandError::Failed(_)), "{error:?}");
    assert!(error.to_string().ends_with("there was no answer in time"), "{error}");
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&start.elapsed()));
}

#[test]
fn nodes_of_other_clusters_are_not_let_in() {
    let (a, _a) = start("a");
    let other = ClusterName::new("other").unwrap();
    let here = "127.0.0.1:0".parse().unwrap();
    let (b, _b) = Tidings::bind(Config::local(other, NodeId::new("b").unwrap(), here)).unwrap();
    let error = b.join([a.addr()]).unwrap_err();
    assert!(matches!(error.error, CommandError::Failed(_)), "{error:?}");
    assert_eq!(a.members().len(), 1);
    assert_eq!(a.stats().rejected_streams.foreign_cluster, 1);
}

#[test]
fn a_megabyte_of_noise_does_a_node_no_harm() {
    let (a, _a) = start("a");
    let (b, _b) = start("b");
    b.join([a.addr()]).unwrap();
    // A small generator (xorshift) is random enough to be noise.
    let mut word = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    };
    let noise: Vec<u8> = (0..1 << 17).flat_map(|_| next()).collect();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in noise.chunks(1000) {
        udp.send_to(datagram, a.addr()).unwrap();
    }
    for piece in noise.chunks(noise.len() / 8) {
        let mut tcp = TcpStream::connect(a.addr()).unwrap();
        // It hangs up on us at the first bytes that it cannot take.
        drop(tcp.write_all(piece));
    }
    wait(|| a.stats().rejected_streams.total() == 8);
    wait(|| a.stats().rejected_datagrams.total() > 100);
    let probes = a.stats().probes;
    wait(|| a.stats().probes > probes + 3);
    assert_eq!(state(&a, "b"), Some(State::Alive));
    assert_eq!(b.members().len(), 2);
}

#[test]
fn a_slow_application_loses_events_and_not_members() {
    let (a, events) = start("a");
    let (b, _b) = start("b");
    b.join([a.addr()]).unwrap();
    for n in 0..3000 {
        b.set_meta(Meta::from(n.to_string().as_str())).unwrap();
        wait(|| {
            let member = a.member(&NodeId::new("b").unwrap()).unwrap();
            &member.meta()[..] == n.to_string().as_bytes()
        });
    }
    assert!(events.lagged() > 1000);
    assert!(events.try_recv().is_some());
    assert_eq!(a.members().len(), 2);
}
