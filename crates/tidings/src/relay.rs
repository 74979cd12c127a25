//! Indirect pings: those that this node makes for others.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;

/// The pings that we made for others and that were not answered yet.
#[derive(Debug)]
pub(crate) struct Relay {
    /// By the token of our own ping.
    pending: BTreeMap<u32, Asked>,
    max: usize,
}

/// Who asked, and under which token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) by: SocketAddr,
    pub(crate) token: u32,
}

impl Relay {
    pub(crate) fn new(max: usize) -> Self {
        Self { pending: BTreeMap::new(), max }
    }

    /// Notes a ping that is made for another; `false` if there are too many already.
    pub(crate) fn begin(&mut self, token: u32, asked: Asked) -> bool {
        if self.pending.len() >= self.max || self.pending.contains_key(&token) {
            return false;
        }
        self.pending.insert(token, asked);
        true
    }

    /// Ends such a ping, answered or not; returns who asked.
    pub(crate) fn end(&mut self, token: u32) -> Option<Asked> {
        self.pending.remove(&token)
    }
}
