//! Indirect pings: those that this node sends for other members.

use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::SocketAddr;

/// The pings that this node sent for other members and that are not acked yet.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct IndirectPings {
    /// By the token of this node's own ping.
    pending: BTreeMap<u32, PendingForward>,
    max: usize,
}

/// The member that asked for an indirect ping, and what it waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct PendingForward {
    pub(crate) asker: SocketAddr,
    /// The token of the asker's request, which the ack or nack to it carries.
    pub(crate) token: u32,
    /// When an answer is of no more use.
    pub(crate) until: Instant,
    /// Whether a nack is still to be sent if no ack comes.
    pub(crate) nack: bool,
}

impl IndirectPings {
    pub(crate) fn new(max: usize) -> Self {
        Self { pending: BTreeMap::new(), max }
    }

    /// Registers a ping; `false` if too many are pending, or one for the same request: a request
    /// that somebody repeats takes no more places.
    pub(crate) fn begin(&mut self, token: u32, forward: PendingForward) -> bool {
        let same = |one: &PendingForward| (one.asker, one.token) == (forward.asker, forward.token);
        if self.pending.len() >= self.max
            || self.pending.contains_key(&token)
            || self.pending.values().any(same)
        {
            return false;
        }
        self.pending.insert(token, forward);
        true
    }

    /// A ping was not acked for most of its time; returns the request that gets a nack, once.
    pub(crate) fn unanswered(&mut self, token: u32) -> Option<PendingForward> {
        let forward = self.pending.get_mut(&token).filter(|forward| forward.nack)?;
        forward.nack = false;
        Some(*forward)
    }

    /// Ends a ping, acked or not; returns the request.
    pub(crate) fn end(&mut self, token: u32) -> Option<PendingForward> {
        self.pending.remove(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(token: u32, nack: bool) -> PendingForward {
        let asker = ([10, 0, 0, 1], 7946).into();
        PendingForward { asker, token, until: Instant::from_nanos(9), nack }
    }

    #[test]
    fn pings_are_bounded_and_their_tokens_are_unique() {
        let mut pings = IndirectPings::new(2);
        assert!(pings.begin(1, forward(71, true)));
        assert!(!pings.begin(1, forward(72, true)), "the token is in use");
        assert!(!pings.begin(2, forward(71, true)), "the request is served already");
        assert!(pings.begin(2, forward(72, true)));
        assert!(!pings.begin(3, forward(73, true)), "two are pending");
        assert!(pings.end(1).is_some());
        assert!(pings.begin(3, forward(73, true)), "there is room again");
    }

    #[test]
    fn a_nack_is_due_once_and_only_if_it_was_asked_for() {
        let mut pings = IndirectPings::new(2);
        assert!(pings.begin(1, forward(71, true)) && pings.begin(2, forward(72, false)));
        assert_eq!(pings.unanswered(1).map(|forward| forward.token), Some(71));
        assert_eq!(pings.unanswered(1), None);
        assert_eq!(pings.unanswered(2), None);
        assert!(pings.end(1).is_some(), "an ack may still come");
        assert_eq!(pings.end(1), None);
    }
}
