//! Threads and sockets: moves bytes and time between a node and the system.
//!
//! The centre is [`Shared::carry_out`]: under one lock a node gets one input, and all that it wants
//! done is done. Nothing in it waits: a datagram that the socket does not take is lost, and a
//! stream's bytes wait for the stream's own thread.

use socket2::{Domain, SockRef, Socket, Type};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tidings::{
    Clock, Config, Done, Event, Failure, Instant, Node, Output, StreamAction, StreamId,
    StreamInput, Ticket,
};
use tidings_driver::{BindError, CommandError, sockets};
use tidings_record::{Finishing, Limits, RecordError, Recorder};

/// A node with its threads and sockets; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    /// Told when a stream's thread has ended.
    ended: Condvar,
    clock: Clock,
    udp: UdpSocket,
    tcp: TcpListener,
    /// Where our own sockets are reached from here, to wake the threads that wait on them.
    here: SocketAddr,
    events: SyncSender<Event>,
    lagged: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Core {
    node: Node,
    buf: Vec<u8>,
    recorder: Option<Recorder>,
    waiters: BTreeMap<Ticket, SyncSender<Result<Done, Failure>>>,
    links: HashMap<StreamId, Link>,
    /// How many threads of streams run.
    streams: usize,
    /// Until when the thread that takes datagrams sleeps if nothing comes; zero while it is awake.
    sleeps_until: Instant,
    /// Nothing is carried out any more.
    stopped: bool,
}

/// A stream that the node has not forgotten, as its thread and the rest share it.
#[derive(Debug, Default)]
struct Link {
    /// To break it off from outside; there from when it begins to connect.
    stream: Option<Arc<TcpStream>>,
    /// What its thread has to do.
    queue: VecDeque<StreamAction>,
}

impl Driver {
    pub(crate) fn start(
        listen: SocketAddr,
        config: Config,
        events: SyncSender<Event>,
        lagged: Arc<AtomicU64>,
    ) -> Result<Self, BindError> {
        let (udp, tcp, local) = sockets::bind(listen)?;
        let mut advertised = config.addr();
        if advertised.port() == 0 {
            advertised.set_port(local.port());
        }
        if advertised.ip().is_unspecified() {
            return Err(BindError::Unspecified(advertised));
        }
        let generation = match config.generation() {
            0 => Clock::generation(),
            set => set,
        };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| BindError::System(error.into()))?;
        let clock = Clock::start();
        let config = config.with_addr(advertised).with_generation(generation);
        let core = Core {
            node: Node::new(config, seed, clock.now()),
            buf: Vec::new(),
            recorder: None,
            waiters: BTreeMap::new(),
            links: HashMap::new(),
            streams: 0,
            sleeps_until: Instant::ZERO,
            stopped: false,
        };
        let (core, ended) = (Mutex::new(core), Condvar::new());
        let here = sockets::reached_from_here(local);
        let shared = Arc::new(Shared { core, ended, clock, udp, tcp, here, events, lagged });
        let mut driver = Self { shared, threads: Vec::new() };
        driver.spawn("tidings-datagrams", Shared::take_datagrams)?;
        driver.spawn("tidings-accept", Shared::accept_streams)?;
        Ok(driver)
    }

    fn spawn(&mut self, name: &str, run: fn(&Arc<Shared>)) -> Result<(), BindError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(&shared));
        self.threads.push(thread.map_err(BindError::System)?);
        Ok(())
    }

    /// Gives the node one input.
    pub(crate) fn drive<R>(&self, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        self.shared.drive(input)
    }

    /// Gives the node a command, and waits until that has ended.
    pub(crate) fn command<E>(
        &self,
        begin: impl FnOnce(&mut Node, Instant) -> Result<Ticket, E>,
    ) -> Result<Done, CommandError<E>> {
        let (sender, answer) = sync_channel(1);
        {
            let mut core = self.shared.lock();
            let begun = begin(&mut core.node, self.shared.clock.now());
            // The answer may be among the outputs already: the waiter must be there before them.
            let begun = begun.map(|ticket| core.waiters.insert(ticket, sender));
            self.shared.carry_out(&mut core);
            begun.map_err(CommandError::NotBegun)?;
        }
        let answer =
            answer.recv().expect("a node ends each command, and runs while it is borrowed");
        answer.map_err(CommandError::Failed)
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&Node) -> R) -> R {
        look(&self.shared.lock().node)
    }

    /// Begins to record, in place of what was recorded before.
    pub(crate) fn record(&self, path: &Path, limits: Limits) -> Result<(), RecordError> {
        self.stop_recording()?;
        let mut core = self.shared.lock();
        let mut recorder = Recorder::create(path, limits, self.shared.clock.now())?;
        recorder.take(&mut core.node);
        if recorder.error().is_some() {
            return recorder.finish(&mut core.node).wait();
        }
        core.recorder = Some(recorder);
        Ok(())
    }

    pub(crate) fn stop_recording(&self) -> Result<(), RecordError> {
        // The node does not wait for the disk.
        let finishing = self.shared.lock().stop_recording();
        finishing.map_or(Ok(()), Finishing::wait)
    }

    pub(crate) fn is_recording(&self) -> bool {
        let core = self.shared.lock();
        core.recorder.as_ref().is_some_and(|recorder| recorder.error().is_none())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let shared = &self.shared;
        {
            let mut core = shared.lock();
            core.stopped = true;
            core.links.drain().for_each(|(_, link)| link.break_off());
        }
        // A thread that waits on a socket is woken by what it waits for. Shutting the sockets down
        // does it too on some systems, should there be no descriptor left to connect with.
        shared.wake();
        drop(SockRef::from(&shared.udp).shutdown(Shutdown::Both));
        drop(TcpStream::connect_timeout(&shared.here, Duration::from_secs(1)));
        drop(SockRef::from(&shared.tcp).shutdown(Shutdown::Both));
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
        let mut core = shared.lock();
        while core.streams > 0 {
            core = shared.ended.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
        drop(core.stop_recording());
    }
}

impl Core {
    /// Records no more.
    fn stop_recording(&mut self) -> Option<Finishing> {
        let recorder = self.recorder.take()?;
        Some(recorder.finish(&mut self.node))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drive<R>(self: &Arc<Self>, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let mut core = self.lock();
        let result = input(&mut core.node, self.clock.now());
        self.carry_out(&mut core);
        result
    }

    /// Carries out all that the node wants done, then sees that it is called again in time.
    fn carry_out(self: &Arc<Self>, core: &mut Core) {
        while !core.stopped {
            let Some(output) = core.node.poll_output(&mut core.buf) else { break };
            match output {
                // Losing one is allowed.
                Output::Datagram { to, data } => {
                    drop(self.udp.send_to(data, sockets::in_form_of(self.here, to)));
                }
                Output::Stream { id, action: StreamAction::Open { to, deadline } } => {
                    let run = move |shared: &Arc<Self>| shared.connect(id, to, deadline);
                    self.run_beside(core, id, Link::default(), run);
                }
                Output::Stream { id, action: StreamAction::Reset } => {
                    if let Some(link) = core.links.remove(&id) {
                        link.break_off();
                    }
                }
                Output::Stream { id, action } => {
                    if let Some(link) = core.links.get_mut(&id) {
                        link.queue.push_back(action);
                    }
                }
                Output::Event(Event::Completed { ticket, result }) => {
                    if let Some(waiter) = core.waiters.remove(&ticket) {
                        drop(waiter.try_send(result));
                    }
                }
                Output::Event(event) => {
                    if self.events.try_send(event).is_err() {
                        self.lagged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        if let Some(recorder) = &mut core.recorder {
            recorder.take(&mut core.node);
        }
        if core.node.poll_timeout().is_some_and(|due| due < core.sleeps_until) {
            core.sleeps_until = Instant::ZERO;
            self.wake();
        }
    }

    // ---- datagrams and time ----

    /// Takes datagrams as they come, and in between tells the node that its time has come.
    ///
    /// One thread does both, so that what has arrived is taken before timers are: after a machine
    /// was stopped for a while, an answer that waits in the socket counts.
    fn take_datagrams(self: &Arc<Self>) {
        let mut buf = vec![0; MAX_DATAGRAM];
        while let Some(due) = self.fall_asleep() {
            let wait = due.since(self.clock.now());
            if wait.is_zero() {
                self.take_waiting(&mut buf);
                self.drive(|node, now| node.handle_timeout(now));
                continue;
            }
            let wait = (due < Instant::MAX).then_some(wait);
            drop(self.udp.set_read_timeout(wait));
            if self.take_datagram(&mut buf).is_err_and(|error| !sockets::is_nothing(&error)) {
                thread::park_timeout(BACK_OFF);
            }
        }
    }

    /// When the node's time comes, unless it has stopped; whoever brings that forward wakes us.
    fn fall_asleep(&self) -> Option<Instant> {
        let mut core = self.lock();
        core.sleeps_until = core.node.poll_timeout().unwrap_or(Instant::MAX);
        (!core.stopped).then_some(core.sleeps_until)
    }

    /// Takes what has arrived, but not for ever.
    fn take_waiting(self: &Arc<Self>, buf: &mut [u8]) {
        if self.udp.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..MAX_WAITING {
            if self.take_datagram(buf).is_err() {
                break;
            }
        }
        drop(self.udp.set_nonblocking(false));
    }

    fn take_datagram(self: &Arc<Self>, buf: &mut [u8]) -> io::Result<()> {
        let received = self.udp.recv_from(buf);
        let mut core = self.lock();
        core.sleeps_until = Instant::ZERO;
        let (len, from) = received?;
        // An empty one woke us; nobody has a reason to send us another.
        if len > 0 {
            core.node.handle_datagram(self.clock.now(), from, &buf[..len]);
            self.carry_out(&mut core);
        }
        Ok(())
    }

    /// Wakes the thread that takes datagrams.
    fn wake(&self) {
        drop(self.udp.send_to(&[], self.here));
    }

    // ---- streams ----

    fn accept_streams(self: &Arc<Self>) {
        loop {
            let accepted = self.tcp.accept();
            if accepted.is_err() {
                // Out of descriptors, or the peer is gone already.
                thread::park_timeout(BACK_OFF);
            }
            let mut core = self.lock();
            if core.stopped {
                return;
            }
            let Ok((stream, from)) = accepted else { continue };
            if let Some(id) = core.node.accept_stream(self.clock.now(), from) {
                let stream = Arc::new(stream);
                let link = Link { stream: Some(Arc::clone(&stream)), queue: VecDeque::new() };
                let run = move |shared: &Arc<Self>| shared.run(id, &stream);
                self.run_beside(&mut core, id, link, run);
            }
            self.carry_out(&mut core);
        }
    }

    /// Runs a stream to its end in a thread of its own, and then tells the node, which may have
    /// forgotten it.
    fn run_beside(
        self: &Arc<Self>,
        core: &mut Core,
        id: StreamId,
        link: Link,
        run: impl FnOnce(&Arc<Self>) -> io::Result<()> + Send + 'static,
    ) {
        core.links.insert(id, link);
        core.streams += 1;
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("tidings-stream".into()).spawn(move || {
            let ended = run(&shared);
            let mut core = shared.lock();
            shared.end(&mut core, id, ended);
            shared.carry_out(&mut core);
            shared.ended.notify_all();
        });
        if thread.is_err() {
            self.end(core, id, Err(io::ErrorKind::Other.into()));
        }
    }

    fn end(&self, core: &mut Core, id: StreamId, ended: io::Result<()>) {
        core.links.remove(&id);
        core.streams -= 1;
        let input = match ended {
            Ok(()) => StreamInput::Closed,
            Err(error) => StreamInput::Failed(error.kind().into()),
        };
        core.node.handle_stream(self.clock.now(), id, input);
    }

    fn connect(self: &Arc<Self>, id: StreamId, to: SocketAddr, until: Instant) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        let stream = Arc::new(TcpStream::from(socket));
        let forgotten = io::ErrorKind::ConnectionAborted;
        self.lock().links.get_mut(&id).ok_or(forgotten)?.stream = Some(Arc::clone(&stream));
        let wait = until.since(self.clock.now()).max(Duration::from_millis(1));
        SockRef::from(&*stream).connect_timeout(&to.into(), wait)?;
        self.drive(|node, now| node.handle_stream(now, id, StreamInput::Opened));
        self.run(id, &stream)
    }

    /// Moves a stream's bytes until it ends.
    ///
    /// The node writes only in answer to what a stream brings, so that after each input all there
    /// is to write is there, and then the thread may block in a read.
    fn run(self: &Arc<Self>, id: StreamId, mut stream: &TcpStream) -> io::Result<()> {
        let mut buf = vec![0; MAX_READ];
        loop {
            match self.next_action(id) {
                Some(StreamAction::Write(bytes)) => stream.write_all(&bytes)?,
                Some(_) => return Ok(()),
                None => match stream.read(&mut buf) {
                    Ok(0) => return Ok(()),
                    Ok(len) => {
                        let data = StreamInput::Data(&buf[..len]);
                        self.drive(|node, now| node.handle_stream(now, id, data));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// What to do on a stream before anything is read from it.
    fn next_action(&self, id: StreamId) -> Option<StreamAction> {
        match self.lock().links.get_mut(&id) {
            Some(link) => link.queue.pop_front(),
            None => Some(StreamAction::Reset),
        }
    }
}

impl Link {
    fn break_off(&self) {
        // It may be broken already.
        drop(self.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Both)));
    }
}

/// No datagram is longer.
const MAX_DATAGRAM: usize = 65_536;
/// How many datagrams that have arrived are taken before a timer that is due.
const MAX_WAITING: usize = 256;
/// How much is read from a stream at a time.
const MAX_READ: usize = 16 << 10;
/// For how long a thread rests whose socket only gives errors.
const BACK_OFF: Duration = Duration::from_millis(5);
