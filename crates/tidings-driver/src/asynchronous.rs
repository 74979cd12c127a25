//! What asynchronous drivers have in common: what their applications hold, and what is under their lock.

mod events;
mod running;

pub use events::Events;
pub use running::Running;

use crate::begin;
use crate::error::{CommandError, JoinFailed};
use crate::handle::{Drive, Handle};
use crate::lookup::Seeds;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::FusedFuture;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tidings::{Failure, NodeId, SendError, Target, Ticket};

/// A running node; dropping it stops the node at once, without leaving.
///
/// What is answered at once is asked of the [`Handle`] that this derefs to. What waits for others, here,
/// ends at the latest after [`stream_timeout`](tidings::Options::stream_timeout). Whoever drops such
/// a future takes the command back, a leave apart, which goes on.
pub struct AsyncHandle {
    handle: Handle,
    look_up: Box<LookUp>,
}

/// Looks places to join up on a thread that may block; `None` if the runtime has ended.
type LookUp =
    dyn Fn(Vec<Target>) -> Pin<Box<dyn Future<Output = Option<Seeds>> + Send>> + Send + Sync;

impl AsyncHandle {
    /// A handle for a driver that runs, one for each, with what has [`Seeds::look_up`] run on a thread
    /// that may block, and gives `None` if there is none any more.
    pub fn new<F>(
        driver: impl Drive + 'static,
        look_up: impl Fn(Vec<Target>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Seeds>> + Send + 'static,
    {
        let look_up = Box::new(move |targets| Box::pin(look_up(targets)) as _);
        Self { handle: Handle::new(driver), look_up }
    }

    /// Joins a cluster through any of its members, and waits until one has answered; returns how
    /// many members there are then.
    ///
    /// Names are looked up first, without blocking anybody; of one that has several addresses, all are
    /// asked.
    ///
    /// # Errors
    ///
    /// If no member took the node in, with what is wrong with each; a name that cannot be looked up
    /// matters only then.
    pub async fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Target>>,
    ) -> Result<usize, JoinFailed> {
        let targets: Vec<_> = seeds.into_iter().map(Into::into).collect();
        let found = if Seeds::may_block(&targets) {
            (self.look_up)(targets).await
        } else {
            Some(Seeds::look_up(&targets))
        };
        let Some(Seeds { addrs, unresolved }) = found else {
            let error = CommandError::Failed(Failure::Stopped);
            return Err(JoinFailed { unresolved: Vec::new(), error });
        };
        let joined = self.command(|then| begin::join(self, &addrs, then)).await;
        joined.map_err(|error| JoinFailed { unresolved, error })
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed, and waits
    /// until some have confirmed it; returns how many. The node has left even if none has.
    ///
    /// Afterwards drop the handle, or join again.
    pub async fn leave(&self) -> Result<usize, Failure> {
        let (sender, answer) = oneshot::channel();
        begin::leave(self, move |ended| drop(sender.send(ended)));
        answer.await.unwrap_or(Err(Failure::Stopped))
    }

    /// Sends a message to one member over a stream, and waits for the receipt; in memberlist's format,
    /// which has none, until it is written and the stream is closed.
    pub async fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError<SendError>> {
        let data = data.into();
        self.command(|then| begin::send_reliable(self, to, data, then)).await
    }

    /// Pings a member, and waits for the answer; returns the round-trip time.
    pub async fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
        self.command(|then| begin::ping(self, to, then)).await
    }

    async fn command<T: Send + 'static, E>(
        &self,
        begin: impl FnOnce(Box<dyn FnOnce(Result<T, Failure>) + Send>) -> Result<Ticket, E>,
    ) -> Result<T, CommandError<E>> {
        let (sender, answer) = oneshot::channel();
        let then = Box::new(move |ended| drop(sender.send(ended)));
        let ticket = begin(then).map_err(CommandError::NotBegun)?;
        let pending = Pending { handle: self, ticket, answer };
        pending.await.map_err(CommandError::Failed)
    }
}

impl Deref for AsyncHandle {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for AsyncHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncHandle").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// A command that was begun, and is taken back if nobody waits for it any more.
struct Pending<'a, T> {
    handle: &'a Handle,
    ticket: Ticket,
    answer: oneshot::Receiver<Result<T, Failure>>,
}

impl<T> Future for Pending<'_, T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.answer).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(Failure::Stopped)))
    }
}

impl<T> Drop for Pending<'_, T> {
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            self.handle.drive(|node, now| node.cancel(now, self.ticket));
        }
    }
}
