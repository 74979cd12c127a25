//! Refused connections: a process that died on a machine that lives, and what looks like it.

use super::*;

/// So many members that know each other, and have measured each other's round trips.
fn settled(count: usize) -> Net {
    let mut options = Options::lan();
    options.refusal_evidence = true;
    // Who refuses most again and again would be suppressed.
    options.flap_suppress = 0;
    let mut net = joined_with(count, &options);
    net.run_for(30 * SECOND);
    net
}

fn failed(net: &Net, here: usize, other: usize) -> bool {
    net.saw(here, |event| matches!(event, Event::Failed(member) if *member.id() == id(other)))
}

fn verdicts_by_refusal(net: &Net) -> u64 {
    net.nodes.iter().map(|host| host.node.stats().verdicts_by_refusal).sum()
}

#[test]
fn the_death_of_a_process_is_known_to_all_within_a_second_of_its_first_probe() {
    let mut net = settled(8);
    net.kill(3);
    net.run_until(|net| (0..8).any(|here| net.state(here, 3) == Some(State::Suspect)));
    let known = |net: &Net| (0..8).all(|here| here == 3 || failed(net, here, 3));
    assert!(net.run_until(known) < SECOND);
    assert_eq!(verdicts_by_refusal(&net), 1);
}

#[test]
fn a_machine_that_is_silent_gets_the_time_of_any_suspect() {
    let mut net = settled(8);
    for here in (0..8).filter(|&here| here != 3) {
        net.cut_both(here, 3);
    }
    net.run_until(|net| (0..8).any(|here| net.state(here, 3) == Some(State::Suspect)));
    assert!(net.run_until(|net| (0..8).any(|here| here != 3 && failed(net, here, 3))) > 3 * SECOND);
    assert_eq!(verdicts_by_refusal(&net), 0);
}

#[test]
fn a_process_that_is_back_within_300_ms_does_not_fail() {
    let mut net = settled(8);
    for _ in 0..8 {
        net.kill(3);
        net.run_for(SECOND * 3 / 10);
        net.resume(3);
        net.run_for(5 * SECOND);
    }
    assert!((0..8).all(|here| !failed(&net, here, 3)));
}

#[test]
fn a_member_that_refuses_most_and_answers_one_does_not_fail() {
    let mut net = settled(8);
    for here in (0..8).filter(|here| ![3, 5].contains(here)) {
        net.reject_both(here, 3);
    }
    net.run_for(60 * SECOND);
    assert_eq!(verdicts_by_refusal(&net), 0);
    assert!((0..8).all(|here| !failed(&net, here, 3)));
}

#[test]
fn a_node_that_all_others_refuse_declares_nobody_failed_for_it() {
    let mut net = settled(8);
    for other in (0..8).filter(|&other| other != 3) {
        net.reject_both(3, other);
    }
    net.run_for(60 * SECOND);
    assert_eq!(net.nodes[3].node.stats().verdicts_by_refusal, 0);
    assert!((0..8).all(|other| !failed(&net, 3, other)));
}

#[test]
fn two_that_refuse_at_the_same_time_get_the_time_of_any_suspect() {
    let mut net = settled(8);
    net.kill(3);
    net.kill(5);
    net.run_for(3 * SECOND);
    assert_eq!(verdicts_by_refusal(&net), 0);
}

#[test]
fn a_relay_that_is_asked_to_connect_answers_a_refusal_at_once_and_only_a_members() {
    let mut net = settled(3);
    net.kill(2);
    let before = net.datagrams.len();
    net.inject(0, addr(1), &forge::datagram(&[forge::connect_request(7, 500, "n2")]));
    net.inject(0, stranger(), &forge::datagram(&[forge::connect_request(8, 500, "n2")]));
    net.run_for(SECOND / 100);
    let sent = |token| {
        let nack = forge::refused(token);
        let nacks = net.datagrams[before..].iter().filter(|sent| sent.2.starts_with(&nack));
        nacks.map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>()
    };
    assert_eq!(sent(7), [(0, addr(1))]);
    assert_eq!(sent(8), []);
    assert_eq!(net.nodes[0].node.stats().indirect_pings_refused, 1);
}
