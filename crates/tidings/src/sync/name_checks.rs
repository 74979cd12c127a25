//! Name checks: whether the member that has a newcomer's name still lives.

use crate::member::NodeId;
use crate::stream::StreamId;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The newcomers that wait for a check of their names, and the names that were found free.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct NameChecks {
    waiting: Vec<NameCheck>,
    /// Oldest first.
    free: VecDeque<FreeName>,
}

/// A newcomer whose name is being checked.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct NameCheck {
    /// The stream on which it waits.
    stream: StreamId,
    /// The peer has closed that stream, after a table that this node asked for.
    closed: bool,
    newcomer: Newcomer,
}

/// The end of a check for a newcomer that still waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Checked {
    /// Whether its stream is closed.
    pub(crate) closed: bool,
}

/// A name whose holder did not answer, for the newcomer that asked for it.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct FreeName {
    newcomer: Newcomer,
    until: Instant,
}

/// The name that a newcomer wants, and the address that it advertises.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Newcomer {
    pub(crate) id: NodeId,
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) addr: SocketAddr,
}

impl NameChecks {
    /// Whether a further newcomer can wait.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_CHECKS
    }

    pub(crate) fn begin(&mut self, stream: StreamId, newcomer: Newcomer) {
        debug_assert!(self.has_room());
        self.waiting.push(NameCheck { stream, closed: false, newcomer });
    }

    /// The peer has closed a stream; `false` if nobody waits on it.
    pub(crate) fn on_closed(&mut self, stream: StreamId) -> bool {
        let check = self.waiting.iter_mut().find(|check| check.stream == stream);
        check.map(|check| check.closed = true).is_some()
    }

    /// Ends the check for the newcomer on a stream, whose name is free `until` then if nobody
    /// answered; `None` if none waits there any more.
    pub(crate) fn end(&mut self, stream: StreamId, free_until: Option<Instant>) -> Option<Checked> {
        let at = self.waiting.iter().position(|check| check.stream == stream)?;
        let NameCheck { closed, newcomer, .. } = self.waiting.swap_remove(at);
        if let Some(until) = free_until {
            if self.free.len() >= MAX_CHECKS {
                self.free.pop_front();
            }
            self.free.push_back(FreeName { newcomer, until });
        }
        Some(Checked { closed })
    }

    /// Forgets a newcomer whose stream has ended.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.waiting.retain(|check| check.stream != stream);
    }

    /// Whether a newcomer's name was found free for it.
    pub(crate) fn is_free(&self, now: Instant, newcomer: &Newcomer) -> bool {
        self.free.iter().any(|free| free.newcomer == *newcomer && now <= free.until)
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self) -> bool {
        self.waiting.len() <= MAX_CHECKS && self.free.len() <= MAX_CHECKS
    }
}

/// Newcomers that wait at a time; further ones are not checked, and contest their names.
const MAX_CHECKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_for_the_newcomer_that_asked_and_for_a_time() {
        let newcomer =
            |port| Newcomer { id: NodeId::new("x").unwrap(), addr: ([10, 0, 0, 1], port).into() };
        let (mut checks, until) = (NameChecks::default(), Instant::from_nanos(5));
        checks.begin(StreamId(1), newcomer(1));
        checks.begin(StreamId(2), newcomer(2));
        checks.forget(StreamId(2));
        assert_eq!(checks.end(StreamId(2), Some(until)), None, "it does not wait any more");
        assert!(checks.on_closed(StreamId(1)) && !checks.on_closed(StreamId(2)));
        assert_eq!(checks.end(StreamId(1), Some(until)), Some(Checked { closed: true }));
        assert!(checks.is_free(until, &newcomer(1)));
        assert!(!checks.is_free(until, &newcomer(2)), "another one has asked");
        assert!(!checks.is_free(Instant::from_nanos(6), &newcomer(1)));
        for n in 0..2 * MAX_CHECKS as u64 {
            checks.begin(StreamId(n), newcomer(1));
            assert!(checks.end(StreamId(n), Some(until)).is_some() && checks.is_consistent());
        }
    }
}
