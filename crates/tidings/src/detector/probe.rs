//! The probe round: one member is pinged, then others are asked to, then there is a verdict.

use crate::membership::table::MemberKey;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The probe round that runs, if one does.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Probe {
    round: Option<Round>,
    /// Who was asked to help in it and has not sent a nack.
    relays: Vec<SocketAddr>,
}

/// One probe of one member, which lasts one probe interval (SWIM §3.1).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Round {
    pub(crate) target: MemberKey,
    /// What an ack must carry to count. Drawn at random, so that nobody who did not see the ping
    /// can answer it.
    pub(crate) token: u32,
    /// When the direct ping was sent.
    sent: Instant,
    /// When the round ends, answered or not.
    pub(crate) ends: Instant,
    answered: bool,
    /// The target answered over a stream.
    by_stream: bool,
    /// Whether the target was suspected already.
    suspect: bool,
    /// How many members were asked to help.
    asked: u32,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProbeOutcome {
    /// The target answered, in time or late, by itself or through another; or only `by_stream`.
    Answered { target: MemberKey, by_stream: bool },
    /// It did not; whether it was a suspect already. `missed_nacks` of those who were asked to help did not say so, of `asked`: if
    /// even they are not heard, the fault may be ours.
    NoAck { target: MemberKey, suspect: bool, asked: u32, missed_nacks: u32 },
}

impl Probe {
    /// Begins a round.
    pub(crate) fn begin(
        &mut self,
        target: MemberKey,
        suspect: bool,
        token: u32,
        sent: Instant,
        ends: Instant,
    ) {
        self.relays.clear();
        let (answered, by_stream, asked) = (false, false, 0);
        self.round = Some(Round { target, token, sent, ends, answered, by_stream, suspect, asked });
    }

    /// Takes an ack, direct or through a relay; returns whom it is from, and when that one was
    /// pinged, if it answers something.
    pub(crate) fn acked(&mut self, token: u32) -> Option<(MemberKey, Instant)> {
        let round = self.round.as_mut().filter(|round| round.token == token && !round.answered)?;
        round.answered = true;
        Some((round.target, round.sent))
    }

    /// Takes an answer that came over a stream; returns whom it is from, if it answers something.
    pub(crate) fn acked_by_stream(&mut self, token: u32) -> Option<MemberKey> {
        let round = self.round.as_mut().filter(|round| round.token == token)?;
        round.by_stream = true;
        Some(round.target)
    }

    /// Takes a nack from one who was asked to help; `false` if it answers nothing.
    pub(crate) fn nacked(&mut self, token: u32, from: SocketAddr) -> bool {
        let relay = self.relays.iter().position(|&relay| relay == from);
        match (self.round, relay) {
            (Some(round), Some(relay)) if round.token == token => {
                self.relays.swap_remove(relay);
                true
            }
            _ => false,
        }
    }

    /// Whom the round that runs is about.
    pub(crate) fn target(&self) -> Option<MemberKey> {
        self.round.map(|round| round.target)
    }

    /// The round that runs, if it was not answered.
    pub(crate) fn unanswered(&self) -> Option<Round> {
        self.round.filter(|round| !round.answered)
    }

    /// Notes who is asked to help.
    pub(crate) fn add_relays(&mut self, relays: impl Iterator<Item = SocketAddr>) {
        if let Some(round) = &mut self.round {
            self.relays.extend(relays);
            round.asked = self.relays.len() as u32;
        }
    }

    /// Ends the round that runs, with its verdict.
    pub(crate) fn end(&mut self) -> Option<ProbeOutcome> {
        let Round { target, answered, by_stream, suspect, asked, .. } = self.round.take()?;
        let missed_nacks = self.relays.len() as u32;
        Some(if answered || by_stream {
            ProbeOutcome::Answered { target, by_stream: !answered }
        } else {
            ProbeOutcome::NoAck { target, suspect, asked, missed_nacks }
        })
    }

    /// Ends the round without a verdict if it is about this member, who is known to be gone.
    pub(crate) fn abandon(&mut self, target: MemberKey) {
        if self.round.is_some_and(|round| round.target == target) {
            self.round = None;
        }
    }
}
