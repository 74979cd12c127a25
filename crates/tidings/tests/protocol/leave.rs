//! Graceful leaves: confirmation, deadlines, precedence, and rejoining.

use super::*;

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
    assert_eq!(net.event_kinds(0, 1), ["joined", "left"]);
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
fn any_number_of_leaves_end_with_the_one_that_began_first() {
    for confirmed in [true, false] {
        let mut net = pair();
        if !confirmed {
            net.cut_both(0, 1);
        }
        let tickets: Vec<_> = (0..100).map(|_| net.leave(1)).collect();
        net.run_until(|net| net.result(1, tickets[0]).is_some());
        let result =
            if confirmed { Ok(Done::Left { confirmed: 1 }) } else { Err(Failure::Unconfirmed) };
        for ticket in tickets {
            assert_eq!(net.result(1, ticket), Some(result.clone()));
        }
    }
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
    assert_eq!(net.event_kinds(0, 1), ["joined", "suspected", "left"]);
}

#[test]
fn a_member_that_failed_is_declared_to_have_left_for_all() {
    let mut net = joined(4);
    net.kill(3);
    net.run_until(|net| (0..3).all(|here| net.state(here, 3) == Some(State::Failed)));
    assert_eq!(net.command(0, |node, now| node.force_leave(now, &id(3))), Ok(()));
    net.run_for(2 * SECOND);
    for here in 0..3 {
        assert_eq!(net.state(here, 3), Some(State::Left), "node {here}");
        assert_eq!(net.event_kinds(here, 3).last(), Some(&"left"), "node {here}");
    }
    assert_eq!(net.command(0, |node, now| node.force_leave(now, &id(3))), Ok(()), "as before");
}

#[test]
fn a_member_that_lives_all_the_same_refutes_that_it_has_left() {
    let mut net = joined(3);
    for other in 0..2 {
        net.cut_both(other, 2);
    }
    net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Failed)));
    net.command(0, |node, now| node.force_leave(now, &id(2))).unwrap();
    net.run_until(|net| net.state(1, 2) == Some(State::Left));
    net.heal();
    // The other one of the two goes on to look for it.
    net.run_until(|net| (0..2).all(|here| net.state(here, 2) == Some(State::Alive)));
}

#[test]
fn only_a_member_that_failed_is_declared_to_have_left() {
    let mut net = pair();
    let mut force = |other| net.command(0, |node, now| node.force_leave(now, &other));
    for present in [id(0), id(1)] {
        assert_eq!(force(present), Err(ForceLeaveError::Present(State::Alive)));
    }
    assert_eq!(force(id(7)), Err(ForceLeaveError::Unknown));
    net.leave(0);
    let left = net.command(0, |node, now| node.force_leave(now, &id(1)));
    assert_eq!(left, Err(ForceLeaveError::Left));
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
    assert_eq!(net.event_kinds(0, 1), ["joined", "left"]);
}

#[test]
fn a_leave_does_not_wait_for_seeds_that_do_not_answer() {
    let mut net = pair();
    net.join(1, &[addr(70), addr(71), addr(72)]);
    let leave = net.leave(1);
    let took = net.run_until(|net| net.result(1, leave).is_some());
    assert_eq!(net.result(1, leave), Some(Ok(Done::Left { confirmed: 1 })));
    assert!(took < SECOND, "it took {took:?}");
    // A node alone has no member to confirm its leave; a silent seed does not count.
    let mut net = Net::new(1);
    net.join(0, &[addr(70)]);
    let leave = net.leave(0);
    net.run_until(|net| net.result(0, leave).is_some());
    assert_eq!(net.result(0, leave), Some(Ok(Done::Left { confirmed: 0 })));
}

#[test]
fn a_leave_reaches_all_members() {
    let mut net = joined(8);
    let ticket = net.leave(7);
    net.run_until(|net| net.result(7, ticket).is_some());
    net.kill(7);
    let took = net.run_until(|net| (0..7).all(|here| net.state(here, 7) == Some(State::Left)));
    assert!(took < SECOND, "it took {took:?}");
    net.run_for(30 * SECOND);
    for here in 0..7 {
        assert_eq!(net.event_kinds(here, 7), ["joined", "left"]);
    }
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
    // Without keys, who is only told of gets no gossip: until their probes all are validated.
    net.run_for(200 * SECOND);
    net.cut_both(199, 0);
    let ticket = net.leave(199);
    let took = net.run_until(|net| net.result(199, ticket).is_some());
    assert_eq!(took, 4 * LATENCY, "connect, and leave");
    assert!(matches!(net.result(199, ticket), Some(Ok(Done::Left { confirmed: 2.. }))));
    net.kill(199);
    net.run_until(|net| (0..199).all(|here| net.state(here, 199) == Some(State::Left)));
    let failed = |event: &Event| matches!(event, Event::Failed(_) | Event::Suspected(_));
    assert!((0..199).all(|here| !net.saw(here, failed)));
}

#[test]
fn a_node_that_left_corrects_members_that_missed_it() {
    let mut net = trio();
    for other in [0, 1] {
        net.cut_both(2, other);
    }
    net.leave(2);
    net.run_for(Duration::from_millis(300));
    net.heal();
    net.run_until(|net| [0, 1].iter().all(|&here| net.state(here, 2) == Some(State::Left)));
    for here in [0, 1] {
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
    }
}

#[test]
fn a_node_that_left_can_join_again() {
    let mut net = pair();
    net.leave(1);
    net.run_for(2 * SECOND);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.nodes[1].node.phase(), Phase::Running);
    assert_eq!(net.event_kinds(0, 1), ["joined", "left", "joined"]);
}

#[test]
fn a_member_that_left_can_be_restarted() {
    let mut net = pair();
    net.leave(1);
    net.run_for(SECOND);
    net.restart(1, config(1, addr(1)).with_generation(2));
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    assert_eq!(net.event_kinds(0, 1), ["joined", "left", "joined"]);
}
