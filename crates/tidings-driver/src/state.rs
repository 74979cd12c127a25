//! A node with the state that every driver keeps for it.

use crate::background::{Background, LastLife};
use crate::driver_config::DriverConfig;
use crate::error::StartError;
use crate::recording::{Finishing, Recorder};
use crate::sockets;
use crate::wall_clock::WallClock;
use crate::watch::{Condition, Watchers};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tidings::{
    Clock, Config, ConfigError, DatagramError, Done, Event, Failure, Instant, Node, Output, Phase,
    Ticket,
};
#[cfg(feature = "record")]
use tidings_record::RecordError;

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

    /// An emitter that gives each event for which there is `room` to `send`, which returns those
    /// that it cannot send.
    pub(crate) fn bounded(
        room: EventRoom,
        mut send: impl FnMut(Event) -> Result<(), Event> + Send + 'static,
    ) -> Self {
        Self::new(move |event| {
            room.take(&event) && send(event).map_err(|lost| room.release(&lost)).is_ok()
        })
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
    /// `None` if the application set another one.
    wall_clock: Option<WallClock>,
    buf: Vec<u8>,
    recorder: Option<Recorder>,
    waiters: BTreeMap<Ticket, Waiter>,
    watchers: Watchers,
    emitter: Option<Emitter>,
    /// The addresses of the sources of seeds.
    seeds: Vec<SocketAddr>,
    /// Whether there are sources of seeds, and the node does not have their addresses yet.
    awaits_seeds: bool,
    /// The phase when the last drive ended.
    phase: Phase,
    background: Arc<Background>,
    stopped: bool,
}

/// A callback for the outcome of a command.
struct Waiter(Box<dyn FnOnce(Result<Done, Failure>) + Send>);

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
/// the wall clock's, or for one more than that of the snapshot if that is greater.
///
/// # Errors
///
/// If the port is taken, or the address is not one of this machine; if other nodes cannot use the
/// address of the configuration: it is unspecified, has a zone, or is in no allowed network; if a
/// source of seeds is not valid.
pub fn start(
    listen: SocketAddr,
    config: Config,
    driver: DriverConfig,
    emitter: Emitter,
) -> Result<Started, StartError> {
    let settings = driver.check()?;
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
    // The address may have been set after the configuration was built.
    if let Some(networks) = config.allowed_networks().filter(|_| !config.allows(advertised.ip())) {
        let (addr, networks) = (advertised, networks.into());
        return Err(StartError::Config(ConfigError::AddressNotAllowed { addr, networks }));
    }
    let last = LastLife::load(&settings, &config);
    let mut random = [0; 36];
    getrandom::fill(&mut random).map_err(|error| StartError::System(error.into()))?;
    let (seed, rest) = random.split_first_chunk::<32>().expect("it has 36 bytes");
    let rest = u32::from_le_bytes(rest.try_into().expect("it has 4 bytes"));
    let config = match config.generation() {
        0 => {
            let generation = next_generation(Clock::generation(rest));
            config.with_generation(generation.max(last.generation.saturating_add(1)))
        }
        _ => config,
    };
    let clock = Clock::start();
    // An application that sets another wall clock is not contradicted.
    let wall_clock =
        config.wall_clock().is_none().then(|| WallClock::new(clock, Clock::wall_clock));
    let config = match config.wall_clock() {
        None => config.with_wall_clock(Clock::wall_clock()),
        Some(_) => config,
    };
    let config = config.with_addr(advertised);
    let mut node = Node::new(config, *seed, clock.now());
    let hints = last.hints();
    if !hints.is_empty() {
        node.set_hints(clock.now(), &hints).expect("there are no more than a node takes");
    }
    let background = Background::start(settings, last).map_err(StartError::System)?;
    let state = DriverState {
        node,
        wall_clock,
        buf: Vec::new(),
        recorder: None,
        waiters: BTreeMap::new(),
        watchers: Watchers::default(),
        emitter: Some(emitter),
        seeds: Vec::new(),
        awaits_seeds: background.awaits_seeds(),
        phase: Phase::Running,
        background: Arc::new(background),
        stopped: false,
    };
    Ok(Started { state, clock, udp, tcp, local_addr: sockets::reached_from_here(local) })
}

/// The generation of a node that starts now, at least `least`: no two nodes of this process have
/// the same one, however soon one follows the other.
fn next_generation(least: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let next = |last: u64| Some(last.saturating_add(1).max(least));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
    last.saturating_add(1).max(least)
}

impl DriverState {
    /// The node, for queries.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node, for an input; afterwards the driver has to carry out all of its outputs. The node
    /// learns of a wall clock that was set before.
    pub fn node_mut(&mut self) -> &mut Node {
        if let Some(wall_clock) = &mut self.wall_clock {
            wall_clock.follow(&mut self.node);
        }
        &mut self.node
    }

    /// The next output to carry out; `None` if there is none, and once the node was stopped.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        if self.stopped { None } else { self.node.poll_output(&mut self.buf) }
    }

    /// Tells the node that a datagram of `len` bytes could not be sent, if so.
    pub fn sent(
        &mut self,
        now: Instant,
        (to, len): (SocketAddr, usize),
        sent: Result<(), DatagramError>,
    ) {
        if let Err(error) = sent {
            self.node.handle_send_error(now, to, len, error);
        }
    }

    /// Emits an event to the application, or the outcome of a command to its callback.
    ///
    /// It never waits: an event for which there is no room is lost and counted.
    pub fn tell(&mut self, event: Event) {
        if let Event::Completed { ticket, result } = event {
            if let Some(waiter) = self.waiters.remove(&ticket) {
                (waiter.0)(result);
            }
            return;
        }
        if changes_members(&event) {
            self.background.changed(false);
        }
        if let Some(emitter) = &mut self.emitter {
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
        self.watchers.tell(&self.node, self.awaits_seeds);
        let before = std::mem::replace(&mut self.phase, self.node.phase());
        if self.phase != before {
            // A node that leaves may be gone at any moment.
            self.background.changed(true);
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

    /// Calls `then` once the condition holds, under the node's lock; drops it if the node stops
    /// before. Returns a number to [unwatch](Self::unwatch) by.
    pub(crate) fn watch(
        &mut self,
        condition: Condition,
        then: impl FnOnce(&Node) + Send + 'static,
    ) -> u64 {
        if self.stopped {
            return u64::MAX;
        }
        self.watchers.add(condition, then)
    }

    pub(crate) fn unwatch(&mut self, number: u64) {
        self.watchers.remove(number);
    }

    // ---- seeds ----

    /// Gives the node the addresses of its sources of seeds; `false` if it does not take them now.
    pub(crate) fn set_seeds(&mut self, now: Instant, addrs: &[SocketAddr]) -> bool {
        if self.node.set_seeds(now, addrs).is_err() {
            return false;
        }
        self.seeds = addrs.to_vec();
        self.awaits_seeds = false;
        self.background.changed(false);
        true
    }

    /// Notes that there are new sources, so that a node that was given no seeds before is not ready
    /// until it has theirs.
    pub(crate) fn await_seeds(&mut self) {
        self.awaits_seeds |= self.node.seeds().next().is_none();
    }

    /// How long the node waits for its seeds before it counts as ready without.
    pub(crate) fn ready_timeout(&self) -> Duration {
        self.node.config().options().ready_timeout
    }

    /// Whether the node is ready, as [`Node::is_ready`] describes; not while it waits for the
    /// addresses of its sources of seeds.
    pub fn is_ready(&self) -> bool {
        Condition::Ready.holds(&self.node, self.awaits_seeds)
    }

    /// The addresses of the sources of seeds.
    pub(crate) fn seeds(&self) -> &[SocketAddr] {
        &self.seeds
    }

    /// What the node took over from its last life.
    pub(crate) fn last_life(&self) -> &LastLife {
        self.background.last()
    }

    /// The node's own threads.
    pub(crate) fn background(&self) -> Arc<Background> {
        Arc::clone(&self.background)
    }

    // ---- stop ----

    /// Stops all outputs and ends the recording. Drop the returned value when the lock is free,
    /// because that waits for the disk.
    #[must_use]
    pub fn stop(&mut self) -> Option<Finishing> {
        self.stopped = true;
        self.background.stop();
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
        self.background.stop();
        self.emitter = None;
        self.waiters.clear();
        self.watchers.clear();
    }

    // ---- record ----

    /// Starts a recording, in place of an earlier one.
    #[cfg(feature = "record")]
    pub(crate) fn record(&mut self, mut recorder: Recorder) -> Result<(), RecordError> {
        recorder.record(&mut self.node);
        if recorder.error().is_some() {
            return recorder.finish(&mut self.node).wait();
        }
        self.recorder = Some(recorder);
        Ok(())
    }

    /// A copy of the recording in memory.
    #[cfg(feature = "record")]
    pub(crate) fn recent(&mut self) -> Option<Vec<u8>> {
        self.recorder.as_mut()?.recent(&mut self.node)
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

/// A driver that never ran leaves no threads behind.
impl Drop for DriverState {
    fn drop(&mut self) {
        self.background.abandon();
    }
}

impl fmt::Debug for DriverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverState").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Whether the members that are present, failed or left are others after an event.
fn changes_members(event: &Event) -> bool {
    matches!(
        event,
        Event::Joined(_)
            | Event::Updated(_)
            | Event::Recovered(_)
            | Event::Failed(_)
            | Event::Left(_)
            | Event::Conflict { .. }
            | Event::Restarted { .. }
    )
}

/// The room that is left for an application's events, in bytes; both ends of the events share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventRoom {
    taken: Arc<AtomicUsize>,
}

impl EventRoom {
    /// Takes the room for an event; `false` if there is not enough.
    pub(crate) fn take(&self, event: &Event) -> bool {
        let size = size_of_event(event);
        let more = |taken: usize| taken.checked_add(size).filter(|&taken| taken <= MAX_EVENT_BYTES);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back the room of an event that the application has, or that was lost.
    pub(crate) fn release(&self, event: &Event) {
        self.taken.fetch_sub(size_of_event(event), Ordering::Relaxed);
    }
}

/// The memory that an event takes, in bytes: what is sent, and the event itself.
fn size_of_event(event: &Event) -> usize {
    let carried = match event {
        Event::Message { data, .. } | Event::SyncState { data, .. } => data.len(),
        Event::Joined(member)
        | Event::Updated(member)
        | Event::Suspected(member)
        | Event::Recovered(member)
        | Event::Failed(member)
        | Event::Left(member)
        | Event::Degraded(member)
        | Event::StreamsBlocked(member)
        | Event::StreamsRestored(member)
        | Event::Restarted { member, .. }
        | Event::Restored(member) => member.id().as_str().len() + member.meta().len(),
        _ => 0,
    };
    size_of::<Event>() + carried
}

/// The number of events that an adapter holds for its application.
pub const MAX_EVENTS: usize = 1024;
/// The memory of the events that an adapter holds for its application, in bytes.
///
/// As much as a node's streams may take ([`max_stream_memory`](tidings::Options::max_stream_memory)
/// by default), from which the longest events come. The longest message that any option allows
/// fits.
pub const MAX_EVENT_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use tidings::Via;

    fn message(len: usize) -> Event {
        Event::Message { from: None, data: vec![7; len].into(), via: Via::Reliable }
    }

    /// Emits messages of a mebibyte to a reader that does not read; returns how many it is given.
    fn given(mut emitter: Emitter) -> usize {
        let lagged = emitter.lagged();
        let data = message(1 << 20);
        let given = (0..MAX_EVENTS).filter(|_| (emitter.emit)(data.clone())).count();
        assert_eq!(lagged.load(Ordering::Relaxed), 0, "the state counts those that are lost");
        given
    }

    #[test]
    fn the_events_of_a_reader_that_does_not_read_are_bounded_in_bytes() {
        let (emitter, events) = crate::build::blocking_events();
        assert_eq!(given(emitter), 63);
        assert_eq!(events.count(), 63);
        #[cfg(feature = "async")]
        {
            let (emitter, mut events) = crate::build::async_events();
            assert_eq!(given(emitter), 63);
            assert_eq!(std::iter::from_fn(|| events.try_recv()).count(), 63);
        }
    }

    #[test]
    fn an_event_that_was_received_makes_room_for_the_next() {
        let (mut emitter, events) = crate::build::blocking_events();
        for _ in 0..3 {
            // The longest message that any option allows.
            assert!((emitter.emit)(message((64 << 20) - 900)));
            assert!(!(emitter.emit)(message(900)));
            assert!((emitter.emit)(message(100)));
            assert!(events.try_recv().is_some() && events.try_recv().is_some());
        }
        for _ in 0..MAX_EVENTS {
            assert!((emitter.emit)(message(0)));
        }
        // One that is lost for their number takes no room.
        assert!(!(emitter.emit)(message(60 << 20)));
        assert!(events.try_recv().is_some());
        assert!((emitter.emit)(message(60 << 20)));
    }
}
