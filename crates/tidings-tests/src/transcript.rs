//! What somebody has said so far, and a way to wait for more of it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Journal<T> {
    entries: Mutex<Vec<T>>,
    more: Condvar,
}

impl<T> Journal<T> {
    pub(crate) fn push(&self, entry: T) {
        self.entries().push(entry);
        self.more.notify_all();
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        look(&self.entries())
    }

    /// Looks at all that was said, again with everything new, until `look` finds something;
    /// `None` if it does not in time.
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

    /// Waits until there is more than `known` entries, or for so long.
    pub(crate) fn wait_for_more(&self, known: usize, within: Duration) {
        let _ = self.wait(within, |entries| (entries.len() > known).then_some(()));
    }

    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), more: Condvar::new() }
    }
}
