//! The driver: one future that moves bytes and time between a node and the operating system.
//!
//! The centre is [`Shared::drain_outputs`]: under one lock a node gets one input, and all of its
//! outputs are carried out. Nothing in it waits: a datagram for which the socket has no room is
//! lost, and a stream's bytes wait for the stream's own task.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tidings::{Clock, Instant, Node, Output, StreamAction, StreamId, StreamInput};
use tidings_driver::asynchronous::Running;
use tidings_driver::{Drive, DriverState, StartError, Started, sockets, streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{self, TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Sleep, sleep};

/// The future that moves datagrams and time, and accepts streams; when it is dropped, the node
/// ends.
#[derive(Debug)]
pub(crate) struct Driver {
    udp: Arc<UdpSocket>,
    /// The same socket, registered for readiness.
    ready: net::UdpSocket,
    tcp: TcpListener,
    timer: Pin<Box<Sleep>>,
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
    running: Running<AbortHandle>,
    /// `None` once the driver has ended.
    system: Option<System>,
}

#[derive(Debug)]
struct System {
    udp: Arc<UdpSocket>,
    /// Runs the tasks of streams, from whatever thread one is opened.
    runtime: Handle,
}

impl Driver {
    /// A driver, to be [run](Self::run), and the part that handles share with it.
    pub(crate) fn new(started: Started, runtime: Handle) -> Result<(Self, Remote), StartError> {
        let Started { state, clock, udp, tcp, local_addr } = started;
        let set_up = || {
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok((net::UdpSocket::from_std(udp.try_clone()?)?, TcpListener::from_std(tcp)?))
        };
        let (ready, tcp) = set_up().map_err(StartError::System)?;
        let udp = Arc::new(udp);
        let system = System { udp: Arc::clone(&udp), runtime };
        let state = Mutex::new(State { running: Running::new(state), system: Some(system) });
        let shared = Arc::new(Shared { state, clock, local_addr });
        let driver = Self {
            udp,
            ready,
            tcp,
            timer: Box::pin(sleep(Duration::ZERO)),
            timer_due: Instant::ZERO,
            rests_until: Instant::ZERO,
            buf: vec![0; sockets::MAX_DATAGRAM],
            shared: Ending(Arc::clone(&shared)),
        };
        Ok((driver, Remote(shared)))
    }

    /// Runs the node until its last handle is dropped.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
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
                self.take_datagrams(|udp, _, buf| udp.recv_from(buf));
                self.shared.drive_node(|node, now| node.handle_timeout(now));
                continue;
            }
            let rests = now < self.rests_until;
            let until = if rests { due.min(self.rests_until) } else { due };
            let mut busy = self.poll_timer(until, now, cx).is_ready();
            if !rests && self.ready.poll_recv_ready(cx).is_ready() {
                self.take_datagrams(|udp, ready, buf| {
                    ready.try_io(Interest::READABLE, || udp.recv_from(buf))
                });
                busy = true;
            }
            if !rests {
                busy |= self.accept_streams(cx);
            }
            if !busy && self.shared.lock().running.fall_asleep(due, cx.waker()) {
                return Poll::Pending;
            }
        }
        // Other tasks have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the time has come, or after [`LONG`]; the timer is set again only for another
    /// time than before.
    fn poll_timer(&mut self, due: Instant, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if due != self.timer_due {
            self.timer_due = due;
            let wait = due.since(now).min(LONG);
            self.timer.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.timer_due = Instant::ZERO;
        Poll::Ready(())
    }

    /// Handles the datagrams that have arrived, up to a limit.
    fn take_datagrams(
        &mut self,
        receive: impl Fn(&UdpSocket, &net::UdpSocket, &mut [u8]) -> io::Result<(usize, SocketAddr)>,
    ) {
        for _ in 0..sockets::MAX_WAITING {
            match receive(&self.udp, &self.ready, &mut self.buf) {
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

    /// Accepts the streams that have arrived, up to a limit; returns whether there was any.
    fn accept_streams(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..sockets::MAX_WAITING {
            match self.tcp.poll_accept(cx) {
                Poll::Ready(Ok((stream, from))) => self.shared.accept(stream, from),
                // Out of descriptors, or the peer is gone already.
                Poll::Ready(Err(_)) => {
                    self.rest();
                    return true;
                }
                Poll::Pending => return taken > 0,
            }
        }
        true
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
        let Some(System { udp, runtime }) = system else { return };
        while let Some(output) = running.state.poll_output() {
            match output {
                // Losing one is allowed.
                Output::Datagram { to, data } => {
                    let (len, sent) = (data.len(), sockets::send(udp, self.local_addr, data, to));
                    running.state.sent(self.clock.now(), (to, len), sent);
                }
                Output::Stream { id, action: StreamAction::Open { to, .. } } => {
                    let task = runtime.spawn(Arc::clone(self).connect(id, to)).abort_handle();
                    running.streams.insert(id, task);
                }
                Output::Stream { id, action: StreamAction::Reset } => {
                    running.streams.remove(id).inspect(AbortHandle::abort);
                }
                Output::Stream { id, action } => running.streams.push(id, action),
                Output::Event(event) => running.state.tell(event),
            }
        }
        running.settle();
    }

    // ---- streams ----

    fn accept(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let mut state = self.lock();
        let State { running, system } = &mut *state;
        let accepted = running.state.node_mut().accept_stream(self.clock.now(), from);
        if let (Some(id), Some(System { runtime, .. })) = (accepted, system) {
            let task = runtime.spawn(Arc::clone(self).serve(id, stream)).abort_handle();
            running.streams.insert(id, task);
        }
        self.drain_outputs(&mut state);
    }

    async fn connect(self: Arc<Self>, id: StreamId, to: SocketAddr) {
        let ended = match TcpStream::connect(to).await {
            Ok(stream) => {
                self.drive_node(|node, now| node.handle_stream(now, id, StreamInput::Opened));
                self.move_bytes(id, stream).await
            }
            Err(error) => Err(error),
        };
        self.end(id, ended);
    }

    async fn serve(self: Arc<Self>, id: StreamId, stream: TcpStream) {
        let ended = self.move_bytes(id, stream).await;
        self.end(id, ended);
    }

    /// Moves a stream's bytes until it ends.
    ///
    /// The node writes only in answer to an input from the stream. So after each input all bytes to
    /// write are in the queue, and then the task only has to read.
    async fn move_bytes(self: &Arc<Self>, id: StreamId, mut stream: TcpStream) -> io::Result<()> {
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
        if state.running.streams.remove(id).is_some() {
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
        state.running.streams.remove_all().iter().for_each(AbortHandle::abort);
        state.system = None;
        state.running.state.end();
    }
}

/// The number of rounds before other tasks have their turn.
const MAX_TURNS: usize = 16;
/// The longest time for which the timer is set.
const LONG: Duration = Duration::from_secs(3600);
