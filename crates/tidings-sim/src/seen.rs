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
            Event::SyncState { from, .. } => (Self::SyncState, Some(from)),
            Event::Message { from, .. } => (Self::Message, Some(from)),
            Event::Degraded(member) => (Self::Degraded, Some(member.id())),
            Event::Restored(member) => (Self::Restored, Some(member.id())),
            Event::PartitionSuspected { .. } => (Self::PartitionSuspected, None),
            Event::Completed { .. } => (Self::Completed, None),
            _ => (Self::Other, None),
        }
    }
}

/// What happened in a world, counted: what a run exercised.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Tally {
    pub inputs: u64,
    pub datagrams: u64,
    pub datagram_bytes: u64,
    pub datagrams_lost: u64,
    pub datagrams_cut: u64,
    pub datagrams_to_nobody: u64,
    pub datagrams_too_long: u64,
    pub datagrams_duplicated: u64,
    pub datagrams_reordered: u64,
    pub streams: u64,
    pub stream_bytes: u64,
    pub streams_cut: u64,
    pub streams_reset: u64,
    pub streams_stalled: u64,
    pub starts: u64,
    pub stops: u64,
    pub stalls: u64,
    pub cuts: u64,
    pub joined: u64,
    pub updated: u64,
    pub suspected: u64,
    pub recovered: u64,
    pub failed: u64,
    pub left: u64,
    pub conflicts: u64,
    pub messages: u64,
    pub degraded: u64,
    pub restored: u64,
    pub partitions_suspected: u64,
    pub completed: u64,
}

impl Tally {
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
