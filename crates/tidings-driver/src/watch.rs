//! Callbacks for the moment when something holds for a node.

use tidings::{Member, Node, NodeId};

/// What may be waited for.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// At least so many members are present.
    Members(usize),
    /// This member is present.
    Member(NodeId),
    /// The node is ready.
    Ready,
}

impl Condition {
    /// `awaits_seeds`: whether the node does not have the addresses of its sources of seeds yet.
    pub(crate) fn holds(&self, node: &Node, awaits_seeds: bool) -> bool {
        match self {
            Self::Members(count) => *count <= node.present_count(),
            Self::Member(id) => node.member(id).is_some_and(Member::is_present),
            Self::Ready => !awaits_seeds && node.is_ready(),
        }
    }
}

/// The callbacks that wait, each with a number of its own.
#[derive(Default)]
pub(crate) struct Watchers {
    waiting: Vec<Watcher>,
    next_number: u64,
}

struct Watcher {
    number: u64,
    condition: Condition,
    then: Box<dyn FnOnce(&Node) + Send>,
}

impl Watchers {
    pub(crate) fn add(
        &mut self,
        condition: Condition,
        then: impl FnOnce(&Node) + Send + 'static,
    ) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push(Watcher { number, condition, then: Box::new(then) });
        number
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.waiting.retain(|watcher| watcher.number != number);
    }

    /// Calls those whose condition holds.
    pub(crate) fn tell(&mut self, node: &Node, awaits_seeds: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (due, waiting): (Vec<_>, _) =
            waiting.partition(|watcher| watcher.condition.holds(node, awaits_seeds));
        self.waiting = waiting;
        for Watcher { then, .. } in due {
            then(node);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
