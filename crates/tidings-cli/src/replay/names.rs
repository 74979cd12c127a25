//! Who is who: what stands for a member in messages and on sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use tidings::replay::{ReplayedOutput, ShortName, Step};
use tidings::{Event, Member, Node};
use tidings_driver::prelude::NodeId;

/// The members that the node has known so far, by their addresses and by their short names.
#[derive(Default)]
pub(crate) struct Names {
    by_addr: HashMap<SocketAddr, NodeId>,
    by_short: Vec<(ShortName, NodeId)>,
}

impl Names {
    pub(crate) fn learn_all(&mut self, node: &Node) {
        node.all_members().for_each(|member| self.learn(member));
    }

    pub(crate) fn learn_from(&mut self, step: &Step) {
        for gave in &step.outputs {
            if let ReplayedOutput::Event(Event::Joined(member) | Event::Updated(member)) = gave {
                self.learn(member);
            }
        }
    }

    fn learn(&mut self, member: &Member) {
        self.by_addr.insert(member.addr(), member.id().clone());
        let short = ShortName::of(member.id());
        if let Err(at) = self.by_short.binary_search_by_key(&short, |(short, _)| *short) {
            self.by_short.insert(at, (short, member.id().clone()));
        }
    }

    pub(crate) fn at(&self, addr: SocketAddr) -> Option<&NodeId> {
        self.by_addr.get(&addr)
    }

    pub(crate) fn of(&self, short: ShortName) -> Option<&NodeId> {
        let at = self.by_short.binary_search_by_key(&short, |(short, _)| *short).ok()?;
        Some(&self.by_short[at].1)
    }

    /// A member's name, or the address of whoever is none.
    pub(crate) fn peer(&self, addr: SocketAddr) -> String {
        self.at(addr).map_or_else(|| addr.to_string(), ToString::to_string)
    }

    /// The same of a stream's peer, whom the node may have forgotten.
    pub(crate) fn stream_peer(&self, peer: Option<SocketAddr>) -> String {
        peer.map_or_else(|| "somebody forgotten".into(), |peer| self.peer(peer))
    }

    pub(crate) fn short(&self, short: ShortName) -> String {
        self.of(short).map_or_else(|| short.to_string(), ToString::to_string)
    }
}
