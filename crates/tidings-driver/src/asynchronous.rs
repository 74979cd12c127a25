//! The handle and the events of an application that waits without blocking, and what asynchronous
//! drivers have under their lock.

mod events;
mod running;

pub use events::Events;
pub use running::Running;

use crate::begin;
use crate::discovery::{InvalidSource, SeedSource};
use crate::error::{CommandError, JoinError, SetSeedsError};
use crate::handle::{Drive, Handle, answered_at_once};
#[cfg(feature = "encryption")]
use crate::keys::KeyError;
use crate::observer::Observer;
use crate::seed::{Resolved, Seed};
use crate::watch::Condition;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::FusedFuture;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
#[cfg(feature = "record")]
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tidings::{
    BroadcastError, BroadcastKey, Failure, ForceLeaveError, Member, Meta, Node, NodeId, Phase,
    SendError, SetAddrError, Stats, Ticket, TooLong,
};
#[cfg(feature = "encryption")]
use tidings::{Key, Keyring};
#[cfg(feature = "record")]
use tidings_record::{Finishing, Limits, RecordError, Recorder};

/// A handle to a running node.
///
/// Cloning is cheap: all clones are handles to one node, and any task may use them. The node stops
/// when the last one is dropped, at once and without leaving; await [`leave`](Self::leave) before,
/// so that the others do not have to find out that it failed.
///
/// [`join`](Self::join), [`leave`](Self::leave), [`send_reliable`](Self::send_reliable) and
/// [`ping`](Self::ping) wait until other nodes have answered, at the latest until
/// [`stream_timeout`](tidings::Options::stream_timeout);
/// [`wait_for_members`](Self::wait_for_members), [`wait_for_member`](Self::wait_for_member) and
/// [`ready`](Self::ready) wait for as long as it takes. Dropping such a future cancels it, except a
/// leave, which goes on. All other methods wait for nobody.
#[derive(Clone)]
pub struct Tidings {
    shared: Arc<Shared>,
}

struct Shared {
    handle: Handle,
    run_blocking: Box<RunBlocking>,
}

/// Runs work on a thread that may block; drops it if the runtime has ended.
type RunBlocking = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

impl Tidings {
    pub(crate) fn new(
        driver: impl Drive + 'static,
        run_blocking: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
    ) -> Self {
        let run_blocking = Box::new(run_blocking);
        Self { shared: Arc::new(Shared { handle: Handle::new(driver), run_blocking }) }
    }

    /// Joins a cluster through any of its members, and waits until one has answered; returns the
    /// number of members then.
    ///
    /// A [`Seed`] is text, as in `node.join(["db-1:7946"])`, or an address. Names are looked up
    /// first, on a thread that may block; all addresses of a name are asked.
    ///
    /// # Errors
    ///
    /// If no member accepted the node, with the reason of each seed. Seeds that cannot be parsed or
    /// looked up matter only then.
    pub async fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Seed>>,
    ) -> Result<usize, JoinError> {
        let seeds = seeds.into_iter().map(Into::into).collect();
        let seeds = self.look_up(seeds).await.ok_or(JoinError::Stopped)?;
        let (answer, answered) = oneshot::channel();
        match begin::join(self.handle(), &seeds.addrs, send_to(answer)) {
            Err(error) => Err(seeds.not_started(error)),
            Ok(ticket) => {
                self.wait(ticket, answered).await.map_err(|failure| seeds.failed(failure))
            }
        }
    }

    /// Looks seeds up; `None` if the runtime has ended.
    async fn look_up(&self, seeds: Vec<Seed>) -> Option<Resolved> {
        if !seeds.iter().any(Seed::may_block) {
            return Some(Resolved::look_up(seeds));
        }
        let (answer, answered) = oneshot::channel();
        let work = move || drop(answer.send(Resolved::look_up(seeds)));
        (self.shared.run_blocking)(Box::new(work));
        answered.await.ok()
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed, and waits
    /// until some have confirmed it; returns how many. The node has left even if none has.
    ///
    /// Afterwards drop the handle, or join again.
    ///
    /// # Errors
    ///
    /// If no member confirmed it within [`stream_timeout`](tidings::Options::stream_timeout).
    pub async fn leave(&self) -> Result<usize, Failure> {
        let (answer, answered) = oneshot::channel();
        begin::leave(self.handle(), send_to(answer));
        answered.await.unwrap_or(Err(Failure::Stopped))
    }

    /// Waits until at least `count` members are present, this node included; returns how many there
    /// are then, and `None` if the node stops before.
    ///
    /// It takes as long as it takes: use the runtime's timeout.
    pub async fn wait_for_members(&self, count: usize) -> Option<usize> {
        self.watch(Condition::Members(count), Node::present_count).await
    }

    /// Waits until a member with this name is present; returns it, and `None` if the node stops
    /// before.
    ///
    /// It takes as long as it takes: use the runtime's timeout.
    pub async fn wait_for_member(&self, id: &NodeId) -> Option<Member> {
        let name = id.clone();
        let look = move |node: &Node| node.member(&name).cloned();
        self.watch(Condition::Member(id.clone()), look).await.flatten()
    }

    /// Waits until the node has settled among the members that its seeds know, as
    /// [`Node::is_ready`] describes, at once without seeds; `false` if the node stops before.
    ///
    /// It takes as long as it takes: use the runtime's timeout.
    pub async fn ready(&self) -> bool {
        self.watch(Condition::Ready, |_| ()).await.is_some()
    }

    async fn watch<T: Send + 'static>(
        &self,
        condition: Condition,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let then = move |node: &Node| _ = answer.send(look(node));
        let number = self.handle().with(|host, _| host.watch(condition, then));
        Pending { handle: self.handle(), what: What::Watcher(number), answer: answered }.await
    }

    /// Sends a message to one member over a stream, and waits for the receipt; in memberlist's
    /// format, which has no receipts, until it is written and the stream is closed.
    ///
    /// # Errors
    ///
    /// If the member is not present, or no receipt came; the member may have received it all the
    /// same.
    pub async fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError> {
        let data = data.into();
        let (answer, answered) = oneshot::channel();
        let ticket = begin::send_reliable(self.handle(), to, data, send_to(answer))
            .map_err(CommandError::NotSent)?;
        self.wait(ticket, answered).await.map_err(CommandError::Failed)
    }

    /// Pings a member, and waits for the answer; returns the round-trip time.
    ///
    /// # Errors
    ///
    /// If the member is not present, or does not answer in time.
    pub async fn ping(&self, to: &NodeId) -> Result<Duration, CommandError> {
        let (answer, answered) = oneshot::channel();
        let ticket =
            begin::ping(self.handle(), to, send_to(answer)).map_err(CommandError::NotSent)?;
        self.wait(ticket, answered).await.map_err(CommandError::Failed)
    }

    async fn wait<T>(
        &self,
        ticket: Ticket,
        answer: oneshot::Receiver<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let pending = Pending { handle: self.handle(), what: What::Command(ticket), answer };
        pending.await.unwrap_or(Err(Failure::Stopped))
    }

    fn handle(&self) -> &Handle {
        &self.shared.handle
    }
}

answered_at_once!(Tidings);

impl fmt::Debug for Tidings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tidings").field("handle", self.handle()).finish_non_exhaustive()
    }
}

/// Sends a command's outcome to the future that waits for it.
fn send_to<T: Send + 'static>(
    answer: oneshot::Sender<Result<T, Failure>>,
) -> impl FnOnce(Result<T, Failure>) + Send + 'static {
    move |ended| drop(answer.send(ended))
}

/// An answer that a future waits for, which is cancelled if the future is dropped; `None` once the
/// node has stopped.
struct Pending<'a, T> {
    handle: &'a Handle,
    what: What,
    answer: oneshot::Receiver<T>,
}

/// What a future waits for.
#[derive(Clone, Copy)]
enum What {
    Command(Ticket),
    Watcher(u64),
}

impl<T> Future for Pending<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.answer).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for Pending<'_, T> {
    fn drop(&mut self) {
        if self.answer.is_terminated() {
            return;
        }
        match self.what {
            What::Command(ticket) => {
                self.handle.drive(|node, now| node.cancel(now, ticket));
            }
            What::Watcher(number) => self.handle.with(|host, _| host.unwatch(number)),
        }
    }
}
