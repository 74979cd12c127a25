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
    /// How many members were asked to help.
    asked: u32,
    /// How many of them said that they had no answer either.
    nacks: u32,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The target answered, in time or late, by itself or through another.
    Answered,
    /// It did not. `missed_nacks` of those who were asked to help did not say so, of `asked`: if
    /// even they are not heard, the fault may be ours.
    Silent { target: Key, asked: u32, missed_nacks: u32 },
}

impl Probe {
    /// Begins a round.
    pub(crate) fn begin(&mut self, target: Key, token: u32, ends: Instant) {
        self.0 = Some(Round { target, token, ends, answered: false, asked: 0, nacks: 0 });
    }

    /// Takes an ack, direct or through a relay; `false` if it answers nothing.
    pub(crate) fn acked(&mut self, token: u32) -> bool {
        let round = self.0.as_mut().filter(|round| round.token == token && !round.answered);
        round.map(|round| round.answered = true).is_some()
    }

    /// Takes a nack from one who was asked to help; `false` if it answers nothing.
    pub(crate) fn nacked(&mut self, token: u32) -> bool {
        let round =
            self.0.as_mut().filter(|round| round.token == token && round.nacks < round.asked);
        round.map(|round| round.nacks += 1).is_some()
    }

    /// The round that runs, if it was not answered.
    pub(crate) fn unanswered(&self) -> Option<Round> {
        self.0.filter(|round| !round.answered)
    }

    /// Notes how many members are asked to help.
    pub(crate) fn asked(&mut self, helpers: usize) {
        if let Some(round) = &mut self.0 {
            round.asked = helpers as u32;
        }
    }

    /// Ends the round that runs, with its verdict.
    pub(crate) fn end(&mut self) -> Option<Verdict> {
        let Round { target, answered, asked, nacks, .. } = self.0.take()?;
        let missed_nacks = asked - nacks;
        Some(if answered {
            Verdict::Answered
        } else {
            Verdict::Silent { target, asked, missed_nacks }
        })
    }

    /// Ends the round without a verdict if it is about this member, who is known to be gone.
    pub(crate) fn abandon(&mut self, target: Key) {
        if self.0.is_some_and(|round| round.target == target) {
            self.0 = None;
        }
    }
}
