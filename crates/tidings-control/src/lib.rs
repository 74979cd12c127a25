//! A control socket for Tidings nodes: commands and events over a Unix socket, as JSON lines.
//!
//! `tidings agent` serves one, and the other commands of `tidings` are its clients. A program that
//! embeds a node mounts the same socket, and those commands work with it:
//!
//! ```no_run
//! use tidings_control::{NodeService, Publisher, Server, default_path};
//! use tidings_driver::prelude::ClusterName;
//!
//! // With any adapter, here tidings-std.
//! let (node, events) = tidings_std::builder("shop").name("db-7").start()?;
//! let publisher = Publisher::new();
//! let service = NodeService::new(node.clone(), ClusterName::new("shop")?, "1.2.3");
//! let path = default_path(node.local().id());
//! let server = Server::start(&path, service, publisher.clone())?;
//! for event in events {
//!     publisher.event(&event);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Protocol
//!
//! The server greets with `{"control": 1, "node": NAME, "version": VERSION}`. A request is an
//! object on one line: `cmd`, the arguments of the command, optionally an `id`, and the version of
//! the protocol in `control`, which is refused if it is another one. The result is an object with
//! the same `cmd` and `id`, `ok`, and `error` if that is false. After the command `monitor`, events
//! follow, each with `ev`, `t` (Unix time), `level` and `text`. `docs/AGENT.md` lists commands and
//! events.
//!
//! # Who may use it
//!
//! The socket's file has mode 0600: whoever runs as the same user, or as root, can do to the node
//! what its program can, except to read its keys.
//!
//! Unix only: the crate is empty elsewhere.

#![cfg(unix)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
pub mod json;
mod node;
mod parse;
mod path;
mod publisher;
mod server;
mod service;
mod socket;
mod tags;

pub use client::{Client, ClientError, Monitor};
pub use json::Level;
pub use node::ControlledNode;
pub use parse::parse;
pub use path::{default_dir, default_path, file_stem, sockets};
pub use publisher::Publisher;
pub use server::Server;
pub use service::{Arguments, NodeService, Service, view};
pub use socket::BindError;
pub use tags::{InvalidTag, Tags};

/// The version of the control protocol.
pub const VERSION: u32 = 1;
/// The connections that a server serves at a time.
pub const MAX_CONNECTIONS: usize = 32;
/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 1 << 20;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
