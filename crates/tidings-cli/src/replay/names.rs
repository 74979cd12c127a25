//! The names of members, by their addresses and by their short names in messages.

use std::collections::HashMap;
use std::net::SocketAddr;
use tidings::replay::{ReplayedOutput, ShortName, Step, TargetTag};
use tidings::{Event, Member, Node};
use tidings_driver::prelude::NodeId;

/// The members that the replayed node has known so far, by address and by short name.
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
        for output in &step.outputs {
            if let ReplayedOutput::Event(Event::Joined(member) | Event::Updated(member)) = output {
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

    pub(crate) fn contains(&self, id: &NodeId) -> bool {
        self.of(ShortName::of(id)) == Some(id)
    }

    /// All names, in alphabetical order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &NodeId> {
        let mut names: Vec<_> = self.by_short.iter().map(|(_, id)| id).collect();
        names.sort();
        names.into_iter()
    }

    pub(crate) fn at(&self, addr: SocketAddr) -> Option<&NodeId> {
        self.by_addr.get(&addr)
    }

    pub(crate) fn of(&self, short: ShortName) -> Option<&NodeId> {
        let at = self.by_short.binary_search_by_key(&short, |(short, _)| *short).ok()?;
        Some(&self.by_short[at].1)
    }

    /// The name of the member at an address, or the address if there is none.
    pub(crate) fn peer(&self, addr: SocketAddr) -> String {
        self.at(addr).map_or_else(|| addr.to_string(), ToString::to_string)
    }

    /// The name of a stream's peer; the node may have closed the stream and forgotten its peer.
    pub(crate) fn stream_peer(&self, peer: Option<SocketAddr>) -> String {
        peer.map_or_else(|| "a forgotten peer".into(), |peer| self.peer(peer))
    }

    /// The target of a ping.
    pub(crate) fn target(&self, tag: TargetTag) -> Option<&NodeId> {
        self.by_short.iter().map(|(_, id)| id).find(|id| tag.is_of(id))
    }

    /// The name of a ping's target, or the tag if it is unknown.
    pub(crate) fn target_text(&self, tag: TargetTag) -> String {
        self.target(tag).map_or_else(|| tag.to_string(), ToString::to_string)
    }

    /// The name for a short name, or the short name if it is unknown.
    pub(crate) fn short(&self, short: ShortName) -> String {
        self.of(short).map_or_else(|| short.to_string(), ToString::to_string)
    }
}
