//! Three nodes in one thread, with a queue for a network and a number for the time.
//!
//! Tells what they live through, the same each time: `cargo run -p tidings --example loop`. What any
//! driver does is in `World::run`, which waits, and `World::drive`, which carries out.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Bytes, ClusterName, Config, Event, Instant, Node, NodeId, Output};
use tidings::{StreamAction, StreamError, StreamId, StreamInput};

fn main() {
    print!("{}", history());
}

/// What the applications of three nodes are told, a line for each event.
pub fn history() -> String {
    let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([10, 0, 0, n], 7946)));
    let name = |name| NodeId::new(name).expect("it is short");
    let mut world = World::default();
    for (addr, name) in [(a, name("a")), (b, name("b")), (c, name("c"))] {
        world.start(addr, name);
    }
    for joiner in [b, c] {
        world.drive(joiner, |node, now| node.join(now, &[a]).expect("there is a seed"));
    }
    world.run(Duration::from_secs(1));
    let hello = Bytes::from("hello");
    world.drive(b, |node, now| node.broadcast(now, hello.clone()).expect("it is short"));
    world.drive(c, |node, now| node.send_reliable(now, &name("a"), hello).expect("a is there"));
    world.run(Duration::from_secs(1));
    world.nodes.remove(&c);
    world.history += "           -- c falls silent\n";
    world.run(Duration::from_secs(60));
    world.drive(b, |node, now| node.leave(now));
    world.run(Duration::from_secs(1));
    world.history
}

#[derive(Default)]
struct World {
    now: Instant,
    nodes: BTreeMap<SocketAddr, Node>,
    /// What is under way: when it arrives, and where.
    network: VecDeque<(Instant, SocketAddr, Parcel)>,
    /// Each end of a stream, and the other one.
    ends: BTreeMap<(SocketAddr, StreamId), (SocketAddr, StreamId)>,
    history: String,
}

enum Parcel {
    Datagram(SocketAddr, Vec<u8>),
    Connect(SocketAddr, StreamId),
    Data(StreamId, Bytes),
    Stream(StreamId, StreamInput<'static>),
}

impl World {
    fn start(&mut self, addr: SocketAddr, name: NodeId) {
        let cluster = ClusterName::new("example").expect("it is short");
        // Elsewhere a seed comes from the operating system.
        let seed = [self.nodes.len() as u8; 32];
        self.nodes.insert(addr, Node::new(Config::lan(cluster, name, addr), seed, self.now));
    }

    /// Waits for what comes first, a parcel or a node's time, and feeds it.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.network.front().map_or(Instant::MAX, |&(at, ..)| at);
            let timeouts =
                self.nodes.iter().filter_map(|(&at, node)| Some((node.poll_timeout()?, at)));
            let (due, here) = timeouts.min().expect("some node has a timer");
            self.now = self.now.max(arrival.min(due).min(end));
            // What is there already comes before what is due.
            if arrival <= self.now {
                let (_, to, parcel) = self.network.pop_front().expect("it has arrived");
                self.deliver(to, parcel);
            } else if due <= self.now {
                self.drive(here, |node, now| node.handle_timeout(now));
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, to: SocketAddr, parcel: Parcel) {
        match parcel {
            Parcel::Datagram(from, data) => {
                self.drive(to, |node, now| node.handle_datagram(now, from, &data));
            }
            Parcel::Connect(from, theirs) => {
                // Who calls one that is gone gets no answer.
                let accept = |node: &mut Node, now| node.accept_stream(now, from);
                let Some(accepted) = self.drive(to, accept) else { return };
                let mut answer = StreamInput::Failed(StreamError::Reset);
                if let Some(ours) = accepted {
                    self.ends.insert((to, ours), (from, theirs));
                    self.ends.insert((from, theirs), (to, ours));
                    answer = StreamInput::Opened;
                }
                self.send(from, Parcel::Stream(theirs, answer));
            }
            Parcel::Data(id, bytes) => {
                self.drive(to, |node, now| node.handle_stream(now, id, StreamInput::Data(&bytes)));
            }
            Parcel::Stream(id, input) => {
                if input != StreamInput::Opened {
                    self.ends.remove(&(to, id));
                }
                self.drive(to, |node, now| node.handle_stream(now, id, input));
            }
        }
    }

    /// Gives a node one input, and carries out all that it wants done; `None` if it is gone.
    fn drive<R>(
        &mut self,
        here: SocketAddr,
        input: impl FnOnce(&mut Node, Instant) -> R,
    ) -> Option<R> {
        // A driver of one node keeps it.
        let mut buf = Vec::new();
        let result = input(self.nodes.get_mut(&here)?, self.now);
        while let Some(output) = self.nodes.get_mut(&here)?.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => self.send(to, Parcel::Datagram(here, data.into())),
                Output::Stream { id, action } => self.act(here, id, action),
                Output::Event(event) => self.tell(here, &event),
            }
        }
        Some(result)
    }

    fn act(&mut self, here: SocketAddr, id: StreamId, action: StreamAction) {
        let other = match action {
            StreamAction::Reset => self.ends.remove(&(here, id)),
            _ => self.ends.get(&(here, id)).copied(),
        };
        match (action, other) {
            (StreamAction::Open { to, .. }, _) => self.send(to, Parcel::Connect(here, id)),
            (StreamAction::Write(bytes), Some((peer, theirs))) => {
                self.send(peer, Parcel::Data(theirs, bytes));
            }
            (StreamAction::Close, Some((peer, theirs))) => {
                self.send(peer, Parcel::Stream(theirs, StreamInput::Closed));
                self.send(here, Parcel::Stream(id, StreamInput::Closed));
            }
            (StreamAction::Reset, Some((peer, theirs))) => {
                let broken = StreamInput::Failed(StreamError::Reset);
                self.send(peer, Parcel::Stream(theirs, broken));
            }
            // It was never connected.
            (_, None) => {}
        }
    }

    fn send(&mut self, to: SocketAddr, parcel: Parcel) {
        self.network.push_back((self.now + LATENCY, to, parcel));
    }

    fn tell(&mut self, here: SocketAddr, event: &Event) {
        let said = match event {
            Event::Joined(member) => format!("{} joined", member.id()),
            Event::Suspected(member) => format!("{} does not answer", member.id()),
            Event::Failed(member) => format!("{} failed", member.id()),
            Event::Left(member) => format!("{} left", member.id()),
            Event::Message { data, via, .. } => format!("{data:?}, by {via:?}"),
            Event::Completed { result, .. } => format!("{result:?}"),
            event => event.to_string(),
        };
        let (at, name) = (self.now.as_nanos() / 1_000_000, self.nodes[&here].local().id());
        self.history += &format!("{at:>6} ms  {name}: {said}\n");
    }
}

/// How long anything is under way.
const LATENCY: Duration = Duration::from_millis(1);
