//! Incarnations: of which word of a member's a claim speaks.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Which life of a member a claim speaks of, and which word of that life.
///
/// Claims are ordered first by generation, then by number. Only the member itself raises either
/// (SWIM §4.2). The generation is given at start, from the wall clock, so that a restarted member
/// outranks everything that was said about its earlier life; the number is raised to contradict a
/// suspicion, to change metadata, and to leave.
///
/// What is said of a member is bounded, so that a liar cannot take it where nothing is above. The
/// generation may be later than that of whoever hears it by 2^48, and than the one that is known by
/// one; the number is at most 2^47; both twice that in what a member says of itself, or seems to. What
/// it says in answer to a ping is not bounded.
///
/// memberlist knows no generations: in its format there is one, 0, and the number has 32 bits and begins
/// at 1 in every life. What others may say is then bounded by 2^30, and twice that in what a member says
/// of itself.
///
/// Exhaustive on purpose: the wire format has these two numbers.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Incarnation {
    /// The life: seconds of the wall clock at its start, unless the driver chose otherwise.
    pub generation: u64,
    /// The word within that life, from zero.
    pub number: u64,
}

impl Incarnation {
    /// The first word of a life.
    pub(crate) fn first(generation: u64) -> Self {
        Self { generation, number: 0 }
    }

    /// The least incarnation of ours that outranks both this one and `claimed`.
    ///
    /// What we did not say ourselves is of another life, which this one follows: what is counted
    /// within a life, as broadcasts are, may be as far as anything in that one.
    pub(crate) fn above(self, claimed: Self) -> Self {
        if claimed <= self && self.number < NUMBERS {
            return Self { number: self.number + 1, ..self };
        }
        Self { generation: self.max(claimed).generation.saturating_add(1), number: 0 }
    }

    /// Whether a node of generation `own` that knows this one in another generation, if it does,
    /// takes this for an incarnation of it.
    ///
    /// Whoever has taken a lie takes what goes above it: the next number, or the next generation.
    pub(crate) fn is_within_reach(
        self,
        own: u64,
        known: Option<Self>,
        from: IncarnationSource,
    ) -> bool {
        let next = known.map_or(0, |known| known.generation.saturating_add(1));
        let latest = own.saturating_add(REACH << from as u32).max(next);
        self.number <= NUMBERS << from as u32 && self.generation <= latest
    }
}

/// Who says in which incarnation a member is; each has twice the reach of the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IncarnationSource {
    /// Others.
    Others,
    /// The member itself, or whoever passes on, or makes up, what it says.
    Itself,
    /// Anybody, about us: what others may take for our own word has to be contradicted.
    AboutUs,
    /// The member itself, from its own address, where that is more than its word passed on.
    AtFirstHand,
}

/// How many numbers there are in a life before it goes on as a new one.
const NUMBERS: u64 = 1 << 47;
/// How much later than our own life others may say that a member's is: in seconds, nine million
/// years; in microseconds, nine.
const REACH: u64 = 1 << 48;

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
        assert_eq!(at(5, 2).above(at(5, 9)), at(6, 0), "that was another life");
        assert_eq!(at(5, 2).above(at(6, 0)), at(7, 0));
        assert_eq!(at(5, 2).above(at(5, u64::MAX)), at(6, 0));
        assert_eq!(at(5, NUMBERS).above(at(5, 0)), at(6, 0));
        assert_eq!(at(5, 2).above(at(u64::MAX, 7)), at(u64::MAX, 0), "which is never taken");
    }

    #[test]
    fn a_member_can_go_above_any_accepted_incarnation() {
        let own = 60_000_000;
        let highest = Incarnation { generation: own + REACH, number: NUMBERS };
        assert!(highest.is_within_reach(own, None, IncarnationSource::Others));
        let above = highest.above(highest);
        assert!(
            !above.is_within_reach(own, None, IncarnationSource::Others),
            "nobody else can say that"
        );
        assert!(above.is_within_reach(own, None, IncarnationSource::Itself));
        let earlier = own - 1_000_000;
        assert!(
            above.is_within_reach(earlier, None, IncarnationSource::Itself),
            "also if started earlier"
        );
        let most = Incarnation { generation: u64::MAX, number: u64::MAX };
        assert!(!most.is_within_reach(own, None, IncarnationSource::AboutUs));

        // What others make it say itself is told to it, and it can go above that too.
        let highest = Incarnation { generation: own + 2 * REACH, number: 2 * NUMBERS };
        assert!(highest.is_within_reach(own, None, IncarnationSource::Itself));
        assert!(highest.is_within_reach(earlier, None, IncarnationSource::AboutUs));
        let above = highest.above(highest);
        assert!(!above.is_within_reach(own, None, IncarnationSource::Itself));
        assert!(above.is_within_reach(own, Some(highest), IncarnationSource::Itself));
    }
}
