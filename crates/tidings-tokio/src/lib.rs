//! A cluster member on [`tokio`].
//!
//! [`builder`] sets up a node and starts it. It returns a handle, [`Tidings`], with which the
//! application calls the node, and its [`Events`]:
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (node, mut events) = tidings_tokio::builder("shop").meta("role=db").start()?;
//!     node.join(["db-1:7946", "db-2:7946"]).await?;
//!     while let Some(event) = events.recv().await {
//!         println!("{event:?}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The node is named after the machine, listens on port 7946 of all interfaces by UDP and TCP, and
//! advertises the address of the default route; [`Builder`] changes each of these. Two nodes in one
//! program, on free ports of the loopback interface:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let start = |name| tidings_tokio::builder("shop").name(name).bind("127.0.0.1:0").start();
//! let ((a, mut events), (b, _)) = (start("a")?, start("b")?);
//! println!("{} members", b.join([a.addr()]).await?);
//! println!("{:?}", events.recv().await);
//! b.leave().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A node is one task of the runtime in which it is started, and one more for each stream that is
//! open. Dropping the last handle ends them; the sockets are closed as soon as the runtime has
//! polled the first task once more, and then the events end. If the runtime ends before, the node
//! has stopped. A node that has nothing to do does not wake. Sources of seeds are looked up, and a
//! snapshot is written, on threads of their own.
//!
//! All decisions are the protocol's, which is the crate [`tidings`]: this one moves bytes and time.
//! The feature `encryption` adds [`Builder`]'s `keyring`, the feature `memberlist` the wire format
//! of HashiCorp's memberlist.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;

use driver::Driver;
use std::io;
use std::net::SocketAddr;
#[doc(inline)]
pub use tidings_driver::asynchronous::{Events, Tidings};
use tidings_driver::build;
#[doc(inline)]
pub use tidings_driver::prelude::*;
use tokio::runtime;

/// A builder for a node of a cluster: all but the cluster's name has a default.
///
/// Its [`start`](Builder::start) has to be called in a runtime, and panics as [`bind`] does.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), tidings_tokio::StartError> {
/// let node = tidings_tokio::builder("shop").name("db-7").bind("127.0.0.1:0").meta("role=db");
/// let (node, events) = node.start()?;
/// # Ok(())
/// # }
/// ```
pub fn builder(cluster: &str) -> Builder<(Tidings, Events)> {
    build::builder(cluster, bind_with)
}

/// Starts a node from a [`Config`], listening at the address that the configuration advertises.
///
/// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Tidings::addr) returns it. A
/// generation of 0 is replaced by the wall clock's. The node runs on the runtime in which this is
/// called. [`builder`] is the shorter way, and has defaults.
///
/// # Errors
///
/// If the port is taken, or the address is not one of this machine; if the address is
/// unspecified (`0.0.0.0`), because other nodes could not reach it: see [`bind_to`]; if there is no
/// runtime here.
///
/// # Panics
///
/// If the runtime has its I/O or its time switched off, as tokio does for everything that needs
/// them.
pub fn bind(config: Config) -> Result<(Tidings, Events), StartError> {
    bind_to(config.addr(), config)
}

/// Starts a node from a [`Config`], listening at another address than the one that the
/// configuration advertises: behind a translation of addresses, or on all interfaces (`0.0.0.0`).
///
/// Port 0 in the configuration stands for the port that the node listens on.
///
/// # Errors
///
/// As [`bind`].
///
/// # Panics
///
/// As [`bind`].
pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Tidings, Events), StartError> {
    bind_with(listen, config, DriverConfig::new())
}

/// Starts a node as [`bind_to`] does, with sources of seeds, a snapshot and notices.
///
/// # Errors
///
/// As [`bind`], and if a setting of the [`DriverConfig`] is not valid.
///
/// # Panics
///
/// As [`bind`].
pub fn bind_with(
    listen: SocketAddr,
    config: Config,
    driver: DriverConfig,
) -> Result<(Tidings, Events), StartError> {
    let runtime = runtime::Handle::try_current();
    let runtime = runtime.map_err(|error| StartError::System(io::Error::other(error)))?;
    let (emitter, events) = build::async_events();
    let started = tidings_driver::start(listen, config, driver, emitter)?;
    let (driver, remote) = Driver::new(started, runtime.clone())?;
    drop(runtime.spawn(driver.run()));
    let node = build::async_handle(remote, move |work| drop(runtime.spawn_blocking(work)));
    Ok((node, events))
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
