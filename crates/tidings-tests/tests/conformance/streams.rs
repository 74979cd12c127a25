//! Streams to and from peers that reset, stall, or send half of a message.

use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use tidings_driver::CommandError;
use tidings_driver::prelude::{Config, ExchangeError, Failure, Options};
use tidings_tests::conformance::{
    Adapter, Fault, FaultyPeer, Node, id, loopback, patient, quick, read_to_close, trusting, wait,
    with,
};

tests! {
    sealed too: [
        a_join_tells_how_each_seed_broke_off,
        a_message_to_who_breaks_the_connection_fails_by_that,
        a_message_to_who_closes_the_connection_has_no_receipt,
        a_message_to_who_does_not_read_fails_at_its_deadline_and_holds_up_nothing,
        who_says_half_of_a_request_is_hung_up_on,
        who_does_not_read_the_answer_is_hung_up_on,
    ]
}

fn a_join_tells_how_each_seed_broke_off(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    let closes = FaultyPeer::at(loopback(), Fault::Closes);
    let resets = FaultyPeer::at(loopback(), Fault::Resets);
    let ended = a.join([closes.addr(), resets.addr()]).unwrap_err();
    assert_eq!(ended.seeds().len(), 2);
    for (peer, error) in
        [(closes, ExchangeError::NoAnswer), (resets, ExchangeError::ConnectionReset)]
    {
        let mut seeds = ended.seeds().iter();
        let seed = seeds.find(|seed| seed.addr() == Some(peer.addr())).unwrap();
        assert_eq!(seed.exchange(), Some(error));
    }
}

fn a_message_to_who_breaks_the_connection_fails_by_that(adapter: &Adapter) {
    let (error, _) = send_half_a_megabyte(adapter, Fault::Resets);
    assert_eq!(error, ExchangeError::ConnectionReset);
}

fn a_message_to_who_closes_the_connection_has_no_receipt(adapter: &Adapter) {
    let (error, _) = send_half_a_megabyte(adapter, Fault::Closes);
    assert_eq!(error, ExchangeError::NoAnswer);
}

fn a_message_to_who_does_not_read_fails_at_its_deadline_and_holds_up_nothing(adapter: &Adapter) {
    let (error, probes) = send_half_a_megabyte(adapter, Fault::Stalls);
    assert_eq!(error, ExchangeError::TimedOut);
    assert!(probes > 3, "in two seconds there were {probes} probes");
}

/// Sends half a megabyte to a member that was replaced by a faulty peer; returns the error, and the
/// number of probes meanwhile.
#[track_caller]
fn send_half_a_megabyte(adapter: &Adapter, fault: Fault) -> (ExchangeError, u64) {
    let [a, b, c] = adapter.cluster(trusting, ["a", "b", "c"]);
    let addr = b.addr();
    b.stop();
    let _faulty = FaultyPeer::at(addr, fault);
    let probes = a.stats().probes;
    thread::scope(|scope| {
        let sending = scope.spawn(|| a.send_reliable(&id("b"), vec![7; 500_000]));
        wait(|| a.ping(&id("c")).is_ok());
        wait(|| c.ping(&id("a")).is_ok());
        a.send_reliable(&id("c"), "how are you?").unwrap();
        let stalls = fault == Fault::Stalls;
        assert!(!(stalls && sending.is_finished()), "who does not read gave a receipt");
        match sending.join().unwrap() {
            Err(CommandError::Failed(Failure::Undelivered(error))) => {
                (error, a.stats().probes - probes)
            }
            ended => panic!("{ended:?}"),
        }
    })
}

#[test]
fn half_a_megabyte_does_not_fit_into_a_connection_that_nobody_reads() {
    let peer = FaultyPeer::at(loopback(), Fault::Stalls);
    let mut stream = TcpStream::connect(peer.addr()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    loop {
        match stream.write(&[7; 1000]) {
            Ok(len) => written += len,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(written < 400_000, "{written} bytes did: the tests of stalled streams test nothing");
}

fn who_says_half_of_a_request_is_hung_up_on(adapter: &Adapter) {
    let [a, b] = adapter.nodes(quick, ["a", "b"]);
    let request = capture_join_request(&b);
    let half = &request[..request.len() / 2];
    let streams = [&[], half, &request].map(|said| {
        let mut stream = TcpStream::connect(a.addr()).unwrap();
        stream.write_all(said).unwrap();
        stream
    });
    let [nothing, to_half, to_all] = streams.map(read_to_close);
    assert_eq!((nothing, to_half), (0, 0));
    assert!(to_all > 0, "the request was none: half of it says nothing");
    // The node waits for more from the last one too.
    assert_eq!(a.stats().streams_timed_out, 3);
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
}

fn who_does_not_read_the_answer_is_hung_up_on(adapter: &Adapter) {
    let [a, b] = adapter.nodes(quick_with_large_state, ["a", "b"]);
    let request = capture_join_request(&b);
    a.set_sync_state(vec![7; STATE_LEN]).unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Small buffers, here and at the sender.
    socket.set_recv_buffer_size(1 << 12).unwrap();
    socket.set_tcp_mss(1 << 12).unwrap();
    socket.connect(&SockAddr::from(a.addr())).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(&request).unwrap();
    wait(|| a.stats().streams_timed_out == 1);
    let heard = read_to_close(stream);
    assert!((1..STATE_LEN).contains(&heard), "of {STATE_LEN} bytes {heard} were heard");
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
}

fn quick_with_large_state(name: &str) -> Config {
    let mut options: Options = quick("any").options().clone();
    options.max_sync_state = STATE_LEN;
    with(options, name)
}

/// The first bytes that a node sends on the stream of a join.
fn capture_join_request(node: &Node) -> Vec<u8> {
    let listener = TcpListener::bind(loopback()).unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let mut said = vec![0; 1 << 16];
    thread::scope(|scope| {
        let joining = scope.spawn(|| node.join([addr]));
        let (mut stream, _) = listener.accept().unwrap();
        let len = stream.read(&mut said).unwrap();
        said.truncate(len);
        drop((stream, listener));
        assert!(joining.join().unwrap().is_err());
    });
    said
}

const STATE_LEN: usize = 800_000;
