//! Nodes on loopback, and a client that says exactly what it sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tidings_http::{EventLog, Pages};
use tidings_std::{Events, Options, Tidings};

/// The time limit of each wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A node on a free port, with fast probes.
pub(crate) fn node(name: &str, meta: impl Into<Vec<u8>>) -> (Tidings, Events) {
    let mut options = Options::local();
    (options.probe_interval, options.probe_timeout) =
        (Duration::from_millis(200), Duration::from_millis(80));
    let node = tidings_std::builder("test").name(name).bind("127.0.0.1:0").options(options);
    node.meta(meta.into()).start().unwrap()
}

/// The pages of a node, whose events they show.
pub(crate) fn pages(node: &Tidings, events: Events) -> (Pages, EventLog) {
    let pages = Pages::new(node.observer());
    let (log, recording) = (pages.log(), pages.log());
    thread::spawn(move || events.for_each(|event| recording.record(&event)));
    (pages, log)
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "it did not hold in {LIMIT:?}");
        thread::yield_now();
    }
}

/// An answer: its head and its body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends bytes, and reads the answer to its end; `None` if the connection ends without one.
pub(crate) fn send(to: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request).ok()?;
    read(&mut stream)
}

/// Reads an answer to its end.
pub(crate) fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.into(), body: body.into() })
}

/// The answer to a GET.
#[track_caller]
pub(crate) fn get(to: SocketAddr, path: &str, accept: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nAccept: {accept}\r\n\r\n");
    send(to, request.as_bytes()).expect("an answer")
}
