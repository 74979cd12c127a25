//! Forming: a cluster in which everybody knows everybody, without living through how they met.

use super::{Settings, World, id};
use bytes::Bytes;
use std::collections::VecDeque;
use tidings::{Node, Output, StreamAction, StreamId, StreamInput};

impl World {
    /// A world of nodes that all know each other and have nothing left to tell.
    ///
    /// They join with the real messages, but through one that is left aside afterwards, over wires
    /// without delay, and what they would gossip about it is not sent. Their histories begin now.
    pub fn formed(nodes: usize, settings: Settings, seed: u64) -> Self {
        let mut world = Self::new(settings, seed);
        for _ in 0..nodes {
            world.add();
        }
        world.form();
        world
    }

    /// Starts all nodes as members of one cluster.
    pub(crate) fn form(&mut self) {
        let nodes = self.len();
        if nodes == 0 {
            return;
        }
        // NodeSelector stands in for n0 is told of everybody first.
        let mut introducer = self.new_node(0, [1; 32]);
        for node in 1..nodes {
            announce(&mut self.new_node(node, [2; 32]), &mut introducer);
        }
        while introducer.poll_output(&mut self.buf).is_some() {}
        let mut last = None;
        for node in 1..nodes {
            let seed = self.node_seeds.seed();
            let mut newcomer = self.new_node(node, seed);
            join_fully(&mut newcomer, &mut introducer);
            assert_eq!(newcomer.present_count(), nodes, "{} was told of everybody", id(node));
            if let Some((node, newcomer)) = last.replace((node, newcomer)) {
                self.start_formed(node, newcomer);
            }
        }
        let seed = self.node_seeds.seed();
        let mut first = self.new_node(0, seed);
        if let Some((node, mut newcomer)) = last {
            join_fully(&mut first, &mut newcomer);
            self.start_formed(node, newcomer);
        }
        self.start_formed(0, first);
    }

    fn new_node(&self, node: usize, seed: [u8; 32]) -> Node {
        let host = &self.hosts[node];
        Node::new(self.config(node, host.addr), seed, host.clock.local(self.now))
    }

    fn start_formed(&mut self, node: usize, newcomer: Node) {
        let addr = self.hosts[node].addr;
        self.install_node(node, addr, |_| newcomer);
        if let Some(checks) = &mut self.checks {
            checks.formed(node);
        }
        self.arm(node);
    }
}

/// Has a node be told of another one that would join it, and no more than that.
fn announce(newcomer: &mut Node, introducer: &mut Node) {
    let mut stream = DirectStream::open(newcomer, introducer);
    stream.transfer(newcomer, introducer);
    introducer.handle_stream(stream.now, stream.ids[1], StreamInput::Closed);
}

/// Has a node join another one, to the end.
fn join_fully(newcomer: &mut Node, introducer: &mut Node) {
    let mut stream = DirectStream::open(newcomer, introducer);
    while stream.transfer(newcomer, introducer) {
        stream.swap_ends();
        stream.transfer(introducer, newcomer);
        stream.swap_ends();
    }
}

/// One stream without delay.
struct DirectStream {
    now: tidings::Instant,
    /// What the two call it, whoever speaks first.
    ids: [StreamId; 2],
    buf: Vec<u8>,
}

impl DirectStream {
    fn open(newcomer: &mut Node, introducer: &mut Node) -> Self {
        let now = tidings::Instant::ZERO;
        let to = introducer.local().addr();
        newcomer.join(now, &[to]).expect("a newcomer may join");
        let mut buf = Vec::new();
        let id = loop {
            match newcomer.poll_output(&mut buf) {
                Some(Output::Stream { id, action: StreamAction::Open { .. } }) => break id,
                Some(_) => {}
                None => unreachable!("a join opens a stream"),
            }
        };
        let theirs = introducer.accept_stream(now, newcomer.local().addr());
        let theirs = theirs.expect("it has no other streams");
        newcomer.handle_stream(now, id, StreamInput::Opened);
        Self { now, ids: [id, theirs], buf }
    }

    /// Carries all that one says on the stream to the other one; `false` if that was nothing.
    fn transfer(&mut self, from: &mut Node, to: &mut Node) -> bool {
        let mut writes = VecDeque::<Option<Bytes>>::new();
        while let Some(output) = from.poll_output(&mut self.buf) {
            match output {
                Output::Stream { id, action } if id == self.ids[0] => match action {
                    StreamAction::Write(bytes) => writes.push_back(Some(bytes)),
                    StreamAction::Close | StreamAction::Reset => writes.push_back(None),
                    StreamAction::Open { .. } => {}
                },
                _ => {}
            }
        }
        let transferred = !writes.is_empty();
        for write in writes {
            match write {
                Some(bytes) => to.handle_stream(self.now, self.ids[1], StreamInput::Data(&bytes)),
                None => {
                    to.handle_stream(self.now, self.ids[1], StreamInput::Closed);
                    from.handle_stream(self.now, self.ids[0], StreamInput::Closed);
                }
            }
        }
        transferred
    }

    /// The other one speaks.
    fn swap_ends(&mut self) {
        self.ids.swap(0, 1);
    }
}
