//! What an asynchronous driver has under its lock.

use crate::state::DriverState;
use crate::streams::StreamTable;
use std::task::Waker;
use tidings::Instant;
use tidings_record::Finishing;

/// A node that runs, its streams, with the task `T` that each of them has, and how its driver is woken.
///
/// A driver is one future that takes datagrams and keeps time. It [wakes up](Self::wake_up), does what there
/// is to do, and [falls asleep](Self::fall_asleep); whoever else gives the node an input wakes it if
/// that brings its time forward.
#[derive(Debug)]
pub struct Running<T> {
    /// The node.
    pub state: DriverState,
    /// Its streams.
    pub streams: StreamTable<T>,
    /// Until when the driver sleeps if nothing comes; zero while it is awake.
    sleeps_until: Instant,
    waker: Waker,
}

impl<T> Running<T> {
    /// One whose driver is awake.
    pub fn new(state: DriverState) -> Self {
        let waker = Waker::noop().clone();
        Self { state, streams: StreamTable::new(), sleeps_until: Instant::ZERO, waker }
    }

    /// When the node's time comes, unless it has stopped; nobody has to wake the driver for now.
    pub fn wake_up(&mut self) -> Option<Instant> {
        self.sleeps_until = Instant::ZERO;
        (!self.state.is_stopped()).then(|| self.state.due())
    }

    /// Has the driver woken by whoever brings its time forward; `false` if somebody just has.
    pub fn fall_asleep(&mut self, until: Instant, waker: &Waker) -> bool {
        if self.state.is_stopped() || self.state.due() < until {
            return false;
        }
        self.sleeps_until = until;
        self.waker.clone_from(waker);
        true
    }

    /// Ends a drive, when all outputs were carried out, and wakes the driver if it sleeps too long.
    pub fn settle(&mut self) {
        if self.state.settle() < self.sleeps_until {
            self.sleeps_until = Instant::ZERO;
            self.waker.wake_by_ref();
        }
    }

    /// Stops the node, which the driver is woken to see; drop what comes back when the lock is free.
    #[must_use]
    pub fn stop(&mut self) -> Option<Finishing> {
        self.waker.wake_by_ref();
        self.state.stop()
    }
}
