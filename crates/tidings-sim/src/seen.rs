//! What was seen: events in a few bytes, and everything counted.

use serde::Serialize;
use tidings::{Event, Instant, NodeId};

/// Something that a node told its application about another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Which node told it.
    pub by: usize,
    /// What.
    pub kind: Kind,
    /// About which node, if it was about one.
    pub about: Option<usize>,
}

/// A probe round that a node began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Probed {
    /// When its ping was sent.
    pub at: Instant,
    /// Which node pinged.
    pub by: usize,
    /// Which node it pinged, whether that was there or not.
    pub of: usize,
}

/// What one machine sent and received: datagrams, and what was in streams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Traffic {
    pub datagrams_out: u64,
    pub datagrams_in: u64,
    /// All bytes, without the headers of UDP and TCP.
    pub bytes_out: u64,
    pub bytes_in: u64,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "they are those of `tidings::Event`")]
pub enum Kind {
    Joined,
    Updated,
    Suspected,
    Recovered,
    Failed,
    Left,
    Conflict,
    SyncState,
    Message,
    Degraded,
    Restored,
    PartitionSuspected,
    Completed,
    Other,
}

impl Kind {
    pub(crate) fn of(event: &Event) -> (Self, Option<&NodeId>) {
        match event {
            Event::Joined(member) => (Self::Joined, Some(member.id())),
            Event::Updated(member) => (Self::Updated, Some(member.id())),
            Event::Suspected(member) => (Self::Suspected, Some(member.id())),
            Event::Recovered(member) => (Self::Recovered, Some(member.id())),
            Event::Failed(member) => (Self::Failed, Some(member.id())),
            Event::Left(member) => (Self::Left, Some(member.id())),
            Event::Conflict { id, .. } => (Self::Conflict, Some(id)),
            Event::SyncState { from, .. } => (Self::SyncState, from.as_ref()),
            Event::Message { from, .. } => (Self::Message, from.as_ref()),
            Event::Degraded(member) => (Self::Degraded, Some(member.id())),
            Event::Restored(member) => (Self::Restored, Some(member.id())),
            Event::PartitionSuspected { .. } => (Self::PartitionSuspected, None),
            Event::Completed { .. } => (Self::Completed, None),
            _ => (Self::Other, None),
        }
    }
}

macro_rules! tally {
    ($($name:ident,)*) => {
        /// What happened in a world, counted: what a run exercised.
        #[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
        #[expect(missing_docs, reason = "the names say it")]
        pub struct Tally {
            $(pub $name: u64,)*
        }

        impl Tally {
            /// All that is counted, by name.
            pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// Adds what was counted in another world.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

tally! {
    inputs,
    datagrams,
    datagram_bytes,
    datagrams_lost,
    datagrams_cut,
    datagrams_to_nobody,
    datagrams_too_long,
    datagrams_duplicated,
    datagrams_reordered,
    streams,
    stream_bytes,
    streams_cut,
    streams_reset,
    streams_stalled,
    starts,
    stops,
    stalls,
    cuts,
    joined,
    updated,
    suspected,
    recovered,
    failed,
    failed_while_up,
    left,
    conflicts,
    messages,
    degraded,
    restored,
    partitions_suspected,
    completed,
}

impl Tally {
    /// Whether nodes noticed anything beyond that others are there.
    pub fn shows_something(&self) -> bool {
        let Self { updated, suspected, recovered, failed, left, conflicts, messages, .. } = self;
        updated + suspected + recovered + failed + left + conflicts + messages + self.degraded > 0
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        *match kind {
            Kind::Joined => &mut self.joined,
            Kind::Updated => &mut self.updated,
            Kind::Suspected => &mut self.suspected,
            Kind::Recovered => &mut self.recovered,
            Kind::Failed => &mut self.failed,
            Kind::Left => &mut self.left,
            Kind::Conflict => &mut self.conflicts,
            Kind::Message => &mut self.messages,
            Kind::Degraded => &mut self.degraded,
            Kind::Restored => &mut self.restored,
            Kind::PartitionSuspected => &mut self.partitions_suspected,
            Kind::Completed => &mut self.completed,
            Kind::SyncState | Kind::Other => return,
        } += 1;
    }
}
