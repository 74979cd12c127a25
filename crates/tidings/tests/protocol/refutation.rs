//! Refutation: a suspected or failed member outranks the accusation with a new incarnation.

use super::*;

#[test]
fn a_live_suspect_learns_of_the_suspicion_and_refutes_it() {
    let mut net = pair();
    net.cut(1, 0);
    net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
    net.heal();
    net.run_until(|net| net.state(0, 1) == Some(State::Alive));
    assert_eq!(net.event_kinds(0, 1), ["joined", "suspected", "recovered"]);
    assert_eq!(net.member(0, 1).unwrap().incarnation().number, 1);
    assert_eq!(net.nodes[1].node.stats().refutations, 1);
}

#[test]
fn a_paused_member_that_was_declared_failed_comes_back_when_it_resumes() {
    let mut net = pair();
    net.kill(1);
    net.run_until(|net| net.state(0, 1) == Some(State::Failed));
    net.resume(1);
    // It still lists node 0 as alive, pings it, and learns of its own failure from the ack.
    let took = net.run_until(|net| net.state(0, 1) == Some(State::Alive));
    assert!(took <= 2 * SECOND, "it took {took:?}");
    assert_eq!(net.event_kinds(0, 1), ["joined", "suspected", "failed", "joined"]);
}

#[test]
fn a_suspect_that_answers_in_a_later_incarnation_is_believed_at_once() {
    for prompt in [true, false] {
        let mut net = joined_lan(2, |options| {
            options.prompt_refutation = prompt;
            options.suspicion_mult = 20;
        });
        net.run_for(5 * SECOND);
        net.cut_both(0, 1);
        net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
        // Only the ack of the next ping gets through.
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
fn a_member_accused_at_the_highest_incarnation_refutes_again_and_again() {
    let mut net = trio();
    let highest = Incarnation { generation: 1 + (1 << 48), number: 1 << 47 };
    let accusation = forge::suspect(name_hash(1), "n2", highest.generation, highest.number);
    net.inject(0, addr(1), &forge::datagram(&[accusation]));
    assert_eq!(net.state(0, 2), Some(State::Suspect));
    net.run_until(|net| all_believe(net, 0..3, 2));
    assert!(net.nodes[2].node.local().incarnation() > highest);
    // It can be suspected with reason, and refute that, like any member.
    for _ in 0..3 {
        net.cut_both(0, 2);
        net.cut_both(1, 2);
        net.run_until(|net| net.state(0, 2) == Some(State::Suspect));
        net.heal();
        net.run_until(|net| all_believe(net, 0..3, 2));
    }
    assert!(!net.saw(0, |event| matches!(event, Event::Failed(_))));
    // And it can still fail.
    net.kill(2);
    net.run_until(|net| [0, 1].iter().all(|&here| net.state(here, 2) == Some(State::Failed)));
}

#[test]
fn a_failure_learned_by_sync_is_a_suspicion_that_the_member_refutes() {
    let mut net = trio();
    net.run_for(5 * SECOND);
    let table = [
        forge::member(0, "x", "10.0.0.9:1", 1, b""),
        forge::member(2, "n1", "10.0.0.2:7946", 1, b""),
    ];
    let from = "10.0.0.9:50000".parse().unwrap();
    net.inject_stream(0, from, &forge::frame(0, &forge::sync_hello(&table)));
    assert_eq!(net.state(0, 1), Some(State::Suspect));
    let took = net.run_until(|net| all_believe(net, 0..3, 1));
    assert!(took <= SECOND, "it took {took:?}");
    assert_eq!(net.event_kinds(0, 1), ["joined", "suspected", "recovered"]);
}
