//! Threads and sockets: moves bytes and time between a node and the system.
//!
//! The centre is [`Shared::carry_out`]: under one lock a node gets one input, and all that it wants
//! done is done. Nothing in it waits: a datagram that the socket does not take is lost, and a
//! stream's bytes wait for the stream's own thread.

use crate::error::BindError;
use crate::sockets;
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tidings::{
    Clock, Config, Done, Event, Failure, Instant, Node, Output, StreamAction, StreamError,
    StreamId, StreamInput, Ticket,
};

/// A node with its threads and sockets; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// How a command ended.
pub(crate) type Answer = Result<Done, Failure>;

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
    stop: AtomicBool,
    events: SyncSender<Event>,
    lagged: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Core {
    node: Node,
    buf: Vec<u8>,
    waiters: BTreeMap<Ticket, SyncSender<Answer>>,
    links: HashMap<StreamId, Link>,
    /// How many threads of streams run.
    streams: usize,
    datagram_thread: Sleep,
}

/// Whether the thread that takes datagrams has to be woken for an earlier time to be kept.
#[derive(Clone, Copy, Debug)]
enum Sleep {
    /// It will look by itself.
    Awake,
    /// It waits for a datagram until then, or for ever.
    For(Option<Instant>),
}

/// A stream, as its thread and the rest share it.
#[derive(Debug, Default)]
struct Link {
    /// To break it off from outside; there from when it begins to connect.
    socket: Option<Socket>,
    /// What its thread has to write.
    queue: VecDeque<bytes::Bytes>,
    /// Whether its thread has to close it after that.
    close: bool,
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
        let node = Node::new(config, seed, clock.now());
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                node,
                buf: Vec::new(),
                waiters: BTreeMap::new(),
                links: HashMap::new(),
                streams: 0,
                datagram_thread: Sleep::Awake,
            }),
            ended: Condvar::new(),
            clock,
            udp,
            tcp,
            here: sockets::reached_from_here(local),
            stop: AtomicBool::new(false),
            events,
            lagged,
        });
        let mut driver = Self { shared, threads: Vec::new() };
        driver.spawn("tidings-datagrams", Shared::datagrams)?;
        driver.spawn("tidings-accept", Shared::accept)?;
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

    /// Begins a command whose answer comes later.
    pub(crate) fn command<E>(
        &self,
        begin: impl FnOnce(&mut Node, Instant) -> Result<Ticket, E>,
    ) -> Result<Receiver<Answer>, E> {
        let mut core = self.shared.lock();
        let ticket = begin(&mut core.node, self.shared.clock.now())?;
        // The answer may be among the outputs already: the waiter must be there before them.
        let (sender, receiver) = sync_channel(1);
        core.waiters.insert(ticket, sender);
        self.shared.carry_out(&mut core);
        Ok(receiver)
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&Node) -> R) -> R {
        look(&self.shared.lock().node)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.stop.store(true, Ordering::SeqCst);
        {
            let core = shared.lock();
            for link in core.links.values() {
                link.break_off();
            }
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
        let mut unopened = Vec::new();
        loop {
            while let Some(output) = core.node.poll_output(&mut core.buf) {
                match output {
                    Output::Datagram { to, data } => self.send(to, data),
                    Output::Stream { id, action: StreamAction::Open { to, deadline } } => {
                        core.links.insert(id, Link::default());
                        let opened = self.spawn_stream(&mut core.streams, move |shared| {
                            shared.connect(id, to, deadline);
                        });
                        if !opened {
                            unopened.push(id);
                        }
                    }
                    Output::Stream { id, action } => act(&mut core.links, id, action),
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
            let Some(id) = unopened.pop() else { break };
            core.stream_ended(self.clock.now(), id, StreamInput::Failed(StreamError::Other));
        }
        let (Sleep::For(until), Some(due)) = (core.datagram_thread, core.node.poll_timeout())
        else {
            return;
        };
        if until.is_none_or(|until| due < until) {
            core.datagram_thread = Sleep::Awake;
            self.wake();
        }
    }

    // ---- datagrams and time ----

    /// Takes datagrams as they come, and in between tells the node that its time has come.
    ///
    /// One thread does both, so that what has arrived is taken before timers are: after a machine
    /// was stopped for a while, an answer that waits in the socket counts.
    fn datagrams(self: &Arc<Self>) {
        let mut buf = vec![0; MAX_DATAGRAM];
        let mut timeout = None;
        while !self.stop.load(Ordering::SeqCst) {
            let wait = self.until_due();
            if wait == Some(Duration::ZERO) {
                self.take_waiting(&mut buf);
                self.drive(|node, now| node.handle_timeout(now));
                continue;
            }
            if wait != timeout && self.udp.set_read_timeout(wait).is_ok() {
                timeout = wait;
            }
            let received = self.udp.recv_from(&mut buf);
            self.lock().datagram_thread = Sleep::Awake;
            match received {
                Ok((len, from)) => self.take_datagram(from, &buf[..len]),
                Err(error) if sockets::is_nothing(&error) => {}
                Err(_) => thread::park_timeout(BACK_OFF),
            }
        }
    }

    /// How long until the node's time comes; if that is a while, whoever changes it has to wake us.
    fn until_due(&self) -> Option<Duration> {
        let mut core = self.lock();
        let due = core.node.poll_timeout();
        let wait = due.map(|due| due.since(self.clock.now()));
        if wait != Some(Duration::ZERO) {
            core.datagram_thread = Sleep::For(due);
        }
        wait
    }

    /// Takes what has arrived, but not for ever.
    fn take_waiting(self: &Arc<Self>, buf: &mut [u8]) {
        if self.udp.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..MAX_WAITING {
            let Ok((len, from)) = self.udp.recv_from(buf) else {
                break;
            };
            self.take_datagram(from, &buf[..len]);
        }
        drop(self.udp.set_nonblocking(false));
    }

    fn take_datagram(self: &Arc<Self>, from: SocketAddr, data: &[u8]) {
        // An empty one woke us; nobody has a reason to send us another.
        if !data.is_empty() {
            self.drive(|node, now| node.handle_datagram(now, from, data));
        }
    }

    fn send(&self, to: SocketAddr, data: &[u8]) {
        // Losing one is allowed.
        drop(self.udp.send_to(data, sockets::in_form_of(self.here, to)));
    }

    /// Wakes the thread that takes datagrams.
    fn wake(&self) {
        drop(self.udp.send_to(&[], self.here));
    }

    // ---- streams ----

    fn accept(self: &Arc<Self>) {
        loop {
            let accepted = self.tcp.accept();
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, from)) => self.take_stream(stream, from),
                // Out of descriptors, or the peer is gone already.
                Err(_) => thread::park_timeout(BACK_OFF),
            }
        }
    }

    fn take_stream(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let Ok(socket) = SockRef::from(&stream).try_clone() else {
            return;
        };
        let mut core = self.lock();
        if self.stop.load(Ordering::SeqCst) {
            // Whoever stops us has broken off all streams that there were.
            return;
        }
        if let Some(id) = core.node.accept_stream(self.clock.now(), from) {
            core.links.insert(id, Link { socket: Some(socket), ..Link::default() });
            let serve = move |shared: &Arc<Self>| shared.run(id, stream);
            if !self.spawn_stream(&mut core.streams, serve) {
                core.stream_ended(self.clock.now(), id, StreamInput::Failed(StreamError::Other));
            }
        }
        self.carry_out(&mut core);
    }

    /// Starts a stream's thread; `streams` counts them, under the lock that the caller holds.
    fn spawn_stream(
        self: &Arc<Self>,
        streams: &mut usize,
        run: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> bool {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name("tidings-stream".into()).spawn(move || {
            run(&shared);
            shared.lock().streams -= 1;
            shared.ended.notify_all();
        });
        *streams += usize::from(spawned.is_ok());
        spawned.is_ok()
    }

    /// Connects a stream, then runs it.
    fn connect(self: &Arc<Self>, id: StreamId, to: SocketAddr, deadline: Instant) {
        let connected = self.try_connect(id, to, deadline);
        match connected {
            Ok(stream) => {
                self.drive(|node, now| node.handle_stream(now, id, StreamInput::Opened));
                self.run(id, stream);
            }
            Err(error) => self.end(id, StreamInput::Failed(error.kind().into())),
        }
    }

    fn try_connect(
        &self,
        id: StreamId,
        to: SocketAddr,
        deadline: Instant,
    ) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        let handle = socket.try_clone()?;
        {
            let mut core = self.lock();
            let link = core.links.get_mut(&id).filter(|_| !self.stop.load(Ordering::SeqCst));
            link.ok_or(io::ErrorKind::ConnectionAborted)?.socket = Some(handle);
        }
        let wait = deadline.since(self.clock.now()).max(Duration::from_millis(1));
        socket.connect_timeout(&to.into(), wait)?;
        Ok(socket.into())
    }

    /// Moves a stream's bytes until it ends.
    ///
    /// The node writes only in answer to what a stream brings, so that after each input all there
    /// is to write is there, and then the thread may block in a read.
    fn run(self: &Arc<Self>, id: StreamId, mut stream: TcpStream) {
        let mut buf = vec![0; MAX_READ];
        loop {
            match self.write_queued(id, &mut stream) {
                Ok(Next::Read) => {}
                Ok(Next::Close) => {
                    drop(stream);
                    return self.end(id, StreamInput::Closed);
                }
                Ok(Next::Gone) => return,
                Err(error) => return self.end(id, StreamInput::Failed(error.kind().into())),
            }
            match stream.read(&mut buf) {
                Ok(0) => return self.end(id, StreamInput::Closed),
                Ok(len) => {
                    let data = StreamInput::Data(&buf[..len]);
                    self.drive(|node, now| node.handle_stream(now, id, data));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.end(id, StreamInput::Failed(error.kind().into())),
            }
        }
    }

    fn write_queued(&self, id: StreamId, stream: &mut TcpStream) -> io::Result<Next> {
        loop {
            let bytes = {
                let mut core = self.lock();
                let Some(link) = core.links.get_mut(&id) else {
                    return Ok(Next::Gone);
                };
                match link.queue.pop_front() {
                    Some(bytes) => bytes,
                    None if link.close => return Ok(Next::Close),
                    None => return Ok(Next::Read),
                }
            };
            stream.write_all(&bytes)?;
        }
    }

    fn end(self: &Arc<Self>, id: StreamId, input: StreamInput<'_>) {
        let mut core = self.lock();
        core.stream_ended(self.clock.now(), id, input);
        self.carry_out(&mut core);
    }
}

/// What a stream's thread does when all is written.
enum Next {
    Read,
    Close,
    /// The node has forgotten the stream.
    Gone,
}

impl Core {
    /// A stream is no more, or never came to be: tells the node so.
    fn stream_ended(&mut self, now: Instant, id: StreamId, input: StreamInput<'_>) {
        self.links.remove(&id);
        self.node.handle_stream(now, id, input);
    }
}

impl Link {
    fn break_off(&self) {
        if let Some(socket) = &self.socket {
            // It may be broken already.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

fn act(links: &mut HashMap<StreamId, Link>, id: StreamId, action: StreamAction) {
    let Some(link) = links.get_mut(&id) else {
        return;
    };
    match action {
        StreamAction::Open { .. } => unreachable!("whoever carries out opens streams itself"),
        StreamAction::Write(bytes) => link.queue.push_back(bytes),
        StreamAction::Close => link.close = true,
        StreamAction::Reset => {
            link.break_off();
            links.remove(&id);
        }
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
