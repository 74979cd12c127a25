//! Indirect pings: those that this node makes for others.

use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The pings that we made for others and that were not answered yet.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct IndirectPings {
    /// By the token of our own ping.
    pending: BTreeMap<u32, PendingForward>,
    max: usize,
}

/// Who asked, and under which token.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct PendingForward {
    pub(crate) by: SocketAddr,
    pub(crate) token: u32,
    /// When an answer is of no more use.
    pub(crate) until: Instant,
    /// Whether the asker still has to be told that there is no answer so far.
    pub(crate) nack: bool,
}

impl IndirectPings {
    pub(crate) fn new(max: usize) -> Self {
        Self { pending: BTreeMap::new(), max }
    }

    /// Notes a ping that is made for another; `false` if there are too many already.
    pub(crate) fn begin(&mut self, token: u32, asked: PendingForward) -> bool {
        if self.pending.len() >= self.max || self.pending.contains_key(&token) {
            return false;
        }
        self.pending.insert(token, asked);
        true
    }

    /// Such a ping was not answered for most of the time; returns whom to tell so, the first time.
    pub(crate) fn unanswered(&mut self, token: u32) -> Option<PendingForward> {
        let asked = self.pending.get_mut(&token).filter(|asked| asked.nack)?;
        asked.nack = false;
        Some(*asked)
    }

    /// Ends such a ping, answered or not; returns who asked.
    pub(crate) fn end(&mut self, token: u32) -> Option<PendingForward> {
        self.pending.remove(&token)
    }
}
