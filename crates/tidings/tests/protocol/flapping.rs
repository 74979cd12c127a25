//! Flap damping, and probes that are repeated before a suspicion.

use super::*;

/// Cuts a member off, both ways, for some time, and lets it come back for some more.
fn flap(net: &mut Net, member: usize, cut: Duration, back: Duration) {
    let others = (0..net.nodes.len()).filter(|&other| other != member).collect::<Vec<_>>();
    for other in others {
        net.cut_both(member, other);
    }
    net.run_for(cut);
    net.heal();
    net.run_for(back);
}

fn damping() -> Options {
    let mut options = Options::lan();
    (options.repeat_probes, options.flap_suppress) = (true, 1500);
    options
}

fn count(net: &Net, here: usize, kind: fn(&Event) -> Option<&Member>, about: usize) -> usize {
    let is_it = |(_, event): &&(Instant, Event)| {
        kind(event).is_some_and(|member| *member.id() == id(about))
    };
    net.nodes[here].events.iter().filter(is_it).count()
}

fn failed(event: &Event) -> Option<&Member> {
    if let Event::Failed(member) = event { Some(member) } else { None }
}

fn joined_again(event: &Event) -> Option<&Member> {
    if let Event::Joined(member) = event { Some(member) } else { None }
}

fn flapping(options: &Options) -> Net {
    let mut net = joined_with(8, options);
    net.run_for(30 * SECOND);
    for _ in 0..4 {
        flap(&mut net, 7, 20 * SECOND, 10 * SECOND);
    }
    net
}

#[test]
fn a_member_that_keeps_failing_is_present_again_only_once_it_has_been_steady() {
    let mut net = flapping(&damping());
    for here in 0..7 {
        assert_eq!(count(&net, here, failed, 7), 2, "n{here} sees two of the four failures");
        assert_eq!(count(&net, here, joined_again, 7), 2, "as it joined, and after the first");
        assert_eq!(net.nodes[here].node.present_count(), 7);
        assert!(net.nodes[here].node.members().all(|member| *member.id() != id(7)));
        let member = net.nodes[here].node.member(&id(7)).unwrap();
        assert!(member.is_suppressed() && !member.is_present());
        assert!(net.nodes[here].node.penalty(&id(7)) > 1500);
        assert_eq!(net.nodes[here].node.stats().members_suppressed, 1);
    }
    let back = net.run_until(|net| (0..7).all(|here| net.nodes[here].node.present_count() == 8));
    assert!(back > 60 * SECOND && back < 300 * SECOND, "{back:?} of calm make it present again");
    assert!((0..7).all(|here| count(&net, here, joined_again, 7) == 3));
}

#[test]
fn without_damping_each_failure_and_return_is_an_event() {
    let mut options = damping();
    options.flap_suppress = 0;
    let net = flapping(&options);
    assert!((0..7).all(|here| count(&net, here, failed, 7) == 4));
}

#[test]
fn a_member_that_is_restarted_again_and_again_is_not_suppressed() {
    let mut net = joined_with(8, &damping());
    net.run_for(30 * SECOND);
    for generation in 2..6 {
        net.kill(7);
        net.run_until(|net| (0..7).all(|here| net.nodes[here].node.present_count() == 7));
        let config = config_at(7, addr(7), &damping()).with_generation(generation);
        net.restart(7, config);
        net.join(7, &[addr(0)]);
        net.run_until(|net| (0..7).all(|here| net.nodes[here].node.present_count() == 8));
    }
    assert!((0..7).all(|here| net.nodes[here].node.stats().members_suppressed == 0));
}

#[test]
fn a_node_that_others_keep_suspecting_is_told_so() {
    let mut net = joined_with(8, &damping());
    net.run_for(30 * SECOND);
    for _ in 0..8 {
        // It hears the others, and they do not hear it.
        for other in 0..7 {
            net.cut(7, other);
        }
        net.run_until(|net| net.state(0, 7) == Some(State::Suspect));
        net.heal();
        net.run_until(|net| net.state(0, 7) == Some(State::Alive));
    }
    let unreachable = Event::Unreachable { addr: addr(7) };
    let told = net.nodes[7].events.iter().filter(|(_, event)| *event == unreachable);
    assert_eq!(told.count(), 1);
    assert!((0..7).all(|here| !net.saw(here, |event| matches!(event, Event::Unreachable { .. }))));
}
