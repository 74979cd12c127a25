//! Lifeguard: a node allows for the possibility that it is itself the slow or isolated one.

use super::*;

#[test]
fn a_node_that_receives_nothing_doubts_itself_and_is_slow_to_accuse() {
    let mut net = joined_lan(8, |_| {});
    for other in 0..7 {
        net.cut(other, 7);
    }
    let before = net.nodes[7].node.stats().probes;
    net.run_for(20 * SECOND);
    let node = &net.nodes[7].node;
    assert_eq!(node.health(), 7, "neither acks nor nacks arrive");
    assert!(node.stats().probes - before <= 8, "it probes less often");
    let failed = |event: &Event| matches!(event, Event::Failed(_));
    assert!(!net.saw(7, failed), "without confirmations it waits six times as long");
    for here in 0..7 {
        for other in 0..7 {
            assert_eq!(
                net.state(here, other),
                Some(State::Alive),
                "and its accusations bring no member down"
            );
        }
    }
}

#[test]
fn without_local_health_it_goes_on_as_if_it_were_well() {
    let mut net = joined_lan(8, |options| options.awareness_max = 1);
    for other in 0..7 {
        net.cut(other, 7);
    }
    let before = net.nodes[7].node.stats().probes;
    net.run_for(20 * SECOND);
    assert_eq!(net.nodes[7].node.health(), 0);
    assert_eq!(net.nodes[7].node.stats().probes - before, 20);
}

#[test]
fn nacks_show_that_the_fault_is_not_ours() {
    for (nacks, health) in [(true, 0), (false, 1)] {
        let mut net = joined_lan(5, |options| options.nacks = nacks);
        net.kill(4);
        net.run_until(|net| net.nodes[0].node.stats().probes_failed == 1);
        assert_eq!(net.nodes[0].node.health(), health, "with nacks: {nacks}");
    }
}

#[test]
fn many_failures_at_once_do_not_make_the_living_doubt_themselves() {
    let mut net = joined_lan(8, |_| {});
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
    // A dead member may be chosen as a relay until it is suspected.
    assert!(worst <= 2, "health {worst}");
}

#[test]
fn a_node_whose_own_probes_are_not_answered_declares_nobody_failed() {
    for evidence in [true, false] {
        let mut net = joined_lan(8, |options| options.require_recent_ack = evidence);
        net.run_for(10 * SECOND);
        for other in 0..7 {
            net.cut(other, 7);
        }
        // The first suspicions have timed out, and not all others are suspected yet.
        net.run_for(35 * SECOND);
        let node = &net.nodes[7].node;
        let suspects = node.all_members().filter(|member| member.state() == State::Suspect).count();
        assert!((1..7).contains(&suspects));
        let failed = |event: &Event| matches!(event, Event::Failed(_));
        assert_eq!(net.saw(7, failed), !evidence);
        assert_eq!(node.stats().verdicts_deferred > 0, evidence);
        // It receives again: the members that it suspects have time to refute.
        net.heal();
        net.run_until(|net| (0..8).all(|here| net.nodes[here].node.present_count() == 8));
        assert_eq!(net.saw(7, failed), !evidence);
    }
}

#[test]
fn with_nobody_left_to_answer_a_verdict_comes_all_the_same() {
    let mut net = joined_lan(4, |_| {});
    net.run_for(10 * SECOND);
    for n in 1..4 {
        net.kill(n);
    }
    let took = net.run_until(|net| (1..4).all(|n| net.state(0, n) == Some(State::Failed)));
    assert!(took >= 24 * SECOND, "after the longest time: {took:?}");
}

#[test]
fn a_node_that_is_cut_off_again_and_again_declares_nobody_failed() {
    let mut net = joined_lan(12, |_| {});
    for _ in 0..20 {
        (1..12).for_each(|other| net.cut_both(0, other));
        net.run_for(SECOND * 9);
        net.heal();
        net.run_for(SECOND * 3 / 2);
    }
    assert!(net.nodes[0].node.health() > 2, "it doubts its own health");
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
}
