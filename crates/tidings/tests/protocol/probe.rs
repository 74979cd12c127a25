//! Direct probes: whom a node pings, how often, and how long it waits for the ack.

use super::*;

#[test]
fn every_member_is_probed_once_a_round() {
    let mut net = joined(8);
    let here = 3;
    let mut last_seen = [net.now; 8];
    let mut sent = net.datagrams.len();
    // 2n - 1 rounds between two probes of one member, at most (SWIM §4.3).
    let bound = SECOND * 15;
    let end = net.now + SECOND * 300;
    while net.step(end) {
        for (_, to, data) in net.datagrams[sent..].iter().filter(|(from, ..)| *from == here) {
            const PING: u8 = 0;
            let member = (0..8).find(|&n| addr(n) == *to).unwrap();
            if data[0] == PING {
                assert!(net.now.since(last_seen[member]) <= bound);
                last_seen[member] = net.now;
            }
        }
        sent = net.datagrams.len();
    }
    for (member, at) in last_seen.iter().enumerate().filter(|(member, _)| *member != here) {
        assert!(net.now.since(*at) <= bound, "n{member} is probed to the end");
    }
}

#[test]
fn a_quiet_member_sends_one_ping_and_one_ack_a_round() {
    let mut net = joined(8);
    net.run_for(5 * SECOND);
    let before = (net.datagrams.len(), net.datagram_bytes);
    net.run_for(SECOND * 100);
    let quiet = net.datagrams.len() - before.0;
    assert_eq!(quiet, 8 * 100 * 2, "no gossip, because there are no updates");
    let bytes = (net.datagram_bytes - before.1) / 800;
    let sealing = if forge::ENCRYPTED { 2 * 40 } else { 0 };
    assert!(bytes <= 50 + sealing, "{bytes} bytes a second");
}

#[test]
fn the_wait_for_an_ack_follows_the_round_trips_between_its_bounds() {
    let milli = |n| Duration::from_millis(n);
    for (latency, least, most) in [
        (milli(1), milli(100), milli(100)),
        (milli(75), milli(150), milli(200)),
        (milli(300), milli(500), milli(500)),
    ] {
        let mut net = Net::with_options(2, &Options::lan());
        net.slow(0, 1, latency);
        net.join(1, &[addr(0)]);
        net.run_for(60 * SECOND);
        let rtt = net.nodes[0].node.rtt(&id(1)).unwrap();
        assert!(rtt.abs_diff(2 * latency) < milli(1), "{rtt:?}");
        let probes = net.nodes[0].node.stats().probes;
        net.run_until(|net| net.nodes[0].node.stats().probes > probes);
        let Some((at, Timer::ProbeTimeout)) = net.nodes[0].node.next_timer() else { panic!() };
        let wait = at.since(net.now);
        assert!(wait >= least && wait <= most, "{wait:?} for {latency:?}");
    }
}
