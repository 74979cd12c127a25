//! Address validation: without keys, what others only told of does not count as what has answered.

use super::*;

const VICTIM: &str = "192.0.2.77:7946";

fn victim() -> SocketAddr {
    VICTIM.parse().unwrap()
}

fn to_victim(net: &Net) -> Vec<&Vec<u8>> {
    net.datagrams.iter().filter(|(_, to, _)| *to == victim()).map(|(_, _, data)| data).collect()
}

/// Length of a datagram on the wire, in bytes, with this content.
fn wire_len(content: &[u8]) -> usize {
    content.len() + 9
}

#[test]
fn a_strangers_claim_counts_once_the_address_in_it_has_answered() {
    let mut net = joined(3);
    // Node 3 runs, and nobody knows it.
    let newcomer = net.start(config(3, addr(3)));
    let own = net.nodes[newcomer].node.local().incarnation();
    let alive = forge::alive("n3", &addr(3).to_string(), own.generation, own.number, b"role=db");
    let absent = forge::alive("x", VICTIM, 1, 0, b"role=db");
    net.inject(0, stranger(), &forge::datagram(&[alive]));
    net.inject(0, stranger(), &forge::datagram(&[absent]));
    assert_eq!(net.nodes[0].node.present_count(), 3, "neither has answered");
    net.run_until(|net| (0..3).all(|here| net.state(here, 3) == Some(State::Alive)));
    assert!(net.nodes[0].node.is_validated(&id(3)));
    net.run_for(60 * SECOND);
    assert_eq!(net.nodes[0].node.member(&"x".parse().unwrap()).map(Member::state), None);
    assert_eq!(to_victim(&net).len(), 1, "it was asked once");
    assert_eq!(net.nodes[0].node.stats().claims_by_strangers, 2);
}

#[test]
fn a_stranger_that_claims_much_in_a_datagram_makes_a_node_ask_one_address() {
    let mut net = joined(3);
    let absent =
        |n: usize| forge::alive(&format!("x{n}"), &format!("192.0.2.77:{}", n + 1), 1, 0, b"");
    let before = net.datagrams.len();
    let datagram = forge::datagram(&(0..60).map(absent).collect::<Vec<_>>());
    net.inject(0, stranger(), &datagram);
    let sent = &net.datagrams[before..];
    assert_eq!(sent.len(), 1);
    assert!(wire_len(&sent[0].2) <= 28);
    // Nor does it say anything about members.
    let lie = [forge::failed("n1", 1, 9), forge::suspect(1, "n2", 1, 9)];
    net.inject(0, stranger(), &forge::datagram(&lie));
    assert_eq!([1, 2].map(|n| net.state(0, n)), [Some(State::Alive); 2]);
}

#[test]
fn an_address_that_a_member_claims_gets_a_few_pings_and_nothing_else() {
    let mut net = joined_lan(20, |_| {});
    net.run_for(30 * SECOND);
    let lie = forge::datagram(&[forge::alive("x", VICTIM, 1, 0, b"")]);
    net.inject(0, addr(1), &lie);
    // News that all others get.
    net.set_meta(5, "new");
    net.run_for(300 * SECOND);
    let gone = |here: usize| net.nodes[here].node.member(&"x".parse().unwrap()).unwrap().state();
    assert!((0..20).all(|here| gone(here) == State::Failed));
    let sent = to_victim(&net);
    assert!(sent.iter().all(|data| data[0] == 0), "pings");
    assert!(sent.len() <= 60, "each asks once, and probes it until it fails: {}", sent.len());
    let partition = |event: &Event| matches!(event, Event::PartitionSuspected { .. });
    assert!((0..20).all(|here| !net.saw(here, partition)));
}

#[test]
fn invented_members_hardly_delay_the_detection_of_a_crash_and_age_out() {
    let time = |invented: usize| {
        let mut net = joined_lan(10, |_| {});
        net.run_for(30 * SECOND);
        for n in 0..invented {
            let alive =
                forge::alive(&format!("x{n:03}"), &format!("10.9.9.9:{}", n + 1), 1, 0, b"");
            net.inject(0, addr(1), &forge::datagram(&[alive]));
        }
        net.run_for(2 * SECOND);
        net.kill(9);
        let known = |net: &Net| (0..9).all(|here| net.state(here, 9) == Some(State::Failed));
        let took = net.run_until(known);
        net.run_for(120 * SECOND);
        assert!((0..9).all(|here| net.nodes[here].node.present_count() == 9));
        took
    };
    let honest = time(0);
    for invented in [50, 200] {
        let took = time(invented);
        assert!(took < honest * 5 / 2 + 2 * SECOND, "{took:?} with {invented}, else {honest:?}");
    }
}

#[test]
fn a_full_table_of_invented_members_gives_way_to_those_that_answer() {
    let mut options = Options::lan();
    options.max_members = 8;
    let mut net = Net::with_options(6, &options);
    net.join(1, &[addr(0)]);
    net.run_for(2 * SECOND);
    for n in 0..20 {
        let alive = forge::alive(&format!("x{n}"), &format!("10.9.9.9:{}", n + 1), 1, 0, b"");
        net.inject(0, addr(1), &forge::datagram(&[alive]));
    }
    assert_eq!(net.nodes[0].node.present_count(), 8);
    for newcomer in 2..6 {
        let ticket = net.join(newcomer, &[addr(0)]);
        net.run_until(|net| net.result(newcomer, ticket).is_some());
        assert!(matches!(net.result(newcomer, ticket), Some(Ok(Done::Joined { .. }))));
        assert_eq!(net.state(0, newcomer), Some(State::Alive));
    }
}

#[test]
fn a_frame_of_invented_suspects_makes_a_node_send_nothing_to_their_address() {
    let mut net = joined(3);
    let suspects = (0..2000).map(|n| forge::member(1, &format!("x{n}"), VICTIM, 1, b""));
    let mut table = vec![forge::member(0, "liar", "192.0.2.1:7946", 1, b"")];
    table.extend(suspects);
    net.inject_stream(0, stranger(), &forge::frame(0, &forge::sync_hello(&table)));
    net.drain(0);
    assert_eq!(to_victim(&net).len(), 0);
    net.run_for(SECOND);
    assert!(to_victim(&net).len() <= 20, "{}", to_victim(&net).len());
}

#[test]
fn a_node_that_joins_from_another_address_is_asked_at_its_own_before_others_hear_of_it() {
    let mut net = joined(3);
    let joiner = forge::member(0, "x", VICTIM, 1, b"");
    net.inject_stream(0, stranger(), &forge::frame(0, &forge::sync_hello(&[joiner])));
    net.run_for(5 * SECOND);
    let known = |here: usize| net.nodes[here].node.member(&"x".parse().unwrap()).is_some();
    assert!(!known(1) && !known(2));
    assert!(to_victim(&net).iter().all(|data| data[0] == 0), "pings");
}
