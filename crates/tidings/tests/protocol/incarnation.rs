//! Generations and incarnations: restarts, clocks that went back, forged and impossible numbers.

use super::*;

#[test]
fn a_restarted_member_is_believed_at_once() {
    let mut net = pair();
    net.set_meta(1, "first life");
    net.run_for(SECOND);
    net.restart(1, config(1, addr(1)).with_generation(2));
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    let member = net.member(0, 1).unwrap();
    assert_eq!((member.incarnation().generation, member.state()), (2, State::Alive));
    assert!(member.meta().is_empty());
}

#[test]
fn a_member_restarted_at_another_address_is_believed_at_once() {
    let mut net = pair();
    net.restart(1, config(1, addr(5)).with_generation(2));
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert!(matches!(net.result(1, ticket), Some(Ok(_))), "{:?}", net.result(1, ticket));
    // Without keys it is asked there first.
    let took = net.run_until(|net| net.member(0, 1).unwrap().addr() == addr(5));
    assert!(took <= 2 * LATENCY, "{took:?}");
    net.run_for(20 * SECOND);
    assert_eq!(net.event_kinds(0, 1), ["joined", "updated"], "and never suspected");
    assert!(!net.saw(0, |event| matches!(event, Event::Conflict { .. })));
}

#[test]
fn a_member_whose_clock_went_back_goes_above_what_is_known_of_it() {
    let mut net = Net::of([config(0, addr(0)), config(1, addr(1)).with_generation(100)]);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.restart(1, config(1, addr(1)).with_generation(50));
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    let incarnation = net.member(0, 1).unwrap().incarnation();
    assert_eq!((incarnation.generation, incarnation.number), (101, 0));
    assert_eq!(net.nodes[1].node.local().incarnation(), incarnation);
}

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
fn claims_with_an_impossible_incarnation_are_dropped() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    let (never, others) = (["n0", "n2"], ["n2"]);
    for (generation, number, victims) in [
        (u64::MAX, u64::MAX, &never[..]),
        (u64::MAX, 0, &never),
        (1, u64::MAX, &never),
        (1 + (1 << 48) + 60, 0, &others),
        (1, (1 << 47) + 1, &others),
    ] {
        for victim in victims {
            for claim in [
                forge::suspect(name_hash(1), victim, generation, number),
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
fn a_forged_alive_claim_does_not_shut_its_member_out_for_good() {
    // Nodes of different generations: some accept a claim that others drop.
    let generations = [1, 1000, 20, 500];
    // The member is cut off again and again, and would be suppressed.
    let mut options = Options::local();
    options.flap_suppress = 0;
    let config = |n| config_at(n, addr(n), &options).with_generation(generations[n]);
    let configs = (0..4).map(config);
    let mut net = Net::of(configs);
    for n in 1..4 {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    for bases in [generations, generations.map(|generation| generation + (1 << 49))] {
        for base in bases {
            // The highest incarnation that is accepted from the member itself; a receiver cannot
            // tell that another node forged it.
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
fn who_answers_for_a_member_for_a_while_does_not_shut_it_out() {
    let highest = 1 + (1 << 49) + 1024;
    for (generation, number) in
        [(u64::MAX, u64::MAX), (1 << 60, 0), (highest, 1 << 49), (highest + 7, 0)]
    {
        let mut net = trio();
        net.run_for(5 * SECOND);
        for other in [0, 2] {
            net.cut_both(1, other);
        }
        // Somebody else has its address for a while, and answers.
        net.datagrams.clear();
        let (mut seen, end) = (0, net.now + 3 * SECOND);
        while net.step(end) {
            let new =
                net.datagrams[seen..].iter().filter(|(from, to, _)| (*from, *to) == (0, addr(1)));
            let pings = new.filter(|(_, _, messages)| messages[0] == 0);
            let token = |ping: &[u8]| u32::from_le_bytes(ping[1..5].try_into().unwrap());
            let tokens: Vec<_> = pings.map(|(_, _, ping)| token(ping)).collect();
            seen = net.datagrams.len();
            for token in tokens {
                let ack = forge::ack_in(token, generation, number);
                net.inject(0, addr(1), &forge::datagram(&[ack]));
            }
        }
        net.run_until(|net| net.state(0, 1) == Some(State::Failed));
        net.heal();
        let took = net.run_until(|net| all_believe(net, 0..3, 1));
        assert!(took <= 10 * SECOND, "{took:?} after {generation}.{number}");
    }
}

// With keys the forger would need the time, too.
#[cfg(not(feature = "encryption"))]
#[test]
fn a_member_whose_clock_is_ahead_is_not_shut_out_by_the_incarnation_it_had_to_go_above() {
    const AHEAD: u64 = 100;
    let right = 60_000_000;
    let mut net = Net::of([0, 0, AHEAD].into_iter().enumerate().map(|(n, ahead)| {
        let config = config(n, addr(n)).with_generation(right + ahead);
        config.with_wall_clock(right + ahead)
    }));
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(5 * SECOND);
    // As high as n2 believes it, which is beyond what the others take from it.
    let highest = right + AHEAD + 5 + (1 << 49) + 1024;
    net.inject(2, addr(0), &forge::datagram(&[forge::suspect(name_hash(0), "n2", highest, 0)]));
    assert_eq!(net.nodes[2].node.local().incarnation().generation, highest + 1);
    for _ in 0..10 {
        let known = net.member(0, 2).unwrap().incarnation();
        let lie = forge::suspect(name_hash(1), "n2", known.generation, known.number);
        for here in [0, 1] {
            net.inject(here, addr(1 - here), &forge::datagram(std::slice::from_ref(&lie)));
        }
        net.run_for(20 * SECOND);
        assert!((0..2).all(|here| net.state(here, 2) == Some(State::Alive)));
    }
    for here in [0, 1] {
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
    }
}

#[test]
fn a_forged_incarnation_hides_a_member_from_no_newcomer() {
    let leads = [49, 50].into_iter().flat_map(|bits| [0, 1, 1024, 1025].map(|n| (1 << bits) + n));
    for lead in leads.chain([1 << 48, 1]) {
        let mut net = trio();
        // Again and again, each time at the highest incarnation that a claim can have.
        for step in 0..40 {
            for claim in [
                forge::failed("n1", 1 + lead + step, 0),
                forge::alive("n1", "10.0.0.2:7946", 1 + lead + step, 0, b"not so"),
            ] {
                net.inject(1, addr(9), &forge::datagram(&[claim]));
            }
            let own = net.nodes[1].node.local().incarnation();
            net.inject(1, addr(9), &forge::datagram(&[forge::left("n1", own.generation + 1, 0)]));
        }
        for newcomer in [3, 4] {
            net.start(config(newcomer, addr(newcomer)).with_generation(2));
            net.join(newcomer, &[addr(0)]);
            net.run_for(20 * SECOND);
            assert!(
                all_believe(&net, [0, 2, newcomer].into_iter(), 1),
                "{lead} {:?} {:?}",
                net.nodes[1].node.local().incarnation(),
                net.member(newcomer, 1)
            );
            // The member forgets everything; the others do not.
            net.restart(1, config(1, addr(1)).with_generation(3));
            net.join(1, &[addr(0)]);
            net.run_for(20 * SECOND);
        }
    }
}
