//! Allowed networks: members, seeds and senders elsewhere are refused by name, and nothing is sent
//! to them.

use super::*;
use crate::common::drain_destinations;
use tidings::IpNetwork;

/// An address in no allowed network.
const OUTSIDE: &str = "192.0.2.7:7946";

fn outside() -> SocketAddr {
    OUTSIDE.parse().unwrap()
}

/// The network of all test nodes.
fn allowed(text: &str) -> [IpNetwork; 1] {
    [text.parse().unwrap()]
}

fn restricted(n: usize, addr: SocketAddr) -> Config {
    let config = config(n, addr).to_builder().generation(1);
    config.allowed_networks(allowed("10.0.0.0/8")).build().unwrap()
}

/// Two members with allowed networks.
fn restricted_pair() -> Net {
    let mut net = Net::new(0);
    net.journaling = true;
    for n in 0..2 {
        net.start(restricted(n, addr(n)));
    }
    net.join(1, &[addr(0)]);
    net.run_until(|net| (0..2).all(|here| net.nodes[here].node.present_count() == 2));
    net
}

fn refused(net: &Net, here: usize) -> u64 {
    net.nodes[here].node.stats().addresses_refused
}

/// Claims that a member or this node is at an address outside, in every state, as datagrams have
/// them.
fn claims() -> Vec<Vec<u8>> {
    let suspect_there = {
        let mut bytes = forge::alive("x3", OUTSIDE, 1, 0, b"");
        bytes[0] = 9;
        bytes
    };
    vec![
        forge::alive("x", OUTSIDE, 1, 0, b""),
        forge::alive("n1", OUTSIDE, 1, 9, b"moved"),
        forge::alive("n1", OUTSIDE, 9, 0, b"restarted"),
        forge::alive("n0", OUTSIDE, 1, 0, b""),
        forge::alive("n0", OUTSIDE, 9, 0, b""),
        suspect_there,
    ]
}

#[test]
fn a_claim_in_a_datagram_about_a_member_elsewhere_is_refused_by_name() {
    let mut net = restricted_pair();
    let before = net.nodes[0].node.local().incarnation();
    for (n, claim) in claims().into_iter().take(5).enumerate() {
        for from in [addr(1), addr(50)] {
            net.inject(0, from, &forge::datagram(std::slice::from_ref(&claim)));
        }
        assert_eq!(refused(&net, 0), 2 * (n as u64 + 1), "{n}");
    }
    let node = &net.nodes[0].node;
    assert_eq!(node.stats().members_refused, 0);
    assert_eq!((node.all_members().count(), node.local().incarnation()), (2, before));
    assert_eq!(net.member(0, 1).unwrap().addr(), addr(1), "the member stays where it is");
    assert!(!net.saw(0, |event| matches!(event, Event::Conflict { .. } | Event::Updated(_))));
    // Those that are elsewhere in the list of the same datagram are accepted.
    let mixed = [forge::alive("x", OUTSIDE, 1, 0, b""), forge::alive("y", "10.1.0.9:1", 1, 0, b"")];
    net.inject(0, addr(1), &forge::datagram(&mixed));
    assert_eq!(net.nodes[0].node.present_count(), 3);
}

#[test]
fn a_claim_on_a_stream_about_a_member_elsewhere_is_refused_by_name() {
    let mut net = restricted_pair();
    let good = forge::member(0, "y", "10.1.0.9:1", 1, b"");
    let mut count = 0;
    for state in 0..4 {
        let bad = forge::member(state, "x", OUTSIDE, 1, b"");
        let hello = forge::sync_hello(&[good.clone(), bad.clone()]);
        for frame in [forge::frame(0, &hello), forge::frame(2, &[&[0], &bad[..]].concat())] {
            net.inject_stream(0, "10.1.0.9:999".parse().unwrap(), &frame);
            count += 1;
            assert_eq!(refused(&net, 0), count, "state {state}");
        }
    }
    assert_eq!(net.nodes[0].node.all_members().count(), 3, "and the rest is accepted");
    assert!(net.nodes[0].node.member(&NodeId::new("y").unwrap()).is_some());
}

/// Everywhere that a node sends datagrams to or opens streams to, after many claims about an
/// address outside, and requests from there.
fn destinations(config: Config) -> BTreeSet<SocketAddr> {
    let (mut now, mut all) = (Instant::ZERO, BTreeSet::new());
    let mut node = Node::new(config, [1; 32], now);
    let member = forge::datagram(&[forge::alive("n1", "10.0.0.2:7946", 1, 0, b"")]);
    node.handle_datagram(now, addr(1), &member);
    let requests = [forge::ping(7, "n0"), forge::ping_request(8, 100, "n1"), forge::nack(7)];
    let datagrams = claims().into_iter().map(|claim| {
        forge::datagram(&[claim, forge::ping(7, "n0"), forge::ping_request(8, 100, "n1")])
    });
    for datagram in requests.map(|request| forge::datagram(&[request])).into_iter().chain(datagrams)
    {
        for from in [addr(1), addr(50), outside()] {
            node.handle_datagram(now, from, &datagram);
            drain_destinations(&mut node, now, &mut all);
        }
    }
    for (state, from) in (0..4).flat_map(|state| [(state, addr(50)), (state, outside())]) {
        let bad = forge::member(state, "x", OUTSIDE, 1, b"");
        let hello = forge::sync_hello(std::slice::from_ref(&bad));
        for frame in [forge::frame(0, &hello), forge::frame(2, &[&[0], &bad[..]].concat())] {
            let id = node.accept_stream(now, from).expect("there is room");
            node.handle_stream(now, id, StreamInput::Data(&frame));
            drain_destinations(&mut node, now, &mut all);
        }
    }
    node.join(now, &[outside(), addr(1)]).unwrap();
    let end = now + 300 * SECOND;
    while now < end {
        drain_destinations(&mut node, now, &mut all);
        now = node.poll_timeout().unwrap_or(end);
        node.handle_timeout(now);
    }
    node.leave(now);
    drain_destinations(&mut node, now, &mut all);
    all
}

#[test]
fn nothing_is_sent_to_an_address_elsewhere_whatever_is_claimed_about_it() {
    assert_eq!(destinations(restricted(0, addr(0))), [addr(1), addr(50)].into());
    let open = destinations(config(0, addr(0)).with_generation(1));
    assert!(open.contains(&outside()), "without networks it is sent much");
}

#[test]
fn a_datagram_from_elsewhere_is_dropped_and_counted_by_reason() {
    let mut net = restricted_pair();
    let before = net.datagrams.len();
    let count = |net: &Net| net.nodes[0].node.stats().rejected_datagrams.address_not_allowed;
    for (n, message) in [
        forge::ping(7, "n0"),
        forge::alive("y", "10.1.0.9:1", 1, 0, b""),
        forge::suspect(1, "n1", 1, 0),
        forge::user_message("n1", b"hello"),
    ]
    .into_iter()
    .enumerate()
    {
        net.inject(0, outside(), &forge::datagram(&[message]));
        assert_eq!(count(&net), n as u64 + 1);
    }
    assert_eq!(net.datagrams.len(), before);
    assert_eq!(net.nodes[0].node.all_members().count(), 2);
    assert_eq!((net.state(0, 1), net.messages(0).len()), (Some(State::Alive), 0));
    // An IPv4 address in IPv6 form is the same address.
    let mapped = "[::ffff:10.0.0.2]:7946".parse().unwrap();
    net.inject(0, mapped, &forge::datagram(&[forge::ping(7, "n0")]));
    assert_eq!((count(&net), net.datagrams.len()), (4, before + 1));
    net.assert_replays(0);
}

#[test]
fn a_stream_from_elsewhere_gets_a_refusal_whatever_it_asks() {
    let mut net = restricted_pair();
    let name = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
    let requests = [
        forge::frame(0, &forge::sync_hello(&[forge::member(0, "y", "10.1.0.9:1", 1, b"")])),
        forge::frame(2, &[&[0], &forge::member(0, "y", "10.1.0.9:1", 1, b"")[..]].concat()),
        forge::frame(6, &[name("n0"), name("n1"), b"hello".to_vec()].concat()),
        forge::frame(7, &name("n0")),
        forge::frame(9, &[vec![0], name("n1"), forge::suspect(1, "n1", 1, 0)].concat()),
    ];
    let mut length = None;
    for (n, request) in requests.iter().enumerate() {
        let id = net.inject_stream(0, outside(), request);
        let [StreamAction::Write(reply), StreamAction::Close] = net.injected_stream_actions(0, id)
        else {
            panic!("{:?}", net.injected_stream_actions(0, id));
        };
        if !forge::ENCRYPTED {
            assert_eq!(reply[reply.len() - 2..], [4, 9], "refusal, for the address");
        }
        assert_eq!(*length.get_or_insert(reply.len()), reply.len(), "nothing else is told");
        let count = net.nodes[0].node.stats().rejected_streams.address_not_allowed;
        assert_eq!(count, n as u64 + 1);
    }
    assert_eq!(net.nodes[0].node.all_members().count(), 2);
    assert_eq!((net.state(0, 1), net.messages(0).len()), (Some(State::Alive), 0));
    net.assert_replays(0);
}

#[test]
fn a_joiner_that_advertises_or_has_an_address_elsewhere_learns_why_it_is_refused() {
    // The joiner knows nothing of networks; the address from which it connects may be another.
    for (advertised, connects_from) in
        [(outside(), outside()), (outside(), addr(7)), (addr(7), outside())]
    {
        let mut net = restricted_pair();
        let third = net.start(config(2, advertised).with_generation(1));
        net.nodes[third].addr = connects_from;
        let ticket = net.join(third, &[addr(0), addr(1)]);
        net.run_until(|net| net.result(third, ticket).is_some());
        let error = ExchangeError::Refused(Refusal::AddressNotAllowed);
        let failure = Failure::NoSeed([0, 1].map(|n| SeedFailure { seed: addr(n), error }).into());
        assert_eq!(
            error.to_string(),
            "it refused: its allowed_networks do not have this node's address, as advertised or \
             as seen"
        );
        assert_eq!(net.result(third, ticket), Some(Err(failure)));
        net.run_for(30 * SECOND);
        for here in 0..2 {
            assert!(net.member(here, 2).is_none(), "{advertised} {connects_from}");
            let stats = net.nodes[here].node.stats();
            let counts = (stats.addresses_refused, stats.rejected_streams.address_not_allowed);
            let seen = u64::from(connects_from == outside());
            assert_eq!(counts, (1 - seen, seen));
        }
        assert_eq!(net.nodes[third].node.all_members().count(), 1);
        net.assert_replays(0);
    }
}

#[test]
fn a_seed_elsewhere_fails_with_the_reason_and_is_not_contacted() {
    let mut net = restricted_pair();
    let here = net.start(restricted(2, addr(2)));
    let zoned = "[fe80::1%7]:7946".parse().unwrap();
    let ticket = net.join(here, &[outside(), zoned]);
    let error = ExchangeError::NotAccepted(Refusal::AddressNotAllowed);
    let failure =
        Failure::NoSeed([outside(), zoned].map(|seed| SeedFailure { seed, error }).into());
    assert_eq!(
        failure.to_string(),
        "no seed answered: 192.0.2.7:7946: this node's allowed_networks do not have its address; \
         [fe80::1%7]:7946: this node's allowed_networks do not have its address"
    );
    assert_eq!(net.result(here, ticket), Some(Err(failure)));
    assert_eq!(net.nodes[here].node.stats().streams_out, 0);
    // Another seed may still accept the node.
    let ticket = net.join(here, &[outside(), addr(0)]);
    net.run_until(|net| net.result(here, ticket).is_some());
    assert_eq!(net.result(here, ticket), Some(Ok(Done::Joined { seed: addr(0), members: 3 })));
    assert_eq!(net.nodes[here].node.stats().streams_out, 1);
    net.run_for(600 * SECOND);
    net.assert_replays(0);
}

#[test]
fn a_joiner_leaves_a_seed_that_advertises_an_address_elsewhere() {
    let mut net = Net::of([config(0, outside()).with_generation(1), restricted(1, addr(1))]);
    net.aliases.insert(addr(0), 0);
    net.nodes[0].addr = addr(0);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    let error = ExchangeError::NotAccepted(Refusal::AddressNotAllowed);
    let failure = Failure::NoSeed([SeedFailure { seed: addr(0), error }].into());
    assert_eq!(net.result(1, ticket), Some(Err(failure)));
    net.run_for(30 * SECOND);
    assert_eq!(net.state(0, 1), Some(State::Left));
    assert_eq!(net.nodes[1].node.all_members().count(), 1);
    assert_eq!(refused(&net, 1), 1);
}

#[test]
fn a_cluster_in_its_allowed_networks_works_as_without_them() {
    let run = |networks: bool| {
        let mut net = Net::new(0);
        for n in 0..4 {
            let config = if networks { restricted(n, addr(n)) } else { config(n, addr(n)) };
            net.start(config.with_generation(1));
        }
        net.recorded = Some(Vec::new());
        for n in 1..4 {
            net.join(n, &[addr(0)]);
        }
        net.run_for(10 * SECOND);
        net.kill(3);
        net.run_for(60 * SECOND);
        assert_eq!((net.nodes[0].node.present_count(), net.state(0, 3)), (3, Some(State::Failed)));
        net.recorded
    };
    assert!(run(true) == run(false), "not a byte differs");
}

#[test]
#[cfg(all(feature = "record", not(feature = "encryption")))]
fn a_restored_node_has_its_allowed_networks() {
    let mut checkpoint = Vec::new();
    let node = Node::new(restricted(0, addr(0)), [1; 32], Instant::ZERO);
    node.checkpoint(&mut checkpoint);
    let mut node = Node::restore(&checkpoint, None).unwrap();
    assert_eq!(node.config().allowed_networks(), Some(&allowed("10.0.0.0/8")[..]));
    let claim = forge::datagram(&[forge::alive("x", OUTSIDE, 1, 0, b"")]);
    node.handle_datagram(Instant::ZERO, addr(1), &claim);
    assert_eq!((node.stats().addresses_refused, node.all_members().count()), (1, 1));
}
