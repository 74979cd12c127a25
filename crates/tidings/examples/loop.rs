//! Three nodes in one thread; the network is a queue, and time is a number.
//!
//! Prints their events, the same in each run: `cargo run -p tidings --example loop`. The parts that
//! each driver needs are `World::run`, which waits, and `World::drive`, which feeds an input and
//! carries out the outputs.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Bytes, ClusterName, Config, Event, Instant, Node, NodeId, Output};
use tidings::{StreamAction, StreamError, StreamId, StreamInput};

fn main() {
    print!("{}", history());
}

/// The events of all three nodes, one per line.
pub fn history() -> String {
    let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([10, 0, 0, n], 7946)));
    let name = |name| NodeId::new(name).expect("a short name is valid");
    let mut world = World::default();
    for (addr, name) in [(a, name("a")), (b, name("b")), (c, name("c"))] {
        world.start(addr, name);
    }
    for joiner in [b, c] {
        world.drive(joiner, |node, now| {
            node.join(now, &[a]).expect("a running node with a seed can join")
        });
    }
    world.run(Duration::from_secs(1));
    let hello = Bytes::from("hello");
    world.drive(b, |node, now| node.broadcast(now, hello.clone()).expect("it fits a datagram"));
    world.drive(c, |node, now| node.send_reliable(now, &name("a"), hello).expect("a is present"));
    world.run(Duration::from_secs(1));
    world.nodes.remove(&c);
    world.history += "           -- c crashes\n";
    world.run(Duration::from_secs(60));
    world.drive(b, |node, now| node.leave(now));
    world.run(Duration::from_secs(1));
    world.history
}

#[derive(Default)]
struct World {
    now: Instant,
    nodes: BTreeMap<SocketAddr, Node>,
    /// Packets in transit, with the time of arrival and the receiver.
    network: VecDeque<(Instant, SocketAddr, Packet)>,
    /// For each end of a stream, the other end.
    ends: BTreeMap<(SocketAddr, StreamId), (SocketAddr, StreamId)>,
    history: String,
}

enum Packet {
    Datagram(SocketAddr, Vec<u8>),
    Connect(SocketAddr, StreamId),
    Data(StreamId, Bytes),
    Stream(StreamId, StreamInput<'static>),
}

impl World {
    fn start(&mut self, addr: SocketAddr, name: NodeId) {
        let cluster = ClusterName::new("example").expect("a short name is valid");
        // In production a seed comes from the operating system.
        let seed = [self.nodes.len() as u8; 32];
        self.nodes.insert(addr, Node::new(Config::lan(cluster, name, addr), seed, self.now));
    }

    /// Advances time to the next packet or timeout, and feeds it; ends after `time`.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.network.front().map_or(Instant::MAX, |&(at, ..)| at);
            let timeouts =
                self.nodes.iter().filter_map(|(&at, node)| Some((node.poll_timeout()?, at)));
            let (due, node) = timeouts.min().expect("some node has a timer");
            self.now = self.now.max(arrival.min(due).min(end));
            // Input that has arrived comes before a timeout that is due.
            if arrival <= self.now {
                let (_, to, packet) = self.network.pop_front().expect("a packet has arrived");
                self.deliver(to, packet);
            } else if due <= self.now {
                self.drive(node, |node, now| node.handle_timeout(now));
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, to: SocketAddr, packet: Packet) {
        match packet {
            Packet::Datagram(from, data) => {
                self.drive(to, |node, now| node.handle_datagram(now, from, &data));
            }
            Packet::Connect(from, id) => {
                // A node that has crashed does not answer.
                let accept = |node: &mut Node, now| node.accept_stream(now, from);
                let Some(accepted) = self.drive(to, accept) else { return };
                let mut reply = StreamInput::Failed(StreamError::Reset);
                if let Some(accepted) = accepted {
                    self.ends.insert((to, accepted), (from, id));
                    self.ends.insert((from, id), (to, accepted));
                    reply = StreamInput::Opened;
                }
                self.send(from, Packet::Stream(id, reply));
            }
            Packet::Data(id, bytes) => {
                self.drive(to, |node, now| node.handle_stream(now, id, StreamInput::Data(&bytes)));
            }
            Packet::Stream(id, input) => {
                if input != StreamInput::Opened {
                    self.ends.remove(&(to, id));
                }
                self.drive(to, |node, now| node.handle_stream(now, id, input));
            }
        }
    }

    /// Feeds a node one input, and carries out all outputs; `None` if the node has crashed.
    fn drive<R>(
        &mut self,
        addr: SocketAddr,
        input: impl FnOnce(&mut Node, Instant) -> R,
    ) -> Option<R> {
        // A driver of one node reuses its buffer.
        let mut buf = Vec::new();
        let result = input(self.nodes.get_mut(&addr)?, self.now);
        while let Some(output) = self.nodes.get_mut(&addr)?.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => self.send(to, Packet::Datagram(addr, data.into())),
                Output::Stream { id, action } => self.act(addr, id, action),
                Output::Event(event) => self.record(addr, &event),
            }
        }
        Some(result)
    }

    fn act(&mut self, addr: SocketAddr, id: StreamId, action: StreamAction) {
        let other = match action {
            StreamAction::Reset => self.ends.remove(&(addr, id)),
            _ => self.ends.get(&(addr, id)).copied(),
        };
        match (action, other) {
            (StreamAction::Open { to, .. }, _) => self.send(to, Packet::Connect(addr, id)),
            (StreamAction::Write(bytes), Some((peer, peer_id))) => {
                self.send(peer, Packet::Data(peer_id, bytes));
            }
            (StreamAction::Close, Some((peer, peer_id))) => {
                self.send(peer, Packet::Stream(peer_id, StreamInput::Closed));
                self.send(addr, Packet::Stream(id, StreamInput::Closed));
            }
            (StreamAction::Reset, Some((peer, peer_id))) => {
                let reset = StreamInput::Failed(StreamError::Reset);
                self.send(peer, Packet::Stream(peer_id, reset));
            }
            // The stream was never connected.
            (_, None) => {}
        }
    }

    fn send(&mut self, to: SocketAddr, packet: Packet) {
        self.network.push_back((self.now + LATENCY, to, packet));
    }

    fn record(&mut self, addr: SocketAddr, event: &Event) {
        let text = match event {
            Event::Joined(member) => format!("{} joined", member.id()),
            Event::Suspected(member) => format!("{} is suspected", member.id()),
            Event::Failed(member) => format!("{} failed", member.id()),
            Event::Left(member) => format!("{} left", member.id()),
            Event::Message { data, via, .. } => format!("{data:?}, by {via:?}"),
            Event::Completed { result, .. } => format!("{result:?}"),
            event => event.to_string(),
        };
        let (at, name) = (self.now.as_nanos() / 1_000_000, self.nodes[&addr].local().id());
        self.history += &format!("{at:>6} ms  {name}: {text}\n");
    }
}

/// The time that each packet is in transit.
const LATENCY: Duration = Duration::from_millis(1);
