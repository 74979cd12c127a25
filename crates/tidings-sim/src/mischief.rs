//! Bugs on purpose, to see that the checks find them.

use tidings::Event;

/// Something that is wrong in every node's machine, and that the checks must find.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mischief {
    /// Nothing is.
    #[default]
    None,
    /// Whoever waits for a command is told twice that it has ended.
    EndsTwice,
    /// From when the first node was stopped for a while on, none is told of time any more.
    ForgetsTime,
    /// A stream that its node has closed stays open.
    NeverCloses,
    /// Members that left are remembered for a second only, so that old news brings them back.
    ForgetsTheDead,
}

impl Mischief {
    pub(crate) fn tells_twice(self, event: &Event) -> bool {
        self == Self::EndsTwice && matches!(event, Event::Completed { .. })
    }

    pub(crate) fn forgets_time(self, stalls: u64) -> bool {
        self == Self::ForgetsTime && stalls > 0
    }

    pub(crate) fn never_closes(self) -> bool {
        self == Self::NeverCloses
    }
}
