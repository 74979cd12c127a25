//! The way from a node's own threads to its driver.

use crate::handle::Drive;
use crate::state::DriverState;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tidings::Instant;

/// A node's driver as its own threads reach it, from when its handle is made until that is dropped.
#[derive(Debug, Default)]
pub(crate) struct Link {
    end: Mutex<End>,
    attached: Condvar,
}

#[derive(Debug, Default)]
enum End {
    /// The driver is about to be made.
    #[default]
    Awaited,
    Driver(Arc<dyn Drive>),
    Closed,
}

impl Link {
    pub(crate) fn attach(&self, driver: Arc<dyn Drive>) {
        let mut end = self.lock();
        if matches!(*end, End::Awaited) {
            *end = End::Driver(driver);
        }
        drop(end);
        self.attached.notify_all();
    }

    /// Gives the driver an input, once there is a driver; `None` after the link was closed.
    ///
    /// Whoever closes the link waits for it, so that no thread holds a driver that has stopped.
    pub(crate) fn with<R>(&self, input: impl FnOnce(&mut DriverState, Instant) -> R) -> Option<R> {
        let mut end = self.lock();
        while matches!(*end, End::Awaited) {
            end = self.attached.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
        let End::Driver(driver) = &*end else { return None };
        let (mut input, mut result) = (Some(input), None);
        driver.drive(&mut |state, now| result = input.take().map(|input| input(state, now)));
        result
    }

    /// Closes the link of a node for which no handle was made.
    pub(crate) fn abandon(&self) {
        let mut end = self.lock();
        if matches!(*end, End::Awaited) {
            *end = End::Closed;
        }
        drop(end);
        self.attached.notify_all();
    }

    /// Lets go of the driver, for good.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *self.lock(), End::Closed);
        self.attached.notify_all();
        drop(before);
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
