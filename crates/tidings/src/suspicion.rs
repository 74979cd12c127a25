//! Suspicions: who is suspected, by whom, and until when it may contradict.

use crate::members::Key;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// All suspicions that run at a node; there is at most one for each member.
#[derive(Debug, Default)]
pub(crate) struct Suspicions(BTreeMap<Key, Suspicion>);

/// A member that did not answer, and has until `deadline` to say that it lives.
#[derive(Debug)]
pub(crate) struct Suspicion {
    /// The short name of the member that said so first.
    pub(crate) accuser: u32,
    pub(crate) deadline: Instant,
}

impl Suspicions {
    /// Starts or restarts the suspicion of a member; returns when it expires.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        key: Key,
        accuser: u32,
        timeout: Duration,
    ) -> Instant {
        let deadline = now + timeout;
        self.0.insert(key, Suspicion { accuser, deadline });
        deadline
    }

    /// Ends the suspicion of a member, if there is one.
    pub(crate) fn stop(&mut self, key: Key) -> Option<Suspicion> {
        self.0.remove(&key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Suspicion> {
        self.0.get(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Suspicion)> {
        self.0.iter().map(|(&key, suspicion)| (key, suspicion))
    }
}

/// How long a suspect may take to contradict, among `members` members.
///
/// `mult × max(1, log10(members)) × probe_interval`: the time that news takes to reach all and the
/// answer to come back grows with the logarithm of the cluster (SWIM §4.2; memberlist's
/// `SuspicionMult`).
pub(crate) fn timeout(mult: u32, members: usize, probe_interval: Duration) -> Duration {
    probe_interval.saturating_mul(mult).saturating_mul(log10_thousandths(members).max(1000)) / 1000
}

/// The logarithm of `n` to base 10 in thousandths, rounded down.
///
/// By integers, so that it is the same on every machine: the bits of the fraction come from
/// squaring.
fn log10_thousandths(n: usize) -> u32 {
    const LOG10_2_IN_2_POW_32: u64 = 1_292_913_986;
    let n = n.max(1) as u64;
    let whole = n.ilog2();
    let mut mantissa = (u128::from(n) << 63) >> whole;
    let mut log2 = u64::from(whole);
    for _ in 0..24 {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = (mantissa >> 64) as u64;
        mantissa >>= bit;
        log2 = log2 << 1 | bit;
    }
    let thousandths = u128::from(log2) * u128::from(LOG10_2_IN_2_POW_32) * 1000;
    ((thousandths + (1 << 45)) >> (24 + 32)) as u32
}

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
        let seconds = |members| timeout(4, members, Duration::from_secs(1)).as_secs_f64();
        for (members, expected) in
            [(1, 4.0), (10, 4.0), (20, 5.204), (50, 6.792), (100, 8.0), (1000, 12.0)]
        {
            assert_eq!(seconds(members), expected, "{members} members");
        }
    }
}
