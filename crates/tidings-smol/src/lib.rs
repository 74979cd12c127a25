//! A cluster member on smol.
//!
//! This is the door to [`tidings_async_io`], where all is explained: [`Tidings::bind`] starts a node
//! and spawns what drives it on smol's own executor.
//!
//! ```
//! use tidings_smol::{ClusterName, Config, NodeId, Tidings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
//!         let cluster = ClusterName::new("shop")?;
//!         let here = "127.0.0.1:0".parse()?;
//!         let (a, mut events) = Tidings::bind(Config::local(cluster.clone(), NodeId::new("a")?, here))?;
//!         let (b, _) = Tidings::bind(Config::local(cluster, NodeId::new("b")?, here))?;
//!         println!("{} members", b.join([a.addr()]).await?);
//!         println!("{:?}", events.recv().await);
//!         b.leave().await?;
//!         Ok(())
//!     })
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::net::SocketAddr;
use std::ops::Deref;
#[doc(inline)]
pub use tidings_async_io::*;

/// A running node; dropping it stops the node at once, without leaving.
///
/// What it can be asked is with the [`AsyncHandle`] and the [`Handle`] that it derefs to.
#[derive(Debug)]
pub struct Tidings {
    node: tidings_async_io::Tidings,
}

impl Tidings {
    /// Starts a node that listens where its configuration says that others reach it; else as
    /// [`tidings_async_io::Tidings::bind`].
    pub fn bind(config: Config) -> Result<(Self, Events), BindError> {
        Self::bind_to(config.addr(), config)
    }

    /// Starts a node that listens at one address and tells others another one; else as
    /// [`tidings_async_io::Tidings::bind_to`].
    pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Self, Events), BindError> {
        let (node, events, driver) = tidings_async_io::Tidings::bind_to(listen, config)?;
        smol::spawn(driver).detach();
        Ok((Self { node }, events))
    }
}

impl Deref for Tidings {
    type Target = AsyncHandle;

    fn deref(&self) -> &AsyncHandle {
        &self.node
    }
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
