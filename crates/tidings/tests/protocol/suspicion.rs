//! Suspicion before failure: when it begins, how long it lasts, what shortens it.

use super::*;

#[test]
fn a_member_that_dies_is_suspected_then_failed_within_the_bound() {
    let mut net = pair();
    net.kill(1);
    let took = net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    assert_eq!(net.event_kinds(0, 1), ["joined", "suspected", "failed"]);
    // PROTOCOL.md: 2n - 1 probe rounds until it is probed, one that it does not answer, and
    // suspicion_mult rounds in which it does not refute.
    assert!(took <= 3 * SECOND + SECOND + 3 * SECOND, "it took {took:?}");
    assert!(took >= 3 * SECOND, "it took {took:?}");
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
fn a_node_tells_whom_it_accuses_itself() {
    let mut net = joined(3);
    net.kill(2);
    net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Suspect)));
    let accuses = |net: &Net, other| [0, 1].map(|here| net.nodes[here].node.accuses(&id(other)));
    assert!(accuses(&net, 2).contains(&true), "one of them has probed it");
    assert_eq!(accuses(&net, 0), [false; 2]);
    net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Failed)));
    assert_eq!(accuses(&net, 2), [false; 2]);
}

#[test]
fn the_deadline_of_a_suspicion_is_known_and_accusers_bring_it_forward() {
    let mut net = joined(8);
    net.kill(7);
    net.run_until(|net| net.state(0, 7) == Some(State::Suspect));
    let deadline = |net: &Net, other| net.nodes[0].node.suspicion_deadline(&id(other));
    assert_eq!(deadline(&net, 1), None);
    let first = deadline(&net, 7).unwrap();
    assert!(first > net.now);
    net.run_until(|net| deadline(net, 7) != Some(first));
    let second = deadline(&net, 7).unwrap();
    assert!(second < first && second >= net.now, "another member accuses it too");
    let last = std::cell::Cell::new(second);
    net.run_until(|net| match deadline(net, 7) {
        Some(deadline) => {
            last.set(deadline);
            false
        }
        None => true,
    });
    assert_eq!((net.state(0, 7), net.now), (Some(State::Failed), last.get()));
}

/// The time between the first suspicion of a member on any node and the first failure.
fn suspected_for(net: &Net, other: usize) -> Duration {
    let first = |kind: fn(&Event) -> bool| {
        let about = |event: &Event| match event {
            Event::Suspected(member) | Event::Failed(member) => *member.id() == id(other),
            _ => false,
        };
        let events = net.nodes.iter().flat_map(|host| &host.events);
        let times = events.filter(|(_, event)| kind(event) && about(event)).map(|(at, _)| *at);
        times.min().expect("it was seen")
    };
    let failed = first(|event| matches!(event, Event::Failed(_)));
    failed.since(first(|event| matches!(event, Event::Suspected(_))))
}

#[test]
fn independent_accusers_shorten_the_suspicion() {
    let mut net = joined_lan(8, |_| {});
    net.kill(7);
    net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Failed)));
    let took = suspected_for(&net, 7);
    assert!(took >= 4 * SECOND && took < 20 * SECOND, "it took {took:?}");
    // The first node with two confirmations declared the failure to the rest.
    assert!((0..7).any(|here| net.nodes[here].node.stats().confirmations >= 2));
}

#[test]
fn without_lifeguards_suspicion_the_timeout_is_fixed() {
    let mut net = joined_lan(8, |options| options.suspicion_max_mult = 1);
    net.kill(7);
    net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Failed)));
    let took = suspected_for(&net, 7);
    assert_eq!(took, 4 * SECOND);
}

#[test]
fn a_ping_to_a_suspect_carries_the_suspicion() {
    for buddy in [true, false] {
        let mut net = joined_lan(4, |options| options.buddy = buddy);
        // Everything from node 3 is lost, so that it stays a suspect however often it refutes.
        for other in 0..3 {
            net.cut(3, other);
        }
        net.run_until(|net| net.state(0, 3) == Some(State::Suspect));
        // Until the gossip about it has ended.
        net.run_for(2 * SECOND);
        let before = net.datagrams.len();
        net.run_until(|net| {
            let to_suspect = |(from, to, data): &(usize, _, Vec<u8>)| {
                *from == 0 && *to == addr(3) && data[0] == 0
            };
            net.datagrams[before..].iter().any(to_suspect)
        });
        let is_ping =
            |(from, to, data): &&(usize, _, Vec<u8>)| *from == 0 && *to == addr(3) && data[0] == 0;
        let ping = net.datagrams[before..].iter().find(is_ping).unwrap();
        const SUSPECT: u8 = 10;
        assert_eq!(ping.2.get(18) == Some(&SUSPECT), buddy);
    }
}

#[test]
fn one_accusation_in_several_tables_counts_once() {
    let mut net = joined_with(6, &Options::lan());
    net.run_for(5 * SECOND);
    net.kill(5);
    let suspects = [1, 2].map(|state| forge::member(state, "n5", "10.0.0.6:7946", 1, b""));
    for n in 0..20 {
        let name = forge::member(0, &format!("x{n}"), &format!("10.0.1.{n}:1"), 1, b"");
        let table = [name, suspects[n % 2].clone()];
        let from = format!("10.0.1.{n}:50000").parse().unwrap();
        net.inject_stream(0, from, &forge::frame(0, &forge::sync_hello(&table)));
    }
    assert_eq!(net.state(0, 5), Some(State::Suspect));
    assert_eq!(net.nodes[0].node.stats().confirmations, 0);
}
