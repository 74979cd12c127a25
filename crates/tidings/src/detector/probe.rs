//! The probe round: a direct ping of one member, then indirect pings through others.

use crate::membership::table::MemberKey;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The current probe round, if there is one.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Probe {
    round: Option<Round>,
    /// The relays of the round that have sent no nack.
    relays: Vec<SocketAddr>,
}

/// One probe of one member, which lasts one probe interval (SWIM §3.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Round {
    pub(crate) target: MemberKey,
    /// The number that an ack must carry. Random, so that only a node that saw the ping can answer.
    pub(crate) token: u32,
    /// When the direct ping was sent.
    sent: Instant,
    /// When the round ends, acked or not.
    pub(crate) ends: Instant,
    acked: bool,
    /// The target answered over a stream.
    by_stream: bool,
    /// The target was a suspect when the round began.
    suspect: bool,
    /// How many relays were asked for an indirect ping.
    asked: u32,
}

/// The outcome of a probe round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProbeOutcome {
    /// The target acked, in time or late, directly or through a relay; or only `by_stream`.
    Acked { target: MemberKey, by_stream: bool },
    /// No ack. Of `asked` relays, `missed_nacks` sent no nack; if relays are silent too, this node
    /// may be the faulty one. `suspect` is whether the target was one before.
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
        let (acked, by_stream, asked) = (false, false, 0);
        self.round = Some(Round { target, token, sent, ends, acked, by_stream, suspect, asked });
    }

    /// Handles an ack, direct or through a relay; returns the target and when it was pinged, if the
    /// token is the round's and this is its first ack.
    pub(crate) fn acked(&mut self, token: u32) -> Option<(MemberKey, Instant)> {
        let round = self.round.as_mut().filter(|round| round.token == token && !round.acked)?;
        round.acked = true;
        Some((round.target, round.sent))
    }

    /// Handles an ack over a stream; returns the target, if the token is the round's.
    pub(crate) fn acked_by_stream(&mut self, token: u32) -> Option<MemberKey> {
        let round = self.round.as_mut().filter(|round| round.token == token)?;
        round.by_stream = true;
        Some(round.target)
    }

    /// Handles a nack; `false` if its sender is no relay of the round, or has sent one before.
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

    /// The target of the current round.
    pub(crate) fn target(&self) -> Option<MemberKey> {
        self.round.map(|round| round.target)
    }

    /// The current round, if no datagram has acked it.
    pub(crate) fn unacked(&self) -> Option<Round> {
        self.round.filter(|round| !round.acked)
    }

    /// Records the relays that are asked for an indirect ping.
    pub(crate) fn add_relays(&mut self, relays: impl Iterator<Item = SocketAddr>) {
        if let Some(round) = &mut self.round {
            self.relays.extend(relays);
            round.asked = self.relays.len() as u32;
        }
    }

    /// Ends the current round; returns its outcome.
    pub(crate) fn end(&mut self) -> Option<ProbeOutcome> {
        let Round { target, acked, by_stream, suspect, asked, .. } = self.round.take()?;
        let missed_nacks = self.relays.len() as u32;
        Some(if acked || by_stream {
            ProbeOutcome::Acked { target, by_stream: !acked }
        } else {
            ProbeOutcome::NoAck { target, suspect, asked, missed_nacks }
        })
    }

    /// Ends the round without an outcome if this member, which failed or left, is its target.
    pub(crate) fn abandon(&mut self, target: MemberKey) {
        if self.round.is_some_and(|round| round.target == target) {
            self.round = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;
    const TARGET: MemberKey = MemberKey::for_test(1);

    fn relay(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    fn begun(suspect: bool) -> Probe {
        let mut probe = Probe::default();
        probe.begin(TARGET, suspect, 7, NOW, Instant::from_nanos(9));
        probe
    }

    #[test]
    fn the_first_ack_with_the_token_of_the_round_counts_once() {
        let mut probe = begun(false);
        assert_eq!(probe.acked(8), None, "another token");
        assert_eq!(probe.acked(7), Some((TARGET, NOW)));
        assert_eq!(probe.acked(7), None, "again");
        assert_eq!(probe.unacked(), None);
        assert_eq!(probe.end(), Some(ProbeOutcome::Acked { target: TARGET, by_stream: false }));
        assert_eq!(probe.end(), None, "the round is over");
    }

    #[test]
    fn an_ack_over_a_stream_leaves_the_round_open_for_one_by_datagram() {
        let mut probe = begun(false);
        assert_eq!(probe.acked_by_stream(8), None);
        assert_eq!(probe.acked_by_stream(7), Some(TARGET));
        assert!(probe.unacked().is_some());
        assert_eq!(probe.end(), Some(ProbeOutcome::Acked { target: TARGET, by_stream: true }));

        let mut probe = begun(false);
        probe.acked_by_stream(7);
        assert!(probe.acked(7).is_some());
        assert_eq!(probe.end(), Some(ProbeOutcome::Acked { target: TARGET, by_stream: false }));
    }

    #[test]
    fn a_relay_that_sends_no_nack_is_missed_and_each_nack_counts_once() {
        let mut probe = begun(true);
        probe.add_relays([relay(1), relay(2), relay(3)].into_iter());
        assert!(!probe.nacked(8, relay(1)), "another token");
        assert!(!probe.nacked(7, relay(4)), "a member that was not asked");
        assert!(probe.nacked(7, relay(1)));
        assert!(!probe.nacked(7, relay(1)), "again");
        let (target, suspect, asked, missed_nacks) = (TARGET, true, 3, 2);
        let outcome = ProbeOutcome::NoAck { target, suspect, asked, missed_nacks };
        assert_eq!(probe.end(), Some(outcome));
    }

    #[test]
    fn a_round_whose_target_departs_has_no_outcome() {
        let mut probe = begun(false);
        probe.abandon(MemberKey::for_test(2));
        assert_eq!(probe.target(), Some(TARGET));
        probe.abandon(TARGET);
        assert_eq!(probe.end(), None);
        assert_eq!(probe.acked(7), None);
    }
}
