//! The events that the pages show: the latest ones, their counts, and each member's last change.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tidings::{Event, Member, NodeId};

/// The recent events of a node, as its application records them for the pages.
///
/// Cloning is cheap: all clones are one log. It holds the latest 100 events, without messages and
/// other data, and the last change of 10,000 members, those that changed last.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    recent: VecDeque<Entry>,
    counts: BTreeMap<EventKind, u64>,
    changes: HashMap<NodeId, Change>,
    /// The members in the order of their changes.
    order: BTreeMap<u64, NodeId>,
    next: u64,
}

/// An event that was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) kind: EventKind,
    pub(crate) text: String,
}

/// The last change of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: SystemTime,
    pub(crate) kind: EventKind,
    number: u64,
}

impl EventLog {
    /// Records an event, at the current time; never waits for a client.
    ///
    /// Messages, sync states and the ends of commands are left out.
    pub fn record(&self, event: &Event) {
        self.record_at(event, SystemTime::now());
    }

    fn record_at(&self, event: &Event, at: SystemTime) {
        let Some(kind) = EventKind::of(event) else { return };
        let text = event.to_string();
        let mut log = self.lock();
        *log.counts.entry(kind).or_default() += 1;
        if log.recent.len() == MAX_RECENT {
            log.recent.pop_front();
        }
        log.recent.push_back(Entry { at, kind, text });
        if let Some(member) = subject(event) {
            log.change(member.id(), at, kind);
        }
    }

    /// The latest events, the newest first.
    pub(crate) fn recent(&self) -> Vec<Entry> {
        self.lock().recent.iter().rev().cloned().collect()
    }

    /// How many events of each kind were recorded.
    pub(crate) fn counts(&self) -> Vec<(EventKind, u64)> {
        let log = self.lock();
        EventKind::ALL.map(|kind| (kind, log.counts.get(&kind).copied().unwrap_or(0))).to_vec()
    }

    /// The last change of each of these members; `None` where none was recorded.
    pub(crate) fn changes<'a>(
        &self,
        members: impl Iterator<Item = &'a NodeId>,
    ) -> Vec<Option<Change>> {
        let log = self.lock();
        members.map(|id| log.changes.get(id).copied()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn change(&mut self, id: &NodeId, at: SystemTime, kind: EventKind) {
        let number = self.next;
        self.next += 1;
        if let Some(earlier) = self.changes.insert(id.clone(), Change { at, kind, number }) {
            self.order.remove(&earlier.number);
        }
        self.order.insert(number, id.clone());
        if self.order.len() > MAX_CHANGES {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.changes.remove(&oldest);
            }
        }
    }
}

/// The member that an event is about.
fn subject(event: &Event) -> Option<&Member> {
    match event {
        Event::Joined(member)
        | Event::Updated(member)
        | Event::Restarted { member, .. }
        | Event::Suspected(member)
        | Event::Recovered(member)
        | Event::Failed(member)
        | Event::Left(member)
        | Event::Degraded(member)
        | Event::Restored(member) => Some(member),
        _ => None,
    }
}

macro_rules! kinds {
    ($($kind:ident: $pattern:pat => $name:literal,)*) => {
        /// The kind of a recorded event.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub(crate) enum EventKind {
            $($kind,)*
        }

        impl EventKind {
            pub(crate) const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The kind of an event; `None` for one that is not recorded.
            fn of(event: &Event) -> Option<Self> {
                match event {
                    $($pattern => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// The kind as metrics and JSON name it.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Joined: Event::Joined(_) => "joined",
    Updated: Event::Updated(_) => "updated",
    Restarted: Event::Restarted { .. } => "restarted",
    Suspected: Event::Suspected(_) => "suspected",
    Recovered: Event::Recovered(_) => "recovered",
    Failed: Event::Failed(_) => "failed",
    Left: Event::Left(_) => "left",
    Conflict: Event::Conflict { .. } => "conflict",
    Degraded: Event::Degraded(_) => "degraded",
    Restored: Event::Restored(_) => "restored",
    Unreachable: Event::Unreachable { .. } => "unreachable",
    PartitionSuspected: Event::PartitionSuspected { .. } => "partition_suspected",
    SeedFailed: Event::SeedFailed { .. } => "seed_failed",
    Ready: Event::Ready { .. } => "ready",
}

/// The number of events that a log holds.
const MAX_RECENT: usize = 100;
/// The number of members whose last change a log holds.
const MAX_CHANGES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use tidings::{Config, Instant, Node, Via};

    fn member(name: &str) -> Member {
        let addr = "10.0.0.7:7946".parse().unwrap();
        let config = Config::lan("test".parse().unwrap(), name.parse().unwrap(), addr);
        Node::new(config, [7; 32], Instant::ZERO).local().clone()
    }

    #[test]
    fn the_latest_events_are_held_and_all_are_counted() {
        let log = EventLog::default();
        for seconds in 0..250 {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            log.record_at(&Event::Suspected(member("a")), at);
        }
        let recent = log.recent();
        assert_eq!(recent.len(), MAX_RECENT);
        assert_eq!(recent[0].at, UNIX_EPOCH + Duration::from_secs(249));
        assert_eq!(recent[99].at, UNIX_EPOCH + Duration::from_secs(150));
        assert_eq!(recent[0].text, "a (10.0.0.7:7946) is suspected: it answers no probe");
        assert!(log.counts().contains(&(EventKind::Suspected, 250)));
        assert_eq!(log.counts().iter().map(|(_, count)| count).sum::<u64>(), 250);
        assert_eq!(log.counts().len(), 14, "those that have not happened are 0");
    }

    #[test]
    fn the_changes_of_those_that_changed_last_are_held() {
        let log = EventLog::default();
        let first = member("first");
        log.record_at(&Event::Joined(first.clone()), UNIX_EPOCH);
        log.record_at(&Event::Joined(member("second")), UNIX_EPOCH);
        let later = UNIX_EPOCH + Duration::from_secs(9);
        log.record_at(&Event::Failed(first.clone()), later);
        for n in 0..MAX_CHANGES - 1 {
            log.record_at(&Event::Joined(member(&format!("n{n}"))), later);
        }
        let second: NodeId = "second".parse().unwrap();
        let changes = log.changes([first.id(), &second].into_iter());
        assert!(matches!(changes[0], Some(Change { kind: EventKind::Failed, at, .. })
            if at == later));
        assert!(changes[1].is_none(), "it gave way");
        let held = log.lock();
        assert_eq!((held.changes.len(), held.order.len()), (MAX_CHANGES, MAX_CHANGES));
    }

    #[test]
    fn what_others_send_is_not_recorded() {
        let log = EventLog::default();
        let (from, data) = (None, "secret".into());
        log.record(&Event::Message { from, data, via: Via::Datagram });
        log.record(&Event::SyncState { from: None, data: "secret".into(), join: true });
        assert!(log.recent().is_empty());
    }
}
