//! A cluster member on blocking sockets and threads.
//!
//! [`Tidings::bind`] starts a node on a UDP and a TCP port of one number and returns a handle, with
//! which the application asks, and its events. Everything else is the protocol's, which is the
//! crate [`tidings`]: this one moves bytes and time, and decides nothing.
//!
//! ```
//! use tidings_std::{ClusterName, Config, NodeId, Tidings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let cluster = ClusterName::new("shop")?;
//!     let here = "127.0.0.1:0".parse()?;
//!     let (a, events) = Tidings::bind(Config::local(cluster.clone(), NodeId::new("a")?, here))?;
//!     let (b, _) = Tidings::bind(Config::local(cluster, NodeId::new("b")?, here))?;
//!     println!("{} members", b.join([a.addr()])?);
//!     println!("{:?}", events.recv());
//!     b.leave()?;
//!     Ok(())
//! }
//! ```
//!
//! A node has two threads, and one more for each stream that is open, of which there are few:
//! streams are opened to join, to leave, for messages that must arrive, and now and then to compare
//! the membership. Dropping the handle ends all of them and closes all sockets. A thread that does
//! nothing sleeps: a node that has nothing to do does not wake.
//!
//! The feature `encryption` has a node encrypt all that it sends: `Config::with_encryption`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod driver;
mod handle;

pub use handle::{Events, Tidings};
#[doc(inline)]
pub use tidings_driver::prelude::*;

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
