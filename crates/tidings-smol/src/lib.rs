//! A cluster member on smol.
//!
//! [`builder`] sets up a node and starts it. It returns a handle, [`Tidings`], with which the
//! application calls the node, and its [`Events`]:
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
//!         let (node, mut events) = tidings_smol::builder("shop").meta("role=db").start()?;
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
//! smol::block_on(async {
//!     let shop = || tidings_smol::builder("shop").bind("127.0.0.1:0");
//!     let ((a, mut events), (b, _)) = (shop().name("a").start()?, shop().name("b").start()?);
//!     println!("{} members", b.join([a.addr()]).await?);
//!     println!("{:?}", events.recv().await);
//!     b.leave().await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Each node is one task of smol's own executor; the crate [`tidings_async_io`], of which this one
//! is made, says how it runs and ends. The feature `encryption` adds [`Builder`]'s `keyring`, the
//! feature `memberlist` the wire format of HashiCorp's memberlist.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::net::SocketAddr;
#[doc(inline)]
pub use tidings_driver::asynchronous::{Events, Tidings};
use tidings_driver::build;
#[doc(inline)]
pub use tidings_driver::prelude::*;

/// A builder for a node of a cluster: all but the cluster's name has a default.
///
/// ```
/// let node = tidings_smol::builder("shop").name("db-7").bind("127.0.0.1:0").meta("role=db");
/// let (node, events) = node.start()?;
/// # Ok::<(), tidings_smol::StartError>(())
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
    let (node, events, driver) = tidings_async_io::bind_with(listen, config, driver)?;
    smol::spawn(driver).detach();
    Ok((node, events))
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
