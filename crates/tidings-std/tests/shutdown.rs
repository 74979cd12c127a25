//! Alone in its process, since it counts the process's threads and descriptors.
#![cfg(target_os = "linux")]

use std::fs::read_dir;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

#[test]
fn a_node_that_is_dropped_leaves_no_thread_and_no_socket() {
    let before = (threads(), descriptors());
    let mut addrs = Vec::new();
    {
        let start = |n: usize| {
            let node = tidings_std::builder("shutdown").name(format!("n{n}"));
            node.bind("127.0.0.1:0").start().unwrap()
        };
        let (first, _events) = start(0);
        let others: Vec<_> = (1..5).map(start).collect();
        for (other, _) in &others {
            other.join([first.addr()]).unwrap();
            addrs.push(other.addr());
        }
        // Streams that never say anything, and a peer that hangs up.
        let _idle: Vec<_> = (0..10).map(|_| TcpStream::connect(first.addr()).unwrap()).collect();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        std::thread::scope(|scope| {
            let seed = [silent.local_addr().unwrap()];
            let node = &others[0].0;
            let join = scope.spawn(move || node.join(seed));
            drop(silent.accept().unwrap());
            // It is not there either when it is asked again.
            drop(silent);
            assert!(join.join().unwrap().is_err());
        });
        let start = Instant::now();
        drop(first);
        drop(others);
        assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    }
    let start = Instant::now();
    while (threads(), descriptors()) != before {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", (threads(), descriptors()));
        std::thread::yield_now();
    }
    for addr in addrs {
        UdpSocket::bind(addr).unwrap();
        TcpListener::bind(addr).unwrap();
    }
}

fn threads() -> usize {
    read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    read_dir("/proc/self/fd").unwrap().count()
}
