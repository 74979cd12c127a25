//! Bugs on purpose, to see that the checks find them.

use tidings::Event;

/// Something that is wrong in every node's machine, and that the checks must find.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InjectedBug {
    /// Nothing is.
    #[default]
    None,
    /// Whoever waits for a command is told twice that it has ended.
    CompletesTwice,
    /// From when the first node was stopped for a while on, none is told of time any more.
    DropsTimeouts,
    /// A stream that its node has closed stays open.
    LeaksStreams,
    /// Members that left are remembered for a second only, so that old news brings them back.
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
