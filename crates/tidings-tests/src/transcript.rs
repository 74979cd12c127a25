//! A list that other threads append to, with waiting for new entries.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Transcript<T> {
    entries: Mutex<Vec<T>>,
    more: Condvar,
}

impl<T> Transcript<T> {
    pub(crate) fn push(&self, entry: T) {
        self.entries().push(entry);
        self.more.notify_all();
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        look(&self.entries())
    }

    /// Calls `look` with all entries, again after each new one, until it returns something; `None`
    /// at the deadline.
    pub(crate) fn wait<R>(
        &self,
        within: Duration,
        mut look: impl FnMut(&[T]) -> Option<R>,
    ) -> Option<R> {
        let end = Instant::now() + within;
        let mut entries = self.entries();
        loop {
            if let Some(found) = look(&entries) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let waited = self.more.wait_timeout(entries, left);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there are more than `known` entries, at most for `within`.
    pub(crate) fn wait_for_more(&self, known: usize, within: Duration) {
        let _ = self.wait(within, |entries| (entries.len() > known).then_some(()));
    }

    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Transcript<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), more: Condvar::new() }
    }
}
