//! Rules: what a cluster of memberlist's does in another way than one of ours.

use crate::config::options::Options;
use crate::incarnation::{Incarnation, IncarnationSource};
#[cfg(feature = "memberlist")]
use crate::member::State;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// By whose rules a node plays, where the two differ; all else is the same for both.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum ProtocolVariant {
    Tidings,
    /// A member of memberlist's moves to another address once it has left, or has failed and not been
    /// heard of for so long, if that is not zero.
    #[cfg(feature = "memberlist")]
    Memberlist {
        reclaim: Duration,
    },
}

impl ProtocolVariant {
    // ---- incarnations: memberlist counts in 32 bits, from one in every life ----

    /// In which incarnation a node starts.
    pub(crate) fn first(self, generation: u64) -> Incarnation {
        match self {
            Self::Tidings => Incarnation::first(generation),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => Incarnation { generation: 0, number: 1 },
        }
    }

    /// The least incarnation of ours that outranks both our own and what is claimed; memberlist's
    /// `refute`, but that it never wraps to zero.
    pub(crate) fn above(self, own: Incarnation, claimed: Incarnation) -> Incarnation {
        match self {
            Self::Tidings => own.above(claimed),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => {
                let number = own.number.max(claimed.number) + 1;
                Incarnation { generation: 0, number: number.min(u32::MAX.into()) }
            }
        }
    }

    /// Whether a node of generation `own` that knows a member in another incarnation, if it does, takes
    /// this for one of it.
    pub(crate) fn is_within_reach(
        self,
        incarnation: Incarnation,
        own: u64,
        known: Option<Incarnation>,
        from: IncarnationSource,
    ) -> bool {
        match self {
            Self::Tidings => incarnation.is_within_reach(own, known, from),
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => {
                let next = known.map_or(0, |known| known.number + 1);
                let highest = match from {
                    IncarnationSource::Others => MAX_INCARNATION,
                    IncarnationSource::Itself => 2 * MAX_INCARNATION,
                    IncarnationSource::AboutUs => 3 * MAX_INCARNATION,
                    // The answer to the greatest of these.
                    IncarnationSource::AtFirstHand => 3 * MAX_INCARNATION + 1,
                };
                incarnation.number > 0 && incarnation.number <= highest.max(next)
            }
        }
    }

    /// Whether members do not say in which incarnation they are when they answer a ping: then what one
    /// says of itself from its own address is taken as far as it may have to go to contradict.
    pub(crate) fn lacks_peer_status(self) -> bool {
        match self {
            Self::Tidings => false,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => true,
        }
    }

    // ---- names and addresses: with memberlist whoever has a name keeps it, at one address ----

    /// Whether a name belongs to the higher incarnation, at whatever address.
    pub(crate) fn names_move(self) -> bool {
        match self {
            Self::Tidings => true,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => false,
        }
    }

    /// Whether the name of a member that has been in this state for so long is free for another address,
    /// where names do not move by themselves (memberlist's `DeadNodeReclaimTime`).
    #[cfg(feature = "memberlist")]
    pub(crate) fn frees_name(self, state: State, gone_for: impl FnOnce() -> Duration) -> bool {
        match self {
            Self::Memberlist { reclaim } => {
                let given_up = || !reclaim.is_zero() && gone_for() > reclaim;
                state == State::Left || state == State::Failed && given_up()
            }
            Self::Tidings => false,
        }
    }

    /// For how long a member that failed or left is remembered: memberlist forgets it with the gossip to
    /// the dead.
    pub(crate) fn tombstones(self, options: &Options) -> Duration {
        match self {
            Self::Tidings => options.tombstone_timeout,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => options.tombstone_timeout.min(options.gossip_to_the_dead),
        }
    }

    // ---- messages: memberlist has no receipts, and does not pass broadcasts on ----

    /// Whether whoever takes a reliable message says so.
    pub(crate) fn has_receipts(self) -> bool {
        match self {
            Self::Tidings => true,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => false,
        }
    }

    /// How often a broadcast is told by this node, which news of a member would be `limit` times: where
    /// nobody passes it on, to each of the others once at least.
    pub(crate) fn broadcast_limit(self, limit: u32, others: usize) -> u32 {
        let _ = others;
        match self {
            Self::Tidings => limit,
            #[cfg(feature = "memberlist")]
            Self::Memberlist { .. } => limit.max(u32::try_from(others).unwrap_or(u32::MAX)),
        }
    }
}

/// How far others may say that a member's incarnation is, and half as far as it may say itself.
///
/// Nodes that run for years refute a few thousand times. Above all that is taken there has to be room to
/// contradict, also when a liar has gone on above what was taken one by one: memberlist itself takes any,
/// and announces zero after the last one, which nobody takes.
#[cfg(feature = "memberlist")]
const MAX_INCARNATION: u64 = 1 << 30;

#[cfg(all(test, feature = "memberlist"))]
mod tests {
    use super::*;

    const RULES: ProtocolVariant = ProtocolVariant::Memberlist { reclaim: Duration::ZERO };

    fn at(number: u64) -> Incarnation {
        Incarnation { generation: 0, number }
    }

    #[test]
    fn a_member_of_memberlists_can_go_above_any_accepted_incarnation() {
        let within = |number, known, from| RULES.is_within_reach(at(number), 0, known, from);
        for (source, next, highest) in [
            (IncarnationSource::Others, IncarnationSource::Itself, MAX_INCARNATION),
            (IncarnationSource::Itself, IncarnationSource::AboutUs, 2 * MAX_INCARNATION),
            (IncarnationSource::AboutUs, IncarnationSource::AtFirstHand, 3 * MAX_INCARNATION),
        ] {
            assert!(within(highest, None, source) && !within(highest + 1, None, source));
            let above = RULES.above(at(1), at(highest));
            assert!(above.number > highest && above.number < u64::from(u32::MAX));
            assert!(within(above.number, None, next), "{source:?}");
            assert!(
                within(above.number, Some(at(highest)), IncarnationSource::Others),
                "who took the lie"
            );
        }
        assert!(
            !within(u64::from(u32::MAX), None, IncarnationSource::AboutUs),
            "there is nothing above"
        );
        assert!(!within(0, None, IncarnationSource::Itself));
    }

    #[test]
    fn an_incarnation_of_memberlists_never_wraps_to_zero() {
        let last = at(u32::MAX.into());
        assert_eq!(RULES.above(last, last), last);
        assert_eq!(RULES.above(at(3), at(2)), at(4));
        assert_eq!(RULES.above(at(3), at(7)), at(8));
    }
}
