//! The lines of an agent on standard output: a thread writes them, so that a reader who does not
//! read loses events, and holds up nothing but results.

use crate::output::write_line;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The lines that are not written yet.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    bytes: usize,
    /// Whether the thread writes a line.
    writing: bool,
    /// The number of lines that were written.
    written: u64,
    /// The number of lines that were lost since the last one.
    lost: u64,
}

impl Lines {
    /// Starts to write to standard output; `on_error` is called with each error.
    pub(crate) fn start(on_error: impl Fn(io::Error) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let lines = Self { shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("tidings-output".into());
        thread.spawn(move || shared.write(write_line, on_error))?;
        Ok(lines)
    }

    /// Adds a line; waits while many wait to be written.
    pub(crate) fn push(&self, line: String) {
        let mut queue = self.shared.lock();
        while queue.lines.len() >= MAX_LINES || queue.bytes >= MAX_BYTES {
            queue = self.shared.wait(queue);
        }
        self.add(&mut queue, line);
    }

    /// Adds a line if there is room for it, and counts it as lost if not; `lagged` makes a line
    /// about earlier ones that were lost.
    pub(crate) fn offer(&self, line: String, lagged: impl FnOnce(u64) -> String) {
        let mut queue = self.shared.lock();
        if queue.lines.len() >= MAX_LINES || queue.bytes >= MAX_BYTES {
            queue.lost += 1;
            return;
        }
        let lost = std::mem::take(&mut queue.lost);
        if lost > 0 {
            self.add(&mut queue, lagged(lost));
        }
        self.add(&mut queue, line);
    }

    /// Adds a line without waiting, for an agent that ends.
    pub(crate) fn push_last(&self, line: String) {
        self.add(&mut self.shared.lock(), line);
    }

    fn add(&self, queue: &mut Queue, line: String) {
        queue.bytes += line.len();
        queue.lines.push_back(line);
        self.shared.changed.notify_all();
    }

    /// Waits until all lines are written, for as long as each takes less than `patience`.
    pub(crate) fn drain(&self, patience: Duration) {
        let mut queue = self.shared.lock();
        let (mut written, mut since) = (queue.written, Instant::now());
        while queue.writing || !queue.lines.is_empty() {
            if queue.written != written {
                (written, since) = (queue.written, Instant::now());
            }
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn write(&self, write: impl Fn(&str) -> io::Result<()>, on_error: impl Fn(io::Error)) {
        loop {
            let mut queue = self.lock();
            let line = loop {
                match queue.lines.pop_front() {
                    Some(line) => break line,
                    None => queue = self.wait(queue),
                }
            };
            queue.bytes -= line.len();
            queue.writing = true;
            drop(queue);
            let written = write(&line);
            let mut queue = self.lock();
            queue.writing = false;
            queue.written += 1;
            drop(queue);
            self.changed.notify_all();
            if let Err(error) = written {
                on_error(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most lines that wait.
const MAX_LINES: usize = 1024;
/// The most bytes that wait, not counting the last line.
const MAX_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn an_agent_that_ends_does_not_wait_for_output_that_nobody_reads() {
        let lines = Lines { shared: Arc::default() };
        let (started, start) = channel();
        let (_never, blocked) = channel::<()>();
        let shared = Arc::clone(&lines.shared);
        thread::spawn(move || {
            let write = |_: &str| {
                started.send(()).unwrap();
                _ = blocked.recv();
                Ok(())
            };
            shared.write(write, |_| ());
        });
        for n in 0..MAX_LINES {
            lines.push(n.to_string());
        }
        start.recv().unwrap();
        lines.push_last("exit".into());
        let before = Instant::now();
        lines.drain(Duration::from_millis(50));
        assert!(before.elapsed() < Duration::from_secs(5));
        assert_eq!(lines.shared.lock().lines.len(), MAX_LINES);
    }
}
