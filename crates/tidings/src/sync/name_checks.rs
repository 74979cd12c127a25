//! Name checks: whether the member that has a newcomer's name still lives.

use crate::member::NodeId;
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::stream::StreamId;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The names that are being checked, and the outcomes of the latest checks.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct NameChecks {
    pending: Vec<NameCheck>,
    /// Oldest first.
    outcomes: VecDeque<Outcome>,
    next: u64,
}

/// A check that runs: the holder of the name is asked.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct NameCheck {
    number: u64,
    newcomer: Newcomer,
    /// The holder's generation, as it is known.
    holder: Option<u64>,
    /// The stream of this node's own join that waits for the outcome, if it is the newcomer.
    waiting: Option<Waiting>,
}

/// A stream to a seed that waits for the outcome of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Waiting {
    pub(crate) stream: StreamId,
    /// The seed has closed it.
    pub(crate) closed: bool,
}

#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Outcome {
    newcomer: Newcomer,
    /// Whether the holder has answered.
    lives: bool,
    until: Instant,
}

/// The name that a newcomer wants, and the address that it advertises; or, if this node itself is
/// the newcomer, that of the holder.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Newcomer {
    pub(crate) id: NodeId,
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) addr: SocketAddr,
    /// Its generation: it may be what answers at the address of the holder.
    pub(crate) generation: Option<u64>,
}

/// What is known about a newcomer's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NameState {
    Unknown,
    /// It is being checked.
    Checking,
    /// Its holder did not answer.
    Free,
    /// Its holder answered.
    Taken,
}

impl NameChecks {
    /// Whether a further name can be checked, with at most `streams` streams to peers: the checks
    /// leave three quarters of these to others.
    pub(crate) fn has_room(&self, streams: usize) -> bool {
        self.pending.len() < MAX_CHECKS.min((streams / 4).max(1))
    }

    /// Begins a check of a name whose holder is known in a generation; returns its number.
    pub(crate) fn begin(
        &mut self,
        newcomer: Newcomer,
        holder: Option<u64>,
        waiting: Option<StreamId>,
    ) -> u64 {
        debug_assert!(self.pending.len() < MAX_CHECKS);
        let number = self.next;
        self.next += 1;
        let waiting = waiting.map(|stream| Waiting { stream, closed: false });
        self.pending.push(NameCheck { number, newcomer, holder, waiting });
        number
    }

    /// Whether the node in this generation, which answered for the holder, is the newcomer itself.
    pub(crate) fn is_newcomer(&self, number: u64, generation: Option<u64>) -> bool {
        let check = self.pending.iter().find(|check| check.number == number);
        let is_it = |check: &NameCheck| {
            check.newcomer.generation == generation && check.holder != generation
        };
        generation.is_some() && check.is_some_and(is_it)
    }

    /// A seed has closed a stream; `false` if that does not wait for a check.
    pub(crate) fn on_closed(&mut self, stream: StreamId) -> bool {
        let mut waiting = self.pending.iter_mut().filter_map(|check| check.waiting.as_mut());
        let waiting = waiting.find(|waiting| waiting.stream == stream);
        waiting.map(|waiting| waiting.closed = true).is_some()
    }

    /// Ends a check, whose outcome holds `until` then; returns the stream that waits for it.
    pub(crate) fn end(&mut self, number: u64, lives: bool, until: Instant) -> Option<Waiting> {
        let at = self.pending.iter().position(|check| check.number == number)?;
        let NameCheck { newcomer, waiting, .. } = self.pending.swap_remove(at);
        if self.outcomes.len() >= MAX_CHECKS {
            // Anybody can have the names of living members checked.
            let taken = self.outcomes.iter().position(|outcome| outcome.lives);
            self.outcomes.remove(taken.unwrap_or(0));
        }
        self.outcomes.push_back(Outcome { newcomer, lives, until });
        waiting
    }

    /// Forgets that a stream waits, because it has ended.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        for check in &mut self.pending {
            check.waiting.take_if(|waiting| waiting.stream == stream);
        }
    }

    pub(crate) fn state(&self, now: Instant, newcomer: &Newcomer) -> NameState {
        if self.pending.iter().any(|check| check.newcomer == *newcomer) {
            return NameState::Checking;
        }
        let mut outcomes = self.outcomes.iter().rev();
        let outcome = outcomes.find(|one| one.newcomer == *newcomer && now <= one.until);
        match outcome {
            None => NameState::Unknown,
            Some(outcome) if outcome.lives => NameState::Taken,
            Some(_) => NameState::Free,
        }
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self) -> bool {
        self.pending.len() <= MAX_CHECKS && self.outcomes.len() <= MAX_CHECKS
    }

    /// Whether no number is near its end.
    #[cfg(feature = "record")]
    pub(crate) fn is_countable(&self) -> bool {
        self.next <= MAX_COUNT && self.pending.iter().all(|check| check.number < self.next)
    }
}

/// Names that are checked at a time; further newcomers contest theirs.
const MAX_CHECKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_a_check_is_for_the_newcomer_that_asked_and_for_a_time() {
        let id = || NodeId::new("x").unwrap();
        let newcomer = |port: u16| {
            let generation = (port == 1).then_some(4);
            Newcomer { id: id(), addr: ([10, 0, 0, 1], port).into(), generation }
        };
        let (mut checks, until) = (NameChecks::default(), Instant::from_nanos(5));
        let first = checks.begin(newcomer(1), Some(3), None);
        let second = checks.begin(newcomer(2), None, Some(StreamId(7)));
        assert_eq!(checks.state(until, &newcomer(1)), NameState::Checking);
        assert!(checks.is_newcomer(first, Some(4)) && !checks.is_newcomer(first, Some(5)));
        assert!(!checks.is_newcomer(second, None) && checks.has_room(12) && !checks.has_room(8));
        assert_eq!(checks.end(first, true, until), None);
        assert_eq!(checks.end(first, false, until), None, "it has ended");
        assert!(checks.on_closed(StreamId(7)) && !checks.on_closed(StreamId(8)));
        let waiting = Waiting { stream: StreamId(7), closed: true };
        assert_eq!(checks.end(second, false, until), Some(waiting));
        assert_eq!(checks.state(until, &newcomer(1)), NameState::Taken);
        assert_eq!(checks.state(until, &newcomer(2)), NameState::Free);
        let other_life = Newcomer { generation: Some(5), ..newcomer(1) };
        assert_eq!(checks.state(until, &other_life), NameState::Unknown);
        let its_own = checks.begin(newcomer(1), Some(4), None);
        assert!(!checks.is_newcomer(its_own, Some(4)), "the holder in the life that is known");
        checks.end(its_own, true, until);
        assert_eq!(checks.state(until, &newcomer(3)), NameState::Unknown, "another one has asked");
        assert_eq!(checks.state(Instant::from_nanos(6), &newcomer(2)), NameState::Unknown);
        let third = checks.begin(newcomer(1), None, Some(StreamId(9)));
        checks.forget(StreamId(9));
        assert_eq!(checks.end(third, false, until), None, "its stream has ended");
        assert_eq!(checks.state(until, &newcomer(1)), NameState::Free, "the latest outcome counts");
        for _ in 0..2 * MAX_CHECKS {
            let number = checks.begin(newcomer(1), Some(4), None);
            checks.end(number, true, until);
            assert!(checks.is_consistent());
        }
    }
}
