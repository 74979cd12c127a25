//! What users of gossip membership have reported elsewhere, and what happens here: each is a row of
//! docs/COMPARE.md.

mod common;

use common::{LATENCY, Net, addr, config, far, forge, id, joined, pair, trio};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, Done, Event, ExchangeError, Failure, Incarnation, Instant, JoinError,
    Member, Meta, Node, NodeId, Options, Output, Refusal, SeedFailure, State, StreamAction,
    StreamInput, Timer, Via,
};

const SECOND: Duration = Duration::from_secs(1);

fn stranger() -> SocketAddr {
    "192.0.2.1:999".parse().unwrap()
}

/// Some nodes with such options, who all know each other.
fn joined_with(count: usize, options: &Options) -> Net {
    let mut net = Net::with_options(count, options);
    for here in 1..count {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
    net
}

fn short(n: usize) -> u32 {
    crc32fast::hash(id(n).as_str().as_bytes())
}

/// Whether all of these hold this one to be alive, as it last said so itself.
fn all_believe(net: &Net, mut those: impl Iterator<Item = usize>, other: usize) -> bool {
    let own = net.nodes[other].node.local().incarnation();
    those.all(|here| {
        let member = net.member(here, other);
        member.is_some_and(|member| (member.state(), member.incarnation()) == (State::Alive, own))
    })
}

// ---- restarts and incarnations ----

#[test]
fn a_member_restarted_below_its_own_death_is_back_at_once() {
    let mut net = Net::of(
        [1, 100, 1].iter().enumerate().map(|(n, &g)| config(n, addr(n)).with_generation(g)),
    );
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    net.kill(1);
    net.run_until(|net| [0, 2].iter().all(|&here| net.state(here, 1) == Some(State::Failed)));
    net.restart(1, config(1, addr(1)).with_generation(1));
    net.join(1, &[addr(0)]);
    let took = net.run_until(|net| all_believe(net, [0, 2].into_iter(), 1));
    assert!(took <= SECOND, "it took {took:?}");
}

#[test]
fn news_of_an_impossible_incarnation_is_not_taken_by_anybody() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    let (never, others) = (["n0", "n2"], ["n2"]);
    for (generation, number, victims) in [
        (u64::MAX, u64::MAX, &never[..]),
        (u64::MAX, 0, &never),
        (1, u64::MAX, &never),
        (2 + (1 << 48), 0, &others),
        (1, (1 << 47) + 1, &others),
    ] {
        for victim in victims {
            for claim in [
                forge::suspect(short(1), victim, generation, number),
                forge::failed(victim, generation, number),
                forge::left(victim, generation, number),
            ] {
                let before = net.nodes[0].node.stats().implausible_claims;
                net.inject(0, addr(1), &forge::datagram(&[claim]));
                assert_eq!(net.nodes[0].node.stats().implausible_claims, before + 1);
            }
        }
    }
    for n in [0, 2] {
        let first = Incarnation { generation: 1, number: 0 };
        assert_eq!(net.nodes[n].node.local().incarnation(), first);
        assert!(all_believe(&net, [0, 1, 2].into_iter(), n));
    }
}

#[test]
fn a_member_accused_at_the_highest_incarnation_contradicts_again_and_again() {
    let mut net = trio();
    let highest = Incarnation { generation: 1 + (1 << 48), number: 1 << 47 };
    let accusation = forge::suspect(short(1), "n2", highest.generation, highest.number);
    net.inject(0, addr(1), &forge::datagram(&[accusation]));
    assert_eq!(net.state(0, 2), Some(State::Suspect));
    net.run_until(|net| all_believe(net, 0..3, 2));
    assert!(net.nodes[2].node.local().incarnation() > highest);
    // It can be suspected for a reason, and contradict that, as anybody can.
    for _ in 0..3 {
        net.cut_both(0, 2);
        net.cut_both(1, 2);
        net.run_until(|net| net.state(0, 2) == Some(State::Suspect));
        net.heal();
        net.run_until(|net| all_believe(net, 0..3, 2));
    }
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
    // And a failure is still one.
    net.kill(2);
    net.run_until(|net| [0, 1].iter().all(|&here| net.state(here, 2) == Some(State::Failed)));
}

#[test]
fn a_lie_about_what_a_member_says_of_itself_does_not_put_it_out_for_good() {
    // Some were started earlier than others, so that some take what others do not.
    let generations = [1, 1000, 20, 500];
    let configs = (0..4).map(|n| config(n, addr(n)).with_generation(generations[n]));
    let mut net = Net::of(configs);
    for n in 1..4 {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    for bases in [generations, generations.map(|generation| generation + (1 << 49))] {
        for base in bases {
            // As high as is taken from a member itself: who says it cannot be seen.
            let lie = forge::alive("n2", "10.0.0.3:7946", base + (1 << 49), 1 << 48, b"");
            for here in [0, 1, 3] {
                net.inject(here, addr(0), &forge::datagram(std::slice::from_ref(&lie)));
            }
            net.run_until(|net| all_believe(net, 0..4, 2));
            net.set_meta(2, &base.to_string());
            net.run_until(|net| all_believe(net, 0..4, 2));
            for other in [0, 1, 3] {
                net.cut_both(2, other);
            }
            net.run_until(|net| net.state(0, 2) == Some(State::Suspect));
            net.heal();
            net.run_until(|net| all_believe(net, 0..4, 2));
        }
    }
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
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
fn late_news_of_an_earlier_address_does_not_bring_back_who_left() {
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
fn news_of_the_end_of_somebody_unknown_leaves_no_trace() {
    let mut net = pair();
    let (gone, zero) = (forge::failed("x", 0, 0), forge::suspect(1, "y", 7, 7));
    net.inject(0, addr(1), &forge::datagram(&[gone, zero, forge::left("z", 1, 1)]));
    assert_eq!(net.nodes[0].node.all_members().count(), 2);
    // A table that has it as failed is remembered, does not count, and is told to nobody.
    let claim = forge::member(2, "w", "10.0.0.9:1", 0, b"");
    net.inject_stream(
        0,
        stranger(),
        &forge::frame(0, &forge::greeting(&[forge::member(0, "v", "10.0.0.8:1", 1, b""), claim])),
    );
    assert_eq!(net.nodes[0].node.present_count(), 3);
    let took = |net: &Net| net.nodes[0].node.stats().syncs;
    let before = took(&net);
    net.run_until(|net| took(net) > before + 2);
    assert_eq!(net.nodes[1].node.member(&"w".parse().unwrap()), None);
}

// ---- verdicts ----

#[test]
fn a_failure_learned_by_sync_is_a_suspicion_that_the_member_contradicts() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    let table = [
        forge::member(0, "x", "10.0.0.9:1", 1, b""),
        forge::member(2, "n1", "10.0.0.2:7946", 1, b""),
    ];
    net.inject_stream(0, stranger(), &forge::frame(0, &forge::greeting(&table)));
    assert_eq!(net.state(0, 1), Some(State::Suspect));
    let took = net.run_until(|net| all_believe(net, 0..3, 1));
    assert!(took <= SECOND, "it took {took:?}");
    assert_eq!(net.story(0, 1), ["joined", "suspected", "recovered"]);
}

#[test]
fn one_rumour_in_several_tables_is_one_rumour() {
    let mut net = joined_with(6, &Options::lan());
    net.run_for(5 * SECOND);
    net.kill(5);
    let suspects = [1, 2].map(|state| forge::member(state, "n5", "10.0.0.6:7946", 1, b""));
    for n in 0..20 {
        let name = forge::member(0, &format!("x{n}"), &format!("10.0.1.{n}:1"), 1, b"");
        let table = [name, suspects[n % 2].clone()];
        net.inject_stream(0, stranger(), &forge::frame(0, &forge::greeting(&table)));
    }
    assert_eq!(net.state(0, 5), Some(State::Suspect));
    assert_eq!(net.nodes[0].node.stats().confirmations, 0);
}

// ---- datagrams ----

#[test]
fn a_datagram_holds_more_than_255_messages() {
    let mut net = Net::new(1);
    let alive = |n| forge::alive(&format!("x{n}"), "10.0.9.9:1", 1, 0, b"");
    net.inject(0, stranger(), &forge::datagram(&(0..400).map(alive).collect::<Vec<_>>()));
    assert_eq!(net.nodes[0].node.present_count(), 401);
}

#[test]
fn no_datagram_is_longer_than_the_limit_with_the_longest_names_and_addresses() {
    for (datagram_size, max_meta) in [(872, 512), (1400, 512), (1400, 1040), (4000, 100)] {
        let mut options = Options::lan();
        options.datagram_size = datagram_size;
        options.max_meta = max_meta;
        let addr =
            |n: usize| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16 + 1], 65_535));
        let name = |n: usize| NodeId::new(&format!("{n}{}", "x".repeat(254))).unwrap();
        let config = |n| {
            let cluster = ClusterName::new("test").unwrap();
            let config = Config::builder(cluster, name(n), addr(n)).options(options.clone());
            forge::with_keys(config.generation(1 << 40).build().unwrap())
        };
        let mut net = Net::of((0..6).map(config));
        net.recorded = Some(Vec::new());
        for n in 1..6 {
            net.join(n, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        for n in 0..60 {
            let here = n % 6;
            let meta = Meta::new(&vec![n as u8; max_meta - n]);
            net.command(here, |node, now| node.set_meta(now, meta)).unwrap();
            let message = |len: usize| vec![n as u8; len].into();
            // The longest that there may be, and all lengths a little below it.
            let error = net.command(here, |node, now| node.broadcast(now, message(9000)));
            let Err(tidings::BroadcastError::Message(limit)) = error else { panic!("{error:?}") };
            net.command(here, |node, now| node.broadcast(now, message(limit.max - n))).unwrap();
            net.run_for(SECOND / 4);
        }
        net.run_for(20 * SECOND);
        let lens = net.recorded.take().unwrap().into_iter().map(|(_, _, data)| data.len());
        let longest = lens.max().unwrap();
        // The time in a sealed one may be up to nine bytes longer than it is now.
        assert!(
            longest <= datagram_size && longest + 9 >= datagram_size,
            "{longest} of {datagram_size}"
        );
        for here in 0..6 {
            for other in 0..6 {
                let told = net.nodes[here].node.member(&name(other)).unwrap().meta();
                assert_eq!(told, net.nodes[other].node.local().meta(), "none is stuck");
            }
        }
        // Who gets all of them is for chance; what fits nowhere gets nowhere.
        let told = (0..6).flat_map(|here| net.messages(here)).map(|(_, data, _)| data[0]);
        assert_eq!(told.collect::<BTreeSet<_>>().len(), 60);
    }
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
fn datagrams_that_a_driver_does_not_fetch_are_capped_and_counted() {
    let mut options = Options::lan();
    options.max_queued_datagrams = 64;
    let mut net = joined_with(2, &options);
    let ping = forge::datagram(&[forge::ping(7, "n0")]);
    let now = net.now;
    for _ in 0..1000 {
        net.nodes[0].node.handle_datagram(now, addr(1), &ping);
    }
    let before = net.datagrams.len();
    net.drain(0);
    assert_eq!(net.datagrams.len() - before, 64);
    assert_eq!(net.nodes[0].node.stats().datagrams_dropped, 1000 - 64);
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_same_address() {
    let mapped =
        |n: usize| SocketAddr::new(format!("::ffff:10.0.0.{}", n + 1).parse().unwrap(), 7946);
    let mut net = pair();
    net.set_meta(0, "news");
    // Whoever speaks from that address is the member.
    let now = net.now;
    net.nodes[0].node.handle_datagram(now, mapped(1), &forge::datagram(&[forge::ping(7, "n0")]));
    net.drain(0);
    let (_, to, ack) = net.datagrams.iter().rev().find(|(_, _, data)| data[0] == 2).unwrap();
    assert!(*to == addr(1) && ack.len() > 20, "it is answered with the news");
    // A node that was configured with one tells the other.
    let config = Config::local(ClusterName::new("test").unwrap(), id(2), mapped(2));
    let third = net.start(forge::with_keys(config.with_generation(1)));
    net.nodes[third].addr = addr(2);
    let ticket = net.join(third, &[mapped(0), addr(0)]);
    net.run_until(|net| net.result(third, ticket).is_some());
    assert_eq!(net.nodes[third].node.stats().streams_out, 1, "it is one seed");
    assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
    net.run_for(30 * SECOND);
    for here in 0..3 {
        assert!(
            !net.saw(here, |event| matches!(event, Event::Conflict { .. } | Event::Suspected(_)))
        );
    }
    // And nobody else is taken who says that he is at one.
    let octets = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 9], &7946_u16.to_le_bytes()].concat();
    let mapped_member = [&[9][..], &octets, &[1, b'x', 1, 0, 0]].concat();
    net.inject(0, addr(1), &forge::datagram(&[mapped_member]));
    assert_eq!(net.nodes[0].node.stats().members_refused, 1);
}

// ---- events and members ----

#[test]
fn an_event_is_told_when_the_queries_already_show_it() {
    let mut net = joined(5);
    net.cut(1, 0);
    net.cut(1, 2);
    net.set_meta(2, "new");
    net.kill(4);
    let mut seen = net.nodes[0].events.len();
    let mut checked = 0;
    let end = net.now + 30 * SECOND;
    while net.step(end) {
        for (_, event) in &net.nodes[0].events[seen..] {
            let (Event::Suspected(told)
            | Event::Recovered(told)
            | Event::Updated(told)
            | Event::Failed(told)
            | Event::Joined(told)) = event
            else {
                continue;
            };
            assert_eq!(net.nodes[0].node.member(told.id()), Some(told), "{event:?}");
            checked += 1;
        }
        seen = net.nodes[0].events.len();
    }
    assert!(checked >= 4, "{checked}");
}

#[test]
fn metadata_may_be_as_long_as_the_configuration_says() {
    let mut options = Options::lan();
    options.max_meta = options.datagram_size - 360;
    let mut net = joined_with(2, &options);
    let meta = Meta::new(&[7; 1040]);
    net.command(0, |node, now| node.set_meta(now, meta.clone())).unwrap();
    net.run_until(|net| net.member(1, 0).unwrap().meta() == &meta);
    let over = Meta::new(&[7; 1041]);
    assert!(net.nodes[0].node.set_meta(net.now, over.clone()).is_err());
    assert!(common::config_with(3, &options).to_builder().meta(over).build().is_err());
    options.max_meta += 1;
    let config = Config::builder(ClusterName::new("test").unwrap(), id(0), addr(0));
    assert!(config.options(options).build().is_err());
}

// ---- joins, merges, leaves ----

#[test]
fn seeds_that_are_silent_do_not_delay_one_that_answers() {
    let mut net = Net::new(2);
    let mut seeds: Vec<_> = (50..80).map(addr).collect();
    seeds.push(addr(0));
    let ticket = net.join(1, &seeds);
    let took = net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(took, 4 * LATENCY);
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 2 })));
}

#[test]
fn seeds_for_which_there_are_no_streams_yet_are_asked_later() {
    let mut options = Options::lan();
    options.max_streams_out = 2;
    let mut net =
        Net::of((0..2).map(|n| common::config_at(n, addr(n), &options).with_generation(1)));
    // As from a name with many addresses, of which one answers; it is the last in order.
    let mut seeds: Vec<SocketAddr> = (1..6).map(|n| ([1, 1, 1, n], 7946).into()).collect();
    seeds.push(addr(0));
    let ticket = net.join(1, &seeds);
    let busy = net.command(1, |node, now| node.join(now, &[addr(0)]));
    assert_eq!(busy, Err(JoinError::Busy { max: 2 }));
    let took = net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 2 })));
    assert_eq!(took, 2 * options.stream_timeout + 4 * LATENCY, "two waves are silent");

    let many: Vec<SocketAddr> = (0..1025).map(|port| ([1, 1, 1, 1], port).into()).collect();
    let refused = net.command(1, |node, now| node.join(now, &many));
    assert_eq!(refused, Err(JoinError::TooManySeeds { seeds: 1025, max: 1024 }));
}

#[test]
fn who_starts_in_a_partition_finds_the_seeds_that_were_on_its_other_side() {
    let mut net = Net::new(4);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    for (here, there) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        net.cut_both(here, there);
    }
    let ticket = net.join(3, &[addr(0), addr(2)]);
    net.run_until(|net| net.result(3, ticket).is_some_and(|result| result.is_ok()));
    net.run_for(300 * SECOND);
    assert_eq!([0, 1, 2, 3].map(|here| net.nodes[here].node.present_count()), [2; 4]);
    net.heal();
    let took = net.run_until(|net| (0..4).all(|here| net.nodes[here].node.present_count() == 4));
    // Two share the search, each at the longest interval and half as much again.
    assert!(took <= 180 * SECOND, "{took:?}");
}

#[test]
fn five_hundred_that_join_one_seed_at_once_are_all_let_in() {
    let options = Options::lan();
    let mut net =
        Net::of((0..501).map(|n| common::config_at(n, far(n), &options).with_generation(1)));
    let seed = far(0);
    let tickets: Vec<_> = (1..501).map(|n| net.join(n, &[seed])).collect();
    let ended = |net: &Net| (1..501).all(|n| net.result(n, tickets[n - 1]).is_some());
    let took = net.run_until(ended);
    for n in 1..501 {
        let result = net.result(n, tickets[n - 1]).unwrap();
        assert!(matches!(result, Ok(Done::Joined { .. })), "n{n}: {result:?}");
    }
    assert!(took <= 2 * SECOND, "it took {took:?}");
    assert_eq!(net.nodes[0].most_served, options.max_streams_in);
    assert!(net.nodes[0].node.stats().streams_refused > 0);
}

#[test]
fn clusters_do_not_merge_when_an_address_passes_from_one_to_the_other() {
    let other = |n: usize, at| {
        let config = Config::local(ClusterName::new("other").unwrap(), id(n), at);
        forge::with_keys(config.with_generation(1))
    };
    let mut net = trio();
    let far_away = net.start(other(6, addr(6)));
    net.restart(1, other(5, addr(1)));
    net.join(1, &[addr(6)]);
    net.run_for(120 * SECOND);
    for here in [0, 2] {
        assert_eq!(net.nodes[here].node.present_count(), 2);
        assert_eq!(net.state(here, 1), Some(State::Failed));
        assert_eq!(net.member(here, 5), None);
    }
    for here in [1, far_away] {
        assert_eq!(net.nodes[here].node.present_count(), 2);
        assert_eq!(net.nodes[here].node.all_members().count(), 2);
    }
    let counts = net.nodes[1].node.stats();
    assert!(counts.rejected_datagrams.foreign_cluster > 0, "and it is counted");
}

/// Whoever has the word is let in.
fn admit(member: &Member) -> bool {
    member.meta() == &Meta::from("word")
}

#[test]
fn a_joiner_that_is_not_admitted_learns_it_and_is_known_to_nobody() {
    let with_word = |n| config(n, addr(n)).to_builder().generation(1).meta("word".into());
    let mut net = Net::of((0..2).map(|n| with_word(n).admission(admit).build().unwrap()));
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    let third = net.start(config(2, addr(2)).with_generation(1));
    let ticket = net.join(third, &[addr(0), addr(1)]);
    net.run_until(|net| net.result(third, ticket).is_some());
    let error = ExchangeError::Refused(Refusal::NotAdmitted);
    let failures = [0, 1].map(|n| SeedFailure { seed: addr(n), error });
    assert_eq!(net.result(third, ticket), Some(Err(Failure::NoSeed(failures.into()))));
    net.run_for(30 * SECOND);
    for here in [0, 1] {
        assert!(net.member(here, 2).is_none());
        assert_eq!(net.nodes[here].node.stats().members_refused, 1);
    }
    assert_eq!(net.nodes[third].node.all_members().count(), 1, "and it knows nobody");
}

#[test]
fn a_joiner_that_does_not_admit_the_seed_leaves_it() {
    let joiner = config(2, addr(2)).to_builder().generation(1).admission(admit).build().unwrap();
    let plain = |n| config(n, addr(n)).with_generation(1);
    let mut net = Net::of([plain(0), plain(1), joiner]);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    let ticket = net.join(2, &[addr(0)]);
    net.run_until(|net| net.result(2, ticket).is_some());
    let error = ExchangeError::NotAccepted(Refusal::NotAdmitted);
    let failure = Failure::NoSeed([SeedFailure { seed: addr(0), error }].into());
    assert_eq!(net.result(2, ticket), Some(Err(failure)));
    net.run_for(30 * SECOND);
    for here in [0, 1] {
        assert_eq!(net.state(here, 2), Some(State::Left));
        assert_eq!(net.nodes[here].node.present_count(), 2);
    }
    assert_eq!(net.nodes[2].node.all_members().count(), 1);
    // It is still there, and may join others.
    let other = net.start(plain(3).to_builder().meta("word".into()).build().unwrap());
    let ticket = net.join(2, &[net.nodes[other].addr]);
    net.run_until(|net| net.result(2, ticket).is_some());
    assert!(net.result(2, ticket).unwrap().is_ok());
    assert_eq!(net.state(other, 2), Some(State::Alive));
}

#[test]
fn a_leave_among_two_hundred_takes_two_round_trips() {
    let options = Options::lan();
    let mut net = Net::with_options(200, &options);
    for n in 1..200 {
        net.join(n, &[addr(0)]);
        net.run_for(LATENCY * 10);
    }
    net.run_until(|net| (0..200).all(|here| net.nodes[here].node.present_count() == 200));
    net.cut_both(199, 0);
    let ticket = net.leave(199);
    let took = net.run_until(|net| net.result(199, ticket).is_some());
    assert_eq!(took, 4 * LATENCY, "connect, and tell");
    assert!(matches!(net.result(199, ticket), Some(Ok(Done::Left { confirmed: 2.. }))));
    net.kill(199);
    net.run_until(|net| (0..199).all(|here| net.state(here, 199) == Some(State::Left)));
    let failed = |event: &Event| matches!(event, Event::Failed(_) | Event::Suspected(_));
    assert!((0..199).all(|here| !net.saw(here, failed)));
}

// ---- datagrams do not get through ----

#[test]
fn a_member_that_only_streams_reach_is_alive_and_known_to_be_degraded() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    net.cut_datagrams(0, 2);
    net.cut_datagrams(1, 2);
    net.run_for(60 * SECOND);
    for (here, other) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        assert_eq!(net.story(here, other), ["joined"]);
        assert!(net.member(here, other).unwrap().is_degraded());
        let told = |event: &Event| matches!(event, Event::Degraded(m) if *m.id() == id(other));
        assert!(net.saw(here, told));
    }
    assert!(!net.member(0, 1).unwrap().is_degraded());
    assert!(net.nodes[0].node.stats().probes_by_stream > 10);
    // Its news gets through, if later.
    net.set_meta(2, "new");
    net.run_until(|net| (0..2).all(|here| net.member(here, 2).unwrap().meta() == &"new".into()));
    net.heal();
    net.run_until(|net| (0..2).all(|here| !net.member(here, 2).unwrap().is_degraded()));
    assert!(net.saw(0, |event| matches!(event, Event::Restored(m) if *m.id() == id(2))));
}

#[test]
fn without_stream_probes_a_member_that_only_streams_reach_fails() {
    let mut options = Options::local();
    options.stream_probes = false;
    let mut net = joined_with(3, &options);
    net.cut_datagrams(0, 2);
    net.cut_datagrams(1, 2);
    net.run_until(|net| net.saw(0, |event| matches!(event, Event::Failed(m) if *m.id() == id(2))));
}

fn stream_only() -> Options {
    let mut options = Options::local();
    options.stream_only = true;
    options
}

#[test]
fn a_cluster_without_datagrams_does_all_that_one_with_them_does() {
    let mut net = joined_with(5, &stream_only());
    net.run_for(20 * SECOND);
    assert!((0..5).all(|here| net.nodes[here].node.stats().probes_failed == 0));
    let rtt = net.nodes[0].node.rtt(&id(1)).unwrap();
    assert!(rtt >= 2 * LATENCY, "{rtt:?}");

    net.set_meta(1, "new");
    net.command(0, |node, now| node.broadcast(now, "to all".into())).unwrap();
    net.command(0, |node, now| node.send(now, &id(1), "to one".into())).unwrap();
    let message =
        net.command(0, |node, now| node.send_reliable(now, &id(2), "surely".into())).unwrap();
    let ping = net.command(0, |node, now| node.ping(now, &id(3))).unwrap();
    net.run_for(5 * SECOND);
    assert_eq!(net.result(0, message), Some(Ok(Done::Delivered)));
    assert!(matches!(net.result(0, ping), Some(Ok(Done::Pong { .. }))));
    for here in 1..5 {
        let broadcast = (id(0), b"to all".to_vec(), Via::Broadcast);
        assert!(net.messages(here).contains(&broadcast), "n{here}");
    }
    assert!(net.messages(1).contains(&(id(0), b"to one".to_vec(), Via::Datagram)));
    assert!((0..5).all(|here| net.member(here, 1).unwrap().meta() == &"new".into()));

    net.leave(3);
    net.kill(4);
    net.run_until(|net| (0..3).all(|here| net.state(here, 4) == Some(State::Failed)));
    assert!((0..3).all(|here| net.state(here, 3) == Some(State::Left)));
    assert!(net.datagrams.is_empty() && net.nodes[0].node.stats().datagrams_out == 0);
}

#[test]
fn without_datagrams_news_and_long_broadcasts_do_not_starve_each_other() {
    let mut options = stream_only();
    options.digest_checks = false;
    options.sync_interval = 24 * 3600 * SECOND;
    let mut net = joined_with(3, &options);
    net.run_for(10 * SECOND);
    for n in 0..100_u8 {
        net.command(0, |node, now| node.broadcast(now, vec![n; 1300].into())).unwrap();
    }
    let news = "x".repeat(300);
    net.set_meta(0, &news);
    net.run_for(SECOND);
    assert_eq!(net.member(1, 0).unwrap().meta(), &Meta::from(&*news));
    assert!(net.messages(1).len() > 5);
}

#[test]
fn without_datagrams_those_who_accuse_are_named_in_turn() {
    let mut options = Options::lan();
    options.stream_only = true;
    let mut net = joined_with(8, &options);
    net.run_for(10 * SECOND);
    net.kill(7);
    net.run_until(|net| net.state(0, 7) == Some(State::Suspect));
    let accuse = |n: usize| forge::datagram(&[forge::suspect(short(n), "n7", 1, 0)]);
    for n in [1, 2, 3] {
        net.inject(0, addr(n), &accuse(n));
    }
    net.run_for(SECOND);
    // Nobody else hears of it from those three.
    assert!((1..7).all(|here| net.nodes[here].node.stats().confirmations >= 1));
}

// ---- streams ----

#[test]
fn a_stream_that_is_opened_twice_is_asked_once() {
    let mut node = Node::new(config(0, addr(0)), [7; 32], Instant::ZERO);
    node.join(Instant::ZERO, &[addr(1)]).unwrap();
    let mut buf = Vec::new();
    let mut written = 0;
    for _ in 0..2 {
        let mut opens = Vec::new();
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { .. } } => opens.extend([id; 2]),
                Output::Stream { action: StreamAction::Write(_), .. } => written += 1,
                _ => {}
            }
        }
        opens.into_iter().for_each(|id| node.handle_stream(Instant::ZERO, id, StreamInput::Opened));
    }
    assert_eq!(written, 1);
}

#[test]
fn a_stream_that_drips_ends_at_its_deadline() {
    let mut net = pair();
    let request = forge::frame(0, &forge::greeting(&[forge::member(0, "x", "10.0.0.9:1", 1, b"")]));
    let stream = net.inject_stream(0, stranger(), &request[..1]);
    let start = net.now;
    for byte in &request[1..] {
        net.run_for(SECOND / 20);
        if !net.done_to_stream(0, stream).is_empty() {
            break;
        }
        net.feed_stream(0, stream, StreamInput::Data(std::slice::from_ref(byte)));
    }
    assert_eq!(net.done_to_stream(0, stream), [StreamAction::Reset]);
    assert_eq!(net.now.since(start), Options::local().stream_timeout);
    assert_eq!(net.nodes[0].node.stats().streams_timed_out, 1);
}

#[test]
fn a_peer_that_never_closes_is_dropped_at_the_deadline() {
    let mut net = pair();
    let request = forge::frame(7, &[2, b'n', b'0']);
    let stream = net.inject_stream(0, stranger(), &request);
    assert!(matches!(net.done_to_stream(0, stream), [StreamAction::Write(_), StreamAction::Close]));
    net.run_for(Options::local().stream_timeout);
    assert_eq!(net.done_to_stream(0, stream).last(), Some(&StreamAction::Reset));
}

#[test]
fn a_reliable_message_to_a_silent_peer_ends_at_its_deadline() {
    let mut net = pair();
    net.cut(1, 0);
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    let took = net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(took, Options::local().stream_timeout);
    let error = ExchangeError::TimedOut;
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
}

#[test]
fn a_comparison_that_never_ends_is_ended() {
    let mut net = trio();
    let greeting = [&forge::member(0, "x", "10.0.0.9:1", 1, b"")[..], &[0]].concat();
    let stream = net.inject_stream(0, stranger(), &forge::frame(0, &greeting));
    // The digest of all members is never what it should be.
    let digest = [&[0][..], &[7; 8]].concat();
    let mut rounds = 0;
    while net.done_to_stream(0, stream).last() != Some(&StreamAction::Reset) {
        rounds += 1;
        assert!(rounds <= 1024 && net.nodes[0].node.stats().rejected_streams.total() == 0);
        let frame = forge::later_frame(2 * rounds, 5, &digest);
        net.feed_stream(0, stream, StreamInput::Data(&frame));
    }
    assert_eq!(rounds, 1024);
    assert_eq!(net.nodes[0].node.stats().rejected_streams.unexpected, 1);
}

// ---- waits ----

#[test]
fn the_wait_for_an_ack_follows_the_round_trips_between_its_bounds() {
    let milli = |n| Duration::from_millis(n);
    for (latency, least, most) in [
        (milli(1), milli(100), milli(100)),
        (milli(75), milli(150), milli(200)),
        (milli(300), milli(500), milli(500)),
    ] {
        let mut net = Net::with_options(2, &Options::lan());
        net.slow(0, 1, latency);
        net.join(1, &[addr(0)]);
        net.run_for(60 * SECOND);
        let rtt = net.nodes[0].node.rtt(&id(1)).unwrap();
        assert!(rtt.abs_diff(2 * latency) < milli(1), "{rtt:?}");
        let probes = net.nodes[0].node.stats().probes;
        net.run_until(|net| net.nodes[0].node.stats().probes > probes);
        let Some((at, Timer::ProbeTimeout)) = net.nodes[0].node.next_timer() else { panic!() };
        let wait = at.since(net.now);
        assert!(wait >= least && wait <= most, "{wait:?} for {latency:?}");
    }
}
