//! Limits on sizes and numbers.

use super::*;

#[test]
fn metadata_over_the_limit_is_refused_with_the_limit() {
    let mut net = pair();
    let error = net.nodes[0].node.set_meta(net.now, Meta::new(&[0; 513])).unwrap_err();
    assert_eq!(error.to_string(), "metadata has 513 bytes; max_meta allows 512");
    assert!(net.nodes[0].node.local().meta().is_empty());
}

#[test]
fn metadata_may_be_as_long_as_the_configuration_says() {
    let mut options = Options::lan();
    options.max_meta = options.datagram_size - 360;
    let mut net = joined_with(2, &options);
    let meta = Meta::new(&[7; 1040]);
    net.command(0, |node, now| node.set_meta(now, meta.clone())).unwrap();
    net.run_until(|net| net.member(1, 0).unwrap().meta() == &meta);
    let over = Meta::new(&[7; 1041]);
    assert!(net.nodes[0].node.set_meta(net.now, over.clone()).is_err());
    assert!(common::config_with(3, &options).to_builder().meta(over).build().is_err());
    options.max_meta += 1;
    let config = Config::builder(ClusterName::new("test").unwrap(), id(0), addr(0));
    assert!(config.options(options).build().is_err());
}

#[test]
fn no_datagram_is_longer_than_the_limit_with_the_longest_names_and_addresses() {
    for (datagram_size, max_meta) in [(872, 512), (1400, 512), (1400, 1040), (4000, 100)] {
        let mut options = Options::lan();
        options.datagram_size = datagram_size;
        options.max_meta = max_meta;
        let addr =
            |n: usize| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16 + 1], 65_535));
        let name = |n: usize| NodeId::new(&format!("{n}{}", "x".repeat(254))).unwrap();
        let config = |n| {
            let cluster = ClusterName::new("test").unwrap();
            let config = Config::builder(cluster, name(n), addr(n)).options(options.clone());
            forge::with_keys(config.generation(1 << 40).build().unwrap())
        };
        let mut net = Net::of((0..6).map(config));
        net.recorded = Some(Vec::new());
        for n in 1..6 {
            net.join(n, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        for n in 0..60 {
            let here = n % 6;
            let meta = Meta::new(&vec![n as u8; max_meta - n]);
            net.command(here, |node, now| node.set_meta(now, meta)).unwrap();
            let message = |len: usize| vec![n as u8; len].into();
            // The longest broadcast that is accepted, and the lengths just below it.
            let error = net.command(here, |node, now| node.broadcast(now, message(9000)));
            let Err(BroadcastError::Message(limit)) = error else { panic!("{error:?}") };
            net.command(here, |node, now| node.broadcast(now, message(limit.max - n))).unwrap();
            net.run_for(SECOND / 4);
        }
        net.run_for(20 * SECOND);
        let lens = net.recorded.take().unwrap().into_iter().map(|(_, _, data)| data.len());
        let longest = lens.max().unwrap();
        // The time in an encrypted datagram may be up to nine bytes longer than here.
        assert!(
            longest <= datagram_size && longest + 9 >= datagram_size,
            "{longest} of {datagram_size}"
        );
        for here in 0..6 {
            for other in 0..6 {
                let received = net.nodes[here].node.member(&name(other)).unwrap().meta();
                assert_eq!(received, net.nodes[other].node.local().meta(), "none is stuck");
            }
        }
        // Which node gets which broadcast is random, but none is stuck because it never fits.
        let received = (0..6).flat_map(|here| net.messages(here)).map(|(_, data, _)| data[0]);
        assert_eq!(received.collect::<BTreeSet<_>>().len(), 60);
    }
}

#[test]
fn datagrams_that_a_driver_does_not_fetch_are_capped_and_counted() {
    let mut options = Options::lan();
    options.max_queued_datagrams = 64;
    let mut net = joined_with(2, &options);
    let ping = forge::datagram(&[forge::ping(7, "n0")]);
    let now = net.now;
    for _ in 0..1000 {
        net.nodes[0].node.handle_datagram(now, addr(1), &ping);
    }
    let before = net.datagrams.len();
    net.drain(0);
    assert_eq!(net.datagrams.len() - before, 64);
    assert_eq!(net.nodes[0].node.stats().datagrams_dropped, 1000 - 64);
}

#[test]
fn the_table_of_members_is_capped() {
    let mut options = Options::local();
    options.max_members = 10;
    let mut net = Net::with_options(1, &options);
    for n in 0..100 {
        let alive = forge::alive(&format!("x{n}"), &format!("10.1.0.{n}:1"), 1, 0, b"");
        net.inject(0, addr(0), &forge::datagram(&[alive]));
    }
    assert_eq!(net.nodes[0].node.all_members().count(), 10);
    assert_eq!(net.nodes[0].node.stats().members_refused, 91);
}

#[test]
fn datagrams_that_cannot_be_sent_are_counted_by_reason_and_too_long_ones_told() {
    use tidings::DatagramError::{Denied, NoRoom, TooLong, Unreachable};
    let mut net = pair();
    for (len, error) in
        [(1400, NoRoom), (1400, TooLong), (1300, TooLong), (1400, TooLong), (9, Denied)]
    {
        net.command(0, |node, now| node.handle_send_error(now, addr(1), len, error));
    }
    net.command(0, |node, now| node.handle_send_error(now, addr(1), 9, Unreachable));
    let unsent = &net.nodes[0].node.stats().datagrams_unsent;
    assert_eq!((unsent.no_room, unsent.too_long, unsent.denied, unsent.unreachable), (1, 3, 1, 1));
    assert_eq!(unsent.total(), 6);
    let told = |(_, event): &(Instant, Event)| match event {
        Event::DatagramTooLong { to, len } => Some((*to, *len)),
        _ => None,
    };
    let told: Vec<_> = net.nodes[0].events.iter().filter_map(told).collect();
    assert_eq!(told, [(addr(1), 1400), (addr(1), 1300)]);
}
