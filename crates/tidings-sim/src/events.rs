//! What was seen: events in a few bytes, and everything counted.

use serde::Serialize;
use tidings::{Event, Instant, NodeId};

/// Something that a node told its application about another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoggedEvent {
    /// When.
    pub at: Instant,
    /// Which node told it.
    pub observer: usize,
    /// What.
    pub kind: EventKind,
    /// About which node, if it was about one.
    pub subject: Option<usize>,
}

/// A probe round that a node began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbeRecord {
    /// When its ping was sent.
    pub at: Instant,
    /// Which node pinged.
    pub prober: usize,
    /// Which node it pinged, whether that was there or not.
    pub target: usize,
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
pub enum EventKind {
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

impl EventKind {
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
    pub fn any_observation(&self) -> bool {
        let Self { updated, suspected, recovered, failed, left, conflicts, messages, .. } = self;
        updated + suspected + recovered + failed + left + conflicts + messages + self.degraded > 0
    }

    pub(crate) fn count(&mut self, kind: EventKind) {
        *match kind {
            EventKind::Joined => &mut self.joined,
            EventKind::Updated => &mut self.updated,
            EventKind::Suspected => &mut self.suspected,
            EventKind::Recovered => &mut self.recovered,
            EventKind::Failed => &mut self.failed,
            EventKind::Left => &mut self.left,
            EventKind::Conflict => &mut self.conflicts,
            EventKind::Message => &mut self.messages,
            EventKind::Degraded => &mut self.degraded,
            EventKind::Restored => &mut self.restored,
            EventKind::PartitionSuspected => &mut self.partitions_suspected,
            EventKind::Completed => &mut self.completed,
            EventKind::SyncState | EventKind::Other => return,
        } += 1;
    }
}
