//! Incarnations: the version numbers that order all claims about a member.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A member's version number: a generation, which counts restarts, and a number within it.
///
/// Claims about a member are ordered by generation, then by number. Only the member itself raises
/// either (SWIM §4.2). A node gets its generation at start, from the wall clock, so that a
/// restarted member outranks all claims about its earlier run. It raises the number to refute a
/// suspicion, to change its metadata, to leave, and to join again.
///
/// A node drops claims whose incarnation is too high, so that a forged one never exceeds the
/// member's own reach:
///
/// - The generation is at most 2^48 above the receiver's at its start, or one above the known one;
///   the number is at most 2^47.
/// - If the claim has an address and metadata, so that it may be the member's own, both limits
///   double. They double once more if the claim is about the receiver.
/// - An incarnation in an ack to the node's own ping has no limit.
///
/// memberlist's format has no generations: the generation is 0, and the number has 32 bits and
/// starts at 1 in every run. The limit for claims by others is then 2^30, and twice that for a
/// member's own.
///
/// Exhaustive on purpose: the wire format has these two numbers.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Incarnation {
    /// The run of the member: the wall clock in seconds at its start, unless the driver set another
    /// value.
    pub generation: u64,
    /// The version within that run, from 0.
    pub number: u64,
}

impl Incarnation {
    /// The first incarnation of a generation.
    pub(crate) fn first(generation: u64) -> Self {
        Self { generation, number: 0 }
    }

    /// The lowest incarnation of the local node that outranks both this one and `claimed`.
    ///
    /// A claim above our own incarnation stems from another run, in which broadcasts may have been
    /// numbered up to any number. It is therefore answered with the next generation, not with the
    /// next number. A number above 2^47 also leads to the next generation.
    pub(crate) fn above(self, claimed: Self) -> Self {
        if claimed <= self && self.number < MAX_NUMBER {
            return Self { number: self.number + 1, ..self };
        }
        Self { generation: self.max(claimed).generation.saturating_add(1), number: 0 }
    }

    /// Whether a claim with this incarnation is plausible: not so high that the member could not go
    /// above it.
    ///
    /// `own` is the receiver's generation at its start, `known` the member's known incarnation. The
    /// generation that follows the known one is always plausible, so that a node that accepted a
    /// forged claim accepts the refutation too.
    pub(crate) fn is_within_reach(
        self,
        own: u64,
        known: Option<Self>,
        from: IncarnationSource,
    ) -> bool {
        let next = known.map_or(0, |known| known.generation.saturating_add(1));
        let latest = own.saturating_add(MAX_GENERATION_LEAD << from as u32).max(next);
        self.number <= MAX_NUMBER << from as u32 && self.generation <= latest
    }
}

/// The source of a claimed incarnation; each allows twice as much as the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IncarnationSource {
    /// Another member: the claim has no address and metadata.
    Others,
    /// The member itself, or a member that forwards or forges its claim.
    Itself,
    /// Anybody, about the local node, which must refute each claim that others may accept as its
    /// own.
    AboutUs,
    /// The member itself, from its own address; only in memberlist's format, whose acks carry no
    /// incarnation.
    AtFirstHand,
}

/// The highest number of a generation; the next incarnation starts a new generation.
const MAX_NUMBER: u64 = 1 << 47;
/// The highest lead of a claimed generation over the receiver's: in seconds nine million years, in
/// microseconds nine.
const MAX_GENERATION_LEAD: u64 = 1 << 48;

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_above_outranks_both_and_never_wraps() {
        let at = |generation, number| Incarnation { generation, number };
        assert_eq!(at(5, 2).above(at(5, 2)), at(5, 3));
        assert_eq!(at(5, 2).above(at(4, 9)), at(5, 3));
        assert_eq!(at(5, 2).above(at(5, 9)), at(6, 0), "that was an earlier run");
        assert_eq!(at(5, 2).above(at(6, 0)), at(7, 0));
        assert_eq!(at(5, 2).above(at(5, u64::MAX)), at(6, 0));
        assert_eq!(at(5, MAX_NUMBER).above(at(5, 0)), at(6, 0));
        assert_eq!(at(5, 2).above(at(u64::MAX, 7)), at(u64::MAX, 0), "which nobody accepts");
    }

    #[test]
    fn a_member_can_go_above_any_accepted_incarnation() {
        let own = 60_000_000;
        let highest = Incarnation { generation: own + MAX_GENERATION_LEAD, number: MAX_NUMBER };
        assert!(highest.is_within_reach(own, None, IncarnationSource::Others));
        let above = highest.above(highest);
        assert!(
            !above.is_within_reach(own, None, IncarnationSource::Others),
            "only the member itself can claim that"
        );
        assert!(above.is_within_reach(own, None, IncarnationSource::Itself));
        let earlier = own - 1_000_000;
        assert!(
            above.is_within_reach(earlier, None, IncarnationSource::Itself),
            "also at a node that started earlier"
        );
        let most = Incarnation { generation: u64::MAX, number: u64::MAX };
        assert!(!most.is_within_reach(own, None, IncarnationSource::AboutUs));

        // The member gets claims that were forged as its own, and can go above these too.
        let highest =
            Incarnation { generation: own + 2 * MAX_GENERATION_LEAD, number: 2 * MAX_NUMBER };
        assert!(highest.is_within_reach(own, None, IncarnationSource::Itself));
        assert!(highest.is_within_reach(earlier, None, IncarnationSource::AboutUs));
        let above = highest.above(highest);
        assert!(!above.is_within_reach(own, None, IncarnationSource::Itself));
        assert!(above.is_within_reach(own, Some(highest), IncarnationSource::Itself));
    }
}
