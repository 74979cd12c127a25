//! The core's `polling` example (`mio`): nodes on it, and one on threads, form a cluster.

#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../tidings/examples/polling.rs"]
mod example;

use example::Driver;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tidings::Ticket;
use tidings::{Config, Done, Event, ExchangeError, Failure, Node, Options};
use tidings_std::Bytes;
use tidings_tests::conformance::{self, id, with};

#[test]
fn nodes_find_each_other_and_notice_who_falls_silent() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Running::start(quick(name)));
    for joiner in [&b, &c] {
        let seed = a.addr;
        let joined = joiner.ended(joiner.ask(move |node, now| node.join(now, &[seed]).unwrap()));
        assert!(matches!(joined, Ok(Done::Joined { .. })), "{joined:?}");
    }
    for node in [&a, &b, &c] {
        node.wait(|node| node.present_count() == 3);
    }
    drop(c);
    for node in [&a, &b] {
        node.told(|event| matches!(event, Event::Failed(m) if m.id().as_str() == "c"));
        node.wait(|node| node.present_count() == 2);
    }
    assert_eq!(b.ended(b.ask(|node, now| node.leave(now))), Ok(Done::Left { confirmed: 1 }));
    a.told(|event| matches!(event, Event::Left(m) if m.id().as_str() == "b"));
}

#[test]
fn a_node_on_threads_is_a_peer_like_any_other() {
    let ours = Running::start(patient("ours"));
    let (threads, events) = tidings_std::bind(patient("threads")).unwrap();
    assert_eq!(threads.join([ours.addr]).unwrap(), 2);

    // Longer than a socket's buffer.
    let long = Bytes::from(vec![7; 16 << 20]);
    let sent = long.clone();
    let ticket = ours.ask(move |node, now| node.send_reliable(now, &id("threads"), sent).unwrap());
    assert_eq!(ours.ended(ticket), Ok(Done::Delivered));
    threads.send_reliable(&id("ours"), long.clone()).unwrap();
    ours.told(|event| matches!(event, Event::Message { data, .. } if *data == long));

    ours.ask(|node, now| node.broadcast(now, "hello".into()).unwrap());
    let hello = |event| matches!(event, Event::Message { data, .. } if data == "hello");
    let arrived = std::iter::from_fn(|| events.recv_timeout(LIMIT)).any(hello);
    assert!(arrived);
    assert_eq!(threads.leave(), Ok(1));
    ours.told(|event| matches!(event, Event::Left(m) if m.id().as_str() == "threads"));
}

#[test]
fn a_seed_where_nobody_listens_is_a_reason_that_the_join_tells() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = Running::start(patient("a"));
    let joined = node.ended(node.ask(move |node, now| node.join(now, &[nobody]).unwrap()));
    let Err(Failure::NoSeed(why)) = joined else { panic!("{joined:?}") };
    assert_eq!(why[0].error, ExchangeError::ConnectionRefused);
}

#[test]
fn what_is_no_message_is_cut_off_and_a_peer_that_hangs_up_is_forgotten() {
    let mut options = Options::lan();
    options.max_streams_in = 1;
    let node = Running::start(with(options, "a"));
    let mut garbage = TcpStream::connect(node.addr).unwrap();
    garbage.set_read_timeout(Some(LIMIT)).unwrap();
    garbage.write_all(&[0xff; 64]).unwrap();
    match garbage.read(&mut [0]) {
        Ok(len) => assert_eq!(len, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    // Each is accepted only if those before it are forgotten.
    let start = Instant::now();
    while node.ask(|node, _| node.stats().streams_in) < 3 {
        assert!(start.elapsed() < LIMIT, "one is not forgotten");
        drop(TcpStream::connect(node.addr).unwrap());
    }
    assert_eq!(node.ask(|node, _| node.stats().streams_timed_out), 0);
}

/// A driver that runs in a thread of its own, until it is dropped.
struct Running {
    addr: SocketAddr,
    asked: Option<Sender<Request>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

type Request = Box<dyn FnOnce(&mut Driver) + Send>;

impl Running {
    fn start(config: Config) -> Self {
        let mut driver = bind(&config);
        let addr = driver.drive(|node, _| node.local().addr());
        let (asked, requests) = mpsc::channel::<Request>();
        let (tell, events) = mpsc::channel();
        let run = move || {
            loop {
                for event in driver.turn().unwrap() {
                    // A receiver that is gone means that we are dropped next.
                    drop(tell.send(event));
                }
                match requests.try_recv() {
                    Ok(request) => request(&mut driver),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        };
        Self { addr, asked: Some(asked), events, thread: Some(thread::spawn(run)) }
    }

    /// Calls the node in its thread, and waits for the result.
    fn ask<R: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Node, tidings::Instant) -> R + Send + 'static,
    ) -> R {
        let (answer, answered) = mpsc::channel();
        let request = Box::new(move |driver: &mut Driver| answer.send(driver.drive(what)).unwrap());
        self.asked.as_ref().unwrap().send(request).unwrap();
        self.wake();
        answered.recv_timeout(LIMIT).expect("the driver runs")
    }

    /// Waits until the condition holds.
    #[track_caller]
    fn wait(&self, what: fn(&Node) -> bool) {
        let start = Instant::now();
        while !self.ask(move |node, _| what(node)) {
            assert!(start.elapsed() < LIMIT, "it never came to pass");
        }
    }

    /// Waits for an event; discards others.
    #[track_caller]
    fn told(&self, what: impl Fn(&Event) -> bool) -> Event {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            if let Some(event) = self.events.recv_timeout(LIMIT).ok().filter(&what) {
                return event;
            }
        }
        panic!("the event never came");
    }

    /// Waits until a command has completed; returns its result.
    fn ended(&self, ticket: Ticket) -> Result<Done, Failure> {
        let ended =
            |event: &Event| matches!(event, Event::Completed { ticket: t, .. } if *t == ticket);
        match self.told(ended) {
            Event::Completed { result, .. } => result,
            event => unreachable!("{event:?}"),
        }
    }

    /// Wakes its loop by an empty datagram.
    fn wake(&self) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], self.addr).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.asked = None;
        self.wake();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// Binds to a free port; tries again if it is free for TCP but taken for UDP.
fn bind(config: &Config) -> Driver {
    (0..10).find_map(|_| Driver::bind(config.clone()).ok()).expect("a port is free")
}

/// A node that detects failures quickly.
fn quick(name: &str) -> Config {
    let mut options = conformance::quick(name).options().clone();
    options.stream_timeout = Duration::from_secs(10);
    with(options, name)
}

/// A node with long timeouts, so that a busy machine causes no suspicion.
fn patient(name: &str) -> Config {
    let mut options = conformance::patient(name).options().clone();
    options.max_frame = 32 << 20;
    with(options, name)
}

/// Deadline of every wait.
const LIMIT: Duration = Duration::from_secs(20);
