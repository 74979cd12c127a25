//! The driver: threads that move bytes and time between a node and the operating system.
//!
//! The centre is [`Shared::drain_outputs`]: under one lock a node gets one input, and all of its
//! outputs are carried out. Nothing in it waits: a datagram for which the socket has no room is
//! lost, and a stream's bytes wait for the stream's own thread.

use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tidings::{Clock, Instant, Node, Output, StreamAction, StreamId, StreamInput};
use tidings_driver::streams::{self, StreamTable};
use tidings_driver::{Drive, DriverState, StartError, Started, sockets};

/// A node with its threads and sockets; stopping it ends them.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    // Closed before the events end, which are the host's.
    udp: UdpSocket,
    tcp: TcpListener,
    running: Mutex<Running>,
    /// Notified when a stream's thread has ended.
    ended: Condvar,
    clock: Clock,
    /// The address of our own sockets from this machine, to wake the threads that wait on them.
    local_addr: SocketAddr,
}

/// The state under the lock.
#[derive(Debug)]
struct Running {
    state: DriverState,
    streams: StreamTable<Link>,
    /// The number of running threads of streams.
    stream_threads: usize,
    /// The time until which the thread that reads datagrams sleeps; zero while it is awake.
    sleeps_until: Instant,
}

/// The socket of a stream, to break it off from another thread; there from when it connects.
#[derive(Debug, Default)]
struct Link(Option<Arc<TcpStream>>);

impl Driver {
    pub(crate) fn start(started: Started) -> Result<Self, StartError> {
        let Started { state, clock, udp, tcp, local_addr } = started;
        let running = Running {
            state,
            streams: StreamTable::new(),
            stream_threads: 0,
            sleeps_until: Instant::ZERO,
        };
        let (running, ended) = (Mutex::new(running), Condvar::new());
        let shared = Arc::new(Shared { running, ended, clock, udp, tcp, local_addr });
        let driver = Self { shared, threads: Mutex::default() };
        let spawned = driver
            .spawn("tidings-datagrams", Shared::take_datagrams)
            .and_then(|()| driver.spawn("tidings-accept", Shared::accept_streams));
        if let Err(error) = spawned {
            driver.stop();
            return Err(StartError::System(error));
        }
        Ok(driver)
    }

    fn spawn(&self, name: &str, run: fn(&Arc<Shared>)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(&shared))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }
}

impl Drive for Driver {
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant)) {
        self.shared.drive(|state, now| input(state, now));
    }

    fn stop(&self) {
        let shared = &self.shared;
        let recording = {
            let mut running = shared.lock();
            running.streams.remove_all().iter().for_each(Link::break_off);
            running.state.stop()
        };
        // A datagram and a connection wake the threads that wait for one. Shutting the sockets down
        // does it too on some systems, should there be no descriptor left to connect with.
        shared.wake();
        drop(SockRef::from(&shared.udp).shutdown(Shutdown::Both));
        drop(TcpStream::connect_timeout(&shared.local_addr, Duration::from_secs(1)));
        drop(SockRef::from(&shared.tcp).shutdown(Shutdown::Both));
        let threads = self.threads.lock().map(|mut threads| std::mem::take(&mut *threads));
        for thread in threads.unwrap_or_default() {
            drop(thread.join());
        }
        let mut running = shared.lock();
        while running.stream_threads > 0 {
            running = shared.ended.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        drop(running);
        drop(recording);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drive<R>(self: &Arc<Self>, input: impl FnOnce(&mut DriverState, Instant) -> R) -> R {
        let mut running = self.lock();
        let result = input(&mut running.state, self.clock.now());
        self.drain_outputs(&mut running);
        result
    }

    /// Carries out all outputs, then makes sure that the node is called again in time.
    fn drain_outputs(self: &Arc<Self>, running: &mut Running) {
        while let Some(output) = running.state.poll_output() {
            match output {
                // Losing one is allowed.
                Output::Datagram { to, data } => {
                    let (len, sent) =
                        (data.len(), sockets::send(&self.udp, self.local_addr, data, to));
                    running.state.sent(self.clock.now(), (to, len), sent);
                }
                Output::Stream { id, action: StreamAction::Open { to, deadline } } => {
                    let run = move |shared: &Arc<Self>| shared.connect(id, to, deadline);
                    self.run_beside(running, id, Link::default(), run);
                }
                Output::Stream { id, action: StreamAction::Reset } => {
                    if let Some(link) = running.streams.remove(id) {
                        link.break_off();
                    }
                }
                Output::Stream { id, action } => running.streams.push(id, action),
                Output::Event(event) => running.state.tell(event),
            }
        }
        if running.state.settle() < running.sleeps_until {
            running.sleeps_until = Instant::ZERO;
            self.wake();
        }
    }

    fn drive_node(self: &Arc<Self>, input: impl FnOnce(&mut Node, Instant)) {
        self.drive(|state, now| input(state.node_mut(), now));
    }

    // ---- datagrams and time ----

    /// Reads datagrams as they come, and calls the node when a timeout is due.
    ///
    /// One thread does both, so that datagrams that have arrived come before timers: after a
    /// machine was stopped for a while, an answer that waits in the socket counts.
    fn take_datagrams(self: &Arc<Self>) {
        let mut buf = vec![0; sockets::MAX_DATAGRAM];
        while let Some(due) = self.fall_asleep() {
            let wait = due.since(self.clock.now());
            if wait.is_zero() {
                self.take_waiting(&mut buf);
                self.drive_node(|node, now| node.handle_timeout(now));
                continue;
            }
            let wait = (due < Instant::MAX).then_some(wait);
            drop(self.udp.set_read_timeout(wait));
            if self.take_datagram(&mut buf).is_err_and(|error| !sockets::is_nothing(&error)) {
                thread::park_timeout(sockets::BACK_OFF);
            }
        }
    }

    /// The time of the node's next timeout, `None` if it has stopped. An input that brings the
    /// timeout forward wakes this thread.
    fn fall_asleep(&self) -> Option<Instant> {
        let mut running = self.lock();
        running.sleeps_until = running.state.due();
        (!running.state.is_stopped()).then_some(running.sleeps_until)
    }

    /// Handles the datagrams that have arrived, up to a limit.
    fn take_waiting(self: &Arc<Self>, buf: &mut [u8]) {
        if self.udp.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..sockets::MAX_WAITING {
            if self.take_datagram(buf).is_err() {
                break;
            }
        }
        drop(self.udp.set_nonblocking(false));
    }

    fn take_datagram(self: &Arc<Self>, buf: &mut [u8]) -> io::Result<()> {
        let received = self.udp.recv_from(buf);
        let mut running = self.lock();
        running.sleeps_until = Instant::ZERO;
        let (len, from) = received?;
        // An empty datagram only wakes this thread; see `wake`.
        if len > 0 {
            running.state.node_mut().handle_datagram(self.clock.now(), from, &buf[..len]);
            self.drain_outputs(&mut running);
        }
        Ok(())
    }

    /// Wakes the thread that reads datagrams.
    fn wake(&self) {
        drop(self.udp.send_to(&[], self.local_addr));
    }

    // ---- streams ----

    fn accept_streams(self: &Arc<Self>) {
        loop {
            let accepted = self.tcp.accept();
            if accepted.is_err() {
                // Out of descriptors, or the peer is gone already.
                thread::park_timeout(sockets::BACK_OFF);
            }
            let mut running = self.lock();
            if running.state.is_stopped() {
                return;
            }
            let Ok((stream, from)) = accepted else { continue };
            if let Some(id) = running.state.node_mut().accept_stream(self.clock.now(), from) {
                let stream = Arc::new(stream);
                let link = Link(Some(Arc::clone(&stream)));
                let run = move |shared: &Arc<Self>| shared.run(id, &stream);
                self.run_beside(&mut running, id, link, run);
            }
            self.drain_outputs(&mut running);
        }
    }

    /// Runs a stream to its end in a thread of its own, and then gives the node its end, which the
    /// node ignores if it has dropped the stream.
    fn run_beside(
        self: &Arc<Self>,
        running: &mut Running,
        id: StreamId,
        link: Link,
        run: impl FnOnce(&Arc<Self>) -> io::Result<()> + Send + 'static,
    ) {
        running.streams.insert(id, link);
        running.stream_threads += 1;
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("tidings-stream".into()).spawn(move || {
            let ended = run(&shared);
            let mut running = shared.lock();
            shared.end(&mut running, id, ended);
            shared.drain_outputs(&mut running);
            shared.ended.notify_all();
        });
        if thread.is_err() {
            self.end(running, id, Err(io::ErrorKind::Other.into()));
        }
    }

    fn end(&self, running: &mut Running, id: StreamId, ended: io::Result<()>) {
        running.streams.remove(id);
        running.stream_threads -= 1;
        running.state.node_mut().handle_stream(self.clock.now(), id, streams::ended(ended));
    }

    fn connect(self: &Arc<Self>, id: StreamId, to: SocketAddr, until: Instant) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        let stream = Arc::new(TcpStream::from(socket));
        let forgotten = io::ErrorKind::ConnectionAborted;
        self.lock().streams.get_mut(id).ok_or(forgotten)?.0 = Some(Arc::clone(&stream));
        let wait = until.since(self.clock.now()).max(Duration::from_millis(1));
        SockRef::from(&*stream).connect_timeout(&to.into(), wait)?;
        self.drive_node(|node, now| node.handle_stream(now, id, StreamInput::Opened));
        self.run(id, &stream)
    }

    /// Moves a stream's bytes until it ends.
    ///
    /// The node writes only in answer to an input from the stream. So after each input all bytes to
    /// write are in the queue, and then the thread may block in a read.
    fn run(self: &Arc<Self>, id: StreamId, mut stream: &TcpStream) -> io::Result<()> {
        let mut buf = vec![0; streams::MAX_READ];
        loop {
            let action = self.lock().streams.next_action(id);
            match action {
                Some(StreamAction::Write(bytes)) => stream.write_all(&bytes)?,
                Some(_) => return Ok(()),
                None => match stream.read(&mut buf) {
                    Ok(0) => return Ok(()),
                    Ok(len) => {
                        let data = StreamInput::Data(&buf[..len]);
                        self.drive_node(|node, now| node.handle_stream(now, id, data));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                },
            }
        }
    }
}

impl Link {
    fn break_off(&self) {
        // It may be broken already.
        drop(self.0.as_ref().map(|stream| stream.shutdown(Shutdown::Both)));
    }
}
