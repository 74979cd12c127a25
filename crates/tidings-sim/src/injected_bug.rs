//! Injected bugs, which the checks must find.

use tidings::Event;

/// A bug injected into the simulated machine of every node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InjectedBug {
    /// No bug.
    #[default]
    None,
    /// Each command's completion is reported twice.
    CompletesTwice,
    /// From the first pause or stall on, no node's timeouts are handled any more.
    DropsTimeouts,
    /// A stream that its node has closed stays open.
    LeaksStreams,
    /// Tombstones expire after one second, so that stale updates revive departed members.
    ForgetsTombstones,
}

impl InjectedBug {
    pub(crate) fn completes_twice(self, event: &Event) -> bool {
        self == Self::CompletesTwice && matches!(event, Event::Completed { .. })
    }

    pub(crate) fn drops_timeouts(self, stalls: u64) -> bool {
        self == Self::DropsTimeouts && stalls > 0
    }

    pub(crate) fn leaks_streams(self) -> bool {
        self == Self::LeaksStreams
    }
}
