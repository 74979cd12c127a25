//! The rules in which Tidings' protocol and memberlist's differ.

use crate::config::options::Options;
use crate::incarnation::{Incarnation, IncarnationSource};
#[cfg(feature = "memberlist")]
use crate::member::State;
use core::time::Duration;

/// A variant of the protocol, with the rules that differ between the two.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum ProtocolVariant {
    Tidings,
    /// `reclaim` is memberlist's `DeadNodeReclaimTime`; zero means never.
    #[cfg(feature = "memberlist")]
    Memberlist {
        reclaim: Duration,
    },
}

impl ProtocolVariant {
    // ---- incarnations: in memberlist a number of 32 bits, from 1 in every run ----

    /// The incarnation in which a node starts.
    pub(crate) fn first(self, generation: u64) -> Incarnation {
        match self {
            Self::Tidings => Incarnation::first(generation),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => Incarnation { generation: 0, number: 1 },
        }
    }

    /// The lowest incarnation of the local node that outranks both its own and the claimed one:
    /// memberlist's `refute`, but it never wraps to zero.
    pub(crate) fn above(self, own: Incarnation, claimed: Incarnation) -> Incarnation {
        match self {
            Self::Tidings => own.above(claimed),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => {
                let number = own.number.max(claimed.number).saturating_add(1);
                Incarnation { generation: 0, number: number.min(u32::MAX.into()) }
            }
        }
    }

    /// Whether a claim with this incarnation is plausible; see [`Incarnation::is_within_reach`].
    pub(crate) fn is_within_reach(
        self,
        incarnation: Incarnation,
        clock: u64,
        known: Option<Incarnation>,
        from: IncarnationSource,
    ) -> bool {
        match self {
            Self::Tidings => incarnation.is_within_reach(clock, known, from),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => {
                let next = known.map(|known| known.number.saturating_add(1));
                let own = 2 * MAX_INCARNATION + clock.min(MAX_CLOCK);
                let limit = match from {
                    IncarnationSource::Others => MAX_INCARNATION,
                    _ => own,
                };
                incarnation.number > 0 && incarnation.number <= from.latest(limit, own, next)
            }
        }
    }

    /// Whether acks carry no incarnation. Then a claim that a member sends about itself, from its
    /// own address, may be as high as its highest refutation.
    pub(crate) fn lacks_peer_status(self) -> bool {
        match self {
            Self::Tidings => false,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => true,
        }
    }

    /// Whether incarnations have generations, by which a restart is told from a refutation.
    pub(crate) fn has_generations(self) -> bool {
        match self {
            Self::Tidings => true,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => false,
        }
    }

    // ---- names and addresses: in memberlist the holder keeps its name, at one address ----

    /// Whether the higher incarnation holds a name, whatever its address.
    pub(crate) fn names_move(self) -> bool {
        match self {
            Self::Tidings => true,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => false,
        }
    }

    /// Whether another address can take the name of a member in this state, if names do not move
    /// (memberlist's `DeadNodeReclaimTime`). `gone_for` is the time since the member failed.
    #[cfg(feature = "memberlist")]
    pub(crate) fn frees_name(self, state: State, gone_for: impl FnOnce() -> Duration) -> bool {
        match self {
            Self::Memberlist { reclaim } => {
                let is_reclaimable = || !reclaim.is_zero() && gone_for() > reclaim;
                state == State::Left || state == State::Failed && is_reclaimable()
            }
            Self::Tidings => false,
        }
    }

    /// How long a member that failed or left is remembered; memberlist forgets it at the end of
    /// `GossipToTheDeadTime`.
    pub(crate) fn tombstones(self, options: &Options) -> Duration {
        match self {
            Self::Tidings => options.tombstone_timeout,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => options.tombstone_timeout.min(options.gossip_to_the_dead),
        }
    }

    // ---- messages: memberlist has no receipts, and does not forward broadcasts ----

    /// Whether the receiver of a reliable message sends a receipt.
    pub(crate) fn has_receipts(self) -> bool {
        match self {
            Self::Tidings => true,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => false,
        }
    }

    /// The retransmit limit of a broadcast, if that of an update is `limit`. Where receivers do not
    /// forward broadcasts, it is at least the number of other members.
    pub(crate) fn broadcast_limit(self, limit: u32, others: usize) -> u32 {
        let _ = others;
        match self {
            Self::Tidings => limit,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => limit.max(u32::try_from(others).unwrap_or(u32::MAX)),
        }
    }
}

/// The highest incarnation that others may claim of a member; a member's own claims may have twice
/// that, and one more for each second of the clock.
///
/// Nodes that run for years refute a few thousand times. Above each incarnation that is accepted
/// there has to be room to refute it, also after a forger has raised it step by step. memberlist
/// itself accepts any, and wraps to 0 after the last one, which nobody accepts.
#[cfg(feature = "memberlist")]
const MAX_INCARNATION: u64 = 1 << 29;

/// The clock at which the limits stop to move, so that they stay below 2^32: the year 2072.
#[cfg(feature = "memberlist")]
const MAX_CLOCK: u64 = 3 * (1 << 30) - (1 << 13);

#[cfg(all(test, feature = "memberlist"))]
mod tests {
    use super::*;

    const VARIANT: ProtocolVariant = ProtocolVariant::Memberlist { reclaim: Duration::ZERO };

    fn at(number: u64) -> Incarnation {
        Incarnation { generation: 0, number }
    }

    #[test]
    fn a_member_of_memberlists_can_go_above_any_accepted_incarnation() {
        for clock in [0, 1_800_000_000, MAX_CLOCK, u64::MAX] {
            let within =
                |number, known, from| VARIANT.is_within_reach(at(number), clock, known, from);
            let own = 2 * MAX_INCARNATION + clock.min(MAX_CLOCK);
            for (source, next, highest) in [
                (IncarnationSource::Others, IncarnationSource::Itself, MAX_INCARNATION),
                (IncarnationSource::Itself, IncarnationSource::AboutUs, own),
                (IncarnationSource::AboutUs, IncarnationSource::AtFirstHand, own + 1024),
            ] {
                assert!(within(highest, None, source) && !within(highest + 1, None, source));
                let above = VARIANT.above(at(1), at(highest));
                assert!(above.number > highest && above.number < u64::from(u32::MAX));
                assert!(within(above.number, None, next), "{source:?}");
                assert!(
                    within(above.number, Some(at(highest)), IncarnationSource::Others),
                    "a node that accepted the forged claim accepts the refutation"
                );
                assert!(
                    within(above.number, None, IncarnationSource::Unknown),
                    "a node that does not know the member accepts the refutation"
                );
            }
            assert!(
                !within(u64::from(u32::MAX), None, IncarnationSource::Unknown),
                "no incarnation is above it"
            );
            assert!(!within(0, None, IncarnationSource::Itself));
        }
    }

    #[test]
    fn an_incarnation_in_memberlists_format_never_wraps_to_zero() {
        let last = at(u32::MAX.into());
        assert_eq!(VARIANT.above(last, last), last);
        assert_eq!(VARIANT.above(at(3), at(2)), at(4));
        assert_eq!(VARIANT.above(at(3), at(7)), at(8));
    }
}
