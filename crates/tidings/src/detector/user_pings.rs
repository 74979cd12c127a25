//! Pings that the application asked for.

use crate::event::Ticket;
use crate::time::Instant;
use alloc::collections::BTreeMap;

/// The application's pings that are not acked yet, by their tokens.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct UserPings {
    pending: BTreeMap<u32, PendingPing>,
    max: usize,
}

/// One ping of the application's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct PendingPing {
    pub(crate) ticket: Ticket,
    pub(crate) sent: Instant,
}

impl UserPings {
    pub(crate) fn new(max: usize) -> Self {
        Self { pending: BTreeMap::new(), max }
    }

    /// Registers a ping; `false` if too many are pending.
    #[must_use]
    pub(crate) fn begin(&mut self, token: u32, ping: PendingPing) -> bool {
        if self.pending.len() >= self.max || self.pending.contains_key(&token) {
            return false;
        }
        self.pending.insert(token, ping);
        true
    }

    /// Ends a ping, acked or not; returns it if it was pending.
    pub(crate) fn end(&mut self, token: u32) -> Option<PendingPing> {
        self.pending.remove(&token)
    }

    /// The token of the ping with this ticket.
    pub(crate) fn find(&self, ticket: Ticket) -> Option<u32> {
        self.pending.iter().find(|(_, ping)| ping.ticket == ticket).map(|(&token, _)| token)
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u32> {
        self.pending.keys().copied()
    }
}
