//! Allowed networks, in memberlist's format: its `CIDRsAllowed`, for all that a node sends.

use super::*;
use crate::common::drain_destinations;
use std::collections::BTreeSet;
use tidings::{Instant, Node, SeedFailure, StreamId, StreamInput};

/// An address in no allowed network.
const OUTSIDE: &str = "192.0.2.7:7946";
const INSIDE: &str = "10.1.0.9:7946";

fn outside() -> SocketAddr {
    OUTSIDE.parse().unwrap()
}

fn restricted(n: usize) -> Config {
    let networks = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    config(n).to_builder().allowed_networks(networks).build().unwrap()
}

fn is_known(net: &Net, name: &str) -> bool {
    net.nodes[0].node.member(&name.parse().unwrap()).is_some()
}

fn refused(net: &Net) -> u64 {
    net.nodes[0].node.stats().addresses_refused
}

#[test]
fn a_claim_in_a_datagram_about_a_member_elsewhere_is_refused_by_name() {
    let mut net = joined([restricted(0), restricted(1)]);
    for (n, claim) in [
        forge::alive(1, "x", OUTSIDE, b""),
        forge::alive(9, "n1", OUTSIDE, b"moved"),
        forge::alive(9, "n0", OUTSIDE, b"ourselves"),
    ]
    .into_iter()
    .enumerate()
    {
        net.inject(0, addr(1), &claim);
        assert_eq!(refused(&net), n as u64 + 1);
    }
    assert!(!is_known(&net, "x"));
    assert_eq!(net.member(0, 1).unwrap().addr(), addr(1));
    assert_eq!(net.nodes[0].node.stats().members_refused, 0);
    assert_eq!(net.nodes[0].node.local().incarnation().number, 1, "there is nothing to refute");
    // memberlist's nodes write IPv4 addresses in 16 bytes too.
    for (name, ip, known) in [("y", [192, 0, 2, 7], false), ("z", [10, 1, 0, 9], true)] {
        let mapped = std::net::Ipv4Addr::from(ip).to_ipv6_mapped().octets();
        let claim = forge::alive_with(1, name.as_bytes(), &mapped, 7946, b"", forge::VSN);
        net.inject(0, addr(1), &claim);
        assert_eq!(is_known(&net, name), known);
    }
}

#[test]
fn a_record_of_a_push_pull_about_a_member_elsewhere_is_refused_by_name() {
    for join in [false, true] {
        let mut net = joined([restricted(0), restricted(1)]);
        let records = [
            forge::record(0, 1, "y", INSIDE, b""),
            forge::record(0, 1, "x", OUTSIDE, b""),
            forge::record(2, 1, "w", OUTSIDE, b""),
        ];
        let id = net.inject_stream(0, addr(9), &forge::push_pull(join, &records, b""));
        let done = net.injected_stream_actions(0, id);
        assert!(matches!(done, [StreamAction::Write(_), StreamAction::Close]), "{done:?}");
        assert_eq!(["x", "y", "w"].map(|name| is_known(&net, name)), [false, true, false]);
        assert_eq!((refused(&net), net.nodes[0].node.stats().members_refused), (2, 0));
    }
}

#[test]
fn a_datagram_from_elsewhere_is_dropped_and_counted_by_reason() {
    let mut net = joined([restricted(0), restricted(1)]);
    net.recorded = Some(Vec::new());
    for message in [
        forge::ping(7, "n0"),
        // It asks for the ack to be sent elsewhere.
        forge::ping_from(7, "n0", &[10, 0, 0, 2], 7946),
        forge::alive(1, "y", INSIDE, b""),
        forge::user(b"hello"),
    ] {
        net.inject(0, outside(), &message);
    }
    let stats = net.nodes[0].node.stats();
    assert_eq!(stats.rejected_datagrams.address_not_allowed, 4);
    assert_eq!((is_known(&net, "y"), net.messages(0).len()), (false, 0));
    assert_eq!(net.recorded, Some(Vec::new()));
    net.assert_replays(0);
}

#[test]
fn a_joiner_that_advertises_or_has_an_address_elsewhere_learns_why_it_is_refused() {
    for (advertised, connects_from) in
        [(outside(), outside()), (outside(), addr(7)), (addr(7), outside())]
    {
        let mut net = joined([restricted(0), restricted(1)]);
        let third = net.start(config_at(2, advertised, Memberlist::new()));
        net.nodes[third].addr = connects_from;
        let ticket = net.join(third, &[addr(0)]);
        net.run_until(|net| net.result(third, ticket).is_some());
        let error = ExchangeError::Refused(Refusal::AddressNotAllowed);
        let failure = Failure::NoSeed([SeedFailure { seed: addr(0), error }].into());
        assert_eq!(net.result(third, ticket), Some(Err(failure)));
        net.run_for(SECOND * 30);
        for here in 0..2 {
            assert!(net.member(here, 2).is_none(), "{advertised} {connects_from}");
        }
        assert_eq!(net.nodes[third].node.all_members().count(), 1);
        net.assert_replays(0);
    }
}

/// memberlist's nodes log the text of an error reply.
#[test]
fn the_refusal_of_a_push_pull_is_an_error_with_a_text() {
    let mut net = joined([restricted(0), restricted(1)]);
    let record = forge::record(0, 1, "x", OUTSIDE, b"");
    let id = net.inject_stream(0, addr(9), &forge::push_pull(true, &[record], b""));
    let text = "your address is in none of the networks that are allowed here";
    let [StreamAction::Write(reply), StreamAction::Close] = net.injected_stream_actions(0, id)
    else {
        panic!("{:?}", net.injected_stream_actions(0, id));
    };
    assert_eq!(reply[..], forge::error(text));
    assert_eq!(refused(&net), 1);
    // A table without members is answered: it claims nothing.
    let id = net.inject_stream(0, addr(9), &forge::push_pull(true, &[], b""));
    let [StreamAction::Write(reply), StreamAction::Close] = net.injected_stream_actions(0, id)
    else {
        panic!("{:?}", net.injected_stream_actions(0, id));
    };
    assert!(contains(reply, &addr(1).port().to_be_bytes()) && contains(reply, b"n1"));
}

#[test]
fn a_joiner_does_not_join_seeds_that_are_elsewhere() {
    let mut net = Net::new(0);
    net.start(config_at(0, outside(), Memberlist::new()));
    net.start(restricted(1));
    net.nodes[0].addr = addr(0);
    for (seed, dialled) in [(outside(), 0), (addr(0), 1)] {
        let before = net.nodes[1].node.stats().streams_out;
        let ticket = net.join(1, &[seed]);
        net.run_until(|net| net.result(1, ticket).is_some());
        let error = ExchangeError::NotAccepted(Refusal::AddressNotAllowed);
        let failure = Failure::NoSeed([SeedFailure { seed, error }].into());
        assert_eq!(net.result(1, ticket), Some(Err(failure)));
        assert_eq!(net.nodes[1].node.stats().streams_out - before, dialled);
    }
    assert_eq!(net.nodes[1].node.all_members().count(), 1);
}

/// Everywhere that a node sends datagrams to or opens streams to, after many claims about an
/// address outside, and requests from there.
fn destinations(config: Config) -> BTreeSet<SocketAddr> {
    let (mut now, mut all) = (Instant::ZERO, BTreeSet::new());
    let mut node = Node::new(config, [1; 32], now);
    node.handle_datagram(now, addr(1), &forge::alive(1, "n1", "10.0.0.2:7946", b""));
    let claims = [
        forge::alive(1, "x", OUTSIDE, b""),
        forge::alive(9, "n1", OUTSIDE, b""),
        forge::alive(9, "n0", OUTSIDE, b""),
        forge::ping(7, "n0"),
        forge::ping_from(7, "n0", &[192, 0, 2, 7], 7946),
        forge::indirect_ping(7, "n1", "10.0.0.2:7946", true),
        forge::indirect_ping(7, "n1", OUTSIDE, true),
    ];
    for (claim, from) in claims.iter().flat_map(|one| [addr(1), outside()].map(|at| (one, at))) {
        node.handle_datagram(now, from, claim);
        drain_destinations(&mut node, now, &mut all);
    }
    for (join, from) in [(true, addr(1)), (false, addr(1)), (true, outside())] {
        for state in 0..4 {
            let records = [("y", INSIDE), ("x", OUTSIDE)];
            let records = records.map(|(name, at)| forge::record(state, 1, name, at, b""));
            let id: StreamId = node.accept_stream(now, from).expect("there is room");
            let push_pull = forge::push_pull(join, &records, b"");
            node.handle_stream(now, id, StreamInput::Data(&push_pull));
            drain_destinations(&mut node, now, &mut all);
        }
    }
    node.join(now, &[outside(), addr(1)]).unwrap();
    let end = now + SECOND * 300;
    while now < end {
        drain_destinations(&mut node, now, &mut all);
        now = node.poll_timeout().unwrap_or(end);
        node.handle_timeout(now);
    }
    all
}

#[test]
fn nothing_is_sent_to_an_address_elsewhere_whatever_is_claimed_about_it() {
    let inside: SocketAddr = INSIDE.parse().unwrap();
    assert!(destinations(restricted(0)).is_subset(&[addr(1), inside].into()));
    assert!(destinations(config(0)).contains(&outside()), "without networks it is sent much");
}
