//! Records of events, probes and traffic, and counters of everything that happens.

use serde::Serialize;
use tidings::{Event, Instant, NodeId};

/// A membership event, as one node reported it about another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoggedEvent {
    /// Virtual time of the event.
    pub at: Instant,
    /// Node that reported the event.
    pub observer: usize,
    /// Kind of event.
    pub kind: EventKind,
    /// Node that the event is about, if it is about one.
    pub subject: Option<usize>,
}

/// A probe round: who probed whom, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbeRecord {
    /// Virtual time at which the ping was sent.
    pub at: Instant,
    /// Node that sent the ping.
    pub prober: usize,
    /// Node that was pinged, whether it was running or not.
    pub target: usize,
}

/// Traffic of one machine: datagrams and stream data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Traffic {
    pub datagrams_out: u64,
    pub datagrams_in: u64,
    /// All bytes, without UDP and TCP headers.
    pub bytes_out: u64,
    pub bytes_in: u64,
}

/// Kind of a node's event.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "they are those of `tidings::Event`")]
pub enum EventKind {
    Joined,
    Updated,
    Restarted,
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
    SeedFailed,
    Ready,
    Completed,
    Other,
}

impl EventKind {
    pub(crate) fn of(event: &Event) -> (Self, Option<&NodeId>) {
        match event {
            Event::Joined(member) => (Self::Joined, Some(member.id())),
            Event::Updated(member) => (Self::Updated, Some(member.id())),
            Event::Restarted { member, .. } => (Self::Restarted, Some(member.id())),
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
            Event::SeedFailed { .. } => (Self::SeedFailed, None),
            Event::Ready { .. } => (Self::Ready, None),
            Event::Completed { .. } => (Self::Completed, None),
            _ => (Self::Other, None),
        }
    }
}

macro_rules! tally {
    ($($name:ident,)*) => {
        /// Counters of everything that happened in a world, which show what a run exercised.
        #[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
        #[expect(missing_docs, reason = "the names say it")]
        pub struct Tally {
            $(pub $name: u64,)*
        }

        impl Tally {
            /// All counters with their names.
            pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// Adds the counters of another world.
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
    restarted,
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
    seeds_failed,
    ready,
    completed,
}

impl Tally {
    /// Whether any node reported more than joins.
    pub fn any_observation(&self) -> bool {
        let Self { updated, suspected, recovered, failed, left, conflicts, messages, .. } = self;
        let changed = updated + self.restarted + suspected + recovered + failed + left;
        changed + conflicts + messages + self.degraded > 0
    }

    pub(crate) fn count(&mut self, kind: EventKind) {
        *match kind {
            EventKind::Joined => &mut self.joined,
            EventKind::Updated => &mut self.updated,
            EventKind::Restarted => &mut self.restarted,
            EventKind::Suspected => &mut self.suspected,
            EventKind::Recovered => &mut self.recovered,
            EventKind::Failed => &mut self.failed,
            EventKind::Left => &mut self.left,
            EventKind::Conflict => &mut self.conflicts,
            EventKind::Message => &mut self.messages,
            EventKind::Degraded => &mut self.degraded,
            EventKind::Restored => &mut self.restored,
            EventKind::PartitionSuspected => &mut self.partitions_suspected,
            EventKind::SeedFailed => &mut self.seeds_failed,
            EventKind::Ready => &mut self.ready,
            EventKind::Completed => &mut self.completed,
            EventKind::SyncState | EventKind::Other => return,
        } += 1;
    }
}
