//! A cluster member on [`async_io`], for any executor.
//!
//! [`Tidings::bind`] makes a node on a UDP and a TCP port of one number and returns a handle, with
//! which the application asks, its events, and a future that moves its bytes and its time, to be spawned on
//! whatever executor there is. Everything else is the protocol's, which is the crate [`tidings`]: this one
//! decides nothing. Whoever runs smol or async-std takes `tidings-smol` or `tidings-async-std`, which spawn it.
//!
//! ```
//! use tidings_async_io::{ClusterName, Config, NodeId, Tidings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let cluster = ClusterName::new("shop")?;
//!     let here = "127.0.0.1:0".parse()?;
//!     let (a, mut events, driver) =
//!         Tidings::bind(Config::local(cluster.clone(), NodeId::new("a")?, here))?;
//!     std::thread::spawn(|| async_io::block_on(driver));
//!     let (b, _, driver) = Tidings::bind(Config::local(cluster, NodeId::new("b")?, here))?;
//!     std::thread::spawn(|| async_io::block_on(driver));
//!     async_io::block_on(async {
//!         println!("{} members", b.join([a.addr()]).await?);
//!         println!("{:?}", events.recv().await);
//!         b.leave().await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A node is one future, in which the streams that are open have tasks of their own: it runs on one thread
//! at a time. Dropping the handle ends it; its sockets are closed as soon as the executor has polled it
//! once more, which the end of the events tells. A node that has nothing to do does not wake.
//!
//! The feature `encryption` has a node encrypt all that it sends: `Config::with_encryption`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;

use driver::Driver;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use tidings_driver::Seeds;
#[doc(inline)]
pub use tidings_driver::asynchronous::{AsyncHandle, Events};
#[doc(inline)]
pub use tidings_driver::prelude::*;

/// A running node; dropping it stops the node at once, without leaving.
///
/// What it can be asked is with the [`AsyncHandle`] and the [`Handle`] that it derefs to.
#[derive(Debug)]
pub struct Tidings {
    handle: AsyncHandle,
}

impl Tidings {
    /// Makes a node that listens where its configuration says that others reach it, and what drives it.
    ///
    /// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Handle::addr) tells which. A
    /// generation of 0 is replaced by the wall clock's. Datagrams and streams wait until the driver is polled;
    /// if that is dropped, the node has stopped.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the address is not one of this machine; if the address is
    /// unspecified (`0.0.0.0`), since others could not reach it: see [`bind_to`](Self::bind_to).
    pub fn bind(
        config: Config,
    ) -> Result<(Self, Events, impl Future<Output = ()> + Send + use<>), BindError> {
        Self::bind_to(config.addr(), config)
    }

    /// Makes a node that listens at one address and tells others another one: behind a
    /// translation of addresses, or on all interfaces (`0.0.0.0`).
    ///
    /// Port 0 in the configuration stands for the port that the node listens on.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_to(
        listen: SocketAddr,
        config: Config,
    ) -> Result<(Self, Events, impl Future<Output = ()> + Send + use<>), BindError> {
        let (emitter, events) = Events::channel();
        let (driver, remote) = Driver::new(tidings_driver::start(listen, config, emitter)?)?;
        let handle = AsyncHandle::new(remote, |targets| {
            blocking::unblock(move || Some(Seeds::look_up(&targets)))
        });
        Ok((Self { handle }, events, driver.run()))
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
