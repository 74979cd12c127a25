//! The probe round: one member is pinged, then others are asked to, then there is a verdict.

use crate::members::Key;
use crate::time::Instant;

/// The probe round that runs, if one does.
#[derive(Debug, Default)]
pub(crate) struct Probe(Option<Round>);

/// One probe of one member, which lasts one probe interval (SWIM §3.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) target: Key,
    /// What an ack must carry to count. Drawn at random, so that nobody who did not see the ping
    /// can answer it.
    pub(crate) token: u32,
    /// When the round ends, answered or not.
    pub(crate) ends: Instant,
    answered: bool,
}

impl Probe {
    /// Begins a round.
    pub(crate) fn begin(&mut self, target: Key, token: u32, ends: Instant) {
        self.0 = Some(Round { target, token, ends, answered: false });
    }

    /// Takes an ack, direct or through a relay; returns whom it answers for.
    pub(crate) fn acked(&mut self, token: u32) -> Option<Key> {
        let round = self.0.as_mut().filter(|round| round.token == token && !round.answered)?;
        round.answered = true;
        Some(round.target)
    }

    /// The round that runs and was not answered.
    pub(crate) fn unanswered(&self) -> Option<Round> {
        self.0.filter(|round| !round.answered)
    }

    /// Ends the round; returns whoever did not answer.
    pub(crate) fn end(&mut self) -> Option<Key> {
        self.0.take().filter(|round| !round.answered).map(|round| round.target)
    }

    /// Ends the round without a verdict if it is about this member, who is known to be gone.
    pub(crate) fn abandon(&mut self, target: Key) {
        if self.0.is_some_and(|round| round.target == target) {
            self.0 = None;
        }
    }
}
