//! Three nodes and a few more: what needs somebody in between.

mod common;

use common::{Net, addr, config, joined, trio};
use std::time::Duration;
use tidings::{Event, Meta, Options, State};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn news_of_a_newcomer_reaches_those_whom_it_did_not_join() {
    let net = trio();
    assert_eq!(net.story(1, 2), ["joined"]);
    assert_eq!(net.story(2, 1), ["joined"]);
}

#[test]
fn a_member_that_cannot_be_reached_directly_is_saved_by_a_third() {
    let mut net = trio();
    net.cut_both(0, 1);
    net.run_for(60 * SECOND);
    assert_eq!(net.story(0, 1), ["joined"]);
    assert_eq!(net.story(1, 0), ["joined"]);
    assert!(net.nodes[0].node.stats().probes_indirect > 10);
    assert_eq!(net.nodes[0].node.stats().probes_failed, 0);
}

#[test]
fn news_misses_nobody_in_a_small_cluster() {
    let mut options = Options::local();
    // So that nothing is mended by syncs.
    options.sync_interval = 24 * 3600 * SECOND;
    let mut missed = 0;
    for seed in 0..200 {
        let mut net = Net::seeded(5, &options, seed);
        for n in 1..5 {
            net.join(n, &[addr(0)]);
        }
        net.run_for(SECOND);
        missed += usize::from((0..5).any(|here| net.nodes[here].node.present_count() < 5));
    }
    assert_eq!(missed, 0, "of 200");
}

#[test]
fn telling_the_dead_does_not_keep_news_from_the_living() {
    let mut options = Options::lan();
    options.sync_interval = 24 * 3600 * SECOND;
    let mut missed = 0;
    for seed in 0..60 {
        let mut net = Net::seeded(10, &options, seed);
        for n in 1..10 {
            net.join(n, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        for n in 4..10 {
            net.kill(n);
        }
        net.run_until(|net| (4..10).all(|n| net.state(0, n) == Some(State::Failed)));
        net.set_meta(0, "news");
        net.run_for(10 * SECOND);
        let told = |here| net.member(here, 0).unwrap().meta() == &Meta::from("news");
        missed += usize::from(!(1..4).all(told));
    }
    assert_eq!(missed, 0, "of 60");
}

#[test]
fn a_failure_is_told_to_all() {
    let mut net = joined(6);
    net.kill(5);
    net.run_until(|net| (0..5).any(|here| net.state(here, 5) == Some(State::Failed)));
    let took = net.run_until(|net| (0..5).all(|here| net.state(here, 5) == Some(State::Failed)));
    assert!(took < SECOND, "it took {took:?}");
}

#[test]
fn a_leave_is_told_to_all() {
    let mut net = joined(8);
    let ticket = net.leave(7);
    net.run_until(|net| net.result(7, ticket).is_some());
    net.kill(7);
    let took = net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Left)));
    assert!(took < SECOND, "it took {took:?}");
    net.run_for(30 * SECOND);
    for here in 0..7 {
        assert_eq!(net.story(here, 7), ["joined", "left"]);
    }
}

#[test]
fn sync_brings_what_gossip_lost() {
    let mut net = trio();
    net.cut_both(0, 2);
    net.cut_both(1, 2);
    net.set_meta(0, "missed");
    net.run_for(SECOND);
    net.heal();
    net.run_until(|net| net.member(2, 0).unwrap().meta() == &Meta::from("missed"));
}

#[test]
fn every_member_is_probed_once_a_round() {
    let mut net = joined(8);
    let here = 3;
    let mut last_seen = [net.now; 8];
    let mut sent = net.datagrams.len();
    // 2n - 1 rounds between two probes of one member, at most (SWIM §4.3).
    let bound = SECOND * 15;
    let end = net.now + SECOND * 300;
    while net.step(end) {
        for (_, to, data) in net.datagrams[sent..].iter().filter(|(from, ..)| *from == here) {
            const PING: u8 = 0;
            let member = (0..8).find(|&n| addr(n) == *to).unwrap();
            if data[0] == PING {
                assert!(net.now.since(last_seen[member]) <= bound);
                last_seen[member] = net.now;
            }
        }
        sent = net.datagrams.len();
    }
    for (member, at) in last_seen.iter().enumerate().filter(|(member, _)| *member != here) {
        assert!(net.now.since(*at) <= bound, "n{member} is probed to the end");
    }
}

#[test]
fn a_quiet_member_sends_one_ping_and_one_ack_a_round() {
    let mut net = joined(8);
    net.run_for(5 * SECOND);
    let before = (net.datagrams.len(), net.datagram_bytes);
    net.run_for(SECOND * 100);
    let quiet = net.datagrams.len() - before.0;
    assert_eq!(quiet, 8 * 100 * 2, "no gossip, since there is no news");
    let bytes = (net.datagram_bytes - before.1) / 800;
    let sealing = if common::forge::SEALED { 2 * 40 } else { 0 };
    assert!(bytes <= 50 + sealing, "{bytes} bytes a second");
}

#[test]
fn a_stranger_gets_a_bare_ack_no_larger_than_its_ping() {
    let mut net = trio();
    net.set_meta(0, "secret news");
    // A ping as node 1 would send it, from an address that no member has.
    let mut ping = net.datagrams.iter().rev().find(|(_, to, data)| *to == addr(0) && data[0] == 0);
    while ping.is_none() {
        net.step(net.now + SECOND);
        ping = net.datagrams.iter().rev().find(|(_, to, data)| *to == addr(0) && data[0] == 0);
    }
    let ping = common::forge::datagram(&[ping.unwrap().2.clone()]);
    let before = net.datagrams.len();
    net.inject(0, "192.0.2.9:999".parse().unwrap(), &ping);
    let answers: Vec<_> = net.datagrams[before..]
        .iter()
        .filter(|(_, to, _)| to.ip().to_string() == "192.0.2.9")
        .collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].2.len() <= 15 && answers[0].2.len() <= ping.len());
}

#[test]
fn two_nodes_of_one_name_are_reported_on_both_sides_and_one_holds_it() {
    let mut net = trio();
    let twin = net.start(config(2, addr(9)).with_generation(2));
    net.join(twin, &[addr(0)]);
    let conflict = |event: &Event| matches!(event, Event::Conflict { .. });
    net.run_until(|net| net.saw(2, conflict) && net.saw(twin, conflict));
    net.run_for(30 * SECOND);
    for here in [0, 1] {
        assert_eq!(net.member(here, 2).unwrap().addr(), addr(9), "the later life holds the name");
        assert_eq!(net.state(here, 2), Some(State::Alive));
    }
    // Once the holder is gone, the other takes the name over.
    net.kill(twin);
    net.run_until(|net| net.member(0, 2).unwrap().addr() == addr(2));
    net.run_until(|net| net.state(1, 2) == Some(State::Alive));
}

#[test]
fn nobody_is_suspected_in_an_hour_without_faults() {
    let mut net = joined(5);
    net.run_for(3600 * SECOND);
    for here in 0..5 {
        assert_eq!(net.nodes[here].node.stats().probes_failed, 0);
        assert!(!net.saw(here, |event| matches!(event, Event::Suspected(_))));
    }
}

#[test]
fn a_member_cut_off_in_one_direction_does_not_bring_down_the_others() {
    let mut net = Net::new(1);
    for n in 1..5 {
        net.start(config(n, addr(n)).with_generation(1));
        net.join(n, &[addr(0)]);
    }
    net.run_until(|net| (0..5).all(|here| net.nodes[here].node.present_count() == 5));
    // Nothing reaches node 4 any more: it accuses all, and all contradict.
    for other in 0..4 {
        net.cut(other, 4);
    }
    net.run_for(60 * SECOND);
    for here in 0..4 {
        for other in (0..4).filter(|&other| other != here) {
            assert_eq!(net.state(here, other), Some(State::Alive));
        }
    }
}
