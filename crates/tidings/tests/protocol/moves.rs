//! Addresses that change within a life, and nodes that are not reached where they say.

use super::*;
use tidings::SetAddrError;
#[cfg(feature = "memberlist")]
use tidings::{Memberlist, Wire};

/// Another address of a node.
fn elsewhere(n: usize) -> SocketAddr {
    addr(n + 100)
}

/// A node's machine has another address, at once and without the old one.
fn readdress(net: &mut Net, here: usize, to: SocketAddr) {
    net.nodes[here].addr = to;
    net.command(here, |node, now| node.set_addr(now, to)).unwrap();
}

fn all_know(net: &Net, other: usize, at: SocketAddr) -> bool {
    let is_there = |here| net.member(here, other).is_some_and(|member| member.addr() == at);
    (0..net.nodes.len()).all(is_there)
}

#[test]
fn others_follow_an_address_that_changes_in_a_round_and_nobody_fails() {
    for count in [2, 3, 20] {
        let mut net = joined(count);
        // Without keys, the question at the new address is no longer than the claim about it.
        net.set_meta(1, "role=db");
        net.run_for(5 * SECOND);
        readdress(&mut net, 1, elsewhere(1));
        let took = net.run_until(|net| all_know(net, 1, elsewhere(1)));
        assert!(took <= Options::local().probe_interval, "{count}: {took:?}");
        net.run_for(60 * SECOND);
        for here in 0..count {
            assert!(all_know(&net, 1, elsewhere(1)));
            assert!(!net.saw(here, |event| matches!(event, Event::Failed(_) | Event::Left(_))));
            assert!(!net.saw(here, |event| matches!(event, Event::Conflict { .. })));
            assert!(!net.saw(here, |event| matches!(event, Event::Restarted { .. })));
        }
    }
}

#[test]
fn an_address_that_changes_to_and_fro_is_no_conflict() {
    let mut net = joined(5);
    for turn in 0..6 {
        let to = if turn % 2 == 0 { elsewhere(1) } else { addr(1) };
        net.cut_both(1, 2);
        readdress(&mut net, 1, to);
        net.run_for(3 * SECOND);
        net.heal();
        net.run_until(|net| all_know(net, 1, to));
    }
    net.run_for(30 * SECOND);
    for here in 0..5 {
        assert!(!net.saw(here, |event| matches!(event, Event::Conflict { .. })));
        assert_eq!(net.nodes[here].node.present_count(), 5);
    }
}

#[test]
fn all_may_move_one_after_the_other() {
    let mut net = joined(4);
    for here in 0..4 {
        readdress(&mut net, here, elsewhere(here));
        net.run_until(|net| all_know(net, here, elsewhere(here)));
    }
    net.run_for(60 * SECOND);
    assert!((0..4).all(|here| net.nodes[here].node.present_count() == 4));
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
}

#[test]
fn an_address_that_no_node_can_have_is_refused() {
    let mut net = pair();
    for wrong in ["10.0.0.9:0", "0.0.0.0:1", "224.0.0.1:1", "[::]:1"] {
        let wrong: SocketAddr = wrong.parse().unwrap();
        let set = net.command(1, |node, now| node.set_addr(now, wrong));
        assert_eq!(set, Err(SetAddrError::Unreachable(wrong)));
    }
    assert_eq!(net.nodes[1].node.local().addr(), addr(1));
    assert_eq!(net.nodes[1].node.local().incarnation().number, 0);
}

#[test]
fn a_node_that_is_not_reached_where_it_says_is_told_and_moves() {
    for count in [2, 5] {
        let mut net = Net::new(count);
        for here in 1..count {
            net.join(here, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        // It sends from another address than it advertises, at which nobody reaches it.
        net.nodes[1].addr = elsewhere(1);
        let is_told =
            |net: &Net| net.saw(1, |event| *event == Event::Unreachable { addr: addr(1) });
        net.run_until(is_told);
        net.run_for(60 * SECOND);
        let told = |(_, event): &&(Instant, Event)| matches!(event, Event::Unreachable { .. });
        assert_eq!(net.nodes[1].events.iter().filter(told).count(), 1, "once");
        readdress(&mut net, 1, elsewhere(1));
        net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
        net.run_for(10 * SECOND);
        let now = net.now;
        net.run_for(60 * SECOND);
        for here in 0..count {
            let mut late = net.nodes[here].events.iter().filter(|&&(at, _)| at > now);
            assert_eq!(late.find(|(_, event)| matches!(event, Event::Suspected(_))), None);
            assert_eq!(net.nodes[here].events.iter().filter(told).count(), (here == 1).into());
        }
    }
}

#[test]
fn a_newcomer_that_advertises_an_address_where_nobody_reaches_it_is_told() {
    let mut net = Net::new(3);
    net.nodes[2].addr = elsewhere(2);
    net.join(1, &[addr(0)]);
    net.join(2, &[addr(0)]);
    net.run_until(|net| net.saw(2, |event| *event == Event::Unreachable { addr: addr(2) }));
}

#[test]
#[cfg(feature = "memberlist")]
fn in_memberlists_format_a_node_moves_by_leaving_and_joining_again() {
    let at = |n: usize| {
        let config = Config::builder(ClusterName::new("test").unwrap(), id(n), addr(n));
        let options = Options::local();
        config.options(options).wire(Wire::Memberlist(Memberlist::default())).build().unwrap()
    };
    let mut net = Net::of((0..3).map(at));
    for here in 1..3 {
        net.join(here, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    let to = elsewhere(1);
    let set = net.command(1, |node, now| node.set_addr(now, to));
    assert_eq!(set, Err(SetAddrError::Present));
    net.leave(1);
    net.run_for(5 * SECOND);
    readdress(&mut net, 1, to);
    net.join(1, &[addr(0)]);
    net.run_until(|net| all_know(net, 1, to));
    net.run_for(30 * SECOND);
    for here in 0..3 {
        assert_eq!(net.nodes[here].node.present_count(), 3);
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
    }
}

#[test]
#[cfg(feature = "record")]
fn a_replay_has_the_changes_of_the_address() {
    let mut net = Net::new(0);
    net.journaling = true;
    for n in 0..3 {
        net.start(config(n, addr(n)).with_generation(1));
    }
    for here in 1..3 {
        net.join(here, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    for to in [elsewhere(1), addr(1), elsewhere(1)] {
        readdress(&mut net, 1, to);
        net.run_for(20 * SECOND);
    }
    net.assert_replays(100);
}
