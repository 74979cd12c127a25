//! The state under an asynchronous driver's lock.

use crate::recording::Finishing;
use crate::state::DriverState;
use crate::streams::StreamTable;
use std::task::Waker;
use tidings::Instant;

/// A running node, its streams, each with its task `T`, and the waker of its driver.
///
/// A driver is one future that reads datagrams and keeps time. It [wakes up](Self::wake_up),
/// handles everything that is due, and [falls asleep](Self::fall_asleep). An input from elsewhere
/// wakes it if the input brings the node's next timeout forward.
///
/// Exhaustive on purpose: a driver uses its public fields, and the others are private.
#[derive(Debug)]
pub struct Running<T> {
    /// The node.
    pub state: DriverState,
    /// Its streams.
    pub streams: StreamTable<T>,
    /// The time until which the driver sleeps without an input; zero while it is awake.
    sleeps_until: Instant,
    waker: Waker,
}

impl<T> Running<T> {
    /// A running node whose driver is awake.
    pub fn new(state: DriverState) -> Self {
        let waker = Waker::noop().clone();
        Self { state, streams: StreamTable::new(), sleeps_until: Instant::ZERO, waker }
    }

    /// Marks the driver as awake; returns the time of the node's next timeout, `None` if it has
    /// stopped.
    pub fn wake_up(&mut self) -> Option<Instant> {
        self.sleeps_until = Instant::ZERO;
        (!self.state.is_stopped()).then(|| self.state.due())
    }

    /// Marks the driver as asleep, to be woken by an input that brings the next timeout forward;
    /// `false` if one just has, and the driver must not sleep.
    pub fn fall_asleep(&mut self, until: Instant, waker: &Waker) -> bool {
        if self.state.is_stopped() || self.state.due() < until {
            return false;
        }
        self.sleeps_until = until;
        self.waker.clone_from(waker);
        true
    }

    /// Ends a drive, when all outputs were carried out, and wakes the driver if it would sleep too
    /// long.
    pub fn settle(&mut self) {
        if self.state.settle() < self.sleeps_until {
            self.sleeps_until = Instant::ZERO;
            self.waker.wake_by_ref();
        }
    }

    /// Stops the node and wakes the driver, which ends. Drop the returned value when the lock is
    /// free.
    #[must_use]
    pub fn stop(&mut self) -> Option<Finishing> {
        self.waker.wake_by_ref();
        self.state.stop()
    }
}
