//! What an asynchronous driver has under its lock.

use crate::host::Host;
use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use tidings::{Instant, StreamAction, StreamId};
use tidings_record::Finishing;

/// A node that runs, its streams, with the task `T` that each of them has, and how its driver is woken.
///
/// A driver is one future that takes datagrams and keeps time. It [wakes up](Self::wake_up), does what there
/// is to do, and [falls asleep](Self::fall_asleep); whoever else gives the node an input wakes it if
/// that brings its time forward.
#[derive(Debug)]
pub struct Running<T> {
    /// The node.
    pub host: Host,
    links: HashMap<StreamId, Link<T>>,
    /// Until when the driver sleeps if nothing comes; zero while it is awake.
    sleeps_until: Instant,
    waker: Waker,
}

/// A stream that the node has not forgotten.
#[derive(Debug)]
struct Link<T> {
    task: T,
    /// What the task has to do.
    queue: VecDeque<StreamAction>,
}

impl<T> Running<T> {
    /// One whose driver is awake.
    pub fn new(host: Host) -> Self {
        let waker = Waker::noop().clone();
        Self { host, links: HashMap::new(), sleeps_until: Instant::ZERO, waker }
    }

    // ---- sleep ----

    /// When the node's time comes, unless it has stopped; nobody has to wake the driver for now.
    pub fn wake_up(&mut self) -> Option<Instant> {
        self.sleeps_until = Instant::ZERO;
        (!self.host.is_stopped()).then(|| self.due())
    }

    /// Has the driver woken by whoever brings its time forward; `false` if somebody just has.
    pub fn fall_asleep(&mut self, until: Instant, waker: &Waker) -> bool {
        if self.host.is_stopped() || self.due() < until {
            return false;
        }
        self.sleeps_until = until;
        self.waker.clone_from(waker);
        true
    }

    /// Ends a drive, when all outputs were carried out, and wakes the driver if it sleeps too long.
    pub fn settle(&mut self) {
        if self.host.settle() < self.sleeps_until {
            self.sleeps_until = Instant::ZERO;
            self.waker.wake_by_ref();
        }
    }

    /// Stops the node, which the driver is woken to see; drop what comes back when the lock is free.
    #[must_use]
    pub fn stop(&mut self) -> Option<Finishing> {
        self.waker.wake_by_ref();
        self.host.stop()
    }

    fn due(&self) -> Instant {
        self.host.node().poll_timeout().unwrap_or(Instant::MAX)
    }

    // ---- streams ----

    /// Remembers a stream, which has a task now.
    pub fn insert(&mut self, id: StreamId, task: T) {
        self.links.insert(id, Link { task, queue: VecDeque::new() });
    }

    /// Has a stream's task do something, once it has done what it was told before.
    pub fn push(&mut self, id: StreamId, action: StreamAction) {
        if let Some(link) = self.links.get_mut(&id) {
            link.queue.push_back(action);
        }
    }

    /// What a stream's task has to do before it reads anything.
    pub fn next_action(&mut self, id: StreamId) -> Option<StreamAction> {
        match self.links.get_mut(&id) {
            Some(link) => link.queue.pop_front(),
            None => Some(StreamAction::Reset),
        }
    }

    /// Forgets a stream; returns its task, unless it was forgotten before.
    pub fn remove(&mut self, id: StreamId) -> Option<T> {
        self.links.remove(&id).map(|link| link.task)
    }

    /// Forgets all streams; returns their tasks.
    pub fn remove_all(&mut self) -> Vec<T> {
        self.links.drain().map(|(_, link)| link.task).collect()
    }
}
