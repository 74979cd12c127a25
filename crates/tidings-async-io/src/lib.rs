//! A cluster member on [`async_io`], for any executor.
//!
//! [`builder`] sets up a node and starts it. It returns a handle, [`Tidings`], with which the
//! application calls the node, its [`Events`], and a [`Driver`]: the future that moves the node's
//! bytes and time, to be spawned on any executor. For smol and async-std, `tidings-smol` and
//! `tidings-async-std` spawn it.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (node, mut events, driver) = tidings_async_io::builder("shop").meta("role=db").start()?;
//!     std::thread::spawn(|| async_io::block_on(driver));
//!     async_io::block_on(async {
//!         node.join(["db-1:7946", "db-2:7946"]).await?;
//!         while let Some(event) = events.recv().await {
//!             println!("{event:?}");
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! The node is named after the machine, listens on port 7946 of all interfaces by UDP and TCP, and
//! advertises the address of the default route; [`Builder`] changes each of these. Two nodes in one
//! program, on free ports of the loopback interface:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let start = |name| tidings_async_io::builder("shop").name(name).bind("127.0.0.1:0").start();
//! let ((a, mut events, a_driver), (b, _, b_driver)) = (start("a")?, start("b")?);
//! for driver in [a_driver, b_driver] {
//!     std::thread::spawn(|| async_io::block_on(driver));
//! }
//! async_io::block_on(async {
//!     println!("{} members", b.join([a.addr()]).await?);
//!     println!("{:?}", events.recv().await);
//!     b.leave().await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! A node is one future, in which the streams that are open have tasks of their own: it runs on one
//! thread at a time. Dropping the last handle ends it; its sockets are closed as soon as the
//! executor has polled it once more, and then the events end. A node that has nothing to do does
//! not wake. Sources of seeds are looked up, and a snapshot is written, on threads of their own.
//!
//! All decisions are the protocol's, which is the crate [`tidings`]: this one moves bytes and time.
//! The feature `encryption` adds [`Builder`]'s `keyring`, the feature `memberlist` the wire format
//! of HashiCorp's memberlist.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
#[doc(inline)]
pub use tidings_driver::asynchronous::{Events, Tidings};
use tidings_driver::build;
#[doc(inline)]
pub use tidings_driver::prelude::*;

/// The future that drives a node, to be spawned; ready once the node's last handle was dropped.
///
/// Until it is polled, datagrams and streams wait. If it is dropped, the node has stopped.
#[must_use = "the node does nothing until its driver is polled"]
pub struct Driver {
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.run.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// A builder for a node of a cluster: all but the cluster's name has a default.
///
/// ```
/// let node = tidings_async_io::builder("shop").name("db-7").bind("127.0.0.1:0").meta("role=db");
/// let (node, events, driver) = node.start()?;
/// # Ok::<(), tidings_async_io::StartError>(())
/// ```
pub fn builder(cluster: &str) -> Builder<(Tidings, Events, Driver)> {
    build::builder(cluster, bind_with)
}

/// Makes a node from a [`Config`], listening at the address that the configuration advertises.
///
/// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Tidings::addr) returns it. A
/// generation of 0 is replaced by the wall clock's. [`builder`] is the shorter way, and has
/// defaults.
///
/// # Errors
///
/// If the port is taken, or the address is not one of this machine; if the address is
/// unspecified (`0.0.0.0`), because other nodes could not reach it: see [`bind_to`].
pub fn bind(config: Config) -> Result<(Tidings, Events, Driver), StartError> {
    bind_to(config.addr(), config)
}

/// Makes a node from a [`Config`], listening at another address than the one that the configuration
/// advertises: behind a translation of addresses, or on all interfaces (`0.0.0.0`).
///
/// Port 0 in the configuration stands for the port that the node listens on.
///
/// # Errors
///
/// As [`bind`].
pub fn bind_to(
    listen: SocketAddr,
    config: Config,
) -> Result<(Tidings, Events, Driver), StartError> {
    bind_with(listen, config, DriverConfig::new())
}

/// Makes a node as [`bind_to`] does, with sources of seeds, a snapshot and notices.
///
/// # Errors
///
/// As [`bind`], and if a setting of the [`DriverConfig`] is not valid.
pub fn bind_with(
    listen: SocketAddr,
    config: Config,
    driver: DriverConfig,
) -> Result<(Tidings, Events, Driver), StartError> {
    let (emitter, events) = build::async_events();
    let started = tidings_driver::start(listen, config, driver, emitter)?;
    let (driver, remote) = driver::Driver::new(started)?;
    let node = build::async_handle(remote, |work| blocking::unblock(work).detach());
    Ok((node, events, Driver { run: Box::pin(driver.run()) }))
}
/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
