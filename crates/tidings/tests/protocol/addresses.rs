//! Addresses: IPv4 in IPv6's form, and zones of IPv6 addresses.
//!
//! A seed given with a zone is dialled by that zone; no message to others contains it.

use super::*;
#[cfg(feature = "memberlist")]
use tidings::{Memberlist, Wire};

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_same_address() {
    let mapped =
        |n: usize| SocketAddr::new(format!("::ffff:10.0.0.{}", n + 1).parse().unwrap(), 7946);
    let mut net = pair();
    net.set_meta(0, "news");
    // The source address in IPv6's form identifies the member.
    let now = net.now;
    net.nodes[0].node.handle_datagram(now, mapped(1), &forge::datagram(&[forge::ping(7, "n0")]));
    net.drain(0);
    let (_, to, ack) = net.datagrams.iter().rev().find(|(_, _, data)| data[0] == 2).unwrap();
    assert!(*to == addr(1) && ack.len() > 20, "the ack carries the update");
    // A node that is configured with the IPv6 form announces the IPv4 form.
    let config = Config::local(ClusterName::new("test").unwrap(), id(2), mapped(2));
    let third = net.start(forge::with_keys(config.with_generation(1)));
    net.nodes[third].addr = addr(2);
    let ticket = net.join(third, &[mapped(0), addr(0)]);
    net.run_until(|net| net.result(third, ticket).is_some());
    assert_eq!(net.nodes[third].node.stats().streams_out, 1, "it is one seed");
    assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
    net.run_for(30 * SECOND);
    for here in 0..3 {
        assert!(
            !net.saw(here, |event| matches!(event, Event::Conflict { .. } | Event::Suspected(_)))
        );
    }
    // And a claim with the IPv6 form of an address is refused.
    let octets = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 9], &7946_u16.to_le_bytes()].concat();
    let mapped_member = [&[9][..], &octets, &[1, b'x', 1, 0, 0]].concat();
    net.inject(0, addr(1), &forge::datagram(&[mapped_member]));
    assert_eq!(net.nodes[0].node.stats().members_refused, 1);
}

/// Nodes that also have an address on the link of interface 7.
fn on_a_link(configs: impl IntoIterator<Item = Config>) -> Net {
    let mut net = Net::new(0);
    net.journaling = true;
    for config in configs {
        let here = net.start(config.with_generation(1));
        net.aliases.insert(on_link(here), here);
    }
    net
}

fn on_link(n: usize) -> SocketAddr {
    format!("[fe80::{:x}%7]:7946", n + 1).parse().unwrap()
}

fn without_zone(n: usize) -> SocketAddr {
    SocketAddr::new(on_link(n).ip(), on_link(n).port())
}

#[test]
fn a_join_by_a_zone_is_dialled_by_it() {
    let mut net = on_a_link((0..2).map(|n| config(n, addr(n))));
    let ticket = net.join(1, &[on_link(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert_eq!(net.result(1, ticket), Some(Ok(Done::Joined { seed: on_link(0), members: 2 })));
    assert_eq!(net.member(1, 0).unwrap().addr(), addr(0), "its own address is the known one");
    net.assert_replays(0);
}

#[test]
fn a_join_by_a_zone_that_fails_names_it() {
    let mut net = on_a_link((0..2).map(|n| config(n, addr(n))));
    net.kill(0);
    let ticket = net.join(1, &[on_link(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    let error = ExchangeError::ConnectionRefused;
    let failure = Failure::NoSeed(vec![SeedFailure { seed: on_link(0), error }]);
    assert_eq!(
        failure.to_string(),
        "no seed answered: [fe80::1%7]:7946: nobody listens there \
         (is the node running, and the port right?)"
    );
    assert_eq!(net.result(1, ticket), Some(Err(failure)));
}

#[test]
fn a_seed_that_is_asked_again_is_dialled_by_its_zone_again() {
    let mut options = Options::local();
    options.max_streams_in = 1;
    let mut net = on_a_link((0..5).map(|n| config_at(n, addr(n), &options)));
    let tickets: Vec<_> = (1..5).map(|n| (n, net.join(n, &[on_link(0)]))).collect();
    net.run_until(|net| tickets.iter().all(|&(n, ticket)| net.result(n, ticket).is_some()));
    assert!(net.nodes[0].node.stats().streams_refused > 0, "it was asked by too many");
    for (n, ticket) in tickets {
        let result = net.result(n, ticket);
        assert!(matches!(result, Some(Ok(Done::Joined { seed, .. })) if seed == on_link(0)));
    }
    net.assert_replays(0);
}

/// Restores each node from a checkpoint after every `restoring` inputs, or never if 0.
fn a_seed_that_was_silent_is_looked_for_by_its_zone(restoring: usize) {
    let mut net = on_a_link((0..3).map(|n| config(n, addr(n))));
    net.restoring = restoring;
    net.cut_both(0, 1);
    net.cut_both(0, 2);
    let ticket = net.join(1, &[on_link(0), addr(2)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    net.run_for(300 * SECOND);
    assert_eq!([0, 1, 2].map(|here| net.nodes[here].node.present_count()), [1, 2, 2]);
    net.heal();
    net.run_until(|net| (0..3).all(|here| net.nodes[here].node.present_count() == 3));
    if restoring == 0 {
        net.assert_replays(0);
    }
}

#[test]
fn seeds_are_remembered_with_their_zones() {
    a_seed_that_was_silent_is_looked_for_by_its_zone(0);
}

#[test]
#[cfg(not(feature = "encryption"))]
fn checkpoints_have_zones() {
    a_seed_that_was_silent_is_looked_for_by_its_zone(1);
}

#[test]
fn no_reconnect_by_zone_is_tried_to_a_present_member() {
    let mut net = on_a_link((0..2).map(|n| config(n, without_zone(n))));
    let ticket = net.join(1, &[on_link(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    net.kill(0);
    net.run_until(|net| net.state(1, 0) == Some(State::Failed));
    net.resume(0);
    net.run_until(|net| net.state(1, 0) == Some(State::Alive));
    let searches = net.nodes[1].node.stats().reconnect_attempts;
    net.run_for(600 * SECOND);
    assert_eq!(net.nodes[1].node.stats().reconnect_attempts, searches);
}

#[test]
fn our_own_address_is_our_own_with_a_zone_too() {
    let mut net = on_a_link((0..2).map(|n| config(n, without_zone(n))));
    let ticket = net.join(1, &[on_link(1)]);
    assert_eq!(net.result(1, ticket), Some(Ok(Done::First)));
}

#[test]
fn no_message_depends_on_zones() {
    let sent = |zones| all_sent(config, zones);
    assert!(sent(true) == sent(false));
}

#[test]
#[cfg(feature = "memberlist")]
fn no_message_in_memberlists_format_depends_on_zones() {
    let config = |n, at| {
        let config = Config::local(ClusterName::new("test").unwrap(), id(n), at);
        config.to_builder().wire(Wire::Memberlist(Memberlist::new())).build().unwrap()
    };
    assert!(all_sent(config, true) == all_sent(config, false));
}

/// All datagrams, with their destinations, and all stream writes of a few nodes that know their own
/// addresses and their seeds' all with zones, or all without.
fn all_sent(
    config: impl Fn(usize, SocketAddr) -> Config,
    zones: bool,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let at = |n| if zones { on_link(n) } else { without_zone(n) };
    let mut net = Net::of((0..4).map(|n| config(n, at(n)).with_generation(1)));
    net.recorded = Some(Vec::new());
    net.aliases.extend((0..4).map(|n| (without_zone(n), n)));
    net.join(1, &[at(0)]);
    net.join(2, &[at(0), at(1)]);
    net.run_for(5 * SECOND);
    net.join(3, &[at(2)]);
    net.set_meta(1, "news");
    net.run_for(20 * SECOND);
    for host in &net.nodes {
        let known = host.node.all_members().map(Member::addr).collect::<BTreeSet<_>>();
        assert_eq!(known, (0..4).map(without_zone).collect());
    }
    net.kill(3);
    net.run_for(60 * SECOND);
    assert_eq!(net.nodes[0].node.present_count(), 3);
    let datagrams = net.recorded.into_iter().flatten().map(|(_, to, data)| (to, data));
    let writes = net.writes.into_iter().map(|(from, data)| (without_zone(from), data));
    datagrams.chain(writes).collect()
}
