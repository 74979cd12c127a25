//! The adapters under test, behind one interface.

use super::node::{Node, wait};
use super::settings::key;
use futures_lite::{StreamExt, future};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;
use tidings_driver::prelude::{
    Builder, Config, DriverConfig, Event, Keyring, Plaintext, StartError,
};
use tidings_driver::{asynchronous, blocking};
use tokio::runtime::{self, Runtime};

/// All adapters.
pub const ADAPTERS: [Adapter; 5] = [STD, ASYNC_IO, SMOL, ASYNC_STD, TOKIO];

/// `tidings-std`: threads.
pub const STD: Adapter = adapter("std", |how| {
    let (node, events) = how.start(
        tidings_std::builder,
        tidings_std::bind,
        tidings_std::bind_to,
        tidings_std::bind_with,
    )?;
    Ok((Handle::Blocking(node), Box::new(events)))
});

/// `tidings-async-io`, each node's driver on a thread of its own.
pub const ASYNC_IO: Adapter = adapter("async-io", |how| {
    let (node, events, driver) = how.start(
        tidings_async_io::builder,
        tidings_async_io::bind,
        tidings_async_io::bind_to,
        tidings_async_io::bind_with,
    )?;
    thread::spawn(|| future::block_on(driver));
    Ok((Handle::Async(node, Waiting::OnItsOwn), Box::new(events)))
});

/// `tidings-smol`, on smol's global executor.
pub const SMOL: Adapter = adapter("smol", |how| {
    let (node, events) = how.start(
        tidings_smol::builder,
        tidings_smol::bind,
        tidings_smol::bind_to,
        tidings_smol::bind_with,
    )?;
    Ok((Handle::Async(node, Waiting::Smol), Box::new(events)))
});

/// `tidings-async-std`, on async-std's global executor.
pub const ASYNC_STD: Adapter = adapter("async-std", |how| {
    let (node, events) = how.start(
        tidings_async_std::builder,
        tidings_async_std::bind,
        tidings_async_std::bind_to,
        tidings_async_std::bind_with,
    )?;
    Ok((Handle::Async(node, Waiting::AsyncStd), Box::new(events)))
});

/// `tidings-tokio`, on a runtime that has a few threads.
pub const TOKIO: Adapter = adapter("tokio", |how| {
    let _entered = THREADS.enter();
    let (node, events) = how.start(
        tidings_tokio::builder,
        tidings_tokio::bind,
        tidings_tokio::bind_to,
        tidings_tokio::bind_with,
    )?;
    Ok((Handle::Async(node, Waiting::Tokio), Box::new(events)))
});

/// An adapter under test.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    name: &'static str,
    sealed: bool,
    start: Start,
}

const fn adapter(name: &'static str, start: Start) -> Adapter {
    Adapter { name, sealed: false, start }
}

type Start = fn(How) -> Result<Bound, StartError>;

/// A running node, and its events.
type Bound = (Handle, Box<dyn Events>);

/// The ways in which an application starts a node.
enum How {
    Bind(Config),
    BindTo(SocketAddr, Config),
    BindWith(SocketAddr, Config, DriverConfig),
    Build(&'static str, Settings),
}

impl How {
    fn start<T>(
        self,
        builder: fn(&str) -> Builder<T>,
        bind: fn(Config) -> Result<T, StartError>,
        bind_to: fn(SocketAddr, Config) -> Result<T, StartError>,
        bind_with: fn(SocketAddr, Config, DriverConfig) -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        match self {
            Self::Bind(config) => bind(config),
            Self::BindTo(listen, config) => bind_to(listen, config),
            Self::BindWith(listen, config, driver) => bind_with(listen, config, driver),
            Self::Build(cluster, settings) => settings.of(builder(cluster)).start(),
        }
    }
}

/// The settings that a builder is given; the others keep their defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The node's name.
    pub name: Option<&'static str>,
    /// The address to listen at.
    pub bind: Option<&'static str>,
    /// The address to advertise.
    pub advertise: Option<&'static str>,
    /// Metadata.
    pub meta: &'static str,
    /// A keyring.
    pub keyring: Option<Keyring>,
}

impl Settings {
    fn of<T>(self, builder: Builder<T>) -> Builder<T> {
        let builder = builder.meta(self.meta);
        let builder = match self.name {
            Some(name) => builder.name(name),
            None => builder,
        };
        let builder = match self.bind {
            Some(bind) => builder.bind(bind),
            None => builder,
        };
        let builder = match self.advertise {
            Some(advertise) => builder.advertise(advertise),
            None => builder,
        };
        match self.keyring {
            Some(keyring) => builder.keyring(keyring),
            None => builder,
        }
    }
}

impl Adapter {
    /// Its name, without `tidings-`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether all of its nodes encrypt.
    pub fn is_sealed(&self) -> bool {
        self.sealed
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
    pub fn bind(&self, config: Config) -> Result<Node, StartError> {
        (self.start)(How::Bind(self.seal(config))).map(Node::new)
    }

    /// Starts a node that listens at another address than it advertises.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn bind_to(&self, listen: SocketAddr, config: Config) -> Result<Node, StartError> {
        (self.start)(How::BindTo(listen, self.seal(config))).map(Node::new)
    }

    /// Starts a node with sources of seeds, a snapshot and notices.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn bind_with(
        &self,
        listen: SocketAddr,
        config: Config,
        driver: DriverConfig,
    ) -> Result<Node, StartError> {
        (self.start)(How::BindWith(listen, self.seal(config), driver)).map(Node::new)
    }

    /// Starts a node by the builder.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn build(&self, cluster: &'static str, settings: Settings) -> Result<Node, StartError> {
        (self.start)(How::Build(cluster, settings)).map(Node::new)
    }

    fn seal(&self, config: Config) -> Config {
        if !self.sealed {
            return config;
        }
        let sealed = config.to_builder().encryption(Keyring::new(key(0)), Plaintext::Refused);
        sealed.build().expect("the key is for our own format")
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

/// An adapter's handle.
#[derive(Clone, Debug)]
pub(super) enum Handle {
    Blocking(blocking::Tidings),
    Async(asynchronous::Tidings, Waiting),
}

/// Where an application waits for an asynchronous adapter's answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    OnItsOwn,
    Smol,
    AsyncStd,
    Tokio,
}

impl Waiting {
    pub(super) fn wait<F: Future>(self, answer: F) -> F::Output {
        match self {
            Self::OnItsOwn => future::block_on(answer),
            Self::Smol => smol::block_on(answer),
            Self::AsyncStd => async_std::task::block_on(answer),
            Self::Tokio => THREADS.block_on(answer),
        }
    }
}

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

/// The number of tasks that are alive on the runtime of [`TOKIO`].
pub fn alive_tasks() -> usize {
    THREADS.metrics().num_alive_tasks()
}

static THREADS: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the system has threads")
});
