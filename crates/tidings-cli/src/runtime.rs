//! What an agent's node runs on.
//!
//! The agent itself waits on threads. It shows that a node is the same on all of them.

use clap::ValueEnum;
use futures_lite::future::block_on;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use tidings_control::NodeService;
use tidings_driver::asynchronous::{self, Tidings};
use tidings_driver::prelude::{
    BroadcastError, Bytes, ClusterName, CommandError, Config, DriverConfig, Event, Failure,
    JoinError, Key, KeyError, Keyring, Limits, Member, Meta, NodeId, Observer, RecordError,
    SeedSource, SendError, SetAddrError, SetSeedsError, StartError, Stats, Target, TooLong,
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
        driver: DriverConfig,
    ) -> Result<(Node, Events), StartError> {
        match self {
            Self::Std => {
                let (node, events) = tidings_std::bind_with(listen, config, driver)?;
                Ok((Node::Std(node), Events::Std(events)))
            }
            Self::Smol => Ok(asynchronous(tidings_smol::bind_with(listen, config, driver)?)),
            Self::AsyncStd => {
                Ok(asynchronous(tidings_async_std::bind_with(listen, config, driver)?))
            }
            Self::Tokio => {
                let _inside = tokio().map_err(StartError::System)?.enter();
                Ok(asynchronous(tidings_tokio::bind_with(listen, config, driver)?))
            }
        }
    }
}

/// The tokio runtime of this process, which lasts as long as the process.
pub(crate) fn tokio() -> io::Result<&'static tokio::runtime::Runtime> {
    static RUNTIME: LazyLock<io::Result<tokio::runtime::Runtime>> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
    });
    RUNTIME.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

fn asynchronous((node, events): (Tidings, asynchronous::Events)) -> (Node, Events) {
    (Node::Async(node), Events::Async(events))
}

/// A handle to a running node, which stops when the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Std(tidings_std::Tidings),
    Async(Tidings),
}

/// Methods that the handles of all runtimes have.
macro_rules! answered_at_once {
    ($($name:ident($($arg:ident: $of:ty),*) -> $returns:ty;)*) => {
        impl Node {
            $(pub(crate) fn $name(&self, $($arg: $of),*) -> $returns {
                match self {
                    Self::Std(node) => node.$name($($arg),*),
                    Self::Async(node) => node.$name($($arg),*),
                }
            })*
        }
    };
}

answered_at_once! {
    local() -> Member;
    members() -> Vec<Member>;
    all_members() -> Vec<Member>;
    health() -> u32;
    record_in_memory(limits: Limits) -> Result<(), RecordError>;
    stats() -> Stats;
    observer() -> Observer;
    set_meta(meta: Meta) -> Result<(), TooLong>;
    set_addr(addr: SocketAddr) -> Result<(), SetAddrError>;
    set_sync_state(state: Vec<u8>) -> Result<(), TooLong>;
    send(to: &NodeId, data: Vec<u8>) -> Result<(), SendError>;
    broadcast(data: Vec<u8>) -> Result<(), BroadcastError>;
    record(path: &Path, limits: Limits) -> Result<(), RecordError>;
    stop_recording() -> Result<(), RecordError>;
    keyring() -> Option<Keyring>;
    add_key(key: Key) -> Result<(), KeyError>;
    use_key(key: &Key) -> Result<(), KeyError>;
    remove_key(key: &Key) -> Result<(), KeyError>;
}

impl Node {
    /// The commands that a control socket of this node takes.
    pub(crate) fn service(&self, cluster: ClusterName) -> NodeService {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Std(node) => NodeService::new(node.clone(), cluster, version),
            Self::Async(node) => NodeService::new(node.clone(), cluster, version),
        }
    }

    pub(crate) fn set_seeds(&self, sources: Vec<SeedSource>) -> Result<(), SetSeedsError> {
        match self {
            Self::Std(node) => node.set_seeds(sources),
            Self::Async(node) => node.set_seeds(sources),
        }
    }

    pub(crate) fn join(&self, seeds: Vec<Target>) -> Result<usize, JoinError> {
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
    ) -> Result<(), CommandError> {
        match self {
            Self::Std(node) => node.send_reliable(to, data),
            Self::Async(node) => block_on(node.send_reliable(to, data)),
        }
    }

    pub(crate) fn ping(&self, to: &NodeId) -> Result<Duration, CommandError> {
        match self {
            Self::Std(node) => node.ping(to),
            Self::Async(node) => block_on(node.ping(to)),
        }
    }
}

/// What happens in the cluster.
#[derive(Debug)]
pub(crate) enum Events {
    Std(tidings_std::Events),
    Async(asynchronous::Events),
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
