//! Indirect probes: relays ping a member that did not ack, and send nacks if it does not answer.

use super::*;

#[test]
fn a_member_that_cannot_be_reached_directly_is_saved_by_a_relay() {
    let mut net = trio();
    net.cut_both(0, 1);
    net.run_for(60 * SECOND);
    assert_eq!(net.event_kinds(0, 1), ["joined"]);
    assert_eq!(net.event_kinds(1, 0), ["joined"]);
    assert!(net.nodes[0].node.stats().probes_indirect > 10);
    assert_eq!(net.nodes[0].node.stats().probes_failed, 0);
}

#[test]
fn a_relay_at_its_limit_sends_a_nack_at_once() {
    let mut net = joined_lan(3, |options| options.max_relays = 0);
    net.kill(2);
    net.run_until(|net| net.nodes[0].node.stats().probes_failed == 1);
    assert_eq!(net.nodes[0].node.health(), 0);
    assert!(net.nodes[1].node.stats().indirect_pings_refused > 0);
}

#[test]
fn an_ack_that_comes_after_the_nack_still_counts() {
    let mut net = joined_lan(3, |_| {});
    net.run_for(5 * SECOND);
    // Node 2 is paused during its ping and most of the time that the relays wait.
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
    // It answers the relay's next ping; no node declares a failure.
    net.run_for(60 * SECOND);
    for here in 0..2 {
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
        assert_eq!(net.state(here, 2), Some(State::Alive));
    }
}

#[test]
fn relays_are_capped_and_expire() {
    let mut options = Options::local();
    options.max_relays = 4;
    let mut net = Net::with_options(3, &options);
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.run_for(SECOND);
    net.cut(0, 1);
    // The number of pings that a request leads to; a refused request leads to a nack.
    let ask = |net: &mut Net, token| {
        let before = net.datagrams.len();
        let sender = forge::sender_tag(b"n2", 1);
        let request = forge::ping_request_of(sender, token, u32::MAX.into(), "n1");
        net.inject(0, addr(2), &forge::datagram(&[request]));
        net.datagrams[before..].iter().filter(|(_, to, _)| *to == addr(1)).count()
    };
    assert_eq!((0..10).map(|token| ask(&mut net, token)).sum::<usize>(), 4);
    net.run_for(options.probe_interval * options.awareness_max);
    assert_eq!(ask(&mut net, 99), 1, "after the longest probe interval there is room again");
}
