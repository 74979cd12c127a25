//! The server under clients that are slow, many, or wrong; the node does not notice any of them.

use crate::client::{Answer, LIMIT, get, node, pages, read, send, wait};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidings_http::{Server, ServerLimits};
use tidings_std::{NodeId, Tidings};

fn serve(limits: ServerLimits) -> (Tidings, Server, SocketAddr) {
    let (node, events) = node("a", "");
    let (pages, _) = pages(&node, events);
    let server = Server::start_with("127.0.0.1:0".parse().unwrap(), pages, limits).unwrap();
    let addr = server.local_addr();
    (node, server, addr)
}

fn limits(max_connections: usize, deadline: Duration) -> ServerLimits {
    let mut limits = ServerLimits::default();
    (limits.max_connections, limits.deadline) = (max_connections, deadline);
    limits
}

#[test]
fn a_request_is_answered_and_the_connection_closed() {
    let (_node, _server, addr) = serve(ServerLimits::default());
    let Answer { status, head, body } = get(addr, "/readyz", "*/*");
    assert_eq!((status, &*body), (200, "ok\n"));
    assert!(head.contains("\r\nContent-Length: 3\r\n") && head.contains("\r\nConnection: close"));
    let answer = send(addr, b"HEAD /readyz HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert!(answer.head.contains("\r\nContent-Length: 3\r\n"));
    assert_eq!(get(addr, "/nowhere", "*/*").status, 404);
}

#[test]
fn what_is_not_a_request_for_a_page_is_told_so() {
    let (_node, _server, addr) = serve(ServerLimits::default());
    let status = |request: &str| send(addr, request.as_bytes()).map(|answer| answer.status);
    // The body is not read, and the answer arrives all the same.
    let body = "x".repeat(10_000);
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n{body}");
    assert_eq!(status(&post), Some(405));
    assert_eq!(status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), Some(421));
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000))), Some(431));
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65))), Some(431));
    assert_eq!(status("\x16\x03\x01\x02\x00"), Some(400));
    assert_eq!(get(addr, "/healthz", "*/*").status, 200);
}

#[test]
fn a_client_that_is_slow_is_cut_off_at_the_deadline() {
    let (_node, _server, addr) = serve(limits(4, Duration::from_millis(300)));
    // One byte at a time, each before the deadline.
    let mut slow = TcpStream::connect(addr).unwrap();
    let start = Instant::now();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let cut_off = request.bytes().any(|byte| {
        slow.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        slow.write_all(&[byte]).is_err() || matches!(slow.read(&mut [0]), Ok(0))
    });
    assert!(cut_off, "a client took {:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(300));

    // One that says nothing.
    let mut silent = TcpStream::connect(addr).unwrap();
    silent.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

#[test]
fn silent_connections_give_way_to_those_that_ask() {
    let (_node, _server, addr) = serve(limits(8, Duration::from_secs(600)));
    let mut silent: Vec<_> = (0..8).map(|_| TcpStream::connect(addr).unwrap()).collect();
    assert_eq!(get(addr, "/healthz", "*/*").status, 200);
    silent[0].set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0, "the one that was silent for longest");
    // The last one can still ask.
    silent[7].write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read(&mut silent[7]).unwrap().status, 200);
}

#[test]
fn a_server_that_is_dropped_frees_its_port_at_once_and_the_node_runs_on() {
    let (node, server, addr) = serve(limits(8, Duration::from_secs(600)));
    let mut silent: Vec<_> = (0..8).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(matches!(silent[7].read(&mut [0]), Ok(0) | Err(_)));
    TcpListener::bind(addr).unwrap();
    assert_eq!(node.members().len(), 1);
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let (node, server, addr) = serve(ServerLimits::default());
    let error = Server::start(addr, tidings_http::Pages::new(node.observer())).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(server);
}

#[test]
fn a_thousand_connections_and_scrapers_do_not_delay_the_protocol() {
    let (a, server, addr) = serve(ServerLimits::default());
    let (b, _events) = node("b", "");
    b.join([a.addr()]).unwrap();
    wait(|| a.members().len() == 2);
    let name = NodeId::new("a").unwrap();

    let (flood, opened) = (AtomicBool::new(true), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            // All silent, and none closed by this side; more than wait to be accepted are tried
            // again.
            let mut silent = Vec::new();
            while flood.load(Ordering::Relaxed) {
                silent.extend(TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
                opened.store(silent.len(), Ordering::Relaxed);
                if silent.len() == 1000 {
                    break;
                }
            }
            while flood.load(Ordering::Relaxed) {
                drop(TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
            }
        });
        for path in ["/metrics", "/status", "/status.html"] {
            let flood = &flood;
            scope.spawn(move || {
                while flood.load(Ordering::Relaxed) {
                    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
                    drop(send(addr, request.as_bytes()));
                }
            });
        }
        // A thousand connections, twenty probes, and as many pings as that takes.
        let (first, start) = (a.stats().probes, Instant::now());
        let mut worst = Duration::ZERO;
        while a.stats().probes < first + 20 || opened.load(Ordering::Relaxed) < 1000 {
            assert!(start.elapsed() < 3 * LIMIT, "{:?}", a.stats());
            worst = worst.max(b.ping(&name).expect("each ping is answered"));
        }
        flood.store(false, Ordering::Relaxed);
        println!("the slowest ping took {worst:?}");
    });
    for node in [&a, &b] {
        let stats = node.stats();
        assert_eq!((stats.probes_failed, stats.refutations), (0, 0), "{stats:?}");
        assert_eq!(node.members().len(), 2);
    }
    assert_eq!(get(addr, "/healthz", "*/*").status, 200);
    drop(server);
}
