//! A quiet round allocates nothing.

mod common;

use common::forge;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{ClusterName, Config, Instant, Node, NodeId, Options, Output};

/// A node whose peers all answer at once, and have nothing to say.
struct Solo {
    node: Node,
    buf: Vec<u8>,
    now: Instant,
    acks: u64,
    /// What its membership comes down to.
    digest: [u8; 4],
}

impl Solo {
    fn new(peers: u16) -> Self {
        let mut options = Options::lan();
        // Syncs are streams, which are not quiet.
        options.sync_interval = Duration::from_secs(24 * 3600);
        let cluster = ClusterName::new(forge::CLUSTER).unwrap();
        let id = NodeId::new("solo").unwrap();
        let addr = "10.0.0.1:7946".parse().unwrap();
        let config = Config::new(cluster, id, addr, options).unwrap();
        let node = Node::new(config, [7; 32], Instant::ZERO);
        let (buf, now) = (Vec::with_capacity(2000), Instant::ZERO);
        let mut solo = Self { node, buf, now, acks: 0, digest: [0; 4] };
        for n in 0..peers {
            let [high, low] = n.to_be_bytes();
            let addr = format!("10.1.{high}.{low}:7946");
            let alive = forge::alive(&format!("member-{n:03}"), &addr, 1, 0, b"role=db");
            let datagram = forge::plain_datagram(forge::CLUSTER, &[alive]);
            solo.node.handle_datagram(solo.now, "10.0.0.2:1".parse().unwrap(), &datagram);
            solo.drain();
        }
        solo
    }

    /// One probe interval: a probe of ours, its ack, and a ping from somebody.
    fn round(&mut self) {
        let end = self.now + Duration::from_secs(1);
        while let Some(at) = self.node.poll_timeout().filter(|&at| at <= end) {
            self.now = at;
            self.node.handle_timeout(at);
            self.drain();
        }
        self.now = end;
        let from: SocketAddr = "10.1.0.3:7946".parse().unwrap();
        let [d0, d1, d2, d3] = self.digest;
        let [t0, t1, t2, t3] = SOLO.with(|target| *target);
        let ping = [0, 9, 9, 9, 9, t0, t1, t2, t3, 1, 0, d0, d1, d2, d3];
        self.node.handle_datagram(self.now, from, &datagram::<15, 24>(ping));
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let reply = match self.node.poll_output(&mut self.buf) {
                None => return,
                Some(Output::Datagram { to, data }) if data[9] == 0 => {
                    let [_, t0, t1, t2, t3, .., d0, d1, d2, d3] = data[9..] else { panic!() };
                    // The peer knows the same.
                    self.digest = [d0, d1, d2, d3];
                    Some((to, [2, t0, t1, t2, t3, 1, 0, d0, d1, d2, d3]))
                }
                Some(_) => None,
            };
            if let Some((from, ack)) = reply {
                self.acks += 1;
                self.node.handle_datagram(self.now, from, &datagram::<11, 20>(ack));
            }
        }
    }
}

thread_local! {
    static SOLO: [u8; 4] = crc32fast::hash(b"solo").to_le_bytes();
}

/// A message in a datagram, made without a heap.
fn datagram<const N: usize, const M: usize>(body: [u8; N]) -> [u8; M] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(forge::CLUSTER.as_bytes());
    let tag = hasher.clone().finalize().to_le_bytes();
    hasher.update(&body);
    let checksum = hasher.finalize().to_le_bytes();
    let mut datagram = [0xd1; M];
    datagram[1..5].copy_from_slice(&tag);
    datagram[5..9].copy_from_slice(&checksum);
    datagram[9..].copy_from_slice(&body);
    datagram
}

#[test]
fn a_quiet_round_of_a_warm_node_allocates_nothing() {
    for peers in [1, 10, 300] {
        let mut solo = Solo::new(peers);
        for _ in 0..100 {
            solo.round();
        }
        let (acks, failed) = (solo.acks, solo.node.stats().probes_failed);
        let counted = allocation_counter::measure(|| {
            for _ in 0..1000 {
                solo.round();
            }
        });
        assert_eq!(counted.count_total, 0, "with {peers} peers");
        assert!(solo.acks >= acks + 999, "it did probe");
        assert_eq!(solo.node.stats().probes_failed, failed, "and was answered");
    }
}
