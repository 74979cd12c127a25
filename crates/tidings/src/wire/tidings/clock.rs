//! The clock of sealed messages: what time it is, and which times are accepted.

/// What time it is, and the time that a peer's reply has proven, in seconds on the wall clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct MessageClock {
    pub(super) now: u64,
    /// How much the proven time is ahead of ours; `None` if no reply has come yet.
    ///
    /// A reply to a nonce that this node drew was made after it, so that its time is no older than
    /// the round trip.
    proven: Option<i64>,
}

#[cfg(feature = "encryption")]
impl MessageClock {
    /// Our clock steps: the proven time does not.
    pub(crate) fn on_step(&mut self, before: u64, after: u64) {
        let ahead = |lead: i64| saturate(i128::from(lead) + i128::from(before) - i128::from(after));
        self.proven = self.proven.map(ahead);
    }

    /// Whether a message of this time is accepted, with a tolerance in seconds.
    ///
    /// It may differ from our time by the tolerance. Somebody who sets our clock back could replay
    /// messages from then: so it is also no older than the proven time by more than twice the
    /// tolerance, for which members that are gone are remembered. While our clock is steady that
    /// excludes nothing more, because the proven time itself was within the tolerance.
    pub(super) fn accepts(&self, time: u64, tolerance: u64) -> bool {
        let floor = |lead: i64| i128::from(self.now) + i128::from(lead) - 2 * i128::from(tolerance);
        time.abs_diff(self.now) <= tolerance
            && self.proven.is_none_or(|lead| i128::from(time) >= floor(lead))
    }

    /// Whether the time of a reply to our own nonce is accepted: then it is proven from now on,
    /// also if it is earlier than the one before, because all clocks were set back.
    pub(super) fn accepts_reply(&mut self, time: u64, tolerance: u64) -> bool {
        let accepted = time.abs_diff(self.now) <= tolerance;
        if accepted {
            self.proven = Some(saturate(i128::from(time) - i128::from(self.now)));
        }
        accepted
    }
}

#[cfg(feature = "encryption")]
fn saturate(seconds: i128) -> i64 {
    i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const TOLERANCE: u64 = 12 * HOUR;

    fn at(now: u64) -> MessageClock {
        MessageClock { now, proven: None }
    }

    #[test]
    fn a_steady_clock_accepts_all_within_the_tolerance_whatever_is_proven() {
        for lead in [-12, -1, 0, 1, 12] {
            let mut clock = at(100 * HOUR);
            assert!(clock.accepts_reply((100 + lead) as u64 * HOUR, TOLERANCE));
            assert!(clock.accepts(88 * HOUR, TOLERANCE) && clock.accepts(112 * HOUR, TOLERANCE));
            assert!(!clock.accepts(88 * HOUR - 1, TOLERANCE));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_accepts_nothing_older_than_the_tombstones() {
        let mut clock = at(100 * HOUR);
        assert!(clock.accepts_reply(100 * HOUR, TOLERANCE));
        clock.on_step(100 * HOUR, 50 * HOUR);
        clock.now = 50 * HOUR;
        assert!(!clock.accepts(50 * HOUR, TOLERANCE), "it may be a replay");
        assert!(clock.accepts_reply(50 * HOUR, TOLERANCE), "peers that were set back too");
        assert!(clock.accepts(50 * HOUR, TOLERANCE));
    }

    #[test]
    fn clocks_at_the_ends_of_their_range_do_not_overflow() {
        for now in [0, u64::MAX] {
            for after in [0, u64::MAX] {
                let mut clock = at(now);
                assert!(clock.accepts_reply(now, TOLERANCE));
                clock.on_step(now, after);
                clock.on_step(after, now);
                clock.on_step(now, after);
                clock.now = after;
                let _ = clock.accepts(now, u64::MAX) | clock.accepts_reply(now, u64::MAX);
            }
        }
    }
}
