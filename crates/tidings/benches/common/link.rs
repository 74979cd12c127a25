//! Two nodes that know the same, and the stream on which they compare that.

#![allow(dead_code, unreachable_pub)]

use super::forge;
use super::single_node::{GENERATION, STRANGER, SingleNode, address, config, name};
use std::collections::VecDeque;
use tidings::{Instant, Node, Options, Output, StreamAction, StreamId, StreamInput};

pub struct Link {
    /// Node 1 opens streams to node 0.
    nodes: [Node; 2],
    /// Of the latest stream, each one's name for it.
    stream: [Option<StreamId>; 2],
    /// Of which incarnation the latest difference between the two is.
    number: u64,
    buf: Vec<u8>,
}

impl Link {
    /// Two of so many members, who know them all.
    pub fn between(members: u32) -> Self {
        let mut link = Self::newcomer(members);
        link.sync();
        link
    }

    /// One of so many members, who knows them all, and another one, who is yet to learn of them.
    pub fn newcomer(members: u32) -> Self {
        let mut seed = SingleNode::new(members);
        seed.learn_all_peers();
        let config = config(&name(1), address(1), Options::lan());
        let newcomer = Node::new(config, [8; 32], Instant::ZERO);
        let nodes = [seed.node, newcomer];
        Self { nodes, stream: [None; 2], number: 0, buf: Vec::with_capacity(2000) }
    }

    /// The one that learned of all from the other, alone.
    pub fn into_newcomer(self) -> Node {
        let [_, newcomer] = self.nodes;
        newcomer
    }

    /// Node 0 learns something that node 1 does not.
    pub fn differ(&mut self) {
        self.number += 1;
        let alive = forge::alive(&name(2), &address(2).to_string(), GENERATION, self.number, b"");
        self.nodes[0].handle_datagram(
            Instant::ZERO,
            STRANGER,
            &forge::plain_datagram(forge::CLUSTER, &[alive]),
        );
    }

    /// Node 1 compares what it knows with node 0, as it does to join.
    pub fn sync(&mut self) {
        self.nodes[1].join(Instant::ZERO, &[address(0)]).expect("it may");
        self.carry();
        let [a, b] = &self.nodes;
        assert_eq!(a.present_count(), b.present_count());
    }

    fn carry(&mut self) {
        let mut ways = VecDeque::from([1, 0]);
        while let Some(here) = ways.pop_front() {
            let there = 1 - here;
            while let Some(output) = self.nodes[here].poll_output(&mut self.buf) {
                let Output::Stream { id, action } = output else { continue };
                match action {
                    StreamAction::Open { .. } => {
                        let theirs = self.nodes[there].accept_stream(Instant::ZERO, address(1));
                        self.stream[here] = Some(id);
                        self.stream[there] = theirs;
                        self.tell(here, StreamInput::Opened);
                    }
                    StreamAction::Write(bytes) => self.tell(there, StreamInput::Data(&bytes)),
                    StreamAction::Close => {
                        self.tell(here, StreamInput::Closed);
                        self.tell(there, StreamInput::Closed);
                    }
                    StreamAction::Reset => panic!("what they say is right"),
                }
                ways.push_back(there);
            }
        }
    }

    fn tell(&mut self, here: usize, input: StreamInput<'_>) {
        let id = self.stream[here].expect("it is open");
        self.nodes[here].handle_stream(Instant::ZERO, id, input);
    }
}
