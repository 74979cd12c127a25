//! Events for the clients that monitor a node.

use crate::json::{self, Level};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use tidings_driver::prelude::Event;

/// Gives events to all clients that monitor a node; cloning is cheap.
///
/// It never waits: a client that reads too slowly loses events, and is told how many.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    subscriptions: Arc<Mutex<Vec<Arc<Subscription>>>>,
}

impl Publisher {
    /// A publisher without clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes an event of a node.
    pub fn event(&self, event: &Event) {
        if self.is_watched() {
            if let Some((kind, fields)) = json::event(event) {
                self.publish(kind, Level::of(event), &event.to_string(), fields);
            }
        }
    }

    /// Publishes something else: `fields` is an object, to which `ev`, `t`, `level` and `text` are
    /// added.
    pub fn publish(&self, kind: &str, level: Level, text: &str, fields: Value) {
        if !self.is_watched() {
            return;
        }
        let mut line = fields;
        line["ev"] = kind.into();
        line["t"] = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64().into();
        line["level"] = level.as_str().into();
        line["text"] = text.into();
        let line: Arc<str> = (line.to_string() + "\n").into();
        for subscription in lock(&self.subscriptions).iter() {
            if level >= subscription.level {
                subscription.push(&line);
            }
        }
    }

    /// Whether a client monitors the node.
    pub fn is_watched(&self) -> bool {
        !lock(&self.subscriptions).is_empty()
    }

    pub(crate) fn subscribe(&self, level: Level) -> Arc<Subscription> {
        let subscription = Arc::new(Subscription {
            level,
            waiting: Mutex::new(Waiting::default()),
            changed: Condvar::new(),
        });
        lock(&self.subscriptions).push(Arc::clone(&subscription));
        subscription
    }

    pub(crate) fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        lock(&self.subscriptions).retain(|it| !Arc::ptr_eq(it, subscription));
        lock(&subscription.waiting).ended = true;
        subscription.changed.notify_all();
    }
}

/// The events that wait for one client.
#[derive(Debug)]
pub(crate) struct Subscription {
    level: Level,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// The events that were lost after the last line.
    lost: u64,
    ended: bool,
}

impl Subscription {
    fn push(&self, line: &Arc<str>) {
        let mut waiting = lock(&self.waiting);
        let bytes = waiting.bytes + line.len();
        // After a loss the client first learns about it.
        if waiting.lost > 0 || waiting.lines.len() == MAX_LINES || bytes > MAX_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.lines.push_back(Arc::clone(line));
        waiting.bytes = bytes;
        self.changed.notify_one();
    }

    /// Waits for the next line; `None` once the subscription has ended.
    pub(crate) fn next(&self) -> Option<Arc<str>> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.ended {
                return None;
            }
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                return Some(line);
            }
            let lost = std::mem::take(&mut waiting.lost);
            if lost > 0 {
                let t = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
                let text = format!("{lost} events lost, because nobody read them");
                let level = Level::Warn.as_str();
                let line =
                    json!({"ev": "lagged", "events": lost, "level": level, "t": t, "text": text});
                return Some((line.to_string() + "\n").into());
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Locks a value that is whole after each change of it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most lines that wait for a client.
const MAX_LINES: usize = 1024;
/// The most bytes that wait for a client.
const MAX_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_does_not_read_loses_events_and_is_told_how_many() {
        let publisher = Publisher::new();
        let subscription = publisher.subscribe(Level::Info);
        publisher.publish("below", Level::Debug, "not told", json!({}));
        for n in 0..MAX_LINES + 7 {
            publisher.publish("test", Level::Info, "text", json!({"n": n}));
        }
        let next = || serde_json::from_str::<Value>(&subscription.next().unwrap()).unwrap();
        for n in 0..MAX_LINES {
            assert_eq!(next()["n"], n);
        }
        let lagged = next();
        assert_eq!((&lagged["ev"], &lagged["events"]), (&"lagged".into(), &7.into()));
        publisher.publish("test", Level::Info, "text", json!({"n": "later"}));
        assert_eq!(next()["n"], "later");
        publisher.publish("test", Level::Warn, &"x".repeat(MAX_BYTES), json!({}));
        assert_eq!(next()["events"], 1, "its bytes are bounded, too");
        publisher.unsubscribe(&subscription);
        assert_eq!(subscription.next(), None);
        assert!(!publisher.is_watched());
    }
}
