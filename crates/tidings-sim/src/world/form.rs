//! Formed clusters: full views from the start, without simulating how the cluster formed.

use super::{Settings, World, id};
use bytes::Bytes;
use std::collections::VecDeque;
use tidings::{Node, Output, StreamAction, StreamId, StreamInput};

impl World {
    /// Creates a world in which all nodes know each other and have no pending gossip.
    ///
    /// The nodes join with real messages, over streams without delay, through a node that is
    /// discarded afterwards. The gossip about the joins is not sent. Their histories begin now.
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
        // The introducer, which stands in for n0, learns of all nodes first.
        let mut introducer = self.new_node(0, [1; 32]);
        for node in 1..nodes {
            // No seed twice: nonces are drawn from it, and one that repeats is that of a replay.
            let mut seed = [2; 32];
            seed[..8].copy_from_slice(&(node as u64).to_le_bytes());
            announce(&mut self.new_node(node, seed), &mut introducer);
        }
        while introducer.poll_output(&mut self.buf).is_some() {}
        let mut last = None;
        for node in 1..nodes {
            let seed = self.node_seeds.seed();
            let mut newcomer = self.new_node(node, seed);
            join_fully(&mut newcomer, &mut introducer);
            assert_eq!(newcomer.present_count(), nodes, "{} learned of all nodes", id(node));
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

/// Announces a node to the introducer, without an answer.
fn announce(newcomer: &mut Node, introducer: &mut Node) {
    let mut stream = DirectStream::open(newcomer, introducer);
    stream.transfer(newcomer, introducer);
    introducer.handle_stream(stream.now, stream.ids[1], StreamInput::Closed);
}

/// Lets a node join the introducer completely.
fn join_fully(newcomer: &mut Node, introducer: &mut Node) {
    let mut stream = DirectStream::open(newcomer, introducer);
    while stream.transfer(newcomer, introducer) {
        stream.swap_ends();
        stream.transfer(introducer, newcomer);
        stream.swap_ends();
    }
}

/// A stream without delay between two nodes.
struct DirectStream {
    now: tidings::Instant,
    /// The stream's id at each node, the sender's first.
    ids: [StreamId; 2],
    buf: Vec<u8>,
}

impl DirectStream {
    fn open(newcomer: &mut Node, introducer: &mut Node) -> Self {
        let now = tidings::Instant::ZERO;
        let to = introducer.local().addr();
        newcomer.join(now, &[to]).expect("a new node can join");
        let mut buf = Vec::new();
        let id = loop {
            match newcomer.poll_output(&mut buf) {
                Some(Output::Stream { id, action: StreamAction::Open { .. } }) => break id,
                Some(_) => {}
                None => unreachable!("a join opens a stream"),
            }
        };
        let theirs = introducer.accept_stream(now, newcomer.local().addr());
        let theirs = theirs.expect("the introducer has no other stream");
        newcomer.handle_stream(now, id, StreamInput::Opened);
        Self { now, ids: [id, theirs], buf }
    }

    /// Transfers all pending writes from one node to the other; `false` if there were none.
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

    /// Swaps sender and receiver.
    fn swap_ends(&mut self) {
        self.ids.swap(0, 1);
    }
}
