//! Calls of Ethereum contracts through whichever gateway is alive.
//!
//! Gateways run beside Ethereum nodes, and are members of a gossip cluster ([`tidings`]). Each
//! tells all members which chain its node serves, where, and how far it is. A program that is a
//! member calls a contract, and reaches a node that is alive, on the right chain, and current.
//!
//! # Calls
//!
//! A contract's interface comes from its ABI file with [`sol!`], and `Gateways` are where calls
//! can go. On tokio, in a cluster:
//!
//! ```no_run
//! use tidings_eth::alloy_primitives::address;
//! use tidings_eth::{CallOptions, Gateways, Reach, sol};
//!
//! sol!(CallDemo, "contracts/calldemo.abi");
//!
//! # #[cfg(feature = "tokio")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (node, mut events) = tidings_tokio::builder("chain").start()?;
//! let mut options = CallOptions::default();
//! options.chain = Some(1);
//! let gateways = Gateways::of(node.clone(), [], options, Reach::PRIVATE)?;
//! let follow = gateways.clone();
//! tokio::spawn(async move {
//!     while let Some(event) = events.recv().await {
//!         follow.handle_event(&event);
//!     }
//! });
//! node.join(["gateway-1:7946", "gateway-2:7946"]).await?;
//!
//! let contract = address!("5FbDB2315678afecb367f032d93F642f64180aa3");
//! let year = tidings_eth::tokio::call(&gateways, contract, &CallDemo::getCall {}).await?;
//! println!("{year}");
//! # Ok(())
//! # }
//! ```
//!
//! The drivers are the modules `blocking`, `async_io` and `tokio`, each behind a feature, and
//! alike: `call` and `request` for programs, `serve` for gateways.
//!
//! # What becomes of a call
//!
//! Gateways are asked one after another: this machine's own node first, then by height, suspicion
//! and round-trip time ([`Directory`]). In one batch with the call, each is asked for its chain and
//! its height, so that no answer of another chain or of a stalled node counts.
//!
//! - A [`Fault`] says nothing about the call: the next gateway is asked. No connection, no answer
//!   in time, any HTTP status but 2xx, broken replies, errors of the node, no contract at the
//!   address, another chain, a height that lags.
//! - A [`CallError`] is final: the contract reverted, the answer is not of its types, or there is
//!   no further gateway.
//! - Transactions: one that the node signs is sent once, and its fate may be unknown
//!   ([`CallError::Uncertain`]). A signed one may be sent again, and its receipt is looked up
//!   ([`Request::send_raw_transaction`]).
//!
//! # Trust
//!
//! A gateway can lie about a contract's answer. With [`CallOptions::agree`] several have to give
//! the same one. Members can advertise any address; [`Reach`] says which are called. Replies are
//! hostile input: their length, depth, and the memory to decode them are bounded.
//!
//! # Without I/O
//!
//! The parts are machines without I/O, as the core is, and can be embedded in an event loop:
//! [`Caller`] (one call), [`Directory`] (the gateways that are known), [`Gateway`].
//!
//! Not in this crate: signing, TLS, WebSockets, subscriptions, and proofs that an answer is true.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "abi")]
pub mod abi;
mod advert;
mod answer;
#[cfg(feature = "async-io")]
pub mod async_io;
mod attempt;
#[cfg(feature = "blocking")]
pub mod blocking;
mod caller;
mod candidates;
mod directory;
#[cfg(feature = "driver")]
mod driver;
mod endpoint;
mod exchange;
mod framer;
mod gateway;
#[cfg(feature = "driver")]
mod gateways;
mod http;
mod options;
mod reach;
mod request;
mod rpc;
#[cfg(feature = "driver")]
mod service;
mod sol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use advert::{Advert, InvalidAdvert};
pub use alloy_primitives;
pub use alloy_sol_types;
pub use answer::{Answer, CallError, Revert};
pub use attempt::{Attempt, Fault};
pub use caller::{Caller, CallerOutput};
pub use candidates::{Candidate, Candidates};
pub use directory::{Directory, KnownGateway};
pub use endpoint::{Endpoint, Host, HttpEndpoint, InvalidEndpoint};
pub use framer::{FrameError, JsonFramer};
pub use gateway::{Gateway, GatewayEvent, GatewayOptions, GatewayOutput, NotServing, ServeError};
#[cfg(feature = "driver")]
pub use gateways::{Gateways, Membership};
pub use http::HttpError;
pub use options::{CallOptions, InvalidOptions};
pub use reach::{NotReached, Reach};
pub use request::{InvalidRequest, Request};
pub use rpc::{RpcError, RpcFault};

/// The README's example compiles.
#[cfg(all(doctest, feature = "blocking"))]
#[doc = include_str!("../README.md")]
struct Readme;
