//! A cluster member on [`tokio`].
//!
//! [`Tidings::bind`] starts a node on a UDP and a TCP port of one number and returns a handle, with
//! which the application asks, and its events. Everything else is the protocol's, which is the
//! crate [`tidings`]: this one moves bytes and time, and decides nothing.
//!
//! ```
//! use tidings_tokio::{ClusterName, Config, NodeId, Tidings};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let cluster = ClusterName::new("shop")?;
//!     let here = "127.0.0.1:0".parse()?;
//!     let (a, mut events) = Tidings::bind(Config::local(cluster.clone(), NodeId::new("a")?, here))?;
//!     let (b, _) = Tidings::bind(Config::local(cluster, NodeId::new("b")?, here))?;
//!     println!("{} members", b.join([a.addr()]).await?);
//!     println!("{:?}", events.recv().await);
//!     b.leave().await?;
//!     Ok(())
//! }
//! ```
//!
//! A node is one task of the runtime, and one more for each stream that is open. Dropping the handle ends them;
//! the sockets are closed as soon as the runtime has polled the first one once more, which the end of the events
//! tells. A node that has nothing to do does not wake.
//!
//! The feature `encryption` has a node encrypt all that it sends: `Config::with_encryption`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;

use driver::Driver;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use tidings_driver::Seeds;
#[doc(inline)]
pub use tidings_driver::asynchronous::{AsyncHandle, Events};
#[doc(inline)]
pub use tidings_driver::prelude::*;
use tokio::runtime;

/// A running node; dropping it stops the node at once, without leaving.
///
/// What it can be asked is with the [`AsyncHandle`] and the [`Handle`] that it derefs to.
#[derive(Debug)]
pub struct Tidings {
    handle: AsyncHandle,
}

impl Tidings {
    /// Starts a node that listens where its configuration says that others reach it.
    ///
    /// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Handle::addr) tells which. A
    /// generation of 0 is replaced by the wall clock's. It runs on the runtime in which this is called; should
    /// that end before, the node has stopped.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the address is not one of this machine; if the address is
    /// unspecified (`0.0.0.0`), since others could not reach it: see [`bind_to`](Self::bind_to); if
    /// there is no runtime here.
    ///
    /// # Panics
    ///
    /// If the runtime has its I/O or its time switched off, as tokio does for all that needs them.
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
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Self, Events), BindError> {
        let runtime = runtime::Handle::try_current();
        let runtime = runtime.map_err(|error| BindError::System(io::Error::other(error)))?;
        let (emitter, events) = Events::channel();
        let started = tidings_driver::start(listen, config, emitter)?;
        let (driver, remote) = Driver::new(started, runtime.clone())?;
        drop(runtime.spawn(driver.run()));
        let handle = AsyncHandle::new(remote, move |targets| {
            let work = runtime.spawn_blocking(move || Seeds::look_up(&targets));
            async { work.await.ok() }
        });
        Ok((Self { handle }, events))
    }
}

impl Deref for Tidings {
    type Target = AsyncHandle;

    fn deref(&self) -> &AsyncHandle {
        &self.handle
    }
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
