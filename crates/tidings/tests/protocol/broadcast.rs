//! Broadcasts to all members.

use super::*;
use tidings::{BroadcastKey, InvalidBroadcastKey};

/// The number of times that a node received each message.
fn counts(net: &Net, here: usize) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for (_, data, via) in net.messages(here) {
        assert_eq!(via, Via::Broadcast);
        *counts.entry(data).or_default() += 1;
    }
    counts
}

fn key(text: &str) -> BroadcastKey {
    BroadcastKey::new(text).unwrap()
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
fn all_that_a_queue_holds_comes_to_all_others_once_however_long_it_takes() {
    let mut net = joined_with(6, &Options::lan());
    net.run_for(5 * SECOND);
    for n in 0..1400_u32 {
        let mut data = vec![0; 200];
        data[..4].copy_from_slice(&n.to_le_bytes());
        net.command(0, |node, now| node.broadcast(now, data.into())).unwrap();
    }
    let arrived = |net: &Net, here: usize| {
        let data = net.messages(here).into_iter().map(|(_, data, _)| data);
        data.collect::<BTreeSet<_>>().len()
    };
    net.run_for(200 * SECOND);
    let all: Vec<_> = (1..6).map(|here| (arrived(&net, here), net.messages(here).len())).collect();
    assert_eq!(all, [(1400, 1400); 5]);
}

#[test]
fn a_later_broadcast_replaces_an_earlier_one_of_its_key() {
    let mut options = Options::local();
    options.gossip_interval = SECOND;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(20 * SECOND);
    // The first is sent at once; the others wait for the next tick, when only the last is left.
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
fn an_accepted_broadcast_is_not_lost_and_one_too_many_is_an_error() {
    let mut options = Options::local();
    options.max_broadcasts = 8;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(5 * SECOND);
    net.cut_both(0, 1);
    let mut accepted = 0;
    for n in 0..20 {
        match net.command(0, |node, now| node.broadcast(now, vec![n].into())) {
            Ok(()) => accepted += 1,
            Err(error) => assert_eq!(error, BroadcastError::Full),
        }
    }
    assert_eq!(accepted, 8);
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

#[test]
fn broadcasts_and_updates_do_not_starve_each_other() {
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
        net.inject(0, addr(0), &forge::datagram(some));
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
    assert!(gossip.len() >= 10);
    assert_eq!(holding(&[0; 600]), gossip.len(), "each has a broadcast in it");
    assert_eq!(holding(b"stranger"), gossip.len(), "each has updates of members in it");
}

#[test]
fn broadcasts_whose_origin_is_no_member_are_dropped() {
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
    net.inject(0, addr(1), &broadcast("n1", 1, u64::MAX));
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
    // And this node's own broadcasts still have room.
    net.command(0, |node, now| node.broadcast(now, "mine".into())).unwrap();
    net.run_until(|net| net.messages(2).iter().any(|(from, ..)| *from == id(0)));
}

#[test]
fn a_broadcast_of_a_member_whose_clock_went_back_is_delivered() {
    let mut net = Net::of([config(0, addr(0)), config(1, addr(1)).with_generation(100)]);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    for n in 0..100_u8 {
        net.command(1, |node, now| node.broadcast(now, vec![n].into())).unwrap();
    }
    net.run_for(10 * SECOND);
    assert_eq!(net.messages(0).len(), 100);
    net.restart(1, config(1, addr(1)).with_generation(50));
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.command(1, |node, now| node.broadcast(now, "after".into())).unwrap();
    net.run_for(5 * SECOND);
    assert_eq!(net.messages(0).len(), 101);
}

#[test]
fn a_broadcast_that_is_too_long_for_our_datagrams_holds_up_no_other() {
    let mut net = joined(8);
    net.run_for(5 * SECOND);
    for number in 0..8 {
        let long = forge::broadcast("n2", 1, number, b"", &[7; 3000]);
        net.inject(0, addr(2), &forge::datagram(&[long]));
    }
    assert_eq!(net.messages(0).len(), 8, "they are delivered here");
    net.command(0, |node, now| node.broadcast(now, "ours".into())).unwrap();
    net.run_for(SECOND / 2);
    let ours = (id(0), b"ours".to_vec(), Via::Broadcast);
    assert!((1..8).all(|here| net.messages(here) == [ours.clone()]));
    assert_eq!(net.nodes[0].node.stats().broadcasts_dropped, 8);
}

#[test]
fn a_key_that_leaves_no_room_for_a_message_is_refused_with_its_limit() {
    let mut options = Options::local();
    (options.datagram_size, options.max_meta) = (360, 0);
    let name = NodeId::new(&"n".repeat(255)).unwrap();
    let config = Config::builder(ClusterName::new("test").unwrap(), name, addr(0));
    let config = forge::with_keys(config.options(options).generation(1).build().unwrap());
    let mut node = Node::new(config, [1; 32], Instant::ZERO);
    let mut broadcast = |key_len: usize| {
        let key = vec![b'k'; key_len];
        let key = BroadcastKey::new(&key[..]).unwrap();
        node.broadcast_replacing(Instant::ZERO, key, "".into())
    };
    let error = broadcast(255).unwrap_err();
    let BroadcastError::Message(TooLong { what, len: 255, max, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(what, "the broadcast key");
    // A shorter key may have a shorter length field, of which the limit knows nothing.
    assert!(broadcast(max + 2).is_err());
    broadcast(max).unwrap();
}

#[test]
fn a_forged_number_does_not_mute_its_origin() {
    for forged in [u64::MAX, u64::MAX - 1, 1 << 32, 3000] {
        let mut net = joined(4);
        net.command(1, |node, now| node.broadcast(now, "before".into())).unwrap();
        net.run_for(5 * SECOND);
        for here in [0, 2, 3] {
            for step in 0..20 {
                let lie = forge::broadcast("n1", 1, forged.wrapping_sub(step * 64), b"", b"forged");
                // Without keys only a member can pass one on; anybody can send in its name.
                let liar = addr((here + 1) % 4);
                net.inject(here, liar, &forge::datagram(&[lie]));
            }
        }
        net.run_for(5 * SECOND);
        for n in 0..100_u8 {
            net.command(1, |node, now| node.broadcast(now, vec![n; 20].into())).unwrap();
        }
        net.run_for(20 * SECOND);
        for here in [0, 2, 3] {
            let mut counts = counts(&net, here);
            assert!(counts.remove(&b"forged"[..]).is_some(), "it was taken for the member's");
            assert_eq!(counts.len(), 101, "n{here} after {forged}");
            assert!(counts.values().all(|&count| count == 1), "n{here}: {counts:?}");
        }
    }
}
