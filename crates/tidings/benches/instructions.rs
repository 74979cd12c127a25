//! A fixed workload for tools that count instructions; `instructions.sh` runs it.

mod common;

use common::forge;
use common::solo::{GENERATION, Solo, address, spread};
use std::hint::black_box;

/// `instructions WORKLOAD MEMBERS TIMES`: sets up a node, and runs the workload that often.
fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [workload, members, times] = &arguments[..] else {
        return println!("usage: instructions WORKLOAD MEMBERS TIMES; instructions.sh runs it");
    };
    let mut solo = Solo::warm(members.parse().expect("a number of members"));
    measured(&mut solo, workload, times.parse().expect("a number of times"));
}

/// The function in which instructions are counted; `instructions.sh` has its name.
#[inline(never)]
fn measured(solo: &mut Solo, workload: &str, times: u32) {
    match workload {
        "second" => (0..times).for_each(|_| solo.round()),
        "ping" => pings(solo, times),
        "harness" => harness(solo, times),
        _ => panic!("the workload is {workload:?}; it must be second, ping or harness"),
    }
}

/// Pings from peers, which the node answers.
fn pings(solo: &mut Solo, times: u32) {
    let mut ping = Vec::with_capacity(100);
    solo.write_ping(&mut ping);
    for n in 0..times {
        solo.give(address(1 + spread(n) % solo.peers), &ping);
    }
}

/// The work of the peers in one second, without the node: a ping encoded, a ping decoded, an ack
/// encoded.
fn harness(solo: &Solo, times: u32) {
    let mut buf = Vec::with_capacity(100);
    for n in 0..times {
        solo.write_ping(&mut buf);
        let (token, digest) = forge::read_ping(black_box(&buf)).expect("`write_ping` wrote a ping");
        forge::write_ack(&mut buf, token ^ n, GENERATION, digest);
        black_box(&buf);
    }
}
