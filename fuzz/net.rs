//! A few nodes and the network between them, in virtual time, for targets with more than one node.

#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    Config, Event, Instant, Node, Output, StreamAction, StreamError, StreamId, StreamInput,
};

/// One-way latency of everything.
pub const LATENCY: Duration = Duration::from_millis(1);

/// Nodes, named by their index, and what is in flight between them.
pub struct Net<W> {
    pub now: Instant,
    pub hosts: Vec<Host>,
    /// In the order in which they arrive, each with its time.
    pub in_flight: VecDeque<(Instant, Packet)>,
    pub watch: W,
    buf: Vec<u8>,
}

/// One node, and the other ends of its streams.
pub struct Host {
    pub node: Node,
    pub addr: SocketAddr,
    /// The open streams, each with its other end; `None` if no node is there.
    pub ends: BTreeMap<StreamId, Option<End>>,
}

/// One end of a stream: the node, and its id of the stream.
pub type End = (usize, StreamId);

#[derive(Clone, Debug)]
pub enum Packet {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// A node opens a stream.
    Connect {
        from: End,
        to: SocketAddr,
    },
    /// Something arrives at an end of a stream.
    Chunk {
        from: usize,
        to: End,
        chunk: Chunk,
    },
}

#[derive(Clone, Debug)]
pub enum Chunk {
    Opened,
    Data(Vec<u8>),
    Closed,
    Failed(StreamError),
}

/// Observes everything that the nodes do.
pub trait Watch {
    /// A node sends a datagram.
    fn datagram(&mut self, _here: usize, _to: SocketAddr, _data: &[u8]) {}

    /// A node acts on one of its streams.
    fn action(&mut self, _here: usize, _id: StreamId, _action: &StreamAction) {}

    /// A node reports an event.
    fn event(&mut self, _hosts: &[Host], _here: usize, _event: &Event) {}

    /// All outputs of a node are carried out.
    fn drained(&mut self, _hosts: &[Host], _here: usize) {}
}

impl<W: Watch> Net<W> {
    pub fn new(now: Instant, watch: W) -> Self {
        let (hosts, in_flight, buf) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { now, hosts, in_flight, watch, buf }
    }

    pub fn start(&mut self, config: Config) -> usize {
        let here = self.hosts.len();
        let host = self.host(here, config);
        self.hosts.push(host);
        self.drain(here);
        here
    }

    /// Stops a node at once, and starts another one in its place.
    pub fn restart(&mut self, here: usize, config: Config) {
        let host = self.host(here, config);
        self.hosts[here] = host;
        // The new node's ids of streams begin anew.
        let mut broken = Vec::new();
        for (n, host) in self.hosts.iter_mut().enumerate() {
            for (&id, other) in &mut host.ends {
                if other.take_if(|other| other.0 == here).is_some() {
                    broken.push((n, id));
                }
            }
        }
        self.in_flight.retain(|(_, packet)| match packet {
            Packet::Datagram { .. } => true,
            Packet::Connect { from, .. } => from.0 != here,
            Packet::Chunk { to, .. } => to.0 != here,
        });
        for end in broken {
            self.chunk(here, end, Chunk::Failed(StreamError::Reset));
        }
        self.drain(here);
    }

    fn host(&self, here: usize, config: Config) -> Host {
        let mut seed = [here as u8 + 1; 32];
        seed[..8].copy_from_slice(&self.now.as_nanos().to_le_bytes());
        let node = Node::new(config, seed, self.now);
        let addr = node.local().addr();
        Host { node, addr, ends: BTreeMap::new() }
    }

    /// Gives a node a command or an input, and carries out its outputs.
    pub fn with<R>(&mut self, here: usize, tell: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let result = tell(&mut self.hosts[here].node, self.now);
        self.drain(here);
        result
    }

    /// Runs until `end`; what is in flight arrives, as far as `passes` says so.
    pub fn run(&mut self, end: Instant, passes: impl Fn(&Packet) -> bool) {
        while self.step(end, &passes) {}
        self.now = self.now.max(end);
    }

    /// Handles the next arrival or timer; returns false if that is after `end`.
    pub fn step(&mut self, end: Instant, passes: impl Fn(&Packet) -> bool) -> bool {
        let timers = self.hosts.iter().enumerate();
        let timer = timers.filter_map(|(n, host)| Some((host.node.poll_timeout()?, n))).min();
        let arrival = self.in_flight.front().map(|(at, _)| *at);
        // Arrivals come before timers.
        let (at, timer) = match (arrival, timer) {
            (Some(at), Some((due, here))) if due < at => (due, Some(here)),
            (Some(at), _) => (at, None),
            (None, Some((due, here))) => (due, Some(here)),
            (None, None) => return false,
        };
        if at > end {
            return false;
        }
        self.now = self.now.max(at);
        if let Some(here) = timer {
            self.with(here, |node, now| node.handle_timeout(now));
        } else if let Some((_, packet)) = self.in_flight.pop_front() {
            if passes(&packet) {
                self.deliver(packet);
            }
        }
        true
    }

    pub fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Datagram { from, to, data } => {
                if let Some(to) = self.at(to) {
                    self.with(to, |node, now| node.handle_datagram(now, from, &data));
                }
            }
            Packet::Connect { from, to } => {
                // Nobody answers at an address without a node.
                if let Some(to) = self.at(to) {
                    self.connect(from, to);
                }
            }
            Packet::Chunk { to, chunk, .. } => self.input(to, &chunk),
        }
    }

    /// Connects a stream that a node opened to a node.
    pub fn connect(&mut self, from: End, to: usize) {
        if self.hosts[from.0].ends.get(&from.1) != Some(&None) {
            return;
        }
        let peer = self.hosts[from.0].addr;
        let Some(theirs) = self.hosts[to].node.accept_stream(self.now, peer) else {
            self.chunk(to, from, Chunk::Failed(StreamError::Reset));
            return self.drain(to);
        };
        self.pair(from, (to, theirs));
        self.chunk(to, from, Chunk::Opened);
        self.drain(to);
    }

    /// Makes two ends those of one stream.
    pub fn pair(&mut self, one: End, other: End) {
        self.hosts[one.0].ends.insert(one.1, Some(other));
        self.hosts[other.0].ends.insert(other.1, Some(one));
    }

    /// Gives a node an input of a stream at once.
    pub fn input(&mut self, (here, id): End, chunk: &Chunk) {
        let input = match chunk {
            Chunk::Opened => StreamInput::Opened,
            Chunk::Data(data) => StreamInput::Data(data),
            Chunk::Closed => StreamInput::Closed,
            Chunk::Failed(error) => StreamInput::Failed(*error),
        };
        if matches!(chunk, Chunk::Closed | Chunk::Failed(_)) {
            self.hosts[here].ends.remove(&id);
        }
        self.with(here, |node, now| node.handle_stream(now, id, input));
    }

    /// The node at an address.
    pub fn at(&self, addr: SocketAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.addr == addr)
    }

    pub fn drain(&mut self, here: usize) {
        let mut buf = std::mem::take(&mut self.buf);
        while let Some(output) = self.hosts[here].node.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => {
                    self.watch.datagram(here, to, data);
                    let (from, data) = (self.hosts[here].addr, data.to_vec());
                    self.send(Packet::Datagram { from, to, data });
                }
                Output::Stream { id, action } => {
                    self.watch.action(here, id, &action);
                    self.act(here, id, action);
                }
                Output::Event(event) => self.watch.event(&self.hosts, here, &event),
            }
        }
        self.buf = buf;
        self.watch.drained(&self.hosts, here);
    }

    fn act(&mut self, here: usize, id: StreamId, action: StreamAction) {
        let other = self.hosts[here].ends.get(&id).copied().flatten();
        match action {
            StreamAction::Open { to, .. } => {
                self.hosts[here].ends.insert(id, None);
                self.send(Packet::Connect { from: (here, id), to });
            }
            StreamAction::Write(bytes) => {
                if let Some(other) = other {
                    self.chunk(here, other, Chunk::Data(bytes.to_vec()));
                }
            }
            StreamAction::Close => {
                if let Some(other) = other {
                    self.chunk(here, other, Chunk::Closed);
                }
                self.chunk(here, (here, id), Chunk::Closed);
            }
            StreamAction::Reset => {
                self.hosts[here].ends.remove(&id);
                if let Some(other) = other {
                    self.chunk(here, other, Chunk::Failed(StreamError::Reset));
                }
            }
        }
    }

    fn chunk(&mut self, from: usize, to: End, chunk: Chunk) {
        self.send(Packet::Chunk { from, to, chunk });
    }

    pub fn send(&mut self, packet: Packet) {
        self.in_flight.push_back((self.now + LATENCY, packet));
    }
}
