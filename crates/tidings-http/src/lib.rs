//! Metrics, health and a status page of a node, over HTTP.
//!
//! [`Server`] serves them from threads of its own, for a node on any adapter and any runtime:
//!
//! ```
//! use tidings_http::{Pages, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (node, events) = tidings_std::builder("shop").name("db-7").bind("127.0.0.1:0").start()?;
//! let pages = Pages::new(node.observer());
//! let log = pages.log();
//! std::thread::spawn(move || {
//!     for event in events {
//!         log.record(&event);
//!     }
//! });
//! let server = Server::start("127.0.0.1:0".parse()?, pages)?;
//! println!("http://{}/status", server.local_addr());
//! # Ok(())
//! # }
//! ```
//!
//! A program that has an HTTP server of its own hands its requests to [`Pages::get`] instead, which
//! does no I/O.
//!
//! | path | what is there |
//! |---|---|
//! | `/metrics` | metrics for Prometheus: text, or OpenMetrics if the client asks for it |
//! | `/healthz` | 200 while the node runs and its timers are served, otherwise 503 |
//! | `/readyz` | 200 while the node is settled among its members, otherwise 503 with the reason |
//! | `/status` | JSON; a page that refreshes itself for a client that asks for HTML |
//!
//! # Limits
//!
//! The pages name all members, their addresses and metadata, and nobody has to authenticate: serve
//! them on a loopback address, or on one that only those can reach who may read them. On a loopback
//! address the server answers only requests whose `Host` is an IP address or `localhost`, so that
//! no website can read them by a name of its own (DNS rebinding).
//!
//! The node is looked at no more than five times a second however many requests come, and never
//! waits for a client: [`ServerLimits`] has the number of connections and their deadline. All
//! metrics together are about 90 series; none has a label for a peer.

mod accept;
mod html;
mod json;
mod log;
mod metrics;
mod pages;
mod server;
mod view;

pub use log::EventLog;
pub use pages::{Pages, Response};
pub use server::{Server, ServerLimits};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
