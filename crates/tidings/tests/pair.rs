//! Two nodes: one test for each mechanism that needs no third.

mod common;

use common::{LATENCY, Net, addr, config, id, joined, pair};
use std::time::Duration;
use tidings::{
    ClusterName, Config, Done, Event, ExchangeError, Failure, Member, Meta, Phase, Refusal,
    SeedFailure, State,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn whoever_joins_knows_and_is_known() {
    let mut net = Net::new(2);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 2 })));
    assert_eq!(net.story(1, 0), ["joined"]);
    assert_eq!(net.story(0, 1), ["joined"]);
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
        "no seed answered: 10.0.0.2:7946: nobody listens there (is the node running, and the port right?)"
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
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 1 })));
}

#[test]
fn a_member_that_dies_is_suspected_then_failed_within_the_bound() {
    let mut net = pair();
    net.kill(1);
    let took = net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    assert_eq!(net.story(0, 1), ["joined", "suspected", "failed"]);
    // PROTOCOL.md: 2n - 1 probe rounds until it is probed, one that it does not answer, and
    // suspicion_mult rounds in which it does not contradict.
    assert!(took <= 3 * SECOND + SECOND + 3 * SECOND, "it took {took:?}");
    assert!(took >= 3 * SECOND, "it took {took:?}");
}

#[test]
fn a_suspect_that_lives_is_told_and_contradicts() {
    let mut net = pair();
    net.cut(1, 0);
    net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
    net.heal();
    net.run_until(|net| net.state(0, 1) == Some(State::Alive));
    assert_eq!(net.story(0, 1), ["joined", "suspected", "recovered"]);
    assert_eq!(net.member(0, 1).unwrap().incarnation().number, 1);
    assert_eq!(net.nodes[1].node.stats().refutations, 1);
}

#[test]
fn a_member_that_was_stopped_and_held_to_have_failed_comes_back_when_it_goes_on() {
    let mut net = pair();
    net.kill(1);
    net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    net.resume(1);
    // It still holds us to be there, pings us, and learns from the answer what we think of it.
    let took = net.run_until(|net| net.state(0, 1) == Some(State::Alive));
    assert!(took <= 2 * SECOND, "it took {took:?}");
    assert_eq!(net.story(0, 1), ["joined", "suspected", "failed", "joined"]);
}

#[test]
fn a_leave_is_seen_as_left_and_completes_when_it_is_confirmed() {
    let mut net = pair();
    let ticket = net.leave(1);
    assert_eq!(net.nodes[1].node.phase(), Phase::Leaving);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Left { confirmed: 1 })));
    assert_eq!(net.nodes[1].node.phase(), Phase::Left);
    net.kill(1);
    net.run_for(30 * SECOND);
    assert_eq!(net.story(0, 1), ["joined", "left"]);
}

#[test]
fn a_leave_that_nobody_confirms_ends_at_its_deadline_and_says_so() {
    let mut net = pair();
    net.cut_both(0, 1);
    let ticket = net.leave(1);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Err(Failure::Unconfirmed)));
    assert_eq!(net.nodes[1].node.phase(), Phase::Left);
}

#[test]
fn a_leave_beats_a_suspicion_and_even_a_failure() {
    let mut net = pair();
    net.cut(1, 0);
    net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
    net.heal();
    net.leave(1);
    net.run_for(30 * SECOND);
    assert_eq!(net.state(0, 1), Some(State::Left));
    assert_eq!(net.story(0, 1), ["joined", "suspected", "left"]);
}

#[test]
fn a_leave_before_the_join_is_answered_reaches_the_seed_that_took_us_in() {
    let mut net = Net::new(2);
    let join = net.join(1, &[addr(0)]);
    net.run_until(|net| net.state(0, 1) == Some(State::Alive));
    assert_eq!(net.result(1, join), None, "the answer is under way");
    let leave = net.leave(1);
    assert_eq!(net.result(1, join), Some(Err(Failure::Left)));
    net.run_until(|net| net.result(1, leave).is_some());
    assert_eq!(net.result(1, leave), Some(Ok(Done::Left { confirmed: 1 })));
    net.kill(1);
    net.run_for(30 * SECOND);
    assert_eq!(net.story(0, 1), ["joined", "left"]);
}

#[test]
fn whoever_left_can_join_again() {
    let mut net = pair();
    net.leave(1);
    net.run_for(2 * SECOND);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.nodes[1].node.phase(), Phase::Running);
    assert_eq!(net.story(0, 1), ["joined", "left", "joined"]);
}

#[test]
fn whoever_joins_again_has_forgotten_all_who_may_be_gone_since() {
    let mut options = tidings::Options::local();
    options.tombstone_timeout = 60 * SECOND;
    let mut net = Net::with_options(3, &options);
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(SECOND);
    net.leave(2);
    net.run_for(SECOND);
    net.leave(1);
    net.run_for(SECOND);
    net.kill(1);
    net.run_for(200 * SECOND);
    net.join(2, &[addr(0)]);
    net.run_for(60 * SECOND);
    assert_eq!(net.story(0, 1), ["joined", "left"], "it is not brought back");
    assert_eq!(net.state(2, 0), Some(State::Alive));
}

#[test]
fn a_leave_does_not_wait_for_seeds_that_do_not_answer() {
    let mut net = pair();
    net.join(1, &[addr(70), addr(71), addr(72)]);
    let leave = net.leave(1);
    let took = net.run_until(|net| net.result(1, leave).is_some());
    assert_eq!(net.result(1, leave), Some(Ok(Done::Left { confirmed: 1 })));
    assert!(took < SECOND, "it took {took:?}");
    // Nobody is there to tell, and a seed that does not answer is nobody.
    let mut net = Net::new(1);
    net.join(0, &[addr(70)]);
    let leave = net.leave(0);
    net.run_until(|net| net.result(0, leave).is_some());
    assert_eq!(net.result(0, leave), Some(Ok(Done::Left { confirmed: 0 })));
}

#[test]
fn news_from_before_a_join_is_told_and_then_done_with() {
    let mut net = Net::new(2);
    net.set_meta(1, "early");
    net.join(1, &[addr(0)]);
    net.run_for(10 * SECOND);
    assert_eq!(net.member(0, 1).unwrap().meta(), &Meta::from("early"));
    let before = net.datagrams.len();
    net.run_for(10 * SECOND);
    let bare = net.datagrams[before..].iter().all(|(_, _, data)| data.len() <= 16);
    assert!(bare, "nothing rides on pings and acks any more");
}

#[test]
fn new_metadata_reaches_the_others() {
    let mut net = pair();
    net.set_meta(1, "role=db");
    let took = net.run_until(|net| net.member(0, 1).unwrap().meta() == &Meta::from("role=db"));
    assert_eq!(took, LATENCY, "news does not wait for a tick");
    assert_eq!(net.story(0, 1), ["joined", "updated"]);
}

#[test]
fn members_are_those_present_and_all_members_those_known() {
    let mut net = pair();
    let ids = |members: Vec<&Member>| -> Vec<_> {
        members.into_iter().map(|member| member.id().clone()).collect()
    };
    let both = |net: &Net, here: usize| {
        let node = &net.nodes[here].node;
        (ids(node.members().collect()), ids(node.all_members().collect()))
    };
    assert_eq!(both(&net, 0), ([id(0), id(1)].into(), [id(0), id(1)].into()));
    net.leave(1);
    net.run_for(Duration::from_secs(5));
    assert_eq!(both(&net, 0), ([id(0)].into(), [id(0), id(1)].into()));
    assert_eq!(both(&net, 1), ([id(0)].into(), [id(1), id(0)].into()), "it has left itself");
}

#[test]
fn metadata_over_the_limit_is_refused_with_the_limit() {
    let mut net = pair();
    let error = net.nodes[0].node.set_meta(net.now, Meta::new(&[0; 513])).unwrap_err();
    assert_eq!(error.to_string(), "metadata has 513 bytes; max_meta allows 512");
    assert!(net.nodes[0].node.local().meta().is_empty());
}

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
    assert_eq!(net.member(0, 1).unwrap().addr(), addr(5));
    net.run_for(20 * SECOND);
    assert_eq!(net.story(0, 1), ["joined", "updated"], "and never suspected");
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
fn a_member_that_left_can_be_restarted() {
    let mut net = pair();
    net.leave(1);
    net.run_for(SECOND);
    net.restart(1, config(1, addr(1)).with_generation(2));
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    assert_eq!(net.story(0, 1), ["joined", "left", "joined"]);
}

#[test]
fn clusters_of_different_names_do_not_hear_each_other() {
    let other = Config::local(ClusterName::new("other").unwrap(), id(1), addr(1));
    let other = common::forge::with_keys(other);
    let mut net = Net::of([config(0, addr(0)), other]);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    // Whoever encrypts says nothing to whom it cannot authenticate.
    let reset = ExchangeError::ConnectionReset;
    let refused = ExchangeError::Refused(Refusal::ForeignCluster);
    let error = if common::forge::SEALED { reset } else { refused };
    let failure = Failure::NoSeed(vec![SeedFailure { seed: addr(0), error }]);
    assert_eq!(net.result(1, ticket), Some(Err(failure)));
    assert_eq!(net.nodes[0].node.present_count(), 1);
    assert!(net.nodes[0].node.stats().rejected_streams.foreign_cluster >= 1);
}

#[test]
fn a_member_that_is_forgotten_was_remembered_for_the_whole_time() {
    let mut options = tidings::Options::local();
    options.tombstone_timeout = 20 * SECOND;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.kill(1);
    net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    let took = net.run_until(|net| net.member(0, 1).is_none());
    assert_eq!(took, 20 * SECOND);
}

#[test]
fn the_same_seed_and_inputs_give_the_same_history() {
    let history = || {
        let mut net = joined(5);
        net.cut_both(1, 2);
        net.set_meta(3, "x");
        net.run_for(5 * SECOND);
        net.kill(4);
        net.run_for(20 * SECOND);
        let events: Vec<_> = net.nodes.iter().map(|host| format!("{:?}", host.events)).collect();
        (net.datagrams, events)
    };
    assert!(history() == history());
}
