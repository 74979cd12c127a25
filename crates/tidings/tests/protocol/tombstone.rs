//! Departed members: how long they are remembered, and that nothing old brings them back.

use super::*;

#[test]
fn a_member_that_is_forgotten_was_remembered_for_the_whole_time() {
    let mut options = Options::local();
    options.tombstone_timeout = 20 * SECOND;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.kill(1);
    net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    let took = net.run_until(|net| net.member(0, 1).is_none());
    assert_eq!(took, 20 * SECOND);
}

#[test]
fn a_node_that_joins_again_has_forgotten_all_members_that_may_be_gone() {
    let mut options = Options::local();
    options.tombstone_timeout = 60 * SECOND;
    let mut net = Net::with_options(3, &options);
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(SECOND);
    net.leave(2);
    net.run_for(SECOND);
    net.leave(1);
    net.run_for(SECOND);
    net.kill(1);
    net.run_for(200 * SECOND);
    net.join(2, &[addr(0)]);
    net.run_for(60 * SECOND);
    assert_eq!(net.event_kinds(0, 1), ["joined", "left"], "it is not brought back");
    assert_eq!(net.state(2, 0), Some(State::Alive));
}

#[test]
fn a_late_update_with_an_earlier_address_does_not_bring_back_a_departed_member() {
    for leaves in [true, false] {
        let mut net = trio();
        net.set_meta(2, "later");
        net.run_for(5 * SECOND);
        if leaves {
            net.leave(2);
            net.run_for(SECOND);
        }
        net.kill(2);
        net.run_until(|net| net.state(0, 2).is_some_and(|state| !state.is_present()));
        let was = net.member(0, 2).unwrap().clone();
        for addr in ["10.0.0.3:7946", "10.0.0.77:7946"] {
            let late = forge::alive("n2", addr, 1, 0, b"early");
            net.inject(0, common::addr(1), &forge::datagram(&[late]));
            assert_eq!(net.member(0, 2), Some(&was));
        }
    }
}

#[test]
fn a_failure_or_leave_of_an_unknown_member_leaves_no_trace() {
    let mut net = pair();
    let (gone, zero) = (forge::failed("x", 0, 0), forge::suspect(1, "y", 7, 7));
    net.inject(0, addr(1), &forge::datagram(&[gone, zero, forge::left("z", 1, 1)]));
    assert_eq!(net.nodes[0].node.all_members().count(), 2);
    // A failed member from another's table is remembered, does not count, and is not passed on.
    let claim = forge::member(2, "w", "10.0.0.9:1", 0, b"");
    net.inject_stream(
        0,
        "10.0.0.8:999".parse().unwrap(),
        &forge::frame(0, &forge::sync_hello(&[forge::member(0, "v", "10.0.0.8:1", 1, b""), claim])),
    );
    assert_eq!(net.nodes[0].node.present_count(), 3);
    let took = |net: &Net| net.nodes[0].node.stats().syncs;
    let before = took(&net);
    net.run_until(|net| took(net) > before + 2);
    assert_eq!(net.nodes[1].node.member(&"w".parse().unwrap()), None);
}

#[test]
fn failed_members_are_forgotten_although_newcomers_learn_of_them() {
    let mut options = Options::local();
    options.tombstone_timeout = 60 * SECOND;
    options.sync_interval = SECOND;
    let mut net = Net::with_options(5, &options);
    for n in 1..4 {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    net.kill(3);
    net.run_for(40 * SECOND);
    net.join(4, &[addr(0)]);
    net.run_for(100 * SECOND);
    for here in [0, 1, 2, 4] {
        assert!(net.member(here, 3).is_none(), "n{here} still remembers");
    }
}
