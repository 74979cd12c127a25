//! Lifeguard: what a node does about the possibility that it is itself the one that is slow.

mod common;

use common::{Net, addr, forge, id};
use std::time::Duration;
use tidings::{Event, Options, State};

const SECOND: Duration = Duration::from_secs(1);

/// Nodes with memberlist's values for one network, who know each other.
fn joined(count: usize, change: impl FnOnce(&mut Options)) -> Net {
    let mut options = Options::lan();
    change(&mut options);
    let mut net = Net::with_options(count, &options);
    for here in 1..count {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
    net
}

/// How long it took from when the first node suspected another one to when the first one held it to
/// have failed.
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
fn those_who_accuse_independently_shorten_the_suspicion() {
    let mut net = joined(8, |_| {});
    net.kill(7);
    net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Failed)));
    let took = suspected_for(&net, 7);
    assert!(took >= 4 * SECOND && took < 20 * SECOND, "it took {took:?}");
    // Whoever counted two confirmations first told the rest.
    assert!((0..7).any(|here| net.nodes[here].node.stats().confirmations >= 2));
}

#[test]
fn without_lifeguards_suspicion_its_time_is_fixed() {
    let mut net = joined(8, |options| options.suspicion_max_mult = 1);
    net.kill(7);
    net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Failed)));
    let took = suspected_for(&net, 7);
    assert_eq!(took, 4 * SECOND);
}

#[test]
fn a_node_that_hears_nothing_doubts_itself_and_takes_long_to_accuse() {
    let mut net = joined(8, |_| {});
    for other in 0..7 {
        net.cut(other, 7);
    }
    let before = net.nodes[7].node.stats().probes;
    net.run_for(20 * SECOND);
    let node = &net.nodes[7].node;
    assert_eq!(node.health(), 7, "nobody answers, and nobody says that nobody answers");
    assert!(node.stats().probes - before <= 8, "it probes less often");
    let failed = |event: &Event| matches!(event, Event::Failed(_));
    assert!(!net.saw(7, failed), "with nobody who confirms it, it waits six times as long");
    for here in 0..7 {
        for other in 0..7 {
            assert_eq!(
                net.state(here, other),
                Some(State::Alive),
                "and its word brings nobody down"
            );
        }
    }
}

#[test]
fn without_local_health_it_goes_on_as_if_it_were_well() {
    let mut net = joined(8, |options| options.awareness_max = 1);
    for other in 0..7 {
        net.cut(other, 7);
    }
    let before = net.nodes[7].node.stats().probes;
    net.run_for(20 * SECOND);
    assert_eq!(net.nodes[7].node.health(), 0);
    assert_eq!(net.nodes[7].node.stats().probes - before, 20);
}

#[test]
fn nacks_say_that_the_fault_is_not_ours() {
    for (nacks, health) in [(true, 0), (false, 1)] {
        let mut net = joined(5, |options| options.nacks = nacks);
        net.kill(4);
        net.run_until(|net| net.nodes[0].node.stats().probes_failed == 1);
        assert_eq!(net.nodes[0].node.health(), health, "with nacks: {nacks}");
    }
}

#[test]
fn many_failures_at_once_do_not_make_the_living_doubt_themselves() {
    let mut net = joined(8, |_| {});
    for n in 5..8 {
        net.kill(n);
    }
    let gone =
        |net: &Net| (5..8).all(|n| (0..5).all(|here| net.state(here, n) == Some(State::Failed)));
    let mut worst = 0;
    while !gone(&net) {
        net.step(net.now + SECOND);
        worst = (0..5).map(|here| net.nodes[here].node.health()).max().unwrap().max(worst);
    }
    // One that is dead and not suspected yet may be asked to help; those suspected are not.
    assert!(worst <= 2, "health {worst}");
}

#[test]
fn a_helper_that_cannot_help_says_so_at_once() {
    let mut net = joined(3, |options| options.max_relays = 0);
    net.kill(2);
    net.run_until(|net| net.nodes[0].node.stats().probes_failed == 1);
    assert_eq!(net.nodes[0].node.health(), 0);
    assert!(net.nodes[1].node.stats().indirect_pings_refused > 0);
}

#[test]
fn an_ack_that_comes_after_the_nack_still_counts() {
    let mut net = joined(3, |_| {});
    net.run_for(5 * SECOND);
    // Node 2 sleeps through its ping and through most of the time that its helpers have.
    let pings = |net: &Net| {
        let asks = |(_, to, data): &&(usize, _, Vec<u8>)| *to == addr(1) && data[0] == 1;
        net.datagrams.iter().filter(asks).count()
    };
    let before = pings(&net);
    net.kill(2);
    while pings(&net) == before {
        net.step(net.now + SECOND);
    }
    let nacks = |net: &Net| {
        net.datagrams.iter().filter(|(from, _, data)| *from == 1 && data[0] == 3).count()
    };
    let before = nacks(&net);
    while nacks(&net) == before {
        net.step(net.now + SECOND);
    }
    net.resume(2);
    // The helper's next ping for it is answered; nobody was held to have failed.
    net.run_for(60 * SECOND);
    for here in 0..2 {
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
        assert_eq!(net.state(here, 2), Some(State::Alive));
    }
}

#[test]
fn a_suspect_is_told_so_with_its_ping() {
    for buddy in [true, false] {
        let mut net = joined(4, |options| options.buddy = buddy);
        // What node 3 says is lost, so that it stays a suspect however often it contradicts.
        for other in 0..3 {
            net.cut(3, other);
        }
        net.run_until(|net| net.state(0, 3) == Some(State::Suspect));
        // After the gossip of it has ended.
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
        assert_eq!(ping.2.get(15) == Some(&SUSPECT), buddy);
    }
}

#[test]
fn a_node_whose_own_probes_are_not_answered_pronounces_nobody_failed() {
    for evidence in [true, false] {
        let mut net = joined(8, |options| options.require_recent_ack = evidence);
        net.run_for(10 * SECOND);
        for other in 0..7 {
            net.cut(other, 7);
        }
        // The first suspicions are over, and not all others are suspected yet.
        net.run_for(35 * SECOND);
        let node = &net.nodes[7].node;
        let suspects = node.all_members().filter(|member| member.state() == State::Suspect).count();
        assert!((1..7).contains(&suspects));
        let failed = |event: &Event| matches!(event, Event::Failed(_));
        assert_eq!(net.saw(7, failed), !evidence);
        assert_eq!(node.stats().verdicts_deferred > 0, evidence);
        // It hears again: whoever it suspects has time to say so.
        net.heal();
        net.run_until(|net| (0..8).all(|here| net.nodes[here].node.present_count() == 8));
        assert_eq!(net.saw(7, failed), !evidence);
    }
}

#[test]
fn where_nobody_is_left_to_hear_from_a_verdict_comes_all_the_same() {
    let mut net = joined(4, |_| {});
    net.run_for(10 * SECOND);
    for n in 1..4 {
        net.kill(n);
    }
    let took = net.run_until(|net| (1..4).all(|n| net.state(0, n) == Some(State::Failed)));
    assert!(took >= 24 * SECOND, "after the longest time: {took:?}");
}

#[test]
fn a_suspect_that_answers_in_a_later_incarnation_is_believed_at_once() {
    for prompt in [true, false] {
        let mut net = joined(2, |options| {
            options.prompt_refutation = prompt;
            options.suspicion_mult = 20;
        });
        net.run_for(5 * SECOND);
        net.cut_both(0, 1);
        net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
        // Nothing gets through but the answer to the next ping.
        let is_ping = |(from, _, data): &&(usize, _, Vec<u8>)| *from == 0 && data[0] == 0;
        let pings = |net: &Net| net.datagrams.iter().filter(is_ping).count();
        let before = pings(&net);
        net.run_until(|net| pings(net) > before);
        let ping = net.datagrams.iter().rfind(is_ping).unwrap();
        let token = u32::from_le_bytes(ping.2[1..5].try_into().unwrap());
        let mut ack = forge::ack(token, 0);
        const NUMBER: usize = 6;
        ack[NUMBER] = 1;
        net.inject(0, addr(1), &forge::datagram(&[ack]));
        let expected = if prompt { State::Alive } else { State::Suspect };
        assert_eq!(net.state(0, 1), Some(expected));
    }
}

#[test]
fn a_node_that_is_cut_off_again_and_again_pronounces_nobody_failed() {
    let mut net = joined(12, |_| {});
    for _ in 0..20 {
        (1..12).for_each(|other| net.cut_both(0, other));
        net.run_for(SECOND * 9);
        net.heal();
        net.run_for(SECOND * 3 / 2);
    }
    assert!(net.nodes[0].node.health() > 2, "it doubts its own health");
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
}
