//! A cluster member on blocking sockets and threads.
//!
//! [`builder`] sets up a node and starts it. It returns a handle, [`Tidings`], with which the
//! application calls the node, and its [`Events`]:
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (node, events) = tidings_std::builder("shop").meta("role=db").start()?;
//!     node.join(["db-1:7946", "db-2:7946"])?;
//!     for event in events {
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
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let start = |name| tidings_std::builder("shop").name(name).bind("127.0.0.1:0").start();
//! let ((a, events), (b, _)) = (start("a")?, start("b")?);
//! println!("{} members", b.join([a.addr()])?);
//! println!("{:?}", events.recv());
//! b.leave()?;
//! # Ok(())
//! # }
//! ```
//!
//! A node has two threads, and one more for each stream that is open, of which there are few:
//! streams are opened to join, to leave, for reliable messages, and now and then to compare the
//! membership; one looks up sources of seeds, and one writes the snapshot, if there are any.
//! Dropping the last handle ends all of them and closes all sockets. A node that has nothing to do
//! does not wake.
//!
//! All decisions are the protocol's, which is the crate [`tidings`]: this one moves bytes and time.
//! The feature `encryption` adds [`Builder`]'s `keyring`, the feature `memberlist` the wire format
//! of HashiCorp's memberlist.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;

use driver::Driver;
use std::net::SocketAddr;
#[doc(inline)]
pub use tidings_driver::blocking::{Events, Tidings};
use tidings_driver::build;
#[doc(inline)]
pub use tidings_driver::prelude::*;

/// A builder for a node of a cluster: all but the cluster's name has a default.
///
/// ```
/// let node = tidings_std::builder("shop").name("db-7").bind("127.0.0.1:0").meta("role=db");
/// let (node, events) = node.start()?;
/// # Ok::<(), tidings_std::StartError>(())
/// ```
pub fn builder(cluster: &str) -> Builder<(Tidings, Events)> {
    build::builder(cluster, bind_with)
}

/// Starts a node from a [`Config`], listening at the address that the configuration advertises.
///
/// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Tidings::addr) returns it. A
/// generation of 0 is replaced by the wall clock's. [`builder`] is the shorter way, and has
/// defaults.
///
/// # Errors
///
/// If the port is taken, or the address is not one of this machine; if the address is
/// unspecified (`0.0.0.0`), because other nodes could not reach it: see [`bind_to`].
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
pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Tidings, Events), StartError> {
    bind_with(listen, config, DriverConfig::new())
}

/// Starts a node as [`bind_to`] does, with sources of seeds, a snapshot and notices.
///
/// # Errors
///
/// As [`bind`], and if a setting of the [`DriverConfig`] is not valid.
pub fn bind_with(
    listen: SocketAddr,
    config: Config,
    driver: DriverConfig,
) -> Result<(Tidings, Events), StartError> {
    let (emitter, events) = build::blocking_events();
    let driver = Driver::start(tidings_driver::start(listen, config, driver, emitter)?)?;
    Ok((build::blocking_handle(driver), events))
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
