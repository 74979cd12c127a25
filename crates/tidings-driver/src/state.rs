//! A node with the state that every driver keeps for it.

use crate::error::StartError;
use crate::recording::{Finishing, Recorder};
use crate::sockets;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener, UdpSocket};
#[cfg(feature = "record")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidings::{Clock, Config, Done, Event, Failure, Instant, Node, Output, Ticket};
#[cfg(feature = "record")]
use tidings_record::{Limits, RecordError};

/// The driver's end of an application's events, which may have no room for more.
pub struct Emitter {
    emit: Box<dyn FnMut(Event) -> bool + Send>,
    lagged: Arc<AtomicU64>,
}

impl Emitter {
    /// An emitter that calls `emit` under the node's lock. The function must not wait, and returns
    /// `false` if there is no room.
    pub fn new(emit: impl FnMut(Event) -> bool + Send + 'static) -> Self {
        Self { emit: Box::new(emit), lagged: Arc::default() }
    }

    /// The number of events lost so far.
    pub fn lagged(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lagged)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("lagged", &self.lagged).finish_non_exhaustive()
    }
}

/// A node with its pending commands, its application's events and its recording: everything that a
/// driver has under its lock, except its streams.
pub struct DriverState {
    node: Node,
    buf: Vec<u8>,
    recorder: Option<Recorder>,
    waiters: BTreeMap<Ticket, Waiter>,
    watchers: Vec<Watcher>,
    next_watcher: u64,
    emitter: Option<Emitter>,
    stopped: bool,
}

/// A callback for the outcome of a command.
struct Waiter(Box<dyn FnOnce(Result<Done, Failure>) + Send>);

/// A callback for the moment when so many members are present.
struct Watcher {
    number: u64,
    members: usize,
    then: Box<dyn FnOnce(usize) + Send>,
}

/// A node with its sockets, before a driver runs it.
///
/// Exhaustive on purpose: a driver takes it apart, and has to use all of it.
#[derive(Debug)]
pub struct Started {
    /// The node.
    pub state: DriverState,
    /// Its clock.
    pub clock: Clock,
    /// The socket for its datagrams. It blocks.
    pub udp: UdpSocket,
    /// The socket that accepts its streams. It blocks.
    pub tcp: TcpListener,
    /// The address at which this machine reaches its sockets.
    pub local_addr: SocketAddr,
}

/// Opens the sockets of a node, which listens at `listen` and advertises the address of `config`.
///
/// Port 0 in the configuration stands for the port that the node listens on, a generation of 0 for
/// the wall clock's.
///
/// # Errors
///
/// If the port is taken, or the address is not one of this machine; if other nodes cannot use the
/// address of the configuration, because it is unspecified or has a zone.
pub fn start(listen: SocketAddr, config: Config, emitter: Emitter) -> Result<Started, StartError> {
    let (udp, tcp, local) = sockets::bind(listen)?;
    let mut advertised = config.addr();
    if advertised.port() == 0 {
        advertised.set_port(local.port());
    }
    if advertised.ip().is_unspecified() {
        return Err(StartError::Unspecified(advertised));
    }
    if matches!(advertised, SocketAddr::V6(v6) if v6.scope_id() != 0) {
        return Err(StartError::Zone(advertised));
    }
    let generation = match config.generation() {
        0 => Clock::generation(),
        set => set,
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System(error.into()))?;
    let clock = Clock::start();
    let config = config.with_addr(advertised).with_generation(generation);
    let node = Node::new(config, seed, clock.now());
    let state = DriverState {
        node,
        buf: Vec::new(),
        recorder: None,
        waiters: BTreeMap::new(),
        watchers: Vec::new(),
        next_watcher: 0,
        emitter: Some(emitter),
        stopped: false,
    };
    Ok(Started { state, clock, udp, tcp, local_addr: sockets::reached_from_here(local) })
}

impl DriverState {
    /// The node, for queries.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node, for an input; afterwards the driver has to carry out all of its outputs.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// The next output to carry out; `None` if there is none, and once the node was stopped.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        if self.stopped { None } else { self.node.poll_output(&mut self.buf) }
    }

    /// Emits an event to the application, or the outcome of a command to its callback.
    ///
    /// It never waits: an event for which there is no room is lost and counted.
    pub fn tell(&mut self, event: Event) {
        if let Event::Completed { ticket, result } = event {
            if let Some(waiter) = self.waiters.remove(&ticket) {
                (waiter.0)(result);
            }
        } else if let Some(emitter) = &mut self.emitter {
            let lost = !(emitter.emit)(event);
            emitter.lagged.fetch_add(lost.into(), Ordering::Relaxed);
        }
    }

    /// Ends a drive, when all outputs were carried out; returns the time of the node's next
    /// timeout.
    pub fn settle(&mut self) -> Instant {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(&mut self.node);
        }
        if !self.watchers.is_empty() {
            self.tell_watchers();
        }
        self.due()
    }

    /// The time of the node's next timeout.
    pub fn due(&self) -> Instant {
        self.node.poll_timeout().unwrap_or(Instant::MAX)
    }

    /// Calls `waiter` with a command's outcome once it is known.
    pub(crate) fn wait(
        &mut self,
        ticket: Ticket,
        waiter: impl FnOnce(Result<Done, Failure>) + Send + 'static,
    ) {
        // When it is dropped, the waiting side sees that the node has stopped.
        if !self.stopped {
            self.waiters.insert(ticket, Waiter(Box::new(waiter)));
        }
    }

    /// Calls `then` with the number of members once at least so many are present, under the node's
    /// lock; drops it if the node stops before. Returns a number to [unwatch](Self::unwatch) by.
    pub(crate) fn watch(
        &mut self,
        members: usize,
        then: impl FnOnce(usize) + Send + 'static,
    ) -> u64 {
        let number = self.next_watcher;
        self.next_watcher += 1;
        if !self.stopped {
            self.watchers.push(Watcher { number, members, then: Box::new(then) });
        }
        number
    }

    fn tell_watchers(&mut self) {
        let present = self.node.present_count();
        let watchers = std::mem::take(&mut self.watchers).into_iter();
        let (due, waiting) = watchers.partition(|watcher| watcher.members <= present);
        self.watchers = waiting;
        for Watcher { then, .. } in due {
            then(present);
        }
    }

    pub(crate) fn unwatch(&mut self, number: u64) {
        self.watchers.retain(|watcher| watcher.number != number);
    }

    // ---- stop ----

    /// Stops all outputs and ends the recording. Drop the returned value when the lock is free,
    /// because that waits for the disk.
    #[must_use]
    pub fn stop(&mut self) -> Option<Finishing> {
        self.stopped = true;
        self.stop_recording()
    }

    /// Whether the node was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the application's events, and fails all pending commands with
    /// [`Failure::Stopped`]: for a driver that has ended and has closed
    /// its sockets.
    pub fn end(&mut self) {
        self.stopped = true;
        self.emitter = None;
        self.waiters.clear();
        self.watchers.clear();
    }

    // ---- record ----

    /// Starts a recording, in place of an earlier one.
    #[cfg(feature = "record")]
    pub(crate) fn record(
        &mut self,
        path: &Path,
        limits: Limits,
        now: Instant,
    ) -> Result<(), RecordError> {
        let mut recorder = Recorder::create(path, limits, now)?;
        recorder.record(&mut self.node);
        if recorder.error().is_some() {
            return recorder.finish(&mut self.node).wait();
        }
        self.recorder = Some(recorder);
        Ok(())
    }

    pub(crate) fn stop_recording(&mut self) -> Option<Finishing> {
        let recorder = self.recorder.take()?;
        Some(recorder.finish(&mut self.node))
    }

    #[cfg(feature = "record")]
    pub(crate) fn is_recording(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.error().is_none())
    }
}

impl fmt::Debug for DriverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The number of events that an adapter holds for its application.
pub const MAX_EVENTS: usize = 1024;
