//! Clusters that exchange streams only (`Options::stream_only`).

use super::*;

fn stream_only() -> Options {
    let mut options = Options::local();
    options.stream_only = true;
    options
}

#[test]
fn a_cluster_without_datagrams_does_all_that_one_with_them_does() {
    let mut net = joined_with(5, &stream_only());
    net.run_for(20 * SECOND);
    assert!((0..5).all(|here| net.nodes[here].node.stats().probes_failed == 0));
    let rtt = net.nodes[0].node.rtt(&id(1)).unwrap();
    assert!(rtt >= 2 * LATENCY, "{rtt:?}");

    net.set_meta(1, "new");
    net.command(0, |node, now| node.broadcast(now, "to all".into())).unwrap();
    net.command(0, |node, now| node.send(now, &id(1), "to one".into())).unwrap();
    let message =
        net.command(0, |node, now| node.send_reliable(now, &id(2), "surely".into())).unwrap();
    let ping = net.command(0, |node, now| node.ping(now, &id(3))).unwrap();
    net.run_for(5 * SECOND);
    assert_eq!(net.result(0, message), Some(Ok(Done::Delivered)));
    assert!(matches!(net.result(0, ping), Some(Ok(Done::Pong { .. }))));
    for here in 1..5 {
        let broadcast = (id(0), b"to all".to_vec(), Via::Broadcast);
        assert!(net.messages(here).contains(&broadcast), "n{here}");
    }
    assert!(net.messages(1).contains(&(id(0), b"to one".to_vec(), Via::Datagram)));
    assert!((0..5).all(|here| net.member(here, 1).unwrap().meta() == &"new".into()));

    net.leave(3);
    net.kill(4);
    net.run_until(|net| (0..3).all(|here| net.state(here, 4) == Some(State::Failed)));
    assert!((0..3).all(|here| net.state(here, 3) == Some(State::Left)));
    assert!(net.datagrams.is_empty() && net.nodes[0].node.stats().datagrams_out == 0);
}

#[test]
fn without_datagrams_updates_and_long_broadcasts_do_not_starve_each_other() {
    let mut options = stream_only();
    options.digest_checks = false;
    options.sync_interval = 24 * 3600 * SECOND;
    let mut net = joined_with(3, &options);
    net.run_for(10 * SECOND);
    for n in 0..100_u8 {
        net.command(0, |node, now| node.broadcast(now, vec![n; 1300].into())).unwrap();
    }
    let news = "x".repeat(300);
    net.set_meta(0, &news);
    net.run_for(SECOND);
    assert_eq!(net.member(1, 0).unwrap().meta(), &Meta::from(&*news));
    assert!(net.messages(1).len() > 5);
}

#[test]
fn without_datagrams_accusers_are_named_in_turn() {
    let mut options = Options::lan();
    options.stream_only = true;
    let mut net = joined_with(8, &options);
    net.run_for(10 * SECOND);
    net.kill(7);
    net.run_until(|net| net.state(0, 7) == Some(State::Suspect));
    let accuse = |n: usize| forge::datagram(&[forge::suspect(name_hash(n), "n7", 1, 0)]);
    for n in [1, 2, 3] {
        net.inject(0, addr(n), &accuse(n));
    }
    net.run_for(2 * SECOND);
    // No other node gets the accusations from those three directly.
    assert!((1..7).all(|here| net.nodes[here].node.stats().confirmations >= 1));
}
