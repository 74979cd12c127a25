//! One node among simulated peers, which answer pings at once and send no updates.

#![allow(dead_code, unreachable_pub)]

use super::forge;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, Instant, Node, NodeId, Options, Output, StreamAction, StreamError,
    StreamInput,
};

/// A node and its peers, each with a name of ten bytes, an IPv4 address and no metadata.
///
/// Once it has run for a while, neither feeding the node nor answering it allocates.
pub struct SingleNode {
    pub node: Node,
    pub now: Instant,
    /// Number of peers; the node knows them after [`learn_all_peers`](Self::learn_all_peers).
    pub peers: u32,
    /// The digest in the node's latest ping, with which the peers agree.
    digest: u32,
    /// Number of gossip datagrams that the node sent.
    pub gossip: u64,
    /// Buffer for a datagram from the node.
    sent: Vec<u8>,
    /// Buffer for a datagram to the node.
    incoming: Vec<u8>,
}

/// The first generation of all nodes, encoded as long as today's.
pub const GENERATION: u64 = 60_000_000;

/// An address that no member has.
pub const STRANGER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 999);

/// Number of updates about such members that fit a datagram of the usual size.
pub const UPDATES_PER_DATAGRAM: u32 = 57;

const SECOND: Duration = Duration::from_secs(1);

impl SingleNode {
    /// A node in a cluster of `members`, itself included, which does not know the others yet.
    pub fn new(members: u32) -> Self {
        let mut options = Options::lan();
        // Syncs are streams, which are not quiet.
        options.sync_interval = 86_400 * SECOND;
        Self::with(options, members)
    }

    /// The same with other options.
    pub fn with(options: Options, members: u32) -> Self {
        let config = config("solo-00000", address(0), options);
        Self {
            node: Node::new(config, [7; 32], Instant::ZERO),
            now: Instant::ZERO,
            peers: members - 1,
            digest: 0,
            gossip: 0,
            sent: Vec::with_capacity(2000),
            incoming: Vec::with_capacity(2000),
        }
    }

    /// A node that knows all members, and has gossiped all updates about them.
    pub fn warm(members: u32) -> Self {
        let mut single = Self::new(members);
        single.learn_all_peers();
        single.hear_all_peers();
        single.settle();
        single
    }

    /// Sends the node an update about each peer, at once, as from a member.
    pub fn learn_all_peers(&mut self) {
        for datagram in self.alive_updates(0) {
            self.receive(address(0), &datagram);
        }
    }

    /// Lets the node join seeds that know all peers, so that it takes them for validated.
    pub fn hear_all_peers(&mut self) {
        let all: Vec<_> = (1..=self.peers).collect();
        for some in all.chunks(8000) {
            let member =
                |&n: &u32| forge::member(0, &name(n), &address(n).to_string(), GENERATION, b"");
            let members: Vec<_> = some.iter().map(member).collect();
            answer_join(&mut self.node, self.now, &forge::join_answer(&members));
        }
    }

    /// Datagrams with an alive update about each peer, in the incarnation with this number.
    pub fn alive_updates(&self, number: u64) -> impl Iterator<Item = Vec<u8>> + use<> {
        let peers = self.peers;
        (1..=peers).step_by(UPDATES_PER_DATAGRAM as usize).map(move |first| {
            let some = first..=peers.min(first + UPDATES_PER_DATAGRAM - 1);
            let alive =
                |n| forge::alive(&name(n), &address(n).to_string(), GENERATION, number, b"");
            forge::plain_datagram(forge::CLUSTER, &some.map(alive).collect::<Vec<_>>())
        })
    }

    /// Runs until the node has nothing left to gossip.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let before = self.gossip;
            self.round();
            if self.gossip == before {
                return;
            }
        }
        panic!("the gossip queue never empties");
    }

    /// Runs for a second, which is one probe interval: a probe by the node and its ack, and a ping
    /// from one of the peers.
    pub fn round(&mut self) {
        self.run_for(SECOND);
        let pinger = self.now.since(Instant::ZERO).as_secs() as u32;
        self.ping_from(1 + spread(pinger) % self.peers.max(1));
    }

    /// Runs without pings from the peers.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.node.poll_timeout().filter(|&at| at <= end) {
            self.now = at;
            self.node.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// A peer pings the node.
    pub fn ping_from(&mut self, peer: u32) {
        let mut incoming = std::mem::take(&mut self.incoming);
        self.write_ping(&mut incoming, peer);
        self.receive(address(peer), &incoming);
        self.incoming = incoming;
    }

    /// Writes the ping of a peer.
    pub fn write_ping(&self, buf: &mut Vec<u8>, peer: u32) {
        let mut name = *b"node-00000";
        let mut rest = peer;
        for digit in name[5..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let sender = forge::sender_tag(&name, GENERATION);
        forge::write_ping(buf, 9, forge::target_tag(9, b"solo-00000"), sender, self.digest);
    }

    /// Hands a datagram to the node, and handles its outputs.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.node.handle_datagram(self.now, from, datagram);
        self.drain();
    }

    /// Handles the node's outputs: answers pings, refuses streams.
    pub fn drain(&mut self) {
        loop {
            let (from, token) = match self.node.poll_output(&mut self.sent) {
                None => return,
                Some(Output::Datagram { to, data }) => match forge::read_ping(data) {
                    Some((token, digest)) => {
                        self.digest = digest;
                        (to, token)
                    }
                    None => {
                        self.gossip += u64::from(forge::is_gossip(data));
                        continue;
                    }
                },
                Some(Output::Stream { id, action: StreamAction::Open { .. } }) => {
                    let busy = StreamInput::Failed(StreamError::Reset);
                    self.node.handle_stream(self.now, id, busy);
                    continue;
                }
                Some(_) => continue,
            };
            forge::write_ack(&mut self.incoming, token, GENERATION, self.digest);
            self.node.handle_datagram(self.now, from, &self.incoming);
        }
    }
}

/// Lets a node join a seed that answers with this frame; the node's other outputs are dropped.
pub fn answer_join(node: &mut Node, now: Instant, answer: &[u8]) {
    let mut buf = Vec::new();
    node.join(now, &[address(1)]).expect("it has not left");
    let mut opened = None;
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Stream { id, action: StreamAction::Open { .. } } = output {
            opened = opened.or(Some(id));
        }
    }
    let stream = opened.expect("a join opens a stream");
    for input in [StreamInput::Opened, StreamInput::Data(answer), StreamInput::Closed] {
        node.handle_stream(now, stream, input);
        while node.poll_output(&mut buf).is_some() {}
    }
}

/// The configuration of a node of this name in the peers' cluster.
pub fn config(name: &str, addr: SocketAddr, options: Options) -> Config {
    let cluster = ClusterName::new(forge::CLUSTER).unwrap();
    let config = Config::builder(cluster, NodeId::new(name).unwrap(), addr);
    config.options(options).generation(GENERATION).build().unwrap()
}

pub fn name(n: u32) -> String {
    format!("node-{n:05}")
}

pub fn address(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 7946))
}

/// Scatters numbers, so that consecutive members are not close in memory.
pub fn spread(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1).rotate_left(15).wrapping_mul(0x85eb_ca6b) >> 1
}
