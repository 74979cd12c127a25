//! Overload: noise, datagram floods, and applications that read events slowly.

use std::fs::read_to_string;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::thread;
use tidings_driver::prelude::{Event, State};
use tidings_tests::conformance::{
    Adapter, Node, id, loopback, patient, quick, trusting, wait, with,
};

tests! {
    sealed too: [
        a_megabyte_of_noise_does_a_node_no_harm,
        a_flood_of_datagrams_is_lost_and_the_node_goes_on,
        connections_without_a_word_do_not_keep_a_node_from_joining,
    ]
    plain only: [
        a_slow_application_loses_events_and_holds_up_nothing,
    ]
}

fn a_megabyte_of_noise_does_a_node_no_harm(adapter: &Adapter) {
    let [a, b] = adapter.cluster(quick, ["a", "b"]);
    let rejected = a.stats().rejected_streams.total();
    // A small generator (xorshift) is random enough to be noise.
    let mut word = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    };
    let noise: Vec<u8> = (0..1 << 17).flat_map(|_| next()).collect();
    let udp = UdpSocket::bind(loopback()).unwrap();
    for datagram in noise.chunks(1000) {
        udp.send_to(datagram, a.addr()).unwrap();
    }
    for piece in noise.chunks(noise.len() / 8) {
        let mut tcp = TcpStream::connect(a.addr()).unwrap();
        // It closes the connection at the first invalid bytes.
        drop(tcp.write_all(piece));
    }
    wait(|| a.stats().rejected_streams.total() == rejected + 8);
    wait(|| a.stats().rejected_datagrams.total() > 100);
    assert_still_works(&a, &b);
}

fn a_flood_of_datagrams_is_lost_and_the_node_goes_on(adapter: &Adapter) {
    let [a, b] = adapter.cluster(quick, ["a", "b"]);
    let Some(before) = lost(&a) else {
        eprintln!("skipped: this system does not tell what a socket lost");
        return;
    };
    let is_lost = || lost(&a) > Some(before);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let udp = UdpSocket::bind(loopback()).unwrap();
                wait(|| {
                    (0..1000).for_each(|_| drop(udp.send_to(&[7; 8000], a.addr())));
                    is_lost()
                });
            });
        }
    });
    assert_still_works(&a, &b);
}

fn connections_without_a_word_do_not_keep_a_node_from_joining(adapter: &Adapter) {
    let mut options = patient("a").options().clone();
    options.max_streams_in = 4;
    let (a, b) = (adapter.start(with(options, "a")), adapter.start(patient("b")));
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(a.addr()).unwrap()).collect();
    wait(|| a.stats().streams_refused == 6);
    // It is asked again until one of the connections gives way.
    b.join([a.addr()]).unwrap();
    assert!(a.stats().streams_timed_out >= 1);
    // The others end when no first byte comes.
    wait(|| a.stats().streams_timed_out == 2);
    drop(silent);
}

/// The number of datagrams dropped because a node's socket buffer was full.
fn lost(node: &Node) -> Option<u64> {
    let sockets = read_to_string("/proc/net/udp").ok()?;
    let here = format!("0100007F:{:04X}", node.addr().port());
    let socket = sockets.lines().find(|socket| socket.contains(&here))?;
    socket.split_whitespace().last()?.parse().ok()
}

/// Asserts that `a` probes, and that the two see each other as alive.
#[track_caller]
fn assert_still_works(a: &Node, b: &Node) {
    let probes = a.stats().probes;
    wait(|| a.stats().probes > probes + 3);
    for (node, name, other) in [(a, "a", "b"), (b, "b", "a")] {
        wait(|| node.state(other) == Some(State::Alive));
        wait(|| node.ping(&id(other)).is_ok());
        assert_eq!(node.members().len(), 2, "{name} has lost {other}");
    }
}

fn a_slow_application_loses_events_and_holds_up_nothing(adapter: &Adapter) {
    let [a, b] = adapter.cluster(trusting, ["a", "b"]);
    while a.stats().messages_in < 1500 {
        let before = a.stats().messages_in;
        for _ in 0..100 {
            b.send(&id("a"), "news").unwrap();
        }
        wait(|| a.stats().messages_in == before + 100);
    }
    let lost = a.lagged();
    assert!((400..600).contains(&lost), "{lost} were lost");
    assert_still_works(&a, &b);
    b.send_reliable(&id("a"), "more news").unwrap();
    assert!(a.lagged() > lost);

    let taken = a.waiting();
    assert_eq!(taken.len(), 1024);
    assert!(matches!(taken[0], Event::Joined(_)), "those that came first are kept");
    // There is room again.
    b.send(&id("a"), "good news").unwrap();
    assert_eq!(a.message().1, "good news");
}
