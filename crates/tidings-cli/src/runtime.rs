//! What an agent's node runs on.
//!
//! The agent itself waits on threads. It shows that a node is the same on all of them.

use clap::ValueEnum;
use futures_lite::future::block_on;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;
use tidings_driver::asynchronous::AsyncHandle;
use tidings_driver::prelude::{
    BindError, Bytes, CommandError, Config, Event, Failure, Handle, JoinFailed, NodeId, SendError,
    Target,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Runtime {
    /// Threads and blocking sockets
    Std,
    Smol,
    AsyncStd,
    Tokio,
}

impl Runtime {
    /// Starts a node on it.
    pub(crate) fn bind(
        self,
        listen: SocketAddr,
        config: Config,
    ) -> Result<(Node, Events), BindError> {
        match self {
            Self::Std => {
                let (node, events) = tidings_std::Tidings::bind_to(listen, config)?;
                Ok((Node::Std(node), Events::Std(events)))
            }
            Self::Smol => Ok(asynchronous(tidings_smol::Tidings::bind_to(listen, config)?)),
            Self::AsyncStd => {
                Ok(asynchronous(tidings_async_std::Tidings::bind_to(listen, config)?))
            }
            Self::Tokio => {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(1).enable_all().build();
                // It lasts as long as the process, which has one node.
                let runtime = Box::leak(Box::new(runtime.map_err(BindError::System)?));
                let _inside = runtime.enter();
                Ok(asynchronous(tidings_tokio::Tidings::bind_to(listen, config)?))
            }
        }
    }
}

fn asynchronous<T: Asynchronous + 'static>(
    (node, events): (T, tidings_driver::asynchronous::Events),
) -> (Node, Events) {
    (Node::Async(Box::new(node)), Events::Async(events))
}

/// A running node; dropping it stops it.
#[derive(Debug)]
pub(crate) enum Node {
    Std(tidings_std::Tidings),
    Async(Box<dyn Asynchronous>),
}

/// A node of an asynchronous runtime.
pub(crate) trait Asynchronous:
    Deref<Target = AsyncHandle> + std::fmt::Debug + Send + Sync
{
}

impl<T: Deref<Target = AsyncHandle> + std::fmt::Debug + Send + Sync> Asynchronous for T {}

impl Node {
    pub(crate) fn join(&self, seeds: Vec<Target>) -> Result<usize, JoinFailed> {
        match self {
            Self::Std(node) => node.join(seeds),
            Self::Async(node) => block_on(node.join(seeds)),
        }
    }

    pub(crate) fn leave(&self) -> Result<usize, Failure> {
        match self {
            Self::Std(node) => node.leave(),
            Self::Async(node) => block_on(node.leave()),
        }
    }

    pub(crate) fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError<SendError>> {
        match self {
            Self::Std(node) => node.send_reliable(to, data),
            Self::Async(node) => block_on(node.send_reliable(to, data)),
        }
    }

    pub(crate) fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
        match self {
            Self::Std(node) => node.ping(to),
            Self::Async(node) => block_on(node.ping(to)),
        }
    }
}

impl Deref for Node {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        match self {
            Self::Std(node) => node,
            Self::Async(node) => node,
        }
    }
}

/// What happens in the cluster.
#[derive(Debug)]
pub(crate) enum Events {
    Std(tidings_std::Events),
    Async(tidings_driver::asynchronous::Events),
}

impl Events {
    pub(crate) fn recv(&mut self) -> Option<Event> {
        match self {
            Self::Std(events) => events.recv(),
            Self::Async(events) => block_on(events.recv()),
        }
    }

    pub(crate) fn lagged(&self) -> u64 {
        match self {
            Self::Std(events) => events.lagged(),
            Self::Async(events) => events.lagged(),
        }
    }
}
