//! The wall clock: message times follow it when it is set, in both directions.

use super::*;
use common::forge::encrypted;

const HOUR: u64 = 3600;
/// The right time, in seconds.
const RIGHT: u64 = 60_000_000;

fn at(n: usize, seconds: u64) -> Config {
    config(n, addr(n)).with_generation(1).with_wall_clock(seconds)
}

fn set_clock(net: &mut Net, here: usize, seconds: u64) {
    net.command(here, |node, now| node.set_wall_clock(now, seconds));
}

/// The right time in `net`.
fn right(net: &Net) -> u64 {
    RIGHT + net.now.since(Instant::ZERO).as_secs()
}

fn are_all_members(net: &Net) -> bool {
    net.nodes.iter().all(|host| host.node.present_count() == net.nodes.len())
}

#[test]
fn a_node_whose_clock_was_wrong_at_its_start_is_a_member_once_it_is_set_right() {
    for wrong in [RIGHT - 13 * HOUR, RIGHT + 13 * HOUR, 0] {
        let mut net = Net::of([at(0, RIGHT), at(1, RIGHT), at(2, wrong)]);
        net.join(1, &[addr(0)]);
        net.command(2, |node, now| node.set_seeds(now, &[addr(0), addr(1)])).unwrap();
        net.run_for(60 * SECOND);
        assert_eq!(net.nodes[2].node.present_count(), 1, "nobody takes its messages");
        let right = right(&net);
        set_clock(&mut net, 2, right);
        assert!(net.run_until(are_all_members) < SECOND);
    }
}

#[test]
fn a_node_that_slept_longer_than_the_tolerance_is_a_member_again_within_a_probe() {
    let mut net = Net::of((0..3).map(|n| at(n, RIGHT)));
    for here in 1..3 {
        net.join(here, &[addr(0)]);
    }
    net.run_until(are_all_members);
    // Its own clock stands still, and so it does not know that it slept.
    net.kill(2);
    net.run_for(60 * SECOND);
    assert_eq!(net.state(0, 2), Some(State::Failed));
    for here in 0..2 {
        let later = right(&net) + 13 * HOUR;
        set_clock(&mut net, here, later);
    }
    net.resume(2);
    net.run_for(10 * SECOND);
    assert_eq!(net.state(0, 2), Some(State::Failed), "its messages are from yesterday");
    let right = right(&net) + 13 * HOUR;
    set_clock(&mut net, 2, right);
    assert!(net.run_until(are_all_members) <= Options::local().probe_interval);
    net.run_for(60 * SECOND);
    assert!(are_all_members(&net));
}

#[test]
fn a_cluster_whose_clocks_are_set_back_one_after_the_other_stays_whole() {
    let mut net = Net::of((0..4).map(|n| at(n, RIGHT + 100 * 24 * HOUR)));
    for here in 1..4 {
        net.join(here, &[addr(0)]);
    }
    net.run_until(are_all_members);
    for here in 0..4 {
        let right = right(&net);
        set_clock(&mut net, here, right);
    }
    net.run_for(2 * SECOND);
    for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
        net.command(from, |node, now| node.broadcast(now, "news".into())).unwrap();
        net.run_for(SECOND);
        let heard = net.messages(to).into_iter().any(|(origin, ..)| origin == id(from));
        assert!(heard, "what is sent after a step is no duplicate");
    }
    net.run_for(60 * SECOND);
    for here in 0..4 {
        assert_eq!(net.nodes[here].node.present_count(), 4);
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
    }
}

#[test]
fn whoever_sets_a_clock_back_cannot_replay_what_was_sent_then() {
    let alive = forge::alive("ghost", "10.9.0.1:1", 1, 0, b"");
    let mut net = Net::of((0..2).map(|n| at(n, RIGHT)));
    net.join(1, &[addr(0)]);
    net.run_until(are_all_members);
    let recorded = encrypted::datagram_at(RIGHT - 72 * HOUR, &alive);
    net.inject(1, addr(0), &recorded);
    set_clock(&mut net, 1, RIGHT - 72 * HOUR);
    net.inject(1, addr(0), &recorded);
    assert_eq!(net.nodes[1].node.stats().rejected_datagrams.stale, 2);
    assert_eq!(net.nodes[1].node.present_count(), 2);
    // A member that was set back too is taken at its word when it answers.
    set_clock(&mut net, 0, RIGHT - 72 * HOUR);
    net.run_for(30 * SECOND);
    assert!(are_all_members(&net));
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
}

#[test]
#[cfg(feature = "record")]
fn a_replay_has_the_steps_of_the_wall_clock() {
    let mut net = Net::new(0);
    net.journaling = true;
    for n in 0..3 {
        net.start(at(n, RIGHT));
    }
    for here in 1..3 {
        net.join(here, &[addr(0)]);
    }
    net.run_until(are_all_members);
    for step in [20, 0, 40, 40, 3, 3, 3] {
        set_clock(&mut net, step as usize % 3, RIGHT + step * HOUR);
        net.run_for(10 * SECOND);
    }
    assert!(net.nodes[0].node.stats().rejected_datagrams.stale > 0);
    net.assert_replays(100);
}
