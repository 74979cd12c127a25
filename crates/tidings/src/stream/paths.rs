//! Paths on which streams fail although datagrams get through.

use crate::member::NodeId;
use alloc::collections::BTreeMap;

/// Members that answer datagrams and to which streams do not open.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Paths {
    failing: BTreeMap<NodeId, Failing>,
}

/// The streams that did not open, one after another.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Failing {
    times: u32,
    /// The member has answered by datagram since the latest one.
    answered: bool,
    reported: bool,
}

/// What follows from an answer by datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// Try a stream again.
    Retry,
    /// Streams are blocked.
    Blocked,
}

impl Paths {
    /// Whether any stream has failed to open lately.
    pub(crate) fn is_empty(&self) -> bool {
        self.failing.is_empty()
    }

    /// A stream to a member did not open.
    pub(crate) fn on_failed(&mut self, id: &NodeId) {
        if let Some(failing) = self.failing.get_mut(id) {
            if failing.answered {
                failing.times = failing.times.saturating_add(1);
            }
            failing.answered = false;
        } else if self.failing.len() < MAX_FAILING {
            let first = Failing { times: 1, answered: false, reported: false };
            self.failing.insert(id.clone(), first);
        }
    }

    /// A member answered a probe by datagram.
    pub(crate) fn on_answer(&mut self, id: &NodeId) -> Option<Finding> {
        let failing = self.failing.get_mut(id).filter(|failing| !failing.answered)?;
        failing.answered = true;
        match failing.times {
            1 => Some(Finding::Retry),
            _ if core::mem::replace(&mut failing.reported, true) => None,
            _ => Some(Finding::Blocked),
        }
    }

    /// A stream to a member is open; `true` if it was reported that they are blocked.
    pub(crate) fn on_opened(&mut self, id: &NodeId) -> bool {
        self.failing.remove(id).is_some_and(|failing| failing.reported)
    }

    /// Whether it was reported that streams to a member are blocked.
    pub(crate) fn is_blocked(&self, id: &NodeId) -> bool {
        self.failing.get(id).is_some_and(|failing| failing.reported)
    }

    /// A member failed or left.
    pub(crate) fn forget(&mut self, id: &NodeId) {
        self.failing.remove(id);
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(self.failing.len() <= MAX_FAILING);
    }
}

/// The number of members for which it is remembered that streams do not open.
const MAX_FAILING: usize = 64;
