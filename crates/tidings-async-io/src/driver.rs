//! The driver: one future that moves bytes and time between a node and the operating system.
//!
//! The centre is [`Shared::drain_outputs`]: under one lock a node gets one input, and all of its
//! outputs are carried out. Nothing in it waits: a datagram for which the socket has no room is
//! lost, and a stream's bytes wait for the stream's own task.

use async_executor::{Executor, Task};
use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tidings::{Clock, Instant, Node, Output, StreamAction, StreamId, StreamInput};
use tidings_driver::asynchronous::Running;
use tidings_driver::{Drive, DriverState, StartError, Started, sockets, streams};

/// The future that moves datagrams and time, and accepts streams; when it is dropped, the node
/// ends.
#[derive(Debug)]
pub(crate) struct Driver {
    udp: Arc<Async<UdpSocket>>,
    tcp: Async<TcpListener>,
    timer: Timer,
    /// The time for which the timer is set; zero if it is not.
    timer_due: Instant,
    /// The end of a pause after a socket error.
    rests_until: Instant,
    buf: Vec<u8>,
    // The last to be dropped: by then the sockets are closed.
    shared: Ending,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    local_addr: SocketAddr,
}

/// The state under the lock.
#[derive(Debug)]
struct State {
    /// With the tasks of streams.
    running: Running<Task<()>>,
    /// `None` once the driver has ended.
    system: Option<System>,
}

#[derive(Debug)]
struct System {
    udp: Arc<Async<UdpSocket>>,
    /// Runs the tasks of streams, wherever the driver runs.
    executor: Arc<Executor<'static>>,
}

impl Driver {
    /// A driver, to be [run](Self::run), and the part that handles share with it.
    pub(crate) fn new(started: Started) -> Result<(Self, Remote), StartError> {
        let Started { state, clock, udp, tcp, local_addr } = started;
        let udp = Arc::new(Async::new(udp).map_err(StartError::System)?);
        let tcp = Async::new(tcp).map_err(StartError::System)?;
        let system = System { udp: Arc::clone(&udp), executor: Arc::default() };
        let running = Running::new(state);
        let state = Mutex::new(State { running, system: Some(system) });
        let shared = Arc::new(Shared { state, clock, local_addr });
        let driver = Self {
            udp,
            tcp,
            timer: Timer::never(),
            timer_due: Instant::ZERO,
            rests_until: Instant::ZERO,
            buf: vec![0; sockets::MAX_DATAGRAM],
            shared: Ending(Arc::clone(&shared)),
        };
        Ok((driver, Remote(shared)))
    }

    /// Runs the node until its last handle is dropped.
    pub(crate) async fn run(mut self) {
        let executor =
            self.shared.lock().system.as_ref().map(|system| Arc::clone(&system.executor));
        if let Some(executor) = executor {
            executor.run(poll_fn(|cx| self.poll(cx))).await;
        }
    }

    /// Handles everything that is due, and arranges the next wake-up; ready once the node has
    /// stopped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MAX_TURNS {
            let Some(due) = self.shared.lock().running.wake_up() else { return Poll::Ready(()) };
            let now = self.shared.clock.now();
            if due <= now {
                // Datagrams that have arrived come before timers: after a machine was stopped for a
                // while, an answer that waits in the socket counts.
                self.take_datagrams();
                self.shared.drive_node(|node, now| node.handle_timeout(now));
                continue;
            }
            let rests = now < self.rests_until;
            let until = if rests { due.min(self.rests_until) } else { due };
            let mut busy = self.poll_timer(until, now, cx).is_ready();
            if !rests && self.udp.poll_readable(cx).is_ready() {
                self.take_datagrams();
                busy = true;
            }
            if !rests && self.tcp.poll_readable(cx).is_ready() {
                self.accept_streams();
                busy = true;
            }
            if !busy && self.shared.lock().running.fall_asleep(due, cx.waker()) {
                return Poll::Pending;
            }
        }
        // Other tasks have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the time has come; the timer is set again only for another time than before.
    fn poll_timer(&mut self, due: Instant, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if due != self.timer_due {
            self.timer_due = due;
            match due {
                Instant::MAX => self.timer = Timer::never(),
                due => self.timer.set_after(due.since(now)),
            }
        }
        ready!(Pin::new(&mut self.timer).poll(cx));
        self.timer_due = Instant::ZERO;
        Poll::Ready(())
    }

    /// Handles the datagrams that have arrived, up to a limit.
    fn take_datagrams(&mut self) {
        for _ in 0..sockets::MAX_WAITING {
            match self.udp.get_ref().recv_from(&mut self.buf) {
                Ok((len, from)) => {
                    let data = &self.buf[..len];
                    self.shared.drive_node(|node, now| node.handle_datagram(now, from, data));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if sockets::is_nothing(&error) => {}
                Err(_) => return self.rest(),
            }
        }
    }

    fn accept_streams(&mut self) {
        for _ in 0..sockets::MAX_WAITING {
            let accepted = self.tcp.get_ref().accept();
            match accepted.and_then(|(stream, from)| Ok((Async::new(stream)?, from))) {
                Ok((stream, from)) => self.shared.accept(stream, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors, or the peer is gone already.
                Err(_) => return self.rest(),
            }
        }
    }

    /// Starts a pause after a socket error.
    fn rest(&mut self) {
        self.rests_until = self.shared.clock.now() + sockets::BACK_OFF;
    }
}

/// A handle's part of a driver.
#[derive(Debug)]
pub(crate) struct Remote(Arc<Shared>);

impl Drive for Remote {
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant)) {
        self.0.drive(input);
    }

    fn stop(&self) {
        self.0.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drive(self: &Arc<Self>, input: impl FnOnce(&mut DriverState, Instant)) {
        let mut state = self.lock();
        input(&mut state.running.state, self.clock.now());
        self.drain_outputs(&mut state);
    }

    fn drive_node(self: &Arc<Self>, input: impl FnOnce(&mut Node, Instant)) {
        self.drive(|state, now| input(state.node_mut(), now));
    }

    fn stop(&self) {
        let recording = self.lock().running.stop();
        drop(recording);
    }

    /// Carries out all outputs, then makes sure that the node is called again in time.
    fn drain_outputs(self: &Arc<Self>, state: &mut State) {
        let State { running, system } = state;
        let Some(System { udp, executor }) = system else { return };
        while let Some(output) = running.state.poll_output() {
            match output {
                // Losing one is allowed.
                Output::Datagram { to, data } => {
                    let (len, sent) =
                        (data.len(), sockets::send(udp.get_ref(), self.local_addr, data, to));
                    running.state.sent(self.clock.now(), (to, len), sent);
                }
                Output::Stream { id, action: StreamAction::Open { to, .. } } => {
                    let task = executor.spawn(Arc::clone(self).connect(id, to));
                    running.streams.insert(id, task);
                }
                Output::Stream { id, action: StreamAction::Reset } => {
                    drop(running.streams.remove(id))
                }
                Output::Stream { id, action } => running.streams.push(id, action),
                Output::Event(event) => running.state.tell(event),
            }
        }
        running.settle();
    }

    // ---- streams ----

    fn accept(self: &Arc<Self>, stream: Async<TcpStream>, from: SocketAddr) {
        let mut state = self.lock();
        let State { running, system } = &mut *state;
        let accepted = running.state.node_mut().accept_stream(self.clock.now(), from);
        if let (Some(id), Some(System { executor, .. })) = (accepted, system) {
            let task = executor.spawn(Arc::clone(self).serve(id, stream));
            running.streams.insert(id, task);
        }
        self.drain_outputs(&mut state);
    }

    async fn connect(self: Arc<Self>, id: StreamId, to: SocketAddr) {
        let ended = match Async::<TcpStream>::connect(to).await {
            Ok(stream) => {
                self.drive_node(|node, now| node.handle_stream(now, id, StreamInput::Opened));
                self.move_bytes(id, &stream).await
            }
            Err(error) => Err(error),
        };
        self.end(id, ended);
    }

    async fn serve(self: Arc<Self>, id: StreamId, stream: Async<TcpStream>) {
        let ended = self.move_bytes(id, &stream).await;
        self.end(id, ended);
    }

    /// Moves a stream's bytes until it ends.
    ///
    /// The node writes only in answer to an input from the stream. So after each input all bytes to
    /// write are in the queue, and then the task only has to read.
    async fn move_bytes(
        self: &Arc<Self>,
        id: StreamId,
        mut stream: &Async<TcpStream>,
    ) -> io::Result<()> {
        let mut buf = vec![0; streams::MAX_READ];
        loop {
            let action = self.lock().running.streams.next_action(id);
            match action {
                Some(StreamAction::Write(bytes)) => stream.write_all(&bytes).await?,
                Some(_) => return Ok(()),
                None => match stream.read(&mut buf).await? {
                    0 => return Ok(()),
                    len => {
                        let data = StreamInput::Data(&buf[..len]);
                        self.drive_node(|node, now| node.handle_stream(now, id, data));
                    }
                },
            }
        }
    }

    /// Gives the node the end of a stream, unless the node has dropped the stream before.
    fn end(self: &Arc<Self>, id: StreamId, ended: io::Result<()>) {
        let mut state = self.lock();
        if let Some(task) = state.running.streams.remove(id) {
            // It is the task that is here.
            task.detach();
            state.running.state.node_mut().handle_stream(
                self.clock.now(),
                id,
                streams::ended(ended),
            );
            self.drain_outputs(&mut state);
        }
    }
}

/// Ends the node when it is dropped, after all other parts of its driver.
#[derive(Debug)]
struct Ending(Arc<Shared>);

impl Deref for Ending {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.stop();
        let mut state = self.0.lock();
        let (tasks, system) = (state.running.streams.remove_all(), state.system.take());
        drop(state);
        // Dropping a task hands it to the executor, which drops its future.
        drop(tasks);
        drop(system);
        self.0.lock().running.state.end();
    }
}

/// The number of rounds before other tasks have their turn.
const MAX_TURNS: usize = 16;
