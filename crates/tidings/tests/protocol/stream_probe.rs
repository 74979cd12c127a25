//! Probes over streams, for members that datagrams do not reach.

use super::*;

#[test]
fn a_member_that_only_streams_reach_is_alive_and_known_to_be_degraded() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    net.cut_datagrams(0, 2);
    net.cut_datagrams(1, 2);
    net.run_for(60 * SECOND);
    for (here, other) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        assert_eq!(net.event_kinds(here, other), ["joined"]);
        assert!(net.member(here, other).unwrap().is_degraded());
        let degraded = |event: &Event| matches!(event, Event::Degraded(m) if *m.id() == id(other));
        assert!(net.saw(here, degraded));
    }
    assert!(!net.member(0, 1).unwrap().is_degraded());
    assert!(net.nodes[0].node.stats().probes_by_stream > 10);
    // Updates from it get through, if later.
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

#[test]
fn a_member_that_only_datagrams_reach_is_told_and_told_again_once_streams_open() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    net.cut_streams(0, 2);
    let is_blocked = |event: &Event| matches!(event, Event::StreamsBlocked(m) if *m.id() == id(2));
    net.run_until(|net| net.saw(0, is_blocked));
    assert!(net.nodes[0].node.are_streams_blocked(&id(2)));
    assert!(!net.nodes[0].node.are_streams_blocked(&id(1)));
    net.run_for(120 * SECOND);
    assert_eq!(net.nodes[0].events.iter().filter(|(_, event)| is_blocked(event)).count(), 1);
    for (here, other) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        let blocked =
            |event: &Event| matches!(event, Event::StreamsBlocked(m) if *m.id() == id(other));
        assert!(!net.saw(here, blocked));
    }
    assert!((0..3).all(|here| net.nodes[here].node.present_count() == 3));
    assert!(!net.saw(0, |event| matches!(event, Event::Suspected(_))));
    net.heal();
    let opens = |event: &Event| matches!(event, Event::StreamsRestored(m) if *m.id() == id(2));
    net.run_until(|net| net.saw(0, opens));
    assert!(!net.nodes[0].node.are_streams_blocked(&id(2)));
}

#[test]
fn a_member_that_is_restarted_or_dies_has_no_blocked_streams() {
    let mut net = trio();
    for generation in 2..8 {
        net.kill(2);
        net.command(0, |node, now| node.send_reliable(now, &id(2), "lost".into())).unwrap();
        net.run_for(SECOND);
        net.restart(2, config(2, addr(2)).with_generation(generation));
        net.join(2, &[addr(1)]);
        net.run_for(20 * SECOND);
    }
    net.kill(2);
    net.run_for(60 * SECOND);
    assert!(!net.saw(0, |event| matches!(event, Event::StreamsBlocked(_))));
}
