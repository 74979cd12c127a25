//! The connections that are open: their number is bounded, and silent ones give way.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The room for connections.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    state: Mutex<State>,
    /// Notified when a connection has ended, and when the server stops.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The connections, in the order in which they came.
    open: BTreeMap<u64, Open>,
    next: u64,
    /// Bytes of all answers that are being written.
    held: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Open {
    stream: TcpStream,
    /// Whether the client may be silent: it has not sent its request, does not read its answer, or
    /// has had it.
    idle: bool,
    /// Bytes of its answer.
    held: usize,
    /// Whether the connection has to end.
    broken_off: bool,
}

/// A connection's place; dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a place for a connection, if need be the one of the client that is silent for longest;
    /// `None` if all others are served, or the server stops.
    pub(crate) fn enter(self: &Arc<Self>, stream: &TcpStream) -> Option<Slot> {
        let stream = stream.try_clone().ok()?;
        let mut state = self.lock();
        while state.open.len() >= self.max && !state.stopping {
            let leaves = state.open.values().any(|open| open.broken_off);
            let idle = state.open.values_mut().find(|open| open.idle);
            match idle {
                _ if leaves => {}
                Some(idle) => idle.break_off(),
                None => return None,
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopping {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Open { stream, idle: true, held: 0, broken_off: false });
        Some(Slot { slots: Arc::clone(self), number })
    }

    /// Breaks off all connections, and takes no further ones.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        state.open.values_mut().for_each(Open::break_off);
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits for some time, or until the server stops.
    pub(crate) fn pause(&self, time: Duration) {
        let running = |state: &mut State| !state.stopping;
        drop(self.changed.wait_timeout_while(self.lock(), time, running));
    }

    /// Waits until all connections have ended.
    pub(crate) fn wait_until_empty(&self) {
        let open = |state: &mut State| !state.open.is_empty();
        drop(self.changed.wait_while(self.lock(), open));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends what the connection's thread waits for.
    fn break_off(&mut self) {
        self.broken_off = true;
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl Slot {
    /// Notes whether the client may be silent now.
    ///
    /// # Errors
    ///
    /// If the connection was broken off.
    pub(crate) fn set_idle(&self, idle: bool) -> io::Result<()> {
        match self.slots.lock().open.get_mut(&self.number) {
            Some(open) if !open.broken_off => {
                open.idle = idle;
                Ok(())
            }
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Slot {
    /// Takes memory for an answer; `false` if others have it. A single one always has.
    pub(crate) fn hold(&self, len: usize) -> bool {
        let mut state = self.slots.lock();
        let fits = state.held == 0 || state.held + len <= MAX_HELD;
        if let (true, Some(open)) = (fits, state.open.get_mut(&self.number)) {
            open.held = len;
            state.held += len;
        }
        fits
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        let open = state.open.remove(&self.number);
        state.held -= open.map_or(0, |open| open.held);
        drop(state);
        self.slots.changed.notify_all();
    }
}

/// The memory of the answers that are being written, in bytes.
const MAX_HELD: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn answers_have_bounded_memory_together_and_a_single_one_is_always_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let slots = Arc::new(Slots::new(2));
        let [first, second] = [(); 2].map(|()| slots.enter(&stream).unwrap());
        assert!(first.hold(MAX_HELD + 1));
        assert!(!second.hold(1));
        drop(first);
        assert!(second.hold(1));
    }
}
