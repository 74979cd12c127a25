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
    measured(&mut single, workload, times.parse().expect("a number of times"));
}

/// The function in which instructions are counted; `instructions.sh` has its name.
#[inline(never)]
fn measured(single: &mut SingleNode, workload: &str, times: u32) {
    match workload {
        "second" => (0..times).for_each(|_| single.round()),
        "ping" => pings(single, times),
        "harness" => harness(single, times),
        _ => panic!("the workload is {workload:?}; it must be second, ping or harness"),
    }
}

/// Pings from peers, which the node answers.
fn pings(single: &mut SingleNode, times: u32) {
    let mut ping = Vec::with_capacity(100);
    single.write_ping(&mut ping);
    for n in 0..times {
        single.receive(address(1 + spread(n) % single.peers), &ping);
    }
}

/// The work of the peers in one second, without the node: a ping encoded, a ping decoded, an ack
/// encoded.
fn harness(single: &SingleNode, times: u32) {
    let mut buf = Vec::with_capacity(100);
    for n in 0..times {
        single.write_ping(&mut buf);
        let (token, digest) = forge::read_ping(black_box(&buf)).expect("`write_ping` wrote a ping");
        forge::write_ack(&mut buf, token ^ n, GENERATION, digest);
        black_box(&buf);
    }
}
