//! Dissemination of updates: piggyback, fan-out, and correction of stale updates.

use super::*;

#[test]
fn updates_about_a_newcomer_reach_members_that_it_did_not_join() {
    let net = trio();
    assert_eq!(net.event_kinds(1, 2), ["joined"]);
    assert_eq!(net.event_kinds(2, 1), ["joined"]);
}

#[test]
fn new_metadata_reaches_the_others() {
    let mut net = pair();
    net.set_meta(1, "role=db");
    let took = net.run_until(|net| net.member(0, 1).unwrap().meta() == &Meta::from("role=db"));
    assert_eq!(took, LATENCY, "updates do not wait for a tick");
    assert_eq!(net.event_kinds(0, 1), ["joined", "updated"]);
}

#[test]
fn updates_from_before_a_join_are_gossiped_and_then_expire() {
    let mut net = Net::new(2);
    net.set_meta(1, "early");
    net.join(1, &[addr(0)]);
    net.run_for(10 * SECOND);
    assert_eq!(net.member(0, 1).unwrap().meta(), &Meta::from("early"));
    let before = net.datagrams.len();
    net.run_for(10 * SECOND);
    let bare = net.datagrams[before..].iter().all(|(_, _, data)| data.len() <= 18);
    assert!(bare, "nothing rides on pings and acks any more");
}

#[test]
fn updates_miss_nobody_in_a_small_cluster() {
    let mut options = Options::local();
    // No sync repairs what gossip missed.
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
fn gossip_to_failed_members_does_not_keep_updates_from_live_ones() {
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
        let updated = |here| net.member(here, 0).unwrap().meta() == &Meta::from("news");
        missed += usize::from(!(1..4).all(updated));
    }
    assert_eq!(missed, 0, "of 60");
}

#[test]
fn a_failure_reaches_all_members() {
    let mut net = joined(6);
    net.kill(5);
    net.run_until(|net| (0..5).any(|here| net.state(here, 5) == Some(State::Failed)));
    let took = net.run_until(|net| (0..5).all(|here| net.state(here, 5) == Some(State::Failed)));
    assert!(took < SECOND, "it took {took:?}");
}

#[test]
fn a_stale_update_is_answered_with_the_newer_one() {
    let mut net = trio();
    net.set_meta(2, "new");
    net.run_for(5 * SECOND);
    let before = net.datagrams.len();
    // An update that node 1 sent earlier.
    let old = forge::alive("n2", "10.0.0.3:7946", 1, 0, b"");
    net.inject(0, addr(1), &forge::datagram(std::slice::from_ref(&old)));
    let answer = forge::alive("n2", "10.0.0.3:7946", 1, 1, b"new");
    let answers: Vec<_> = net.datagrams[before..].iter().collect();
    assert_eq!(answers, [&(0, addr(1), answer)]);
    // An address that no member has gets no answer.
    net.inject(0, addr(99), &forge::datagram(&[old]));
    assert!(net.datagrams.iter().all(|(_, to, _)| *to != addr(99)));
}

#[test]
fn a_datagram_holds_more_than_255_messages() {
    let mut net = Net::new(1);
    let alive = |n| forge::alive(&format!("x{n}"), "10.0.9.9:1", 1, 0, b"");
    net.inject(0, addr(0), &forge::datagram(&(0..400).map(alive).collect::<Vec<_>>()));
    assert_eq!(net.nodes[0].node.present_count(), 401);
}
