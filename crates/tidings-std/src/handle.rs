//! What users call.

use crate::driver::Driver;
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tidings::{Config, Event, Failure, NodeId, SendError, Target, Ticket};
use tidings_driver::{
    BindError, CommandError, Emitter, Handle, JoinFailed, MAX_EVENTS, Seeds, begin,
};

/// A running node; dropping it stops the node at once, without leaving.
///
/// What is answered at once is asked of the [`Handle`] that this derefs to. What waits for others, here,
/// blocks until these have answered, at the latest until
/// [`stream_timeout`](tidings::Options::stream_timeout).
#[derive(Debug)]
pub struct Tidings {
    handle: Handle,
}

impl Tidings {
    /// Starts a node that listens where its configuration says that others reach it.
    ///
    /// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Handle::addr) tells which. A
    /// generation of 0 is replaced by the wall clock's.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the address is not one of this machine; if the address is
    /// unspecified (`0.0.0.0`), since others could not reach it: see [`bind_to`](Self::bind_to).
    pub fn bind(config: Config) -> Result<(Self, Events), BindError> {
        Self::bind_to(config.addr(), config)
    }

    /// Starts a node that listens at one address and tells others another one: behind a
    /// translation of addresses, or on all interfaces (`0.0.0.0`).
    ///
    /// Port 0 in the configuration stands for the port that the node listens on.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Self, Events), BindError> {
        let (sender, receiver) = sync_channel(MAX_EVENTS);
        let emitter = Emitter::new(move |event| sender.try_send(event).is_ok());
        let lagged = emitter.lagged();
        let driver = Driver::start(tidings_driver::start(listen, config, emitter)?)?;
        Ok((Self { handle: Handle::new(driver) }, Events { receiver, lagged }))
    }

    /// Joins a cluster through any of its members, and waits until one has answered; returns how
    /// many members there are then.
    ///
    /// Names are looked up first; of one that has several addresses, all are asked.
    ///
    /// # Errors
    ///
    /// If no member took the node in, with what is wrong with each; a name that cannot be looked up
    /// matters only then.
    pub fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Target>>,
    ) -> Result<usize, JoinFailed> {
        let targets: Vec<_> = seeds.into_iter().map(Into::into).collect();
        let Seeds { addrs, unresolved } = Seeds::look_up(&targets);
        let joined = command(|then| begin::join(self, &addrs, then));
        joined.map_err(|error| JoinFailed { unresolved, error })
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed, and waits
    /// until some have confirmed it; returns how many. The node has left even if none has.
    ///
    /// Afterwards drop the handle, or join again.
    pub fn leave(&self) -> Result<usize, Failure> {
        let (sender, answer) = sync_channel(1);
        begin::leave(self, move |ended| drop(sender.send(ended)));
        answer.recv().unwrap_or(Err(Failure::Stopped))
    }

    /// Sends a message to one member over a stream, and waits for the receipt; in memberlist's format,
    /// which has none, until it is written and the stream is closed.
    pub fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError<SendError>> {
        command(|then| begin::send_reliable(self, to, data.into(), then))
    }

    /// Pings a member, and waits for the answer; returns the round-trip time.
    pub fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
        command(|then| begin::ping(self, to, then))
    }
}

impl Deref for Tidings {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Begins a command, and waits until it has ended.
fn command<T: Send + 'static, E>(
    begin: impl FnOnce(Box<dyn FnOnce(Result<T, Failure>) + Send>) -> Result<Ticket, E>,
) -> Result<T, CommandError<E>> {
    let (sender, answer) = sync_channel(1);
    let then = Box::new(move |ended| drop(sender.send(ended)));
    begin(then).map_err(CommandError::NotBegun)?;
    answer.recv().unwrap_or(Err(Failure::Stopped)).map_err(CommandError::Failed)
}

/// What happens in the cluster, in order; ends once the node has stopped and its sockets are closed.
///
/// It holds 1,024 events. An application that takes them too slowly never holds up the node:
/// further ones, messages among them, are lost and counted, and the application should look at the
/// members again.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    lagged: Arc<AtomicU64>,
}

impl Events {
    /// Waits for the next event; `None` once the node has stopped.
    pub fn recv(&self) -> Option<Event> {
        self.receiver.recv().ok()
    }

    /// Waits for the next event, for some time; `None` if there is none in it.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Event> {
        self.receiver.recv_timeout(timeout).ok()
    }

    /// The next event, if one is there.
    pub fn try_recv(&self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// How many events were lost so far, since nobody took them.
    pub fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv()
    }
}
