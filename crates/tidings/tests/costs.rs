//! A node's costs: recurring work does not grow with the cluster, and a member takes few bytes.
#![cfg(debug_assertions)]

mod common;

use common::forge;
use common::single_node::{GENERATION, SingleNode, address, name};
use std::time::Duration;
use tidings::{NodeId, Options, State};

/// More than any of the bounds below, so that a look at all members exceeds them.
const MEMBERS: u32 = 1000;

#[test]
fn a_quiet_second_looks_at_a_few_members_and_allocates_nothing() {
    let mut single = single();
    let most = most(&mut single, 300, SingleNode::round);
    assert!(most.visits <= 32, "{most:?}");
    assert_eq!(most.allocations, 0);
    let stats = single.node.stats();
    assert!(stats.probes >= 300 && stats.streams_out >= 20, "it did probe and begin to sync");
    assert_eq!(stats.probes_indirect, 0);
}

#[test]
fn a_second_with_updates_costs_what_is_sent() {
    let mut single = single();
    let (gossip, mut peers) = (single.gossip, 1..);
    let most = most(&mut single, 60, |single| {
        let n = peers.next().unwrap();
        let renewed = forge::alive(&name(n), &address(n).to_string(), GENERATION, 1, b"");
        single.receive(address(0), &forge::plain_datagram(forge::CLUSTER, &[renewed]));
        single.round();
    });
    assert!(most.visits <= 250, "{most:?}");
    assert!(most.allocations <= 40, "{most:?}");
    assert!(single.gossip >= gossip + 60 * 10, "it did gossip");
}

#[test]
fn a_second_with_a_suspicion_a_failure_and_a_removal_costs_what_is_sent() {
    let mut single = single();
    let mut peers = 1..;
    let most = most(&mut single, 300, |single| {
        let suspect = forge::suspect(7, &name(peers.next().unwrap()), GENERATION, 0);
        single.receive(address(0), &forge::plain_datagram(forge::CLUSTER, &[suspect]));
        single.round();
    });
    // Recently failed members are looked at whenever there is gossip, up to a limit.
    assert!(most.visits <= 800, "{most:?}");
    assert!(most.allocations <= 40, "{most:?}");
    let state = |n| single.node.member(&NodeId::new(&name(n)).unwrap()).map(|m| m.state());
    assert_eq!([1, 200, 300].map(state), [None, Some(State::Failed), Some(State::Suspect)]);
}

#[test]
fn a_member_takes_few_bytes() {
    let mut node = None;
    let held = allocation_counter::measure(|| node = Some(SingleNode::warm(MEMBERS).node));
    let each = held.bytes_current / i64::from(MEMBERS);
    assert!(each <= 128, "{each} bytes");
}

/// A node with all timers: it also begins syncs, and soon forgets failed members.
fn single() -> SingleNode {
    let mut options = Options::lan();
    options.sync_interval = Duration::from_secs(2);
    options.tombstone_timeout = Duration::from_secs(60);
    let mut single = SingleNode::with(options, MEMBERS);
    single.learn_all_peers();
    single.hear_all_peers();
    single.settle();
    single
}

/// The highest costs of a second.
#[derive(Debug, Default)]
struct Cost {
    /// Number of times that the node looked at a member.
    visits: usize,
    /// The peers' included.
    allocations: u64,
}

fn most(single: &mut SingleNode, seconds: u32, mut second: impl FnMut(&mut SingleNode)) -> Cost {
    let mut most = Cost::default();
    for _ in 0..seconds {
        let before = single.node.visits();
        let counted = allocation_counter::measure(|| second(single));
        most.visits = most.visits.max(single.node.visits() - before);
        most.allocations = most.allocations.max(counted.count_total);
    }
    most
}
