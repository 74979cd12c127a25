//! The handle and the events of an application that waits by blocking.

use crate::begin;
use crate::discovery::{InvalidSource, SeedSource};
use crate::error::{CommandError, JoinError, SetSeedsError};
use crate::handle::{Drive, Handle, answered_at_once};
#[cfg(feature = "encryption")]
use crate::keys::KeyError;
use crate::observer::Observer;
use crate::seed::{Resolved, Seed};
use crate::state::{Emitter, EventRoom, MAX_EVENTS};
use crate::watch::Condition;
use bytes::Bytes;
use std::net::SocketAddr;
#[cfg(feature = "record")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TrySendError, channel, sync_channel};
use std::time::Duration;
use tidings::{
    BroadcastError, BroadcastKey, Event, Failure, ForceLeaveError, Member, Meta, Node, NodeId,
    Phase, SendError, SetAddrError, Stats, TooLong,
};
#[cfg(feature = "encryption")]
use tidings::{Key, Keyring};
#[cfg(feature = "record")]
use tidings_record::{Finishing, Limits, RecordError, Recorder};

/// A handle to a running node.
///
/// Cloning is cheap: all clones are handles to one node, and any thread may use them. The node
/// stops when the last one is dropped, at once and without leaving; call [`leave`](Self::leave)
/// before, so that the others do not have to find out that it failed.
///
/// [`join`](Self::join), [`leave`](Self::leave), [`send_reliable`](Self::send_reliable) and
/// [`ping`](Self::ping) block until other nodes have answered, at the latest until
/// [`stream_timeout`](tidings::Options::stream_timeout);
/// [`wait_for_members`](Self::wait_for_members), [`wait_for_member`](Self::wait_for_member) and
/// [`ready`](Self::ready) block for as long as they are told. All other methods wait for nobody.
#[derive(Clone, Debug)]
pub struct Tidings {
    handle: Arc<Handle>,
}

impl Tidings {
    pub(crate) fn new(driver: impl Drive + 'static) -> Self {
        Self { handle: Arc::new(Handle::new(driver)) }
    }

    /// Joins a cluster through any of its members, and waits until one has answered; returns the
    /// number of members then.
    ///
    /// A [`Seed`] is text, as in `node.join(["db-1:7946"])`, or an address. Names are looked up
    /// first; all addresses of a name are asked.
    ///
    /// # Errors
    ///
    /// If no member accepted the node, with the reason of each seed. Seeds that cannot be parsed or
    /// looked up matter only then.
    pub fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Seed>>,
    ) -> Result<usize, JoinError> {
        let seeds = Resolved::look_up(seeds.into_iter().map(Into::into).collect());
        let (answer, answered) = channel();
        match begin::join(&self.handle, &seeds.addrs, send_to(answer)) {
            Err(error) => Err(seeds.not_started(error)),
            Ok(_) => wait(&answered).map_err(|failure| seeds.failed(failure)),
        }
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed, and waits
    /// until some have confirmed it; returns how many. The node has left even if none has.
    ///
    /// Afterwards drop the handle, or join again.
    ///
    /// # Errors
    ///
    /// If no member confirmed it within [`stream_timeout`](tidings::Options::stream_timeout).
    pub fn leave(&self) -> Result<usize, Failure> {
        let (answer, answered) = channel();
        begin::leave(&self.handle, send_to(answer));
        wait(&answered)
    }

    /// Waits until at least `count` members are present, this node included; returns how many there
    /// are then, and `None` if that takes longer than `timeout`.
    pub fn wait_for_members(&self, count: usize, timeout: Duration) -> Option<usize> {
        self.watch(Condition::Members(count), timeout, Node::present_count)
    }

    /// Waits until a member with this name is present; returns it, and `None` if that takes longer
    /// than `timeout`.
    pub fn wait_for_member(&self, id: &NodeId, timeout: Duration) -> Option<Member> {
        let member = Condition::Member(id.clone());
        let id = id.clone();
        self.watch(member, timeout, move |node| node.member(&id).cloned()).flatten()
    }

    /// Waits until the node has settled among the members that its seeds know, as
    /// [`Node::is_ready`] describes, at once without seeds; `false` if that takes longer than
    /// `timeout`, or the node stops before.
    pub fn ready(&self, timeout: Duration) -> bool {
        self.watch(Condition::Ready, timeout, |_| ()).is_some()
    }

    fn watch<T: Send + 'static>(
        &self,
        condition: Condition,
        timeout: Duration,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = channel();
        let then = move |node: &Node| _ = answer.send(look(node));
        let number = self.handle.with(|host, _| host.watch(condition, then));
        let seen = answered.recv_timeout(timeout).ok();
        if seen.is_none() {
            self.handle.with(|host, _| host.unwatch(number));
        }
        seen
    }

    /// Sends a message to one member over a stream, and waits for the receipt; in memberlist's
    /// format, which has no receipts, until it is written and the stream is closed.
    ///
    /// # Errors
    ///
    /// If the member is not present, or no receipt came; the member may have received it all the
    /// same.
    pub fn send_reliable(&self, to: &NodeId, data: impl Into<Bytes>) -> Result<(), CommandError> {
        let (answer, answered) = channel();
        begin::send_reliable(&self.handle, to, data.into(), send_to(answer))
            .map_err(CommandError::NotSent)?;
        wait(&answered).map_err(CommandError::Failed)
    }

    /// Pings a member, and waits for the answer; returns the round-trip time.
    ///
    /// # Errors
    ///
    /// If the member is not present, or does not answer in time.
    pub fn ping(&self, to: &NodeId) -> Result<Duration, CommandError> {
        let (answer, answered) = channel();
        begin::ping(&self.handle, to, send_to(answer)).map_err(CommandError::NotSent)?;
        wait(&answered).map_err(CommandError::Failed)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

answered_at_once!(Tidings);

/// Sends a command's outcome to the thread that waits for it.
fn send_to<T: Send + 'static>(
    answer: Sender<Result<T, Failure>>,
) -> impl FnOnce(Result<T, Failure>) + Send + 'static {
    move |ended| drop(answer.send(ended))
}

fn wait<T>(answered: &Receiver<Result<T, Failure>>) -> Result<T, Failure> {
    answered.recv().unwrap_or(Err(Failure::Stopped))
}

/// The events of a node, in order; ends once the node has stopped and its sockets are closed.
///
/// It holds 1,024 events, and 64 MiB of them. An application that takes them too slowly never holds
/// up the node: further ones, messages among them, are lost and counted by
/// [`lagged`](Self::lagged), and the application should look at
/// [`members`](Tidings::members) again.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    room: EventRoom,
    lagged: Arc<AtomicU64>,
}

impl Events {
    pub(crate) fn channel() -> (Emitter, Self) {
        let (sender, receiver) = sync_channel(MAX_EVENTS);
        let room = EventRoom::default();
        let emitter = Emitter::bounded(room.clone(), move |event| {
            sender.try_send(event).map_err(|error| match error {
                TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
            })
        });
        let lagged = emitter.lagged();
        (emitter, Self { receiver, room, lagged })
    }

    /// Waits for the next event; `None` once the node has stopped.
    pub fn recv(&self) -> Option<Event> {
        self.received(self.receiver.recv().ok())
    }

    /// Waits for the next event, for some time; `None` if there is none in it.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Event> {
        self.received(self.receiver.recv_timeout(timeout).ok())
    }

    /// The next event, if one is there.
    pub fn try_recv(&self) -> Option<Event> {
        self.received(self.receiver.try_recv().ok())
    }

    fn received(&self, event: Option<Event>) -> Option<Event> {
        event.inspect(|event| self.room.release(event))
    }

    /// The number of events lost so far, because the application took them too slowly.
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
