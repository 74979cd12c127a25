//! The probe round: a direct ping of one member, then indirect pings through others.

use crate::membership::table::MemberKey;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The probes of the current round: one, or several after many members were silent at once.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Probe {
    rounds: Vec<Round>,
    /// The relays that have sent no nack.
    relays: Vec<AskedRelay>,
}

/// A relay that is asked for an indirect ping.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct AskedRelay {
    /// The token of the probe.
    token: u32,
    relay: MemberKey,
    addr: SocketAddr,
    /// It answered lately, after others were silent: so its silence says something about this node.
    proven: bool,
}

/// One probe of one member, which lasts one probe interval (SWIM §3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Round {
    pub(crate) target: MemberKey,
    /// The number that an ack must carry. Random, so that only a node that saw the ping can answer.
    pub(crate) token: u32,
    /// When the direct ping was sent.
    sent: Instant,
    /// When relays are asked, if there is no ack; `None` once they were.
    timeout: Option<Instant>,
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
    /// The target acked: the direct ping `in_time`, or late, or through a relay, or only
    /// `by_stream`.
    Acked { target: MemberKey, in_time: bool, by_stream: bool },
    /// No ack. Of `asked` relays, `missed_nacks` sent no nack. `unproven` of them may be gone as
    /// well; the silence of the others says that this node may be the faulty one. `suspect` is
    /// whether the target was one before, and `again` whether it is to be probed again before it
    /// is suspected.
    NoAck {
        target: MemberKey,
        suspect: bool,
        again: bool,
        asked: u32,
        missed_nacks: u32,
        unproven: u32,
    },
}

impl Probe {
    /// Begins a probe.
    pub(crate) fn begin(
        &mut self,
        target: MemberKey,
        suspect: bool,
        token: u32,
        sent: Instant,
        [timeout, ends]: [Instant; 2],
    ) {
        let (acked, by_stream, asked, timeout) = (false, false, 0, Some(timeout));
        let round = Round { target, token, sent, timeout, ends, acked, by_stream, suspect, asked };
        self.rounds.push(round);
    }

    /// Handles an ack, direct or through a relay; returns the target and when it was pinged, if the
    /// token is a probe's and this is its first ack.
    pub(crate) fn acked(&mut self, token: u32) -> Option<(MemberKey, Instant)> {
        let round = self.find(token).filter(|round| !round.acked)?;
        round.acked = true;
        Some((round.target, round.sent))
    }

    /// Handles an ack over a stream; returns the target, if the token is a probe's.
    pub(crate) fn acked_by_stream(&mut self, token: u32) -> Option<MemberKey> {
        let round = self.find(token)?;
        round.by_stream = true;
        Some(round.target)
    }

    fn find(&mut self, token: u32) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.token == token)
    }

    /// Handles a nack; returns the relay, or `None` if its sender is no relay of that probe, or has
    /// sent one before.
    pub(crate) fn nacked(&mut self, token: u32, from: SocketAddr) -> Option<MemberKey> {
        let is_it = |asked: &AskedRelay| asked.token == token && asked.addr == from;
        let relay = self.relays.iter().position(is_it)?;
        Some(self.relays.swap_remove(relay).relay)
    }

    /// Whether a member is the target of a current probe.
    pub(crate) fn is_target(&self, key: MemberKey) -> bool {
        self.rounds.iter().any(|round| round.target == key)
    }

    /// The target of the current probe with this token.
    pub(crate) fn target(&self, token: u32) -> Option<MemberKey> {
        let round = self.rounds.iter().find(|round| round.token == token && !round.acked)?;
        Some(round.target)
    }

    /// The targets of the current probes.
    #[cfg(feature = "record")]
    pub(crate) fn targets(&self) -> impl Iterator<Item = MemberKey> {
        self.rounds.iter().map(|round| round.target)
    }

    /// The next probe whose direct ping was not acked in time, once.
    pub(crate) fn take_timed_out(&mut self, now: Instant) -> Option<Round> {
        let timed_out = |round: &&mut Round| round.timeout.is_some_and(|timeout| timeout <= now);
        let mut rounds = self.rounds.iter_mut().filter(|round| !round.acked);
        let round = rounds.find(timed_out)?;
        round.timeout = None;
        Some(*round)
    }

    /// When the next direct ping that is not acked times out.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let unacked = self.rounds.iter().filter(|round| !round.acked);
        unacked.filter_map(|round| round.timeout).min()
    }

    /// Records the relays that are asked for an indirect ping, and whether each is proven.
    pub(crate) fn add_relays(
        &mut self,
        token: u32,
        relays: impl Iterator<Item = (MemberKey, SocketAddr, bool)>,
    ) {
        let before = self.relays.len();
        let asked = |(relay, addr, proven)| AskedRelay { token, relay, addr, proven };
        self.relays.extend(relays.map(asked));
        let asked = (self.relays.len() - before) as u32;
        if let Some(round) = self.find(token) {
            round.asked = asked;
        }
    }

    /// Ends one of the current probes; returns its outcome. Without an ack, `silent` is called with
    /// each of its relays that sent no nack, and whether it is proven.
    pub(crate) fn end(&mut self, mut silent: impl FnMut(MemberKey, bool)) -> Option<ProbeOutcome> {
        let Some(round) = self.rounds.pop() else {
            self.relays.clear();
            return None;
        };
        let Round { target, token, acked, by_stream, suspect, asked, .. } = round;
        if acked || by_stream {
            let in_time = acked && round.timeout.is_some();
            return Some(ProbeOutcome::Acked { target, in_time, by_stream: !acked });
        }
        let (mut missed_nacks, mut unproven) = (0, 0);
        for asked in self.relays.iter().filter(|asked| asked.token == token) {
            silent(asked.relay, asked.proven);
            missed_nacks += 1;
            unproven += u32::from(!asked.proven);
        }
        let again = false;
        Some(ProbeOutcome::NoAck { target, suspect, again, asked, missed_nacks, unproven })
    }

    /// Ends all probes, without an outcome.
    pub(crate) fn stop(&mut self) {
        self.rounds.clear();
        self.relays.clear();
    }

    /// Whether restored probes are within their limits.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self) -> bool {
        self.rounds.len() <= MAX_PROBES && self.relays.len() <= MAX_PROBES * MAX_RELAYS
    }

    /// Ends the probe of a member that failed or left, without an outcome.
    pub(crate) fn abandon(&mut self, target: MemberKey) {
        self.rounds.retain(|round| round.target != target);
    }
}

/// The most members probed at once.
#[cfg(feature = "record")]
const MAX_PROBES: usize = 32;
/// The most relays of a probe: the largest `indirect_probes`.
#[cfg(feature = "record")]
const MAX_RELAYS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;
    const TARGET: MemberKey = MemberKey::for_test(1);

    fn relay(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    fn begin(probe: &mut Probe, target: MemberKey, suspect: bool, token: u32) {
        probe.begin(target, suspect, token, NOW, [Instant::from_nanos(5), Instant::from_nanos(9)]);
    }

    fn end(probe: &mut Probe) -> Option<ProbeOutcome> {
        probe.end(|_, _| {})
    }

    fn timed_out(probe: &mut Probe) -> Option<MemberKey> {
        probe.take_timed_out(Instant::from_nanos(5)).map(|round| round.target)
    }

    fn asked(n: u8) -> (MemberKey, SocketAddr, bool) {
        (MemberKey::for_test(n.into()), relay(n), n == 2)
    }

    fn acked(in_time: bool, by_stream: bool) -> ProbeOutcome {
        ProbeOutcome::Acked { target: TARGET, in_time, by_stream }
    }

    fn begun(suspect: bool) -> Probe {
        let mut probe = Probe::default();
        begin(&mut probe, TARGET, suspect, 7);
        probe
    }

    #[test]
    fn the_first_ack_with_the_token_of_the_round_counts_once() {
        let mut probe = begun(false);
        assert_eq!(probe.acked(8), None, "another token");
        assert_eq!(probe.acked(7), Some((TARGET, NOW)));
        assert_eq!(probe.acked(7), None, "again");
        assert_eq!(timed_out(&mut probe), None);
        assert_eq!(end(&mut probe), Some(acked(true, false)));
        assert_eq!(end(&mut probe), None, "the round is over");
    }

    #[test]
    fn an_ack_over_a_stream_leaves_the_round_open_for_one_by_datagram() {
        let mut probe = begun(false);
        assert_eq!(probe.acked_by_stream(8), None);
        assert_eq!(probe.acked_by_stream(7), Some(TARGET));
        assert_eq!(timed_out(&mut probe), Some(TARGET));
        assert_eq!(end(&mut probe), Some(acked(false, true)));

        let mut probe = begun(false);
        probe.acked_by_stream(7);
        assert!(probe.acked(7).is_some());
        assert_eq!(end(&mut probe), Some(acked(true, false)));
    }

    #[test]
    fn a_relay_that_sends_no_nack_is_missed_and_each_nack_counts_once() {
        let mut probe = begun(true);
        probe.add_relays(7, [asked(1), asked(2), asked(3)].into_iter());
        assert_eq!(probe.nacked(8, relay(1)), None, "another token");
        assert_eq!(probe.nacked(7, relay(4)), None, "a member that was not asked");
        assert_eq!(probe.nacked(7, relay(1)), Some(MemberKey::for_test(1)));
        assert_eq!(probe.nacked(7, relay(1)), None, "again");
        let outcome = ProbeOutcome::NoAck {
            target: TARGET,
            suspect: true,
            again: false,
            asked: 3,
            missed_nacks: 2,
            unproven: 1,
        };
        let mut silent = Vec::new();
        assert_eq!(probe.end(|relay, proven| silent.push((relay, proven))), Some(outcome));
        silent.sort_unstable();
        assert_eq!(silent, [(MemberKey::for_test(2), true), (MemberKey::for_test(3), false)]);
    }

    #[test]
    fn of_several_probes_each_has_its_own_ack_timeout_and_relays() {
        let mut probe = begun(false);
        let other = MemberKey::for_test(2);
        begin(&mut probe, other, false, 8);
        assert_eq!(probe.next_timeout(), Some(Instant::from_nanos(5)));
        assert!(probe.acked(7).is_some());
        assert_eq!(timed_out(&mut probe), Some(other));
        assert_eq!(timed_out(&mut probe), None, "once");
        assert_eq!(probe.next_timeout(), None);
        probe.add_relays(8, [asked(3)].into_iter());
        assert_eq!(probe.nacked(7, relay(3)), None, "it was not asked for that one");
        let outcome = ProbeOutcome::NoAck {
            target: other,
            suspect: false,
            again: false,
            asked: 1,
            missed_nacks: 1,
            unproven: 1,
        };
        assert_eq!(end(&mut probe), Some(outcome));
        assert_eq!(end(&mut probe), Some(acked(true, false)));
        assert_eq!(end(&mut probe), None);
    }

    #[test]
    fn a_round_whose_target_departs_has_no_outcome() {
        let mut probe = begun(false);
        probe.abandon(MemberKey::for_test(2));
        assert_eq!(timed_out(&mut probe), Some(TARGET), "another member");
        probe.abandon(TARGET);
        assert_eq!(end(&mut probe), None);
        assert_eq!(probe.acked(7), None);
    }
}
