//! Incarnations: the version numbers that order all claims about a member.

use core::fmt;

/// A member's version number: a generation, which counts restarts, and a number within it.
///
/// Claims about a member are ordered by generation, then by number. Only the member itself raises
/// either (SWIM §4.2). A node gets its generation at start, from the wall clock, so that a
/// restarted member outranks all claims about its earlier run. It raises the number to refute a
/// suspicion, to change its metadata, to leave, and to join again.
///
/// A node drops claims whose incarnation is too high, so that a forged one never exceeds the
/// member's own reach. The limits move with the receiver's clock, which started at its generation
/// and counts seconds:
///
/// - The generation is at most 2^48 above the clock; with address and metadata, so that the claim
///   may be the member's own, at most 2^49. The number is at most 2^47 or 2^48.
/// - A claim about the receiver may be 1,024 above that, and one about an unknown member 2,048.
///   So a node never raises itself beyond what nodes that do not know it accept.
/// - An incarnation in an ack to the node's own ping counts up to one above that of a claim about
///   the receiver: as high as the member's own refutation of the highest one. What is beyond counts
///   as that one.
///
/// memberlist's format has no generations: the generation is 0, and the number has 32 bits and
/// starts at 1 in every run. The limit for claims by others is then 2^29, and for a member's own
/// 2^30 above the clock.
///
/// Exhaustive on purpose: the wire format has these two numbers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
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

    /// This incarnation of a member, which it says itself, or the highest plausible one below it.
    pub(crate) fn at_most_at_first_hand(self, clock: u64) -> Self {
        let (latest, most) = IncarnationSource::AtFirstHand.limits(clock, None);
        if self.generation > latest {
            return Self::first(latest);
        }
        Self { number: self.number.min(most), ..self }
    }

    /// Whether a claim with this incarnation is plausible: not so high that the member could not go
    /// above it.
    ///
    /// `clock` is the receiver's clock, `known` the member's known incarnation.
    pub(crate) fn is_within_reach(
        self,
        clock: u64,
        known: Option<Self>,
        from: IncarnationSource,
    ) -> bool {
        let (latest, most) = from.limits(clock, known);
        self.generation <= latest && self.number <= most
    }
}

/// The source of a claimed incarnation, which decides how high it may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IncarnationSource {
    /// Another member: the claim has no address and metadata.
    Others,
    /// The member itself, or a member that forwards or forges its claim.
    Itself,
    /// Anybody, about the local node, which must refute each claim that others may accept as its
    /// own.
    AboutUs,
    /// The member itself, from its own address: in an ack, or in memberlist's format, whose acks
    /// carry no incarnation, in a claim.
    AtFirstHand,
    /// Anybody, with address and metadata, about a member that is not known.
    Unknown,
}

impl IncarnationSource {
    /// The highest generation and the highest number that a claim from this source may have.
    fn limits(self, clock: u64, known: Option<Incarnation>) -> (u64, u64) {
        let (lead, most) = match self {
            Self::Others => (MAX_GENERATION_LEAD, MAX_NUMBER),
            Self::Itself | Self::Unknown => (2 * MAX_GENERATION_LEAD, 2 * MAX_NUMBER),
            Self::AboutUs | Self::AtFirstHand => (2 * MAX_GENERATION_LEAD, 4 * MAX_NUMBER),
        };
        let next = known.map(|known| known.generation.saturating_add(1));
        let own = clock.saturating_add(2 * MAX_GENERATION_LEAD);
        (self.latest(clock.saturating_add(lead), own, next), most)
    }

    /// The highest generation, or number in memberlist's format, that a claim from this source may
    /// have.
    ///
    /// `limit` is the limit for the source without regard to clocks, `own` the one for a member's
    /// own claims, and `next` the incarnation that follows the known one. That one is plausible a
    /// little above the limit, so that a node that accepted a forged claim accepts the refutation
    /// at once.
    ///
    /// No limit can hold for good: above the highest forged claim that is accepted there has to be
    /// room for the member. So all limits move with the clock, and whatever is just beyond one is
    /// within it soon.
    pub(crate) fn latest(self, limit: u64, own: u64, next: Option<u64>) -> u64 {
        let refuted = own.saturating_add(MAX_CLOCK_LEAD);
        match self {
            Self::Others | Self::Itself => {
                limit.max(next.unwrap_or(0).min(refuted.saturating_add(1)))
            }
            Self::AboutUs => refuted,
            Self::AtFirstHand => refuted.saturating_add(1),
            Self::Unknown => own.saturating_add(2 * MAX_CLOCK_LEAD),
        }
    }
}

/// The highest number of a generation; the next incarnation starts a new generation.
const MAX_NUMBER: u64 = 1 << 47;
/// The highest lead of a claimed generation over the receiver's clock: in seconds nine million
/// years, in microseconds nine.
const MAX_GENERATION_LEAD: u64 = 1 << 48;
/// The lead, in seconds, of another node's clock within which this node can refute at once what
/// that node accepted, and within which unknown members are accepted whatever was forged about
/// them.
const MAX_CLOCK_LEAD: u64 = 1024;

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
        let clock = 60_000_000;
        let highest = Incarnation { generation: clock + MAX_GENERATION_LEAD, number: MAX_NUMBER };
        assert!(highest.is_within_reach(clock, None, IncarnationSource::Others));
        let above = highest.above(highest);
        assert!(
            !above.is_within_reach(clock, None, IncarnationSource::Others),
            "only the member itself can claim that"
        );
        assert!(above.is_within_reach(clock, None, IncarnationSource::Itself));
        let slow = clock - 1_000_000;
        assert!(
            above.is_within_reach(slow, None, IncarnationSource::Itself),
            "also at a node with a slow clock"
        );
        let most = Incarnation { generation: u64::MAX, number: u64::MAX };
        assert!(!most.is_within_reach(clock, None, IncarnationSource::AboutUs));

        // The member gets claims that were forged as its own, and can go above these too.
        let highest =
            Incarnation { generation: clock + 2 * MAX_GENERATION_LEAD, number: 2 * MAX_NUMBER };
        assert!(highest.is_within_reach(clock, None, IncarnationSource::Itself));
        let slow = clock - MAX_CLOCK_LEAD;
        assert!(highest.is_within_reach(slow, None, IncarnationSource::AboutUs));
        let above = highest.above(highest);
        assert!(!above.is_within_reach(clock, None, IncarnationSource::Itself));
        assert!(above.is_within_reach(clock, Some(highest), IncarnationSource::Itself));
        assert!(above.is_within_reach(clock + 1, None, IncarnationSource::Itself));
    }

    #[test]
    fn a_node_never_goes_beyond_what_is_accepted_of_unknown_members() {
        let (clock, slow) = (60_000_000, 60_000_000 - MAX_CLOCK_LEAD + 1);
        let mut own = Incarnation::first(clock);
        for generation in (1..=64)
            .rev()
            .map(|bit| u64::MAX >> (64 - bit))
            .chain((0..3000).map(|beyond| clock + 2 * MAX_GENERATION_LEAD + beyond))
        {
            let forged = Incarnation { generation, number: 4 * MAX_NUMBER };
            if forged.is_within_reach(clock, Some(own), IncarnationSource::AboutUs) {
                own = own.above(forged);
            }
            assert!(own.is_within_reach(slow, None, IncarnationSource::Unknown), "{own}");
        }
        assert!(own.generation > clock + 2 * MAX_GENERATION_LEAD);
    }
}
