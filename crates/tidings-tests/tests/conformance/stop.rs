//! Dropping a handle stops the node.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use tidings_driver::prelude::{Event, Observer};
use tidings_tests::conformance::{Adapter, id, patient, read_to_close, wait};

tests! {
    sealed too: [
        a_dropped_handle_ends_the_events_and_frees_the_ports,
        a_node_runs_until_the_last_of_its_handles_is_dropped,
        streams_that_are_open_hold_up_no_stop_and_are_closed_by_it,
        an_observer_sees_the_node_and_does_not_keep_it_running,
    ]
}

fn a_dropped_handle_ends_the_events_and_frees_the_ports(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let addr = a.addr();
    b.send_reliable(&id("a"), "the last word").unwrap();
    let told = a.stop();
    assert!(matches!(&told[..], [Event::Joined(_), Event::Message { .. }]), "{told:?}");
    TcpListener::bind(addr).unwrap();
    UdpSocket::bind(addr).unwrap();
}

fn a_node_runs_until_the_last_of_its_handles_is_dropped(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let (first, second, addr) = (a.clone_handle(), a.clone_handle(), a.addr());
    for handle in [first, second] {
        drop(handle);
        assert_eq!(b.ping(&id("a")).map(drop), Ok(()));
        assert_eq!(a.ping(&id("b")).map(drop), Ok(()));
    }
    let last = a.clone_handle();
    let rest = a.into_rest();
    assert_eq!(b.ping(&id("a")).map(drop), Ok(()), "one handle is left");
    drop(last);
    rest();
    TcpListener::bind(addr).unwrap();
    UdpSocket::bind(addr).unwrap();
}

fn streams_that_are_open_hold_up_no_stop_and_are_closed_by_it(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    // Idle ones, for which the node waits ten seconds.
    let idle: Vec<_> = (0..10).map(|_| TcpStream::connect(a.addr()).unwrap()).collect();
    wait(|| a.stats().streams_in >= 11);
    let (addr, start) = (a.addr(), Instant::now());
    a.stop();
    TcpListener::bind(addr).unwrap();
    idle.into_iter().for_each(|stream| assert_eq!(read_to_close(stream), 0));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    drop(b);
}

fn an_observer_sees_the_node_and_does_not_keep_it_running(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let (addr, [seen, other]) = (a.addr(), [&a, &b].map(|node| node.observer()));
    let digest = |of: &Observer| of.look(|state, _| state.node().digest());
    wait(|| digest(&seen).is_some() && digest(&seen) == digest(&other));
    assert_eq!(
        seen.look(|state, _| (state.node().present_count(), state.is_ready())),
        Some((2, true))
    );
    a.stop();
    assert_eq!(digest(&seen), None);
    TcpListener::bind(addr).unwrap();
    UdpSocket::bind(addr).unwrap();
}
