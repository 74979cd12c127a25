//! Joins: seeds, deadlines, refusals, admission, and clusters that must not merge.

use super::*;

#[test]
fn a_joining_node_and_its_seed_know_each_other() {
    let mut net = Net::new(2);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 2 })));
    assert_eq!(net.event_kinds(1, 0), ["joined"]);
    assert_eq!(net.event_kinds(0, 1), ["joined"]);
    assert_eq!(net.member(0, 1).unwrap().addr(), addr(1));
}

#[test]
fn a_join_takes_two_round_trips() {
    let mut net = Net::new(2);
    let ticket = net.join(1, &[addr(0)]);
    let took = net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(took, 4 * LATENCY, "connect, and ask");
}

#[test]
fn a_join_to_a_dead_address_fails_and_says_which() {
    let mut net = Net::new(2);
    net.kill(1);
    let ticket = net.join(0, &[addr(1)]);
    net.run_until(|net| net.result(0, ticket).is_some());
    let error = ExchangeError::ConnectionRefused;
    let failure = Failure::NoSeed(vec![SeedFailure { seed: addr(1), error }]);
    assert_eq!(
        failure.to_string(),
        "no seed answered: 10.0.0.2:7946: nobody listens there \
         (is the node running, and the port right?)"
    );
    assert_eq!(net.result(0, ticket), Some(Err(failure)));
}

#[test]
fn a_join_to_an_address_that_is_silent_fails_at_its_deadline() {
    let mut net = Net::new(1);
    let ticket = net.join(0, &[addr(7)]);
    let took = net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(took, config(0, addr(0)).options().stream_timeout);
    let error = ExchangeError::TimedOut;
    let failure = Failure::NoSeed(vec![SeedFailure { seed: addr(7), error }]);
    assert_eq!(net.result(0, ticket), Some(Err(failure)));
}

#[test]
fn a_join_to_several_succeeds_if_one_does() {
    let mut net = Net::new(3);
    net.kill(1);
    let ticket = net.join(0, &[addr(7), addr(1), addr(2)]);
    net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Joined { seed: addr(2), members: 2 })));
}

#[test]
fn a_join_to_nobody_but_oneself_is_the_start_of_a_cluster() {
    let mut net = Net::new(1);
    let ticket = net.join(0, &[addr(0)]);
    assert_eq!(net.result(0, ticket), Some(Ok(Done::First)));
}

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
    let mut net = Net::of((0..2).map(|n| config_at(n, addr(n), &options).with_generation(1)));
    // Like a name with many addresses, of which the last one answers.
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
fn five_hundred_that_join_one_seed_at_once_are_all_let_in() {
    let options = Options::lan();
    let mut net =
        Net::of((0..501).map(|n| config_at(n, wide_addr(n), &options).with_generation(1)));
    let seed = wide_addr(0);
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
fn clusters_of_different_names_do_not_talk_to_each_other() {
    let other = Config::local(ClusterName::new("other").unwrap(), id(1), addr(1));
    let other = forge::with_keys(other);
    let mut net = Net::of([config(0, addr(0)), other]);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    // A node that encrypts sends no error to a peer that it cannot authenticate.
    let reset = ExchangeError::ConnectionReset;
    let refused = ExchangeError::Refused(Refusal::ForeignCluster);
    let error = if forge::ENCRYPTED { reset } else { refused };
    let failure = Failure::NoSeed(vec![SeedFailure { seed: addr(0), error }]);
    assert_eq!(net.result(1, ticket), Some(Err(failure)));
    assert_eq!(net.nodes[0].node.present_count(), 1);
    assert!(net.nodes[0].node.stats().rejected_streams.foreign_cluster >= 1);
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

/// Admits members whose metadata is "word".
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
    // It still runs, and may join others.
    let other = net.start(plain(3).to_builder().meta("word".into()).build().unwrap());
    let ticket = net.join(2, &[net.nodes[other].addr]);
    net.run_until(|net| net.result(2, ticket).is_some());
    assert!(net.result(2, ticket).unwrap().is_ok());
    assert_eq!(net.state(other, 2), Some(State::Alive));
}

#[test]
fn a_joiner_with_too_much_metadata_is_refused_with_the_reason() {
    let mut options = Options::local();
    options.max_meta = 600;
    let verbose = common::config_with(1, &options);
    let verbose = verbose.to_builder().meta(Meta::new(&[0; 600])).build().unwrap();
    let mut net = Net::of([config(0, addr(0)), verbose]);
    let join = net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    let failure = net.result(1, join).unwrap().unwrap_err().to_string();
    assert!(
        failure.ends_with("it does not accept this address, or metadata over its max_meta"),
        "{failure}"
    );
}

#[test]
fn a_full_node_refuses_newcomers_with_the_reason_and_syncs_with_its_members() {
    let mut options = Options::local();
    options.max_members = 2;
    let mut net = Net::with_options(3, &options);
    let first = net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    let second = net.join(2, &[addr(0)]);
    net.run_for(SECOND);
    assert!(matches!(net.result(1, first), Some(Ok(_))));
    let failure = net.result(2, second).unwrap().unwrap_err();
    let said = "no seed answered: 10.0.0.1:7946: it refused: \
                it holds as many members as its max_members allows";
    assert_eq!(failure.to_string(), said);
    let syncs = net.nodes[0].node.stats().syncs;
    net.run_until(|net| net.nodes[0].node.stats().syncs > syncs);
}
