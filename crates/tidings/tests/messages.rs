//! Messages of the application's: to one, to all, with and without a receipt; and pings.

mod common;

use common::{LATENCY, Net, addr, forge, id, joined, pair, trio};
use std::collections::BTreeMap;
use std::time::Duration;
use tidings::{
    BroadcastError, BroadcastKey, Done, ExchangeError, Failure, InvalidBroadcastKey, Options,
    Refusal, SendError, State, TooLong, Via,
};

const SECOND: Duration = Duration::from_secs(1);

// ---- to one ----

#[test]
fn a_message_takes_one_datagram() {
    let mut net = pair();
    net.command(0, |node, now| node.send(now, &id(1), "hello".into())).unwrap();
    let took = net.run_until(|net| !net.messages(1).is_empty());
    assert_eq!(took, LATENCY);
    assert_eq!(net.messages(1), [(id(0), b"hello".to_vec(), Via::Datagram)]);
}

#[test]
fn a_message_may_be_as_long_as_a_datagram_holds_and_no_longer() {
    let mut net = pair();
    let too_long = net.command(0, |node, now| node.send(now, &id(1), vec![7; 5000].into()));
    let Err(SendError::TooLong(TooLong { len: 5000, max, .. })) = too_long else {
        panic!("{too_long:?}");
    };
    let before = net.datagram_bytes;
    net.command(0, |node, now| node.send(now, &id(1), vec![7; max].into())).unwrap();
    let bytes = net.datagram_bytes - before;
    // The envelope of a sealed datagram is reckoned with the longest time.
    let slack = if forge::SEALED { 9 } else { 0 };
    assert_eq!(bytes + slack, 1400, "it fills the datagram to the byte");
    net.run_for(SECOND);
    assert_eq!(net.messages(1)[0].1.len(), max);
    let one_more = net.command(0, |node, now| node.send(now, &id(1), vec![7; max + 1].into()));
    assert!(one_more.is_err());
}

#[test]
fn a_message_to_nobody_is_an_error_that_says_why() {
    let mut net = trio();
    net.leave(2);
    net.run_for(SECOND);
    let mut send = |to| net.command(0, |node, now| node.send(now, &id(to), "x".into()));
    assert_eq!(send(9), Err(SendError::Unknown));
    assert_eq!(send(2), Err(SendError::Absent(State::Left)));
    let left = net.command(2, |node, now| node.send(now, &id(0), "x".into()));
    assert_eq!(left, Err(SendError::Left));
}

#[test]
fn a_message_to_oneself_is_delivered() {
    let mut net = pair();
    net.command(0, |node, now| node.send(now, &id(0), "a".into())).unwrap();
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(0), "b".into())).unwrap();
    assert_eq!(net.messages(0).len(), 2);
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Delivered)));
}

#[test]
fn a_reliable_message_of_half_a_megabyte_comes_with_a_receipt() {
    let mut net = pair();
    let data = vec![7; 500_000];
    let ticket = {
        let data = data.clone().into();
        net.command(0, |node, now| node.send_reliable(now, &id(1), data)).unwrap()
    };
    net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Delivered)));
    assert_eq!(net.messages(1), [(id(0), data, Via::Reliable)]);
}

#[test]
fn a_reliable_message_that_does_not_arrive_ends_with_the_reason() {
    let mut net = pair();
    net.kill(1);
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    let error = ExchangeError::ConnectionRefused;
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
}

#[test]
fn a_reliable_message_is_not_taken_by_whoever_has_the_address_now() {
    let mut net = pair();
    net.restart(1, common::config(5, addr(1)).with_generation(3));
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    let error = ExchangeError::Refused(Refusal::NotMe);
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
    assert_eq!(net.messages(1), []);
}

#[test]
fn what_was_begun_can_be_cancelled_and_ends_once() {
    let mut net = pair();
    net.cut_both(0, 1);
    let message = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    let ping = net.command(0, |node, now| node.ping(now, &id(1))).unwrap();
    let join = net.join(0, &[addr(70), addr(71)]);
    for ticket in [message, ping, join] {
        assert!(net.command(0, |node, now| node.cancel(now, ticket)));
        assert!(!net.command(0, |node, now| node.cancel(now, ticket)));
        assert_eq!(net.result(0, ticket), Some(Err(Failure::Cancelled)));
    }
    net.run_for(30 * SECOND);
    for ticket in [message, ping, join] {
        assert_eq!(net.result(0, ticket), Some(Err(Failure::Cancelled)), "and nothing comes later");
    }
    // A join that has succeeded is no more to be cancelled, although other seeds may answer.
    net.heal();
    let join = net.join(0, &[addr(1), addr(71)]);
    net.run_until(|net| net.result(0, join).is_some());
    assert!(!net.command(0, |node, now| node.cancel(now, join)));
    assert!(net.result(0, join).unwrap().is_ok());
}

// ---- pings ----

#[test]
fn a_ping_tells_the_round_trip() {
    let mut net = pair();
    let ticket = net.command(0, |node, now| node.ping(now, &id(1))).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Pong { rtt: 2 * LATENCY })));
}

#[test]
fn a_ping_that_is_not_answered_ends_at_its_deadline_and_there_are_not_too_many() {
    let mut options = Options::local();
    options.max_pings = 3;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.cut_both(0, 1);
    let tickets: Vec<_> =
        (0..3).map(|_| net.command(0, |node, now| node.ping(now, &id(1))).unwrap()).collect();
    assert_eq!(net.command(0, |node, now| node.ping(now, &id(1))), Err(SendError::Busy));
    net.run_for(options.probe_interval);
    for ticket in tickets {
        assert_eq!(net.result(0, ticket), Some(Err(Failure::PingTimedOut)));
    }
    assert!(net.command(0, |node, now| node.ping(now, &id(1))).is_ok());
}

// ---- to all ----

/// How often each node got each message.
fn counts(net: &Net, here: usize) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for (_, data, via) in net.messages(here) {
        assert_eq!(via, Via::Broadcast);
        *counts.entry(data).or_default() += 1;
    }
    counts
}

#[test]
fn a_broadcast_comes_to_all_others_once() {
    let mut net = joined(8);
    for n in 0..20_u8 {
        let from = usize::from(n % 3);
        net.command(from, |node, now| node.broadcast(now, vec![n; 30].into())).unwrap();
    }
    net.run_for(10 * SECOND);
    for here in 0..8 {
        let counts = counts(&net, here);
        let others = (0..20_u8).filter(|n| usize::from(n % 3) != here).count();
        assert_eq!(counts.len(), others, "n{here}");
        assert!(counts.values().all(|&count| count == 1), "n{here}: {counts:?}");
    }
}

#[test]
fn a_burst_of_broadcasts_comes_to_all_others_once() {
    let options = Options::lan();
    for (nodes, count, len) in [(6, 200_u8, 20), (6, 60, 500), (6, 60, 1000), (20, 100, 300)] {
        for seed in 0..8 {
            let mut net = Net::seeded(nodes, &options, seed);
            for n in 1..nodes {
                net.join(n, &[addr(0)]);
            }
            net.run_for(5 * SECOND);
            for n in 0..count {
                net.command(0, |node, now| node.broadcast(now, vec![n; len].into())).unwrap();
            }
            net.run_for(60 * SECOND);
            for here in 1..nodes {
                let counts = counts(&net, here);
                assert_eq!(counts.len(), usize::from(count), "n{here} of {nodes}, seed {seed}");
                assert!(counts.values().all(|&count| count == 1));
            }
        }
    }
}

#[test]
fn a_later_broadcast_replaces_an_earlier_one_of_its_key() {
    let mut options = Options::local();
    options.gossip_interval = SECOND;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(20 * SECOND);
    // The first goes out at once; the others wait for the next tick, and the last one is left.
    for text in ["one", "two", "three", "four"] {
        net.command(0, |node, now| node.broadcast_replacing(now, key("key"), text.into())).unwrap();
    }
    net.command(0, |node, now| node.broadcast_replacing(now, key("other"), "five".into())).unwrap();
    net.run_for(20 * SECOND);
    let got: Vec<_> = counts(&net, 1).into_keys().collect();
    assert!(!got.contains(&b"two".to_vec()) && !got.contains(&b"three".to_vec()), "{got:?}");
    assert!(got.contains(&b"four".to_vec()) && got.contains(&b"five".to_vec()), "{got:?}");
}

#[test]
fn a_broadcast_in_an_empty_cluster_is_done_and_does_not_pile_up() {
    let mut options = Options::local();
    options.max_broadcasts = 4;
    let mut net = Net::with_options(2, &options);
    for n in 0..100 {
        net.command(0, |node, now| node.broadcast(now, vec![n].into())).unwrap();
    }
    net.join(1, &[addr(0)]);
    net.run_for(5 * SECOND);
    assert_eq!(net.messages(1), [], "it was for those who were there");
}

#[test]
fn an_own_broadcast_that_was_taken_is_not_lost_and_one_too_many_is_an_error() {
    let mut options = Options::local();
    options.max_broadcasts = 8;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(5 * SECOND);
    net.cut_both(0, 1);
    let mut taken = 0;
    for n in 0..20 {
        match net.command(0, |node, now| node.broadcast(now, vec![n].into())) {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error, BroadcastError::Full),
        }
    }
    assert_eq!(taken, 8);
    net.heal();
    net.run_for(5 * SECOND);
    assert_eq!(counts(&net, 1).len(), 8);
}

#[test]
fn a_broadcast_that_fits_no_datagram_is_an_error_with_the_limit() {
    let mut net = pair();
    let error =
        net.command(0, |node, now| node.broadcast_replacing(now, key("key"), vec![0; 3000].into()));
    let Err(BroadcastError::Message(TooLong { len: 3000, max, .. })) = error else {
        panic!("{error:?}");
    };
    net.command(0, |node, now| node.broadcast_replacing(now, key("key"), vec![0; max].into()))
        .unwrap();
    net.run_for(5 * SECOND);
    assert_eq!(net.messages(1)[0].1.len(), max, "the longest one arrives");
}

#[test]
fn the_key_of_a_broadcast_has_1_to_255_bytes() {
    assert_eq!(key("room").as_bytes(), b"room");
    assert_eq!(BroadcastKey::try_from("room"), Ok(key("room")));
    assert_eq!(format!("{:?}", key("room")), r#""room""#);
    assert!(BroadcastKey::new([0; 255]).is_ok());
    assert_eq!(BroadcastKey::new(""), Err(InvalidBroadcastKey::Empty));
    let error = BroadcastKey::new([0; 256]).unwrap_err();
    assert!(matches!(error, InvalidBroadcastKey::TooLong(TooLong { len: 256, max: 255, .. })));
}

fn key(text: &str) -> BroadcastKey {
    BroadcastKey::new(text).unwrap()
}

#[test]
fn broadcasts_and_news_of_members_do_not_starve_each_other() {
    let mut options = Options::lan();
    options.digest_checks = false;
    options.sync_interval = 24 * 3600 * SECOND;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(10 * SECOND);
    // A hundred full datagrams of each, from one node.
    let strangers: Vec<_> = (0..4000)
        .map(|n| {
            forge::alive(
                &format!("stranger{n:05}"),
                &format!("10.9.{}.{}:1", n / 250, n % 250),
                1,
                0,
                b"",
            )
        })
        .collect();
    for some in strangers.chunks(100) {
        net.inject(0, addr(99), &forge::datagram(some));
    }
    for n in 0..200_u8 {
        let data = [vec![n], vec![0; 600]].concat();
        net.command(0, |node, now| node.broadcast(now, data.into())).unwrap();
    }
    let before = net.datagrams.len();
    net.run_for(3 * SECOND);
    let sent = net.datagrams[before..].iter().filter(|(from, ..)| *from == 0);
    // Kinds below 4 are pings, acks and nacks.
    let gossip: Vec<_> = sent.filter(|(_, _, data)| data[0] >= 4 && data.len() > 1000).collect();
    let holding = |what: &[u8]| {
        let holds = |data: &[u8]| data.windows(what.len()).any(|window| window == what);
        gossip.iter().filter(|(_, _, data)| holds(data)).count()
    };
    assert!(gossip.len() >= 40);
    assert_eq!(holding(&[0; 600]), gossip.len(), "each has a broadcast in it");
    assert_eq!(holding(b"stranger"), gossip.len(), "each has news of members in it");
}

#[test]
fn broadcasts_of_origins_that_are_no_members_are_not_taken() {
    let mut net = pair();
    let broadcast = |origin: &str, generation, number: u64| {
        forge::datagram(&[forge::broadcast(origin, generation, number, b"", b"boo")])
    };
    net.inject(0, addr(1), &broadcast("nobody", 1, 0));
    net.inject(0, addr(1), &broadcast("n1", 9, 0));
    net.inject(0, addr(1), &broadcast("n0", 1, 0));
    assert_eq!(net.messages(0), []);
    assert_eq!(net.nodes[0].node.stats().broadcasts_unknown_origin, 2);
    net.inject(0, addr(1), &broadcast("n1", 1, u64::MAX));
    net.inject(0, addr(1), &broadcast("n1", 1, u64::MAX));
    net.inject(0, addr(1), &broadcast("n1", 1, 0));
    assert_eq!(net.messages(0).len(), 1);
    assert_eq!(net.nodes[0].node.stats().broadcasts_duplicate, 2);
}

#[test]
fn a_flood_of_broadcasts_is_capped_and_counted() {
    let mut options = Options::local();
    options.max_broadcasts = 32;
    let mut net = Net::with_options(3, &options);
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    for number in 0..1000 {
        let flood = forge::broadcast("n1", 1, number, b"", b"flood");
        net.inject(0, addr(1), &forge::datagram(&[flood]));
    }
    assert_eq!(net.messages(0).len(), 1000, "each is delivered here");
    let dropped = net.nodes[0].node.stats().broadcasts_dropped;
    assert!(dropped >= 1000 - 32, "{dropped} were not passed on");
    // And what this node has to say itself still has its place.
    net.command(0, |node, now| node.broadcast(now, "mine".into())).unwrap();
    net.run_until(|net| net.messages(2).iter().any(|(from, ..)| *from == id(0)));
}
