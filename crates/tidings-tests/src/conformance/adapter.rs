//! The adapters under test, behind one interface.

use super::node::{Node, wait};
use super::settings::key;
use futures_lite::{StreamExt, future};
use std::convert::identity;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;
use tidings_driver::prelude::{
    BindError, Bytes, CommandError, Config, Event, Failure, JoinFailed, Keyring, NodeId, Plaintext,
    SendError, Target,
};
use tidings_driver::{Handle, asynchronous};
use tokio::runtime::{Builder, Runtime};

/// All adapters.
pub const ADAPTERS: [Adapter; 5] = [STD, ASYNC_IO, SMOL, ASYNC_STD, TOKIO];

/// `tidings-std`: threads.
pub const STD: Adapter = adapter("std", bind!(tidings_std::Tidings, anywhere));
commands!(tidings_std::Tidings, identity);

/// `tidings-async-io`, each node's driver on a thread of its own.
pub const ASYNC_IO: Adapter = adapter("async-io", bind!(tidings_async_io::Tidings, on_a_thread));
commands!(tidings_async_io::Tidings, future::block_on);

/// `tidings-smol`, on smol's global executor.
pub const SMOL: Adapter = adapter("smol", bind!(tidings_smol::Tidings, anywhere));
commands!(tidings_smol::Tidings, smol::block_on);

/// `tidings-async-std`, on async-std's global executor.
pub const ASYNC_STD: Adapter = adapter("async-std", bind!(tidings_async_std::Tidings, anywhere));
commands!(tidings_async_std::Tidings, async_std::task::block_on);

/// `tidings-tokio`, on a runtime that has a few threads.
pub const TOKIO: Adapter = adapter("tokio", bind!(tidings_tokio::Tidings, on_threads));
commands!(tidings_tokio::Tidings, wait_on_threads);

/// An adapter under test.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    name: &'static str,
    sealed: bool,
    bind: Bind,
}

const fn adapter(name: &'static str, bind: Bind) -> Adapter {
    Adapter { name, sealed: false, bind }
}

/// Starts a node that listens at its configured address, or at another one.
type Bind = fn(Option<SocketAddr>, Config) -> Result<Bound, BindError>;

/// A running node and its events.
type Bound = (Box<dyn Commands>, Box<dyn Events>);

impl Adapter {
    /// Its name, without `tidings-`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Makes all of its nodes encrypt.
    #[must_use]
    pub const fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Starts a node that listens at its configured address.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn bind(&self, config: Config) -> Result<Node, BindError> {
        (self.bind)(None, self.seal(config)).map(Node::new)
    }

    /// Starts a node that listens at another address than it advertises.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn bind_to(&self, listen: SocketAddr, config: Config) -> Result<Node, BindError> {
        (self.bind)(Some(listen), self.seal(config)).map(Node::new)
    }

    fn seal(&self, config: Config) -> Config {
        if !self.sealed {
            return config;
        }
        let sealed = config.with_encryption(Keyring::new(key(0)), Plaintext::Refused);
        sealed.expect("the key is for our own format")
    }

    /// Starts a node; panics if that fails.
    #[track_caller]
    pub fn start(&self, config: Config) -> Node {
        self.bind(config).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Starts nodes that have not joined each other.
    #[track_caller]
    pub fn nodes<const N: usize>(&self, config: fn(&str) -> Config, names: [&str; N]) -> [Node; N] {
        names.map(|name| self.start(config(name)))
    }

    /// Starts a cluster: nodes that have joined and see each other.
    #[track_caller]
    pub fn cluster<const N: usize>(
        &self,
        config: fn(&str) -> Config,
        names: [&str; N],
    ) -> [Node; N] {
        let nodes = self.nodes(config, names);
        for node in &nodes[1..] {
            node.join([nodes[0].addr()]).unwrap();
        }
        for node in &nodes {
            wait(|| node.members().len() == N);
        }
        nodes
    }
}

/// The commands of an adapter's handle that wait for other nodes.
pub(super) trait Commands: Send + Sync {
    fn handle(&self) -> &Handle;
    fn join(&self, seeds: Vec<Target>) -> Result<usize, JoinFailed>;
    fn leave(&self) -> Result<usize, Failure>;
    fn send_reliable(&self, to: &NodeId, data: Bytes) -> Result<(), CommandError<SendError>>;
    fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>>;
}

/// An adapter's handle, with commands that block until they complete.
struct Waiting<T>(T);

/// An adapter's event stream.
pub(super) trait Events: Send {
    /// The next event; `None` at the timeout or at the end of the stream.
    fn recv_timeout(&mut self, timeout: Duration) -> Option<Event>;
    fn try_recv(&mut self) -> Option<Event>;
    fn lagged(&self) -> u64;
    /// All remaining events, up to the end of the stream.
    fn rest(self: Box<Self>) -> Vec<Event>;
}

/// All asynchronous adapters have the same event stream.
impl Events for asynchronous::Events {
    fn recv_timeout(&mut self, timeout: Duration) -> Option<Event> {
        let over = async {
            async_io::Timer::after(timeout).await;
            None
        };
        future::block_on(future::or(self.recv(), over))
    }

    fn try_recv(&mut self) -> Option<Event> {
        Self::try_recv(self)
    }

    fn lagged(&self) -> u64 {
        Self::lagged(self)
    }

    fn rest(self: Box<Self>) -> Vec<Event> {
        future::block_on(self.collect())
    }
}

impl Events for tidings_std::Events {
    fn recv_timeout(&mut self, timeout: Duration) -> Option<Event> {
        Self::recv_timeout(self, timeout)
    }

    fn try_recv(&mut self) -> Option<Event> {
        Self::try_recv(self)
    }

    fn lagged(&self) -> u64 {
        Self::lagged(self)
    }

    fn rest(self: Box<Self>) -> Vec<Event> {
        self.collect()
    }
}

// ---- where nodes are started ----

fn anywhere<B>(bind: impl FnOnce() -> Result<B, BindError>) -> Result<B, BindError> {
    bind()
}

fn on_a_thread<N, E, D: Future<Output = ()> + Send + 'static>(
    bind: impl FnOnce() -> Result<(N, E, D), BindError>,
) -> Result<(N, E), BindError> {
    let (node, events, driver) = bind()?;
    thread::spawn(|| future::block_on(driver));
    Ok((node, events))
}

fn on_threads<B>(bind: impl FnOnce() -> B) -> B {
    let _entered = THREADS.enter();
    bind()
}

fn wait_on_threads<F: Future>(answer: F) -> F::Output {
    THREADS.block_on(answer)
}

/// The number of tasks that are alive on the runtime of [`TOKIO`].
pub fn alive_tasks() -> usize {
    THREADS.metrics().num_alive_tasks()
}

static THREADS: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the system has threads")
});

/// The `Bind` function of an adapter: `$there` runs a closure where the adapter needs it.
macro_rules! bind {
    ($tidings:ty, $there:ident) => {
        |listen, config| {
            let (node, events) = match listen {
                Some(listen) => $there(|| <$tidings>::bind_to(listen, config))?,
                None => $there(|| <$tidings>::bind(config))?,
            };
            Ok((Box::new(Waiting(node)), Box::new(events)))
        }
    };
}
use bind;

/// Implements `Commands` for an adapter: `$answer` waits for the result of a method.
macro_rules! commands {
    ($tidings:ty, $answer:path) => {
        impl Commands for Waiting<$tidings> {
            fn handle(&self) -> &Handle {
                &self.0
            }

            fn join(&self, seeds: Vec<Target>) -> Result<usize, JoinFailed> {
                $answer(self.0.join(seeds))
            }

            fn leave(&self) -> Result<usize, Failure> {
                $answer(self.0.leave())
            }

            fn send_reliable(
                &self,
                to: &NodeId,
                data: Bytes,
            ) -> Result<(), CommandError<SendError>> {
                $answer(self.0.send_reliable(to, data))
            }

            fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
                $answer(self.0.ping(to))
            }
        }
    };
}
use commands;
