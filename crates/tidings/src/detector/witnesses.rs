//! Witnesses: the members that answered this node last, which it asks for indirect pings, and the
//! search for others that answer.

use crate::membership::table::MemberKey;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::vec::Vec;
use core::time::Duration;

/// The members that answered this node's pings last, and a search for others that do.
///
/// Where most of a cluster is gone, a relay picked from all members is a dead one, and its silence
/// says nothing about this node. That of a relay which has answered since others were silent does.
/// So when relays that are not proven in that way are silent, the node pings them and others; who
/// answers is a proven relay from then on.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Witnesses {
    /// In the order in which they were added.
    recent: Vec<Witness>,
    /// The pings of the latest search.
    searched: Vec<Searched>,
    /// Relays whose silence in the current round is questioned by the next search.
    questioned: Vec<MemberKey>,
    /// Members that pinged this node since nobody answers it.
    pingers: Vec<MemberKey>,
    /// When the latest search began.
    since: Option<Instant>,
    /// The number of searches that nobody has answered.
    unanswered: u32,
    /// A member answered since the last round ended.
    heard: bool,
    /// Missed nacks that are not decided yet, because nobody was heard.
    undecided: u32,
    /// Relays that answered the search, and had sent no nack.
    late: u32,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Witness {
    key: MemberKey,
    heard: Instant,
}

/// A ping of the search.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Searched {
    token: u32,
    key: MemberKey,
    /// The member was a relay that sent no nack.
    questioned: bool,
}

/// How many members the search pings at each step: 8, 32, then 64.
fn search_size(step: u32) -> usize {
    (SEARCHED << (2 * step.min(2))).min(MAX_SEARCHED)
}

impl Witnesses {
    /// Adds a member, which answered.
    pub(crate) fn add(&mut self, now: Instant, key: MemberKey) {
        self.heard = true;
        if let Some(known) = self.recent.iter_mut().find(|recent| recent.key == key) {
            known.heard = now;
            return;
        }
        if self.recent.len() == MAX_WITNESSES {
            self.recent.remove(0);
        }
        self.recent.push(Witness { key, heard: now });
    }

    /// Removes a member, which did not answer or departed.
    pub(crate) fn remove(&mut self, key: MemberKey) {
        self.recent.retain(|recent| recent.key != key);
    }

    /// Removes all members and ends the search.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Picks up to `count` eligible witnesses, from a random one on, into `picked`.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        count: usize,
        eligible: impl Fn(MemberKey) -> bool,
        picked: &mut Vec<MemberKey>,
    ) {
        picked.clear();
        if self.recent.is_empty() {
            return;
        }
        let (before, from) = self.recent.split_at(rng.below(self.recent.len()));
        let all = from.iter().chain(before).map(|recent| recent.key);
        picked.extend(all.filter(|&key| eligible(key)).take(count));
    }

    /// Whether the silence of a member says something about this node: it answered within two
    /// rounds, and others were silent lately.
    pub(crate) fn is_proven(&self, now: Instant, round: Duration, key: MemberKey) -> bool {
        let troubled = self.since.is_some_and(|since| now.since(since) <= round * PROOF_ROUNDS);
        troubled && self.is_heard(now, round, key)
    }

    /// Whether a member answered within two rounds.
    pub(crate) fn is_heard(&self, now: Instant, round: Duration, key: MemberKey) -> bool {
        let lately = |recent: &Witness| recent.key == key && now.since(recent.heard) <= round * 2;
        self.recent.iter().any(lately)
    }

    /// A relay sent no nack: unless it is proven, the next search pings it.
    pub(crate) fn on_silent_relay(&mut self, key: MemberKey, proven: bool) {
        self.remove(key);
        if !proven && self.questioned.len() < MAX_QUESTIONED && !self.questioned.contains(&key) {
            self.questioned.push(key);
        }
    }

    /// Ends a round in which no relay was silent and no search is under way; else `false`.
    pub(crate) fn end_quiet_round(&mut self) -> bool {
        let idle = self.unanswered == 0 && self.searched.is_empty() && self.questioned.is_empty();
        let quiet = idle && self.late == 0;
        self.heard &= !quiet;
        quiet
    }

    /// Ends a round; returns how many missed nacks count against this node, beside those of proven
    /// relays.
    ///
    /// If somebody was heard, those of the relays that answered the search. If nobody was, none
    /// before the search has reached its largest size among `others`; then all.
    pub(crate) fn end_round(&mut self, others: usize) -> u32 {
        let late = core::mem::take(&mut self.late);
        if self.heard {
            (self.undecided, self.unanswered) = (0, 0);
            self.pingers.clear();
            return late;
        }
        self.undecided += self.questioned.len() as u32;
        let last = self.unanswered.checked_sub(1).map_or(0, search_size);
        if last < others && self.unanswered < MAX_SEARCHES {
            return 0;
        }
        core::mem::take(&mut self.undecided)
    }

    /// Begins a search, if relays of the round that ends were silent, and ends the one before;
    /// `None` if there were none.
    ///
    /// Takes the relays into `picked`; returns how many others to ping. Who was not heard since
    /// `begun`, when the round began, may be gone as well.
    pub(crate) fn begin_search(
        &mut self,
        now: Instant,
        begun: Instant,
        picked: &mut Vec<MemberKey>,
    ) -> Option<usize> {
        self.searched.clear();
        let heard = core::mem::take(&mut self.heard);
        if self.questioned.is_empty() {
            return None;
        }
        self.recent.retain(|recent| recent.heard >= begun);
        self.since = Some(now);
        picked.clear();
        picked.append(&mut self.questioned);
        if heard {
            return Some(0);
        }
        picked.append(&mut self.pingers);
        let size = search_size(self.unanswered);
        self.unanswered = (self.unanswered + 1).min(MAX_SEARCHES);
        Some(size)
    }

    /// Whether members answer again after a round in which nobody did.
    pub(crate) fn are_back(&self) -> bool {
        self.heard && self.unanswered > 0
    }

    /// Whether nobody has answered since a search began.
    pub(crate) fn is_unheard(&self) -> bool {
        self.unanswered > 0 && !self.heard
    }

    /// A member pings this node, or asks it for a ping: if nobody answers, the next search begins
    /// with it.
    pub(crate) fn on_pinged(&mut self, key: MemberKey) {
        let wanted = self.is_unheard() && self.pingers.len() < MAX_PINGERS;
        if wanted && !self.pingers.contains(&key) {
            self.pingers.push(key);
        }
    }

    /// Registers a ping of the search.
    pub(crate) fn search(&mut self, token: u32, key: MemberKey, questioned: bool) {
        self.searched.push(Searched { token, key, questioned });
    }

    /// Handles an ack; `true` if it answers a ping of the search, whose target is a witness now.
    pub(crate) fn found(&mut self, now: Instant, token: u32) -> bool {
        let Some(at) = self.searched.iter().position(|searched| searched.token == token) else {
            return false;
        };
        let Searched { key, questioned, .. } = self.searched.swap_remove(at);
        self.late += u32::from(questioned);
        self.add(now, key);
        true
    }

    /// A member departed.
    pub(crate) fn on_departed(&mut self, key: MemberKey) {
        self.remove(key);
        self.searched.retain(|searched| searched.key != key);
        self.questioned.retain(|&questioned| questioned != key);
        self.pingers.retain(|&pinger| pinger != key);
    }

    /// Whether a restored list is within its limits.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self, known: impl Fn(MemberKey) -> bool) -> bool {
        let searched = self.searched.iter().map(|searched| searched.key);
        let recent = self.recent.iter().map(|recent| recent.key);
        let questioned = self.questioned.iter().chain(&self.pingers).copied();
        self.recent.len() <= MAX_WITNESSES
            && self.searched.len() <= 2 * MAX_SEARCHED
            && self.questioned.len() <= MAX_QUESTIONED
            && self.pingers.len() <= MAX_PINGERS
            && self.unanswered <= MAX_SEARCHES
            && self.undecided <= MAX_SEARCHES * MAX_QUESTIONED as u32
            && self.late <= MAX_QUESTIONED as u32
            && recent.chain(searched).chain(questioned).all(known)
    }
}

/// Members remembered as witnesses: enough that three relays are picked from different ones each
/// time, and few enough that all have answered lately.
const MAX_WITNESSES: usize = 16;
/// Members pinged in the first search, beside silent relays.
const SEARCHED: usize = 8;
/// The most members pinged in one search, beside silent relays and members that pinged this node.
const MAX_SEARCHED: usize = 64;
/// After how many searches without an answer missed nacks count at the latest.
const MAX_SEARCHES: u32 = 9;
/// The most silent relays pinged in one search.
const MAX_QUESTIONED: usize = 32;
/// The most members that pinged this node pinged in one search.
const MAX_PINGERS: usize = 8;
/// For how many rounds after a search a witness is a proven one.
const PROOF_ROUNDS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::RngStream;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(n: u32) -> MemberKey {
        MemberKey::for_test(n)
    }

    fn at(seconds: u32) -> Instant {
        Instant::ZERO + SECOND * seconds
    }

    /// Ends a round of one second in which the relays were silent; returns what counts, and how
    /// many others are pinged.
    fn silent_round(witnesses: &mut Witnesses, now: u32, relays: &[u32]) -> (u32, Option<usize>) {
        relays.iter().for_each(|&n| witnesses.on_silent_relay(key(n), false));
        let counted = witnesses.end_round(1000);
        let mut picked = Vec::new();
        (counted, witnesses.begin_search(at(now), at(now - 1), &mut picked))
    }

    #[test]
    fn the_latest_that_answered_are_picked_each_once() {
        let mut rng = Rng::new([1; 32], RngStream::Probe);
        let (mut witnesses, mut picked) = (Witnesses::default(), Vec::new());
        witnesses.pick(&mut rng, 3, |_| true, &mut picked);
        assert_eq!(picked, []);
        for n in (0..40).chain([39]) {
            witnesses.add(at(1), key(n));
        }
        witnesses.remove(key(31));
        witnesses.on_departed(key(32));
        witnesses.pick(&mut rng, 99, |key| key.index() != 33, &mut picked);
        picked.sort_unstable();
        let expected: Vec<_> = (24..40).filter(|n| !(31..34).contains(n)).map(key).collect();
        assert_eq!(picked, expected);
        witnesses.pick(&mut rng, 3, |_| true, &mut picked);
        assert_eq!(picked.len(), 3);
    }

    #[test]
    fn who_answers_a_search_is_proven_for_two_rounds_and_who_answered_before_it_is_forgotten() {
        let mut witnesses = Witnesses::default();
        witnesses.add(at(1), key(1));
        assert!(!witnesses.is_proven(at(1), SECOND, key(1)), "nobody was silent");
        assert_eq!(silent_round(&mut witnesses, 4, &[2, 3]), (0, Some(0)), "one was heard");
        witnesses.search(7, key(2), true);
        witnesses.search(8, key(4), false);
        assert!(!witnesses.found(at(4), 9), "another token");
        assert!(witnesses.found(at(4), 8) && !witnesses.found(at(4), 8), "an ack counts once");
        assert!(witnesses.is_proven(at(6), SECOND, key(4)));
        assert!(!witnesses.is_proven(at(7), SECOND, key(4)), "that is long ago");
        assert!(!witnesses.is_proven(at(5), SECOND, key(1)), "it was not heard in that round");
        assert_eq!(witnesses.end_round(1000), 0, "silent relays that do not answer are gone");
    }

    #[test]
    fn of_silent_relays_those_count_that_answer_the_search() {
        let mut witnesses = Witnesses::default();
        silent_round(&mut witnesses, 1, &[1, 2, 3]);
        witnesses.search(7, key(1), true);
        witnesses.search(8, key(9), false);
        assert!(witnesses.found(at(1), 7) && witnesses.found(at(1), 8));
        assert_eq!(witnesses.end_round(1000), 1);
    }

    #[test]
    fn the_search_grows_while_nobody_is_heard_and_then_all_silent_relays_count() {
        let mut witnesses = Witnesses::default();
        let rounds = (1..=11).map(|n| silent_round(&mut witnesses, n, &[3 * n, 3 * n + 1]));
        let (counted, searched): (Vec<_>, Vec<_>) = rounds.unzip();
        assert_eq!(searched[..4], [8, 32, 64, 64].map(Some));
        assert_eq!(counted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 2]);

        let mut witnesses = Witnesses::default();
        silent_round(&mut witnesses, 1, &[1, 2]);
        witnesses.on_silent_relay(key(3), false);
        assert_eq!(witnesses.end_round(8), 3, "all others were pinged");
    }

    #[test]
    fn a_search_that_nobody_answers_goes_on_with_who_pings() {
        let mut witnesses = Witnesses::default();
        witnesses.on_pinged(key(5));
        silent_round(&mut witnesses, 1, &[1]);
        witnesses.on_pinged(key(6));
        witnesses.on_silent_relay(key(2), false);
        witnesses.end_round(1000);
        let mut picked = Vec::new();
        assert_eq!(witnesses.begin_search(at(2), at(1), &mut picked), Some(32));
        assert_eq!(picked, [key(2), key(6)]);
    }
}
