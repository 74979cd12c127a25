//! Two nodes, and the stream between them over which they sync.

#![allow(dead_code, unreachable_pub)]

use super::forge;
use super::solo::{GENERATION, STRANGER, Solo, address, config, name};
use std::collections::VecDeque;
use tidings::{Instant, Node, Options, Output, StreamAction, StreamId, StreamInput};

pub struct Link {
    /// Node 1 opens streams to node 0.
    nodes: [Node; 2],
    /// The latest stream's id, at each node.
    stream: [Option<StreamId>; 2],
    /// The incarnation's number in the latest difference between the tables.
    number: u64,
    buf: Vec<u8>,
}

impl Link {
    /// Two members of a cluster of `members`, both of which know all members.
    pub fn between(members: u32) -> Self {
        let mut link = Self::newcomer(members);
        link.sync();
        link
    }

    /// A member of a cluster of `members` that knows all of them, and a new node that knows nobody.
    pub fn newcomer(members: u32) -> Self {
        let mut seed = Solo::new(members);
        seed.learn_all();
        let config = config(&name(1), address(1), Options::lan());
        let newcomer = Node::new(config, [8; 32], Instant::ZERO);
        let nodes = [seed.node, newcomer];
        Self { nodes, stream: [None; 2], number: 0, buf: Vec::with_capacity(2000) }
    }

    /// Returns node 1, the new one.
    pub fn into_newcomer(self) -> Node {
        let [_, newcomer] = self.nodes;
        newcomer
    }

    /// Gives node 0 an update that node 1 does not get.
    pub fn differ(&mut self) {
        self.number += 1;
        let alive = forge::alive(&name(2), &address(2).to_string(), GENERATION, self.number, b"");
        self.nodes[0].handle_datagram(
            Instant::ZERO,
            STRANGER,
            &forge::plain_datagram(forge::CLUSTER, &[alive]),
        );
    }

    /// Node 1 joins through node 0: a sync.
    pub fn sync(&mut self) {
        self.nodes[1].join(Instant::ZERO, &[address(0)]).expect("a running node can join");
        self.run();
        let [a, b] = &self.nodes;
        assert_eq!(a.present_count(), b.present_count());
    }

    /// Carries out the outputs of both nodes until there are none.
    fn run(&mut self) {
        let mut queue = VecDeque::from([1, 0]);
        while let Some(local) = queue.pop_front() {
            let remote = 1 - local;
            while let Some(output) = self.nodes[local].poll_output(&mut self.buf) {
                let Output::Stream { id, action } = output else { continue };
                match action {
                    StreamAction::Open { .. } => {
                        let accepted = self.nodes[remote].accept_stream(Instant::ZERO, address(1));
                        self.stream[local] = Some(id);
                        self.stream[remote] = accepted;
                        self.input(local, StreamInput::Opened);
                    }
                    StreamAction::Write(bytes) => self.input(remote, StreamInput::Data(&bytes)),
                    StreamAction::Close => {
                        self.input(local, StreamInput::Closed);
                        self.input(remote, StreamInput::Closed);
                    }
                    StreamAction::Reset => panic!("both nodes accept each other's frames"),
                }
                queue.push_back(remote);
            }
        }
    }

    fn input(&mut self, node: usize, input: StreamInput<'_>) {
        let id = self.stream[node].expect("the stream is open");
        self.nodes[node].handle_stream(Instant::ZERO, id, input);
    }
}
