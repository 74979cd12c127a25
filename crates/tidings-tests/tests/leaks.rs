//! Dropped nodes of any adapter leave no thread, descriptor, task or memory behind.
//!
//! Each test runs in a process of its own, because it counts the resources of the process.
#![cfg(target_os = "linux")]

use cap::Cap;
use std::alloc::System;
use std::fs::read_dir;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{DriverConfig, Event, Via};
use tidings_tests::conformance::{
    ASYNC_IO, ASYNC_STD, Adapter, LIMIT, SMOL, STD, TOKIO, alive_tasks, alone, id, loopback, quick,
    read_to_close,
};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

macro_rules! tests {
    ($($test:ident: $adapter:expr,)*) => {
        $(
            #[test]
            fn $test() {
                alone(stringify!($test), || leaves_nothing(&$adapter));
            }
        )*
    };
}

tests! {
    std_leaves_nothing_behind: STD,
    async_io_leaves_nothing_behind: ASYNC_IO,
    smol_leaves_nothing_behind: SMOL,
    async_std_leaves_nothing_behind: ASYNC_STD,
    tokio_leaves_nothing_behind: TOKIO,
}

/// After further clusters have come and gone, the process has no more resources than before.
#[track_caller]
fn leaves_nothing(adapter: &Adapter) {
    // Resources that are made once and kept exist after a few runs: the runtimes, tokio's in all
    // tests because its tasks are counted.
    alive_tasks();
    (0..CLUSTERS / 2).for_each(|_| run_cluster(adapter));
    (0..CLUSTERS).for_each(|_| run_cluster(adapter));
    let before = Resources::now();
    (0..2 * CLUSTERS).for_each(|_| run_cluster(adapter));
    // Threads take a while to end, idle ones of a pool too.
    let start = Instant::now();
    while !Resources::now().is_no_more_than(&before) {
        assert!(start.elapsed() < LIMIT, "there was {before:?}, and is {:?}", Resources::now());
        thread::park_timeout(Duration::from_millis(10));
    }
    println!("{before:?}, then {:?}", Resources::now());
}

/// Runs a cluster once: five nodes join, exchange messages, a sixth comes by itself, and
/// they stop while streams are open.
fn run_cluster(adapter: &Adapter) {
    let [a, b, c, d, e] = adapter.cluster(quick, ["a", "b", "c", "d", "e"]);
    for node in [&b, &c, &d, &e] {
        node.send(&id("a"), "in a datagram").unwrap();
        node.send_reliable(&id("a"), vec![7; 50_000]).unwrap();
    }
    a.broadcast("to all").unwrap();
    for node in [&b, &c, &d, &e] {
        node.wait_for(|event| matches!(event, Event::Message { via: Via::Broadcast, .. }));
    }
    // One looks for the others by itself, has a snapshot, and stops while a command runs.
    let path = std::env::temp_dir().join(format!("tidings-leaks-{}", std::process::id()));
    let driver = DriverConfig::new().seeds([a.addr()]).seeds(["exec:sleep 300"]).snapshot(&path);
    let seeker = adapter.bind_with(loopback(), quick("f"), driver).unwrap();
    assert!(seeker.wait_for_member(&id("a"), LIMIT).is_some());
    seeker.stop();
    std::fs::remove_file(&path).unwrap();
    // Streams are open when all stop: some that are idle, and some to a peer that does not answer.
    let idle = [(); 3].map(|()| TcpStream::connect(a.addr()).unwrap());
    let addr = b.addr();
    b.stop();
    let silent = bind_again(addr);
    let unanswered = silent.accept().unwrap().0;
    for node in [a, c, d, e] {
        node.stop();
    }
    idle.into_iter().for_each(|stream| assert_eq!(read_to_close(stream), 0));
    read_to_close(unanswered);
}

/// Listens where a node did; the port may be that of another process's connection for a while.
#[track_caller]
fn bind_again(addr: SocketAddr) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind(addr) {
            Ok(listener) => return listener,
            Err(error) => assert!(start.elapsed() < LIMIT, "{addr}: {error}"),
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// The resources of the process.
#[derive(Debug)]
struct Resources {
    threads: usize,
    descriptors: usize,
    tasks: usize,
    bytes: usize,
}

impl Resources {
    fn now() -> Self {
        let count = |dir| read_dir(dir).unwrap().count();
        Self {
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
            tasks: alive_tasks(),
            bytes: HEAP.allocated(),
        }
    }

    fn is_no_more_than(&self, before: &Self) -> bool {
        self.threads <= before.threads
            && self.descriptors <= before.descriptors
            && self.tasks <= before.tasks
            && self.bytes <= before.bytes + SLACK
    }
}

/// The number of clusters before the first count; twice as many follow.
const CLUSTERS: usize = 6;
/// Allowed growth of the runtimes' tables, in bytes: less than 40 for each node since.
const SLACK: usize = 2 * CLUSTERS * 5 * 40;
