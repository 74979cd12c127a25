//! Nodes that speak memberlist's format, in virtual time: behaviour that both formats share, and
//! the rules of memberlist's clusters.
#![cfg(feature = "memberlist")]

#[path = "../common/mod.rs"]
mod common;

mod allowed_networks;
mod hostile;

#[cfg(feature = "record")]
use common::journal::ReplayCounts;
use common::memberlist as forge;
use common::{Net, addr, id};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, ConfigError, Done, Event, ExchangeError, Failure, Memberlist, Options,
    Refusal, State, StreamAction, Via, Wire,
};

const SECOND: Duration = Duration::from_secs(1);

fn config_at(n: usize, addr: SocketAddr, memberlist: Memberlist) -> Config {
    let config = Config::builder(ClusterName::new("test").unwrap(), id(n), addr);
    config.wire(Wire::Memberlist(memberlist)).build().unwrap()
}

fn config(n: usize) -> Config {
    config_at(n, addr(n), Memberlist::new())
}

/// Nodes that have joined, and know each other.
fn joined(configs: impl IntoIterator<Item = Config>) -> Net {
    let mut net = Net::new(0);
    net.journaling = true;
    for config in configs {
        net.start(config);
    }
    let count = net.nodes.len();
    for here in 1..count {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
    net
}

fn cluster(count: usize) -> Net {
    joined((0..count).map(config))
}

/// Feeds a datagram in hex.
fn inject(net: &mut Net, to: usize, from: SocketAddr, hex: &str) {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    net.inject(to, from, &bytes);
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

mod suspicion {
    use super::*;

    #[test]
    fn a_member_that_dies_is_suspected_then_failed_and_is_back_as_soon_as_it_is_started_again() {
        let mut net = cluster(5);
        net.kill(4);
        let took =
            net.run_until(|net| (0..4).all(|here| net.state(here, 4) == Some(State::Failed)));
        assert!(took < SECOND * 30, "{took:?}");
        assert!(net.saw(0, |event| matches!(event, Event::Suspected(_))));
        net.restart(4, config(4));
        assert_eq!(net.nodes[4].node.local().incarnation().number, 1, "as every life begins");
        net.join(4, &[addr(1)]);
        let back = net.run_until(|net| (0..4).all(|here| net.state(here, 4) == Some(State::Alive)));
        assert!(back < SECOND, "{back:?}");
        assert!(net.nodes[4].node.local().incarnation().number > 1, "it went above what was known");
    }
}

mod refutation {
    use super::*;

    #[test]
    fn a_paused_member_refutes_its_suspicion() {
        let mut net = cluster(5);
        net.kill(4);
        net.run_until(|net| net.state(0, 4) == Some(State::Suspect));
        net.resume(4);
        net.run_until(|net| (0..4).all(|here| net.state(here, 4) == Some(State::Alive)));
        assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
    }

    #[test]
    fn a_forged_incarnation_hides_a_member_from_no_newcomer() {
        for forged in [3 << 30, (3 << 30) - 1, 1 << 31, (1 << 30) + 1024, 1 << 30, 1 << 29] {
            let mut net = cluster(3);
            // Again and again, each time at the highest incarnation that a claim can have.
            for step in 0..40 {
                let own = u32::try_from(net.nodes[1].node.local().incarnation().number).unwrap();
                for number in [forged + step, own + 1] {
                    for claim in [
                        forge::suspect(number, "n1", "n0"),
                        forge::alive(number, "n1", "10.0.0.2:7946", b"not so"),
                    ] {
                        net.inject(1, addr(9), &claim);
                    }
                }
            }
            for newcomer in [3, 4] {
                net.start(config(newcomer));
                net.join(newcomer, &[addr(0)]);
                net.run_for(SECOND * 30);
                let own = net.nodes[1].node.local().incarnation();
                for here in [0, 2, newcomer] {
                    let known = net.member(here, 1).map(|member| member.incarnation());
                    assert_eq!(known, Some(own), "{forged} at {here}");
                    assert_eq!(net.state(here, 1), Some(State::Alive));
                }
                // The member forgets everything; the others do not.
                net.restart(1, config(1));
                net.join(1, &[addr(0)]);
                net.run_for(SECOND * 30);
            }
        }
    }

    /// memberlist's nodes announce zero after the greatest number, and stay out for good.
    #[test]
    fn a_forged_incarnation_separates_nobody_from_the_member() {
        // node-a claims that n1 is suspect, or dead, in this incarnation.
        for (kind, number) in [
            ("03", "ceffffffff"),
            ("05", "cefffffffe"),
            ("03", "cec0000001"),
            ("03", "cec0000000"),
            ("05", "ce80000000"),
            ("03", "ce40000000"),
        ] {
            for liar_tells in 0..3 {
                let mut net = cluster(3);
                let lie = "83a446726f6da66e6f64652d61ab496e6361726e6174696f6e";
                let lie = [kind, lie, number, "a44e6f6465a26e31"].concat();
                inject(&mut net, liar_tells, addr(2), &lie);
                net.run_for(SECOND);
                // A node that missed or refused the claim accuses the member later.
                let later =
                    "0383a446726f6da66e6f64652d61ab496e6361726e6174696f6e01a44e6f6465a26e31";
                inject(&mut net, 0, addr(2), later);
                net.run_for(SECOND * 90);
                assert!((0..3).all(|here| net.state(here, 1) == Some(State::Alive)), "{number}");
                assert!(net.nodes[1].node.local().incarnation().number > 0);
                for here in [0, 2] {
                    assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))), "{number}");
                }
            }
        }
    }
}

mod leave {
    use super::*;

    #[test]
    fn a_leave_is_seen_as_left_and_confirmed() {
        let mut net = cluster(5);
        let ticket = net.leave(4);
        net.run_for(SECOND * 2);
        let Some(Ok(Done::Left { confirmed })) = net.result(4, ticket) else {
            panic!("it has left")
        };
        assert!(confirmed >= 2, "{confirmed}");
        for here in 0..4 {
            assert_eq!(net.state(here, 4), Some(State::Left));
            assert!(!net.saw(here, |event| matches!(event, Event::Suspected(_))));
        }
    }
}

mod name_conflict {
    use super::*;

    #[test]
    fn a_name_stays_at_its_address_until_its_holder_has_left() {
        let mut net = cluster(3);
        let elsewhere = addr(99);
        let impostor = net.start(config_at(2, elsewhere, Memberlist::new()));
        let ticket = net.join(impostor, &[addr(0)]);
        net.run_for(SECOND * 5);
        let taken = net.result(impostor, ticket);
        assert_eq!(taken, Some(Err(Failure::NameTaken { seed: addr(0) })));
        assert_eq!(net.nodes[impostor].node.present_count(), 1, "it is no member");
        assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
        let conflict = Event::Conflict { id: id(2), addr: addr(2), other: elsewhere };
        assert!(net.saw(0, |event| *event == conflict));
        assert_eq!(net.nodes[0].events.iter().filter(|(_, event)| *event == conflict).count(), 1);
        net.kill(impostor);

        net.leave(2);
        net.run_for(SECOND);
        net.kill(2);
        net.restart(impostor, config_at(2, elsewhere, Memberlist::new()));
        net.join(impostor, &[addr(0)]);
        net.run_for(SECOND);
        let member = net.member(1, 2).unwrap();
        assert_eq!((member.addr(), member.state()), (elsewhere, State::Alive));
    }

    #[test]
    fn a_newcomer_whose_name_a_dead_member_has_joins_and_waits_for_it() {
        let mut net = cluster(3);
        net.kill(2);
        let moved = net.start(config_at(2, addr(99), Memberlist::new()));
        let ticket = net.join(moved, &[addr(0)]);
        net.run_until(|net| net.result(moved, ticket).is_some());
        assert!(matches!(net.result(moved, ticket), Some(Ok(_))));
    }

    #[test]
    fn the_name_of_one_that_failed_is_free_once_that_is_forgotten() {
        let mut net = cluster(3);
        net.kill(2);
        net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Failed)));
        let moved = net.start(config_at(2, addr(99), Memberlist::new()));
        net.join(moved, &[addr(0)]);
        net.run_for(SECOND * 2);
        assert_eq!(net.state(0, 2), Some(State::Failed), "that of one that may come back is not");
        let took = net.run_until(|net| {
            (0..2).all(|here| net.member(here, 2).is_some_and(|member| member.addr() == addr(99)))
        });
        assert!(took < Options::lan().gossip_to_the_dead + SECOND * 70, "{took:?}");
    }

    #[test]
    fn the_name_of_one_that_failed_is_free_sooner_where_that_is_set() {
        let memberlist = || Memberlist::new().with_reclaim_time(SECOND * 5);
        let mut net = joined((0..3).map(|n| config_at(n, addr(n), memberlist())));
        net.kill(2);
        net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Failed)));
        net.run_for(SECOND * 6);
        let moved = net.start(config_at(2, addr(99), memberlist()));
        net.join(moved, &[addr(0)]);
        net.run_for(SECOND);
        assert_eq!(net.member(0, 2).unwrap().addr(), addr(99));
    }
}

mod join {
    use super::*;

    #[test]
    fn members_that_start_together_tell_each_other_what_a_join_taught_them() {
        let mut net = Net::new(0);
        for n in 0..60 {
            net.start(config(n));
        }
        for n in 1..60 {
            net.join(n, &[addr(0)]);
        }
        let took =
            net.run_until(|net| net.nodes.iter().all(|host| host.node.present_count() == 60));
        // That format has no digests that would show who missed something: the next push/pulls,
        // half a minute later, would have to.
        assert!(took < SECOND * 5, "{took:?}");
    }

    #[test]
    fn a_cluster_with_another_label_is_not_joined() {
        let memberlist =
            |label: &str| Memberlist::new().with_label(ClusterName::new(label).unwrap());
        let mut net = joined((0..2).map(|n| config_at(n, addr(n), memberlist("blue"))));
        for (n, other) in [(2, Memberlist::new()), (3, memberlist("red"))] {
            let stranger = net.start(config_at(n, addr(n), other));
            let ticket = net.join(stranger, &[addr(0)]);
            net.run_for(SECOND * 11);
            assert!(matches!(net.result(stranger, ticket), Some(Err(Failure::NoSeed(_)))));
            assert_eq!(net.nodes[0].node.present_count(), 2);
        }
        assert!(net.nodes[0].node.stats().rejected_streams.foreign_cluster >= 2);
    }

    /// memberlist only logs this on its own side, and the joining node believes that it joined.
    #[test]
    fn a_join_fails_where_the_applications_speak_different_versions() {
        let serf = || Memberlist::new().with_delegate_protocol(2, 5, 4).unwrap();
        let mut net = joined((0..2).map(|n| config_at(n, addr(n), serf())));
        assert_eq!(net.member(0, 1).unwrap().versions(), Some([1, 5, 2, 2, 5, 4]));
        let stranger = net.start(config(2));
        let ticket = net.join(stranger, &[addr(0)]);
        net.run_for(SECOND);
        let Some(Err(Failure::NoSeed(failures))) = net.result(stranger, ticket) else { panic!() };
        assert_eq!(failures[0].error, ExchangeError::NotAccepted(Refusal::Versions));
        assert_eq!(net.nodes[0].node.present_count(), 2);
    }
}

mod probe {
    use super::*;

    #[test]
    fn a_ping_is_answered_where_it_says_unless_that_is_a_strangers_host() {
        let mut net = cluster(2);
        net.run_for(SECOND);
        // A ping to any node, token 42, from node-a at 10.0.0.1:7946, which is n0.
        let ping = "0084a55365714e6f2aaa536f7572636541646472a40a000001aa536f757263654e6f6465a66e6f64652d61\
                aa536f75726365506f7274cd1f0a";
        let answered = |net: &mut Net, from: &str, hex: &str| {
            net.recorded = Some(Vec::new());
            inject(net, 1, from.parse().unwrap(), hex);
            let ack = b"\xa7Payload\xc0\xa5SeqNo\x2a";
            let sent = net.recorded.take().unwrap();
            let acks = sent.into_iter().filter(|(_, _, data)| contains(data, ack));
            acks.map(|(_, to, _)| to.to_string()).collect::<Vec<_>>()
        };
        let from = "192.0.2.1:999";
        assert_eq!(answered(&mut net, from, ping), ["10.0.0.1:7946"], "where a member is");
        let elsewhere = ping.replace("0a000001", "0a0a0a0a");
        assert_eq!(answered(&mut net, from, &elsewhere), [from]);
        assert_eq!(answered(&mut net, "10.10.10.10:1", &elsewhere), ["10.10.10.10:7946"]);
    }
}

mod indirect_probe {
    use super::*;

    #[test]
    fn a_request_that_cannot_be_met_is_answered_at_once_if_it_wants_that() {
        let mut net = cluster(2);
        for (wanted, answers) in [(true, 1), (false, 0)] {
            net.recorded = Some(Vec::new());
            let request = forge::indirect_ping(7, "nobody", "10.9.9.9:7946", wanted);
            net.inject(0, addr(1), &request);
            let sent = net.recorded.take().unwrap();
            let nacks = sent.iter().filter(|(_, _, data)| contains(data, &forge::nack(7)));
            assert_eq!(nacks.count(), answers);
        }
    }
}

mod stream_probe {
    use super::*;

    #[test]
    fn a_member_to_which_datagrams_do_not_get_through_is_alive() {
        let mut net = cluster(3);
        for (a, b) in [(0, 1), (0, 2)] {
            net.cut_datagrams(a, b);
        }
        net.run_for(SECOND * 60);
        assert_eq!(net.state(1, 0), Some(State::Alive));
        assert!(net.member(1, 0).unwrap().is_degraded(), "and known to be hard to reach");
    }
}

mod partition {
    use super::*;

    #[test]
    fn two_sides_that_were_cut_for_long_find_each_other_again() {
        let mut net = cluster(6);
        for a in 0..3 {
            for b in 3..6 {
                net.cut_both(a, b);
            }
        }
        net.run_until(|net| (0..6).all(|here| net.nodes[here].node.present_count() == 3));
        net.run_for(SECOND * 120);
        assert_eq!(net.state(0, 5), None, "memberlist's nodes forget each other, and stay apart");
        net.heal();
        net.run_until(|net| (0..6).all(|here| net.nodes[here].node.present_count() == 6));
    }
}

mod gossip {
    use super::*;

    #[test]
    fn updates_from_others_are_gossiped_on_byte_for_byte() {
        let mut net = cluster(2);
        // node-a at 10.0.0.1, IPv4 in 16 bytes, incarnation 200, metadata "m", Serf's versions.
        let alive = "0486a441646472b000000000000000000000ffff0a000001ab496e6361726e6174696f6eccc8a44d657461a1\
                 6da44e6f6465a66e6f64652d61a4506f7274cd1f0aa356736ea6010502020504";
        net.recorded = Some(Vec::new());
        inject(&mut net, 0, addr(1), alive);
        net.run_for(SECOND);
        let byte = |at| u8::from_str_radix(&alive[at..at + 2], 16).unwrap();
        let alive: Vec<u8> = (0..alive.len()).step_by(2).map(byte).collect();
        let sent = net.recorded.take().unwrap();
        let sent = sent.iter().filter(|(from, to, data)| {
            (*from, *to) == (addr(0), addr(1)) && contains(data, &alive)
        });
        assert!(sent.count() > 0);
        let member =
            net.nodes[1].node.all_members().find(|member| member.id().as_str() == "node-a");
        assert_eq!(member.unwrap().addr(), "10.0.0.1:7946".parse().unwrap());
    }
}

mod anti_entropy {
    use super::*;

    #[test]
    fn metadata_and_sync_state_reach_the_others() {
        let mut net = cluster(3);
        net.nodes[0].node.set_sync_state(net.now, "from zero".into()).unwrap();
        net.set_meta(0, "news");
        net.run_for(SECOND);
        assert!((1..3).all(|here| &**net.member(here, 0).unwrap().meta() == b"news"));
        let state =
            |event: &Event| matches!(event, Event::SyncState { data, .. } if data == "from zero");
        net.run_until(|net| (1..3).all(|here| net.saw(here, state)));
    }
}

mod messages {
    use super::*;

    #[test]
    fn messages_arrive_and_reliable_ones_have_no_receipt() {
        let mut net = cluster(3);
        net.command(0, |node, now| node.send(now, &id(1), "one".into())).unwrap();
        let long = "x".repeat(100_000);
        let data = long.clone().into();
        let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), data)).unwrap();
        net.run_for(SECOND);
        assert_eq!(net.messages(1), [(id(0), b"one".to_vec(), Via::Datagram)]);
        let unsigned = |event: &Event| match event {
            Event::Message { from: None, data, via: Via::Reliable } => *data == long,
            _ => false,
        };
        assert!(net.saw(1, unsigned), "the format does not say whose it is");
        assert_eq!(net.result(0, ticket), Some(Ok(Done::Written)));
        let too_long = "x".repeat(1400).into();
        assert!(net.command(0, |node, now| node.send(now, &id(1), too_long)).is_err());

        net.kill(2);
        let data = "late".into();
        let ticket = net.command(0, |node, now| node.send_reliable(now, &id(2), data)).unwrap();
        net.run_for(SECOND * 11);
        assert!(matches!(net.result(0, ticket), Some(Err(Failure::Undelivered(_)))));
    }
}

mod broadcast {
    use super::*;

    #[test]
    fn a_broadcast_reaches_all_of_thirty_though_nobody_forwards_it() {
        let mut net = cluster(30);
        net.command(0, |node, now| node.broadcast(now, "to all".into())).unwrap();
        net.run_for(SECOND * 5);
        for here in 1..30 {
            assert!(!net.messages(here).is_empty(), "n{here}");
            assert!(
                net.messages(here)
                    .iter()
                    .all(|(from, data, _)| *from == id(0) && data == b"to all")
            );
        }
    }
}

mod streams {
    use super::*;

    #[test]
    fn an_unreadable_stream_gets_an_error_where_the_format_has_one() {
        let mut net = cluster(2);
        let sealed = [&b"\x0a\x00\x00\x00\x30\x01"[..], &[7; 47]].concat();
        let id = net.inject_stream(0, addr(9), &sealed);
        let done = net.injected_stream_actions(0, id);
        let [StreamAction::Write(error), StreamAction::Close] = done else { panic!("{done:?}") };
        assert!(error.starts_with(b"\x0d\x81\xa5Error"));
        let id = net.inject_stream(0, addr(9), b"\x63nothing");
        assert_eq!(net.injected_stream_actions(0, id), [StreamAction::Reset]);
    }
}

mod limits {
    use super::*;

    #[test]
    fn options_that_the_format_has_not_are_refused() {
        let refused = |change: fn(&mut Options)| {
            let mut options = Options::lan();
            change(&mut options);
            let config = Config::builder(ClusterName::new("test").unwrap(), id(0), addr(0));
            let config = config.options(options).wire(Wire::Memberlist(Memberlist::new()));
            config.build().unwrap_err()
        };
        let error = refused(|options| options.stream_only = true);
        assert_eq!(error, ConfigError::NotInFormat { option: "stream_only" });
        let error = refused(|options| options.max_meta = 1020);
        assert_eq!(
            error.to_string(),
            "max_meta is 1020; with this datagram_size it must be 0 to 1000"
        );
        let error = refused(|options| (options.datagram_size, options.max_meta) = (600, 0));
        assert!(
            error
                .to_string()
                .starts_with("datagram_size is 600; with this label it must be 700 to")
        );
    }

    #[test]
    fn no_datagram_is_longer_than_the_limit_and_none_is_rejected() {
        for compression in [false, true] {
            let memberlist = || Memberlist::new().with_compression(compression);
            let mut net = joined((0..12).map(|n| {
                let meta = "m".repeat(40 * n);
                config_at(n, addr(n), memberlist())
                    .to_builder()
                    .meta(meta.as_str().into())
                    .build()
                    .unwrap()
            }));
            net.recorded = Some(Vec::new());
            for n in 0..12 {
                let data = vec![n as u8; 100 * n + 1];
                net.command(n, |node, now| node.broadcast(now, data.into())).unwrap();
            }
            net.kill(11);
            net.run_until(|net| net.nodes[0].node.present_count() == 11);
            let longest = net.recorded.take().unwrap().iter().map(|(_, _, data)| data.len()).max();
            let range = if compression { 100..=400 } else { 1000..=1400 };
            assert!(range.contains(&longest.unwrap()), "{longest:?}");
            for host in &net.nodes {
                assert_eq!(host.node.stats().rejected_datagrams.total(), 0);
                assert_eq!(host.node.stats().rejected_streams.total(), 0);
            }
        }
    }
}

#[cfg(feature = "record")]
mod replay {
    use super::*;

    #[test]
    fn a_recording_of_such_a_node_replays() {
        let mut net = cluster(4);
        net.set_meta(1, "news");
        net.kill(3);
        net.run_until(|net| net.nodes[0].node.present_count() == 3);
        net.leave(2);
        net.run_for(SECOND * 2);
        let mut all = ReplayCounts::default();
        for host in &net.nodes {
            host.journals.as_ref().unwrap().assert_replays(&mut all);
        }
        assert!(all.inputs > 200 && all.outputs > 200, "{all:?}");
    }
}

#[cfg(feature = "encryption")]
mod encryption {
    use super::*;
    use tidings::{Cipher, Key, Keyring, Plaintext};

    fn key(byte: u8, len: usize) -> Key {
        Key::memberlist(&vec![byte; len]).unwrap()
    }

    fn with(n: usize, keyring: Keyring, plaintext: Plaintext) -> Config {
        config(n).to_builder().encryption(keyring, plaintext).build().unwrap()
    }

    #[test]
    fn a_stream_connected_back_to_its_origin_is_refused() {
        for echo in [false, true] {
            let keyed = |n| {
                let config = config(n).to_builder();
                config.encryption(Keyring::new(key(1, 32)), Plaintext::Refused).build().unwrap()
            };
            let mut net = joined([0, 1].map(keyed));
            let now = net.now;
            let ended = |events: &[Event], of| {
                let result = events.iter().find_map(|event| match event {
                    Event::Completed { ticket, result } if *ticket == of => Some(result.clone()),
                    _ => None,
                });
                result.expect("each command ends")
            };
            let mut alone = tidings::Node::new(keyed(2), [5; 32], now);
            let join = alone.join(now, &[addr(0)]).unwrap();
            let events = common::connect_back(&mut alone, now, echo);
            assert!(matches!(ended(&events, join), Err(Failure::NoSeed(_))), "{events:?}");
            assert_eq!(alone.stats().syncs, 0);

            let member = &mut net.nodes[0].node;
            let leave = member.leave(now);
            let syncs = member.stats().syncs;
            let events = common::connect_back(member, now, echo);
            assert_eq!(ended(&events, leave), Err(Failure::Unconfirmed));
            assert_eq!(member.stats().syncs, syncs);
        }
    }

    #[test]
    fn clusters_with_keys_of_each_length_and_in_both_versions_are_joined() {
        for (len, protocol) in [(16, 2), (24, 2), (32, 2), (16, 1)] {
            let memberlist = || {
                let label = ClusterName::new("lab").unwrap();
                Memberlist::new().with_protocol(protocol).unwrap().with_label(label)
            };
            let mut net = joined((0..3).map(|n| {
                let config = config_at(n, addr(n), memberlist());
                let keyring = Keyring::new(key(1, len));
                config.to_builder().encryption(keyring, Plaintext::Refused).build().unwrap()
            }));
            net.recorded = Some(Vec::new());
            net.run_for(SECOND * 5);
            let sealed = b"\xf4\x03lab\x01";
            let version = [&sealed[..5], &[u8::from(protocol > 1)]].concat();
            let recorded = net.recorded.take().unwrap();
            assert!(recorded.iter().all(|(_, _, data)| data.starts_with(&version)));
            net.kill(2);
            net.run_until(|net| net.nodes[0].node.present_count() == 2);
            net.assert_replays(50);
        }
    }

    #[test]
    fn keys_are_replaced_while_the_cluster_runs() {
        let (old, new) = (key(1, 16), key(2, 32));
        let mut net =
            joined((0..3).map(|n| with(n, Keyring::new(old.clone()), Plaintext::Refused)));
        type Step = fn(&mut Keyring, &Key, &Key) -> Result<(), tidings::KeyringError>;
        let steps: [Step; 3] = [
            |keyring, _, new| keyring.add(new.clone()),
            |keyring, _, new| keyring.use_key(new),
            |keyring, old, _| keyring.remove(old),
        ];
        for step in steps {
            for here in 0..3 {
                let keyring = net.nodes[here].node.keyring_mut().unwrap();
                step(keyring, &old, &new).unwrap();
                net.run_for(SECOND * 3);
            }
        }
        net.run_for(SECOND * 20);
        assert!((0..3).all(|here| net.nodes[here].node.present_count() == 3));
        assert!(!net.saw(0, |event| matches!(event, Event::Suspected(_))));
    }

    #[test]
    fn a_node_with_another_key_or_none_learns_that_it_cannot_be_read() {
        let mut net = joined((0..2).map(|n| with(n, Keyring::new(key(1, 16)), Plaintext::Refused)));
        let plain = net.start(config(2));
        let ticket = net.join(plain, &[addr(0)]);
        net.run_for(SECOND * 11);
        assert!(matches!(net.result(plain, ticket), Some(Err(Failure::NoSeed(_)))));
        assert!(net.nodes[0].node.stats().rejected_streams.plaintext > 0);
        let other = net.start(with(3, Keyring::new(key(2, 16)), Plaintext::Refused));
        let ticket = net.join(other, &[addr(0)]);
        net.run_for(SECOND * 11);
        assert!(matches!(net.result(other, ticket), Some(Err(Failure::NoSeed(_)))));
        assert!(net.nodes[0].node.stats().rejected_streams.key > 0);
        assert_eq!(net.nodes[0].node.present_count(), 2);

        // In the other direction, the node with keys can read the answer in plaintext.
        let plain = net.start(config(4));
        let sealed = net.start(with(5, Keyring::new(key(1, 16)), Plaintext::Accepted));
        let ticket = net.join(sealed, &[addr(4)]);
        net.run_for(SECOND * 11);
        let Some(Err(Failure::NoSeed(failures))) = net.result(sealed, ticket) else { panic!() };
        assert_eq!(failures[0].error, ExchangeError::Refused(Refusal::Unreadable));
        assert_eq!(net.nodes[plain].node.present_count(), 1);
    }

    #[test]
    fn a_cluster_goes_over_to_encryption_without_a_break() {
        let mut net = cluster(3);
        for plaintext in [Plaintext::Sent, Plaintext::Accepted, Plaintext::Refused] {
            for here in 0..3 {
                net.restart(here, with(here, Keyring::new(key(1, 32)), plaintext));
                net.join(here, &[addr((here + 1) % 3)]);
                net.run_until(|net| (0..3).all(|here| net.nodes[here].node.present_count() == 3));
                net.run_for(SECOND * 5);
            }
        }
        net.assert_replays(100);
    }

    #[test]
    fn keys_of_the_two_formats_do_not_mix() {
        let (ours, theirs) = (Key::new(Cipher::Aes256Gcm, [1; 32]), key(1, 32));
        assert_ne!(ours, theirs);
        assert!(Keyring::new(ours.clone()).with_key(theirs.clone()).is_err());
        let builder = |key: &Key| {
            let config = Config::builder(ClusterName::new("test").unwrap(), id(0), addr(0));
            config.encryption(Keyring::new(key.clone()), Plaintext::Refused)
        };
        let wire = || Wire::Memberlist(Memberlist::new());
        assert_eq!(builder(&ours).wire(wire()).build().unwrap_err(), ConfigError::KeyFormat);
        assert_eq!(builder(&theirs).build().unwrap_err(), ConfigError::KeyFormat);
        assert!(Key::memberlist(&[0; 20]).is_err());
        assert_eq!(theirs.to_text().parse(), Ok(theirs));
        assert_eq!("memberlist:AQEBAQEBAQEBAQEBAQEBAQ==".parse(), Ok(key(1, 16)));
    }
}

mod names {
    use super::*;
    use tidings::NodeId;

    #[test]
    fn names_that_nobody_can_see_are_taken_as_they_come_and_quoted() {
        let mut net = cluster(2);
        for (n, name) in ["\u{202e}gnp", "a\u{200b}", " padded ", "two words"].iter().enumerate() {
            let id = NodeId::foreign(name).unwrap();
            let addr = format!("10.1.0.{n}:7946");
            net.inject(0, common::addr(1), &forge::alive(1, name, &addr, b""));
            net.run_until(|net| (0..2).all(|here| net.nodes[here].node.member(&id).is_some()));
            let joined = |event: &Event| match event {
                Event::Joined(member) if *member.id() == id => Some(event.to_string()),
                _ => None,
            };
            let said = net.nodes[1].events.iter().find_map(|(_, event)| joined(event)).unwrap();
            assert!(said.starts_with(&format!("{name:?} (10.1.0.")), "{said}");
        }
        net.assert_replays(10);
    }
}
