//! A fixed workload for tools that count instructions; `instructions.sh` runs it.

mod common;

use common::forge;
use common::single_node::{GENERATION, SingleNode, address, spread};
use std::hint::black_box;

/// `instructions WORKLOAD MEMBERS TIMES`: sets up a node, and runs the workload that often.
fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [workload, members, times] = &arguments[..] else {
        return println!("usage: instructions WORKLOAD MEMBERS TIMES; instructions.sh runs it");
    };
    let mut single = SingleNode::warm(members.parse().expect("a number of members"));
    let times = times.parse().expect("a number of times");
    let pings = if workload == "ping" { pings(&single, times) } else { Vec::new() };
    measured(&mut single, workload, times, &pings);
}

/// The function in which instructions are counted; `instructions.sh` has its name.
#[inline(never)]
fn measured(single: &mut SingleNode, workload: &str, times: u32, pings: &[(u32, Vec<u8>)]) {
    match workload {
        "second" => (0..times).for_each(|_| single.round()),
        "ping" => pings.iter().for_each(|(peer, ping)| single.receive(address(*peer), ping)),
        "harness" => harness(single, times),
        _ => panic!("the workload is {workload:?}; it must be second, ping or harness"),
    }
}

/// Pings from peers, which the node answers.
fn pings(single: &SingleNode, times: u32) -> Vec<(u32, Vec<u8>)> {
    let ping = |n| {
        let (peer, mut ping) = (1 + spread(n) % single.peers, Vec::new());
        single.write_ping(&mut ping, peer);
        (peer, ping)
    };
    (0..times).map(ping).collect()
}

/// The work of the peers in one second, without the node: a ping encoded, a ping decoded, an ack
/// encoded.
fn harness(single: &SingleNode, times: u32) {
    let mut buf = Vec::with_capacity(100);
    for n in 0..times {
        single.write_ping(&mut buf, 1 + spread(n) % single.peers);
        let (token, digest) = forge::read_ping(black_box(&buf)).expect("`write_ping` wrote a ping");
        forge::write_ack(&mut buf, token ^ n, GENERATION, digest);
        black_box(&buf);
    }
}
