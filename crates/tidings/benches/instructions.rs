//! A fixed piece of work, for tools that count instructions; `instructions.sh` runs it.

mod common;

use common::forge;
use common::single_node::{GENERATION, SingleNode, address, spread};
use std::hint::black_box;

/// `instructions <what> <members> <times>`: does it so often, after what it takes to get there.
fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, members, times] = &arguments[..] else {
        return println!("not by itself: see instructions.sh");
    };
    let mut single = SingleNode::warm(members.parse().expect("a number of members"));
    measured(&mut single, what, times.parse().expect("how often"));
}

/// What is counted; by this name.
#[inline(never)]
fn measured(single: &mut SingleNode, what: &str, times: u32) {
    match what {
        "second" => (0..times).for_each(|_| single.round()),
        "ping" => pings(single, times),
        "harness" => harness(single, times),
        _ => panic!("second, ping or harness"),
    }
}

/// Pings from peers, answered.
fn pings(single: &mut SingleNode, times: u32) {
    let mut ping = Vec::with_capacity(100);
    single.write_ping(&mut ping);
    for n in 0..times {
        single.receive(address(1 + spread(n) % single.peers), &ping);
    }
}

/// What the peers do in a second, without the node: a ping written and one read, an ack written.
fn harness(single: &SingleNode, times: u32) {
    let mut buf = Vec::with_capacity(100);
    for n in 0..times {
        single.write_ping(&mut buf);
        let (token, digest) = forge::read_ping(black_box(&buf)).expect("it is a ping");
        forge::write_ack(&mut buf, token ^ n, GENERATION, digest);
        black_box(&buf);
    }
}
