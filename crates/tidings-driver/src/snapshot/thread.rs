//! The thread that writes a node's snapshot.

use super::contents::Contents;
use super::file;
use crate::link::Link;
use crate::notice::{Notice, Notices};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A node's snapshot, with the thread that writes it.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether something is to be written.
    changed: bool,
    /// Whether it is to be written at once.
    urgent: bool,
    stopped: bool,
}

impl Writer {
    /// Starts the thread, which writes a first snapshot at once.
    pub(crate) fn start(path: PathBuf, link: Arc<Link>, notices: Notices) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        shared.lock().changed = true;
        let run = move || mine.run(&path, &link, &notices);
        let thread = thread::Builder::new().name("tidings-snapshot".into()).spawn(run)?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Tells the thread that something has changed; waits for nothing.
    pub(crate) fn changed(&self, urgent: bool) {
        let mut state = self.shared.lock();
        let known = state.changed && (state.urgent || !urgent);
        state.changed = true;
        state.urgent |= urgent;
        drop(state);
        if !known {
            self.shared.changed.notify_all();
        }
    }

    /// Tells the thread to write for the last time; waits for nothing.
    pub(crate) fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the thread has written for the last time.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It cannot wait for itself, should the application drop a node in a notice.
        if let Some(thread) = thread.filter(|it| it.thread().id() != thread::current().id()) {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, path: &std::path::Path, link: &Link, notices: &Notices) {
        let (mut written, mut failing) = (Vec::new(), false);
        let mut rests_until = Instant::now();
        loop {
            let stopped = self.wait(rests_until);
            // The node's lock is held only while its members are copied.
            let Some(contents) = link.with(|state, _| Contents::of(state)) else { return };
            let bytes = contents.encode();
            if bytes != written {
                let failed_before = failing;
                let outcome = file::write(path, &bytes);
                failing = outcome.is_err();
                match outcome {
                    Ok(()) => written = bytes,
                    Err(error) => {
                        if !failed_before {
                            notices.tell(Notice::SnapshotFailed { path: path.into(), error });
                        }
                        self.lock().changed = true;
                    }
                }
                rests_until = Instant::now() + INTERVAL;
            }
            if stopped {
                return;
            }
        }
    }

    /// Waits until something is to be written now; `true` if it is for the last time.
    fn wait(&self, rests_until: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let left = rests_until.saturating_duration_since(Instant::now());
            let due = state.changed && (state.urgent || left.is_zero());
            if state.stopped || due {
                state.changed = false;
                state.urgent = false;
                return state.stopped;
            }
            state = if state.changed {
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

/// The least time between two writes, except at a leave and at the end.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// A writer whose thread does not run.
    fn writer() -> Writer {
        Writer { shared: Arc::default(), thread: Mutex::new(None) }
    }

    #[test]
    fn a_change_is_written_once_the_last_write_is_long_enough_ago() {
        let writer = writer();
        let due = Instant::now() + Duration::from_millis(50);
        writer.changed(false);
        writer.changed(false);
        assert!(!writer.shared.wait(due));
        assert!(Instant::now() >= due);
        assert!(!writer.shared.lock().changed, "one write is for both");
    }

    #[test]
    fn a_leave_and_the_end_are_written_at_once() {
        let writer = writer();
        let start = Instant::now();
        writer.changed(true);
        assert!(!writer.shared.wait(start + LONG));
        // While it waits, too.
        writer.changed(false);
        thread::scope(|scope| {
            let waits = scope.spawn(|| writer.shared.wait(start + LONG));
            writer.changed(true);
            assert!(!waits.join().unwrap());
            let waits = scope.spawn(|| writer.shared.wait(start + LONG));
            writer.stop();
            assert!(waits.join().unwrap(), "for the last time");
        });
        assert!(start.elapsed() < LONG);
    }
}
