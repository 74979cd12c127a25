//! Suspicions: suspects, their accusers and their timeouts.

use crate::membership::table::MemberKey;
use crate::time::Instant;
use crate::wire::message::Accuser;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

/// All suspicions of a node, at most one for each member.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Suspicions {
    all: BTreeMap<MemberKey, Suspicion>,
    /// The most confirmations that any suspicion can still get.
    possible: u32,
}

/// The suspicion of one member, which can refute it until the timeout.
///
/// The timeout starts at its maximum. Each further accuser, by its own probe, shortens it
/// (Lifeguard §IV-B): a single accuser may itself be the slow node.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Suspicion {
    /// The accusers, in order of arrival.
    accusers: Vec<Accuser>,
    started: Instant,
    /// The start of the timeout; later than `started` if the timer stood still.
    counted_from: Instant,
    /// The earliest time of expiry.
    not_before: Instant,
    timeout: SuspicionTimeout,
    /// A gossiped verdict has outrun it, or began it.
    by_verdict: bool,
    /// An accuser, and the members that it asked, were refused connections.
    refused: bool,
}

/// The range of a suspicion timeout, and the number of confirmations that shorten it to the
/// minimum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct SuspicionTimeout {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) confirmations: u32,
}

impl Default for Suspicions {
    fn default() -> Self {
        Self { all: BTreeMap::new(), possible: u32::MAX }
    }
}

impl Suspicions {
    /// Starts or restarts the suspicion of a member; returns its deadline.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        key: MemberKey,
        accuser: Accuser,
        timeout: SuspicionTimeout,
    ) -> Instant {
        let suspicion = Suspicion {
            accusers: [accuser].into(),
            started: now,
            counted_from: now,
            not_before: now,
            timeout,
            by_verdict: false,
            refused: false,
        };
        let deadline = suspicion.deadline(self.possible);
        self.all.insert(key, suspicion);
        deadline
    }

    /// Sets how many confirmations a suspicion can get at most, because there are no more others
    /// that are not suspects; returns whether that has changed, and with it the deadlines.
    pub(crate) fn set_possible(&mut self, possible: u32) -> bool {
        core::mem::replace(&mut self.possible, possible) != possible
    }

    /// Counts an accuser of a suspect; returns the new deadline, if it counts.
    ///
    /// Each accuser counts once, and only as many as shorten the timeout.
    pub(crate) fn confirm(&mut self, key: MemberKey, accuser: &Accuser) -> Option<Instant> {
        let suspicion = self.all.get_mut(&key)?;
        let counted = suspicion.accusers.len() as u32 - 1;
        if matches!(suspicion.accusers[..], [Accuser::Unknown]) {
            // The suspicion came by sync: the first accuser named may be the one that began it.
            suspicion.accusers = [accuser.clone()].into();
        }
        let short = accuser.known();
        let known = short.is_none() || suspicion.accusers.iter().any(|one| one.known() == short);
        if known || counted >= suspicion.timeout.confirmations {
            return None;
        }
        suspicion.accusers.push(accuser.clone());
        Some(suspicion.deadline(self.possible))
    }

    /// Whether the timeout of a suspicion could still be shortened.
    pub(crate) fn awaits_confirmations(&self, key: MemberKey) -> bool {
        self.all.get(&key).is_some_and(|suspicion| {
            let counted = suspicion.accusers.len() as u32 - 1;
            counted < suspicion.timeout.confirmations.min(self.possible)
        })
    }

    /// Whether `own` is an accuser of a member.
    pub(crate) fn is_accused_by(&self, key: MemberKey, own: &Accuser) -> bool {
        self.all.get(&key).is_some_and(|suspicion| {
            suspicion.accusers.iter().any(|accuser| accuser.known() == own.known())
        })
    }

    /// Whether a further accusation of a member would count: it is not suspected, or not by `own`
    /// and confirmations are awaited.
    pub(crate) fn is_open_to(&self, key: MemberKey, own: &Accuser) -> bool {
        let Some(Suspicion { accusers, .. }) = self.all.get(&key) else { return true };
        let by_own = accusers.iter().any(|accuser| accuser.known() == own.known());
        !by_own && self.awaits_confirmations(key)
    }

    /// A gossiped verdict has outrun the suspicion of a member: its timeout is the minimum, because
    /// the members that reached the verdict have waited for the rest. Returns the new deadline.
    pub(crate) fn set_by_verdict(&mut self, key: MemberKey) -> Option<Instant> {
        let suspicion = self.all.get_mut(&key)?;
        suspicion.by_verdict = true;
        suspicion.timeout.max = suspicion.timeout.min;
        Some(suspicion.deadline(self.possible))
    }

    /// Whether a gossiped verdict about a suspect has outrun its suspicion, which has lasted for
    /// less than half of the minimum timeout, or an earlier copy has. One for refused connections
    /// is short, but lasts for a gossip interval, in which the suspect can refute.
    pub(crate) fn is_outrun(&self, now: Instant, gossip: Duration, key: MemberKey) -> bool {
        self.all.get(&key).is_some_and(|suspicion| {
            let least = if suspicion.refused { gossip } else { suspicion.timeout.min / 2 };
            now.since(suspicion.started) < least || suspicion.by_verdict && !suspicion.refused
        })
    }

    /// Marks a suspicion as one for refused connections; `true` if that is new.
    pub(crate) fn mark_refused(&mut self, key: MemberKey) -> bool {
        let suspicion = self.all.get_mut(&key);
        suspicion.is_some_and(|suspicion| !core::mem::replace(&mut suspicion.refused, true))
    }

    /// Whether a member is suspected for refused connections.
    pub(crate) fn is_refused(&self, key: MemberKey) -> bool {
        self.all.get(&key).is_some_and(|suspicion| suspicion.refused)
    }

    /// The number of suspects besides this member.
    pub(crate) fn others_than(&self, key: MemberKey) -> usize {
        self.all.len() - usize::from(self.all.contains_key(&key))
    }

    /// Whether another member than this one is suspected for refused connections.
    pub(crate) fn any_refused_but(&self, key: MemberKey) -> bool {
        self.all.iter().any(|(&other, suspicion)| other != key && suspicion.refused)
    }

    /// Whether each restored suspicion has an accuser and a valid timeout.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self) -> bool {
        self.all.values().all(|Suspicion { accusers, timeout, .. }| {
            !accusers.is_empty() && timeout.min <= timeout.max && timeout.confirmations < 64
        })
    }

    /// The suspects.
    pub(crate) fn keys(&self) -> impl Iterator<Item = MemberKey> {
        self.all.keys().copied()
    }

    /// The number of suspects.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Defers a suspicion, because the node has no recent ack; returns its new deadline.
    ///
    /// If `all` other members are suspected no ack can come: then it expires at its maximum; `None`
    /// if that is over.
    pub(crate) fn hold(&mut self, now: Instant, key: MemberKey, all: bool) -> Option<Instant> {
        let suspicion = self.all.get_mut(&key)?;
        let longest = suspicion.started + suspicion.timeout.max;
        if all && longest <= now {
            return None;
        }
        let again = now + suspicion.timeout.min;
        suspicion.not_before = if all { longest } else { again };
        Some(suspicion.not_before)
    }

    /// Continues the timers after the node had no recent ack since `gap`: that time does not count.
    /// After a stall (`stalled`), and not only longer probe rounds, each suspect gets at least the
    /// minimum timeout. Returns the new deadlines.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        gap: Instant,
        stalled: bool,
    ) -> impl Iterator<Item = (MemberKey, Instant)> {
        let possible = self.possible;
        self.all.iter_mut().map(move |(&key, suspicion)| {
            let uncounted = now.since(gap.max(suspicion.counted_from));
            suspicion.counted_from += uncounted;
            if stalled {
                suspicion.not_before = now + suspicion.timeout.min;
            }
            (key, suspicion.deadline(possible))
        })
    }

    /// Ends the suspicion of a member, if there is one.
    pub(crate) fn stop(&mut self, key: MemberKey) {
        self.all.remove(&key);
    }

    /// Ends all suspicions; returns the suspects.
    pub(crate) fn stop_all(&mut self) -> impl Iterator<Item = MemberKey> {
        core::mem::take(&mut self.all).into_keys()
    }

    /// The accuser to name in the `round`th message about a suspect: each in turn, so that
    /// receivers can count them all.
    pub(crate) fn accuser(&self, key: MemberKey, round: u64) -> &Accuser {
        let Some(Suspicion { accusers, .. }) = self.all.get(&key) else { return &Accuser::Unknown };
        &accusers[(round % accusers.len() as u64) as usize]
    }

    #[cfg(feature = "record")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MemberKey, &Suspicion, Instant)> {
        let with_deadline = |suspicion: &Suspicion| suspicion.deadline(self.possible);
        self.all.iter().map(move |(&key, suspicion)| (key, suspicion, with_deadline(suspicion)))
    }

    /// The deadlines of all suspicions.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = (MemberKey, Instant)> {
        self.all.iter().map(|(&key, suspicion)| (key, suspicion.deadline(self.possible)))
    }
}

impl Suspicion {
    #[cfg(feature = "record")]
    pub(crate) fn accusers(&self) -> &[Accuser] {
        &self.accusers
    }

    #[cfg(feature = "record")]
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    fn deadline(&self, possible: u32) -> Instant {
        let due = self.counted_from + self.timeout.after(self.accusers.len() as u32 - 1, possible);
        due.max(self.not_before)
    }
}

impl SuspicionTimeout {
    /// The timeout among `members` members, the suspect included.
    ///
    /// Minimum suspicion timeout: `mult × max(1, log10(members)) × probe_interval`, because the
    /// time for an update to reach all members, and for the refutation to return, grows with the
    /// logarithm (SWIM §4.2). The maximum is `max_mult` times that. `mult - 2` confirmations lead
    /// from one to the other, as in memberlist; in a cluster with fewer other members, none is
    /// waited for.
    pub(crate) fn among(
        members: usize,
        mult: u32,
        max_mult: u32,
        probe_interval: Duration,
    ) -> Self {
        let thousandths = log10_thousandths(members).max(1000);
        let min = probe_interval.saturating_mul(mult).saturating_mul(thousandths) / 1000;
        let wanted = mult.saturating_sub(2);
        let others = members.saturating_sub(2);
        let useless = max_mult == 1 || others < wanted as usize;
        let confirmations = if useless { 0 } else { wanted };
        let max = if confirmations == 0 { min } else { min.saturating_mul(max_mult) };
        Self { min, max, confirmations }
    }

    /// The timeout after so many confirmations:
    ///
    /// `max - (max - min) × log(confirmed + 1) / log(confirmations + 1)`, to the millisecond.
    fn after(self, confirmed: u32, possible: u32) -> Duration {
        let wanted = self.confirmations.min(possible);
        if confirmed >= wanted {
            return self.min;
        }
        let (part, whole) = (log2_fixed(confirmed + 1), log2_fixed(wanted + 1));
        let off = (self.max - self.min).as_nanos() * u128::from(part) / u128::from(whole);
        let millis = (self.max.as_nanos() - off) / 1_000_000;
        Duration::from_millis(millis as u64).max(self.min)
    }
}

/// The logarithm of `n` to base 10 in thousandths, rounded down.
pub(super) fn log10_thousandths(n: usize) -> u32 {
    const LOG10_2_IN_2_POW_32: u64 = 1_292_913_986;
    let log2 = log2_fixed(u32::try_from(n).unwrap_or(u32::MAX));
    let thousandths = u128::from(log2) * u128::from(LOG10_2_IN_2_POW_32) * 1000;
    ((thousandths + (1 << 45)) >> (FRACTION_BITS + 32)) as u32
}

/// The logarithm of `n` to base 2, with a fraction of [`FRACTION_BITS`] bits.
///
/// Integer arithmetic, so that it is the same on every machine: the bits of the fraction come from
/// squaring.
fn log2_fixed(n: u32) -> u64 {
    let n = n.max(1);
    let whole = n.ilog2();
    let mut mantissa = (u128::from(n) << 63) >> whole;
    let mut log2 = u64::from(whole);
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = (mantissa >> 64) as u64;
        mantissa >>= bit;
        log2 = log2 << 1 | bit;
    }
    log2
}

const FRACTION_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_agrees_with_floating_point_at_every_size() {
        for n in (1..20_000).chain([99_999, 100_000, 1_000_000, 16_777_216]) {
            let exact = (n as f64).log10() * 1000.0;
            let ours = f64::from(log10_thousandths(n));
            assert!(ours <= exact + 1e-3 && exact < ours + 1.0, "{n}: {ours} for {exact}");
        }
    }

    #[test]
    fn the_timeouts_are_those_of_memberlist() {
        // Printed by memberlist itself, with SuspicionMult 4 and one second.
        for (members, expected) in
            [(1, 4.0), (10, 4.0), (20, 5.204), (50, 6.792), (100, 8.0), (1000, 12.0)]
        {
            let timeout = SuspicionTimeout::among(members, 4, 6, SECOND);
            assert_eq!(timeout.min.as_secs_f64(), expected, "{members} members");
            assert_eq!(timeout.confirmations, if members < 4 { 0 } else { 2 });
            assert_eq!(
                SuspicionTimeout::among(members, 4, 1, SECOND).confirmations,
                0,
                "switched off"
            );
        }
    }

    #[test]
    fn confirmations_shorten_a_suspicion_as_in_memberlist() {
        let after = |min, max, confirmations, confirmed| {
            let timeout = SuspicionTimeout { min: SECOND * min, max: SECOND * max, confirmations };
            timeout.after(confirmed, u32::MAX).as_millis()
        };
        assert_eq!([0, 1, 2].map(|n| after(4, 24, 2, n)), [24_000, 11_381, 4_000]);
        assert_eq!([0, 1, 2, 3].map(|n| after(2, 30, 3, n)), [30_000, 16_000, 7_810, 2_000]);
    }

    #[test]
    fn each_accuser_counts_once_and_is_named_in_turn() {
        let (key, now) = (MemberKey::for_test(1), Instant::ZERO);
        let mut suspicions = Suspicions::default();
        let deadline =
            suspicions.start(now, key, 7.into(), SuspicionTimeout::among(10, 4, 6, SECOND));
        assert_eq!(deadline, now + SECOND * 24);
        assert_eq!(
            suspicions.confirm(key, &7.into()),
            None,
            "the first accuser does not confirm itself"
        );
        assert_eq!(suspicions.confirm(key, &0.into()), None, "nor does somebody unknown");
        assert!(suspicions.confirm(key, &8.into()).is_some_and(|earlier| earlier < deadline));
        assert_eq!(suspicions.confirm(key, &8.into()), None);
        assert_eq!(suspicions.confirm(key, &9.into()), Some(now + SECOND * 4));
        assert_eq!(suspicions.confirm(key, &10.into()), None, "it is as short as it gets");
        assert_eq!([0, 1, 2, 3].map(|round| suspicions.accuser(key, round).short()), [7, 8, 9, 7]);

        suspicions.start(now, key, 0.into(), SuspicionTimeout::among(10, 4, 6, SECOND));
        assert_eq!(suspicions.confirm(key, &7.into()), None, "it may have been the unknown one");
        assert!(suspicions.confirm(key, &8.into()).is_some());
    }

    const SECOND: Duration = Duration::from_secs(1);
}
