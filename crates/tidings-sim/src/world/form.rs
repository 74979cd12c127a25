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
        // Who stands in for n0 is told of everybody first.
        let mut registrar = self.newborn(0, [1; 32]);
        for node in 1..nodes {
            introduce(&mut self.newborn(node, [2; 32]), &mut registrar);
        }
        while registrar.poll_output(&mut self.buf).is_some() {}
        let mut last = None;
        for node in 1..nodes {
            let seed = self.seeds.seed();
            let mut newcomer = self.newborn(node, seed);
            meet(&mut newcomer, &mut registrar);
            assert_eq!(newcomer.present_count(), nodes, "{} was told of everybody", id(node));
            if let Some((node, newcomer)) = last.replace((node, newcomer)) {
                self.settle(node, newcomer);
            }
        }
        let seed = self.seeds.seed();
        let mut first = self.newborn(0, seed);
        if let Some((node, mut newcomer)) = last {
            meet(&mut first, &mut newcomer);
            self.settle(node, newcomer);
        }
        self.settle(0, first);
    }

    fn newborn(&self, node: usize, seed: [u8; 32]) -> Node {
        let host = &self.hosts[node];
        Node::new(self.config(node, host.addr), seed, host.clock.local(self.now))
    }

    fn settle(&mut self, node: usize, newcomer: Node) {
        let addr = self.hosts[node].addr;
        self.put(node, addr, |_| newcomer);
        if let Some(checks) = &mut self.checks {
            checks.formed(node);
        }
        self.arm(node);
    }
}

/// Has a node be told of another one that would join it, and no more than that.
fn introduce(newcomer: &mut Node, registrar: &mut Node) {
    let mut wire = Wire::open(newcomer, registrar);
    wire.carry_one_way(newcomer, registrar);
    registrar.handle_stream(wire.now, wire.ids[1], StreamInput::Closed);
}

/// Has a node join another one, to the end.
fn meet(newcomer: &mut Node, registrar: &mut Node) {
    let mut wire = Wire::open(newcomer, registrar);
    while wire.carry_one_way(newcomer, registrar) {
        wire.turn();
        wire.carry_one_way(registrar, newcomer);
        wire.turn();
    }
}

/// One stream without delay.
struct Wire {
    now: tidings::Instant,
    /// What the two call it, whoever speaks first.
    ids: [StreamId; 2],
    buf: Vec<u8>,
}

impl Wire {
    fn open(newcomer: &mut Node, registrar: &mut Node) -> Self {
        let now = tidings::Instant::ZERO;
        let to = registrar.local().addr();
        newcomer.join(now, &[to]).expect("a newcomer may join");
        let mut buf = Vec::new();
        let id = loop {
            match newcomer.poll_output(&mut buf) {
                Some(Output::Stream { id, action: StreamAction::Open { .. } }) => break id,
                Some(_) => {}
                None => unreachable!("a join opens a stream"),
            }
        };
        let theirs = registrar.accept_stream(now, newcomer.local().addr());
        let theirs = theirs.expect("it has no other streams");
        newcomer.handle_stream(now, id, StreamInput::Opened);
        Self { now, ids: [id, theirs], buf }
    }

    /// Carries all that one says on the stream to the other one; `false` if that was nothing.
    fn carry_one_way(&mut self, from: &mut Node, to: &mut Node) -> bool {
        let mut said = VecDeque::<Option<Bytes>>::new();
        while let Some(output) = from.poll_output(&mut self.buf) {
            match output {
                Output::Stream { id, action } if id == self.ids[0] => match action {
                    StreamAction::Write(bytes) => said.push_back(Some(bytes)),
                    StreamAction::Close | StreamAction::Reset => said.push_back(None),
                    StreamAction::Open { .. } => {}
                },
                _ => {}
            }
        }
        let carried = !said.is_empty();
        for piece in said {
            match piece {
                Some(bytes) => to.handle_stream(self.now, self.ids[1], StreamInput::Data(&bytes)),
                None => {
                    to.handle_stream(self.now, self.ids[1], StreamInput::Closed);
                    from.handle_stream(self.now, self.ids[0], StreamInput::Closed);
                }
            }
        }
        carried
    }

    /// The other one speaks.
    fn turn(&mut self) {
        self.ids.swap(0, 1);
    }
}
