//! What nodes of every adapter that are gone leave behind: no thread, descriptor, task or memory.
//!
//! Each test has a process to itself, since it counts what that has.
#![cfg(target_os = "linux")]

use cap::Cap;
use std::alloc::System;
use std::fs::read_dir;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{Event, Via};
use tidings_tests::conformance::{
    ASYNC_IO, ASYNC_STD, Adapter, LIMIT, SMOL, STD, TOKIO, alive_tasks, alone, hear_out, id, quick,
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

/// After twice as many lives there is no more than after as many.
#[track_caller]
fn leaves_nothing(adapter: &Adapter) {
    // What is made once and kept is there after a few: the runtimes, tokio's for all to be counted.
    alive_tasks();
    (0..LIVES / 2).for_each(|_| live(adapter));
    (0..LIVES).for_each(|_| live(adapter));
    let before = Left::now();
    (0..2 * LIVES).for_each(|_| live(adapter));
    // A thread that ends, or one of a pool that has nothing to do, takes its time.
    let start = Instant::now();
    while !Left::now().is_no_more_than(&before) {
        assert!(start.elapsed() < LIMIT, "there was {before:?}, and is {:?}", Left::now());
        thread::park_timeout(Duration::from_millis(10));
    }
    println!("{before:?}, then {:?}", Left::now());
}

/// Five nodes join, talk, and end, while streams are under way.
fn live(adapter: &Adapter) {
    let [a, b, c, d, e] = adapter.cluster(quick, ["a", "b", "c", "d", "e"]);
    for node in [&b, &c, &d, &e] {
        node.send(&id("a"), "in a datagram").unwrap();
        node.send_reliable(&id("a"), vec![7; 50_000]).unwrap();
    }
    a.broadcast("to all").unwrap();
    for node in [&b, &c, &d, &e] {
        node.wait_for(|event| matches!(event, Event::Message { via: Via::Broadcast, .. }));
    }
    // Streams are under way when all end: some that say nothing, and some to who does not answer.
    let idle = [(); 3].map(|()| TcpStream::connect(a.addr()).unwrap());
    let addr = b.addr();
    b.stop();
    let silent = TcpListener::bind(addr).unwrap();
    let unanswered = silent.accept().unwrap().0;
    for node in [a, c, d, e] {
        node.stop();
    }
    idle.into_iter().for_each(|stream| assert_eq!(hear_out(stream), 0));
    hear_out(unanswered);
}

/// What the process has.
#[derive(Debug)]
struct Left {
    threads: usize,
    descriptors: usize,
    tasks: usize,
    bytes: usize,
}

impl Left {
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

/// How many lives are compared with twice as many.
const LIVES: usize = 6;
/// Tables of the runtimes may have grown: by less than 40 bytes for each node that has lived since.
const SLACK: usize = 2 * LIVES * 5 * 40;
