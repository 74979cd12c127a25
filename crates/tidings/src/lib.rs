//! Cluster membership and failure detection by gossip: SWIM with Lifeguard, as a state machine
//! that does no I/O.
//!
//! A [`Node`] is one member of a cluster. It takes timestamped datagrams, stream bytes and
//! commands, and returns datagrams, stream actions, [events](Event) and the time of its next
//! timeout. It has no socket, clock, thread or source of entropy, and needs `alloc` but not `std`.
//!
//! # Which crate to use
//!
//! This crate is for authors of drivers: a node in an event loop of your own, in a simulator, or
//! without an operating system. A service takes the adapter for its runtime, which brings sockets,
//! timers and name resolution:
//!
//! | runtime | crate |
//! |---|---|
//! | Tokio | [`tidings-tokio`](https://docs.rs/tidings-tokio) |
//! | smol | [`tidings-smol`](https://docs.rs/tidings-smol) |
//! | async-std | [`tidings-async-std`](https://docs.rs/tidings-async-std) |
//! | any executor, by `async-io` | [`tidings-async-io`](https://docs.rs/tidings-async-io) |
//! | none: blocking calls, threads | [`tidings-std`](https://docs.rs/tidings-std) |
//!
//! # The protocol
//!
//! - **Failure detection** (SWIM; Das, Gupta, Motivala, *DSN 2002*): round-robin probes, direct and
//!   then through other members; a suspicion, which the suspect can refute, before it is declared
//!   failed.
//! - **Lifeguard** (Dadgar, Phillips, Currey, arXiv 1707.00788): local health, suspicion timeouts
//!   that shrink with each confirmation, nacks, the buddy system.
//! - **Dissemination**: updates about members and broadcasts of the application, by gossip and
//!   piggybacked on probes.
//! - **Anti-entropy**: two members compare digests of their membership tables over a stream, and
//!   exchange the records that differ (memberlist's push/pull).
//! - **Reconnect** after a partition, as in Serf; **graceful leave**; messages to one member, with
//!   or without a receipt.
//!
//! The presets of [`Options`] have the values of HashiCorp's memberlist where it has the option.
//!
//! # Driving a node
//!
//! ```text
//!  your program ── commands, queries ──►┌──────────────────┐
//!               ◄── events, tickets ────│      Node        │
//!  datagrams ──── handle_datagram ─────►│                  │
//!  stream bytes ─ handle_stream ───────►│                  │──► poll_output
//!  time ───────── handle_timeout ──────►│                  │──► poll_timeout
//!                                       └──────────────────┘
//! ```
//!
//! A driver feeds one input, carries out all outputs, and sleeps until the next timeout.
//! [`Node`] states the contract. In this example two nodes share a thread, and time stands still:
//!
//! ```
//! use std::net::SocketAddr;
//! use tidings::{ClusterName, Config, Event, Instant, Node, NodeId, Output};
//! use tidings::{StreamAction, StreamInput};
//!
//! let cluster = ClusterName::new("example")?;
//! let addrs: [SocketAddr; 2] = ["10.0.0.1:7946".parse()?, "10.0.0.2:7946".parse()?];
//! let mut nodes = [("a", addrs[0]), ("b", addrs[1])].map(|(name, addr)| {
//!     let config = Config::lan(cluster.clone(), NodeId::new(name).unwrap(), addr);
//!     let seed = [name.as_bytes()[0]; 32]; // random in production
//!     Node::new(config, seed, Instant::ZERO)
//! });
//!
//! let now = Instant::ZERO;
//! let ticket = nodes[0].join(now, &addrs[1..])?;
//! let mut buf = Vec::new();
//! let mut ids = None; // the ids of the one stream, at a and at b
//! let mut joined = false;
//! while !joined {
//!     for local in [0, 1] {
//!         let remote = 1 - local;
//!         while let Some(output) = nodes[local].poll_output(&mut buf) {
//!             match output {
//!                 Output::Datagram { data, .. } => {
//!                     nodes[remote].handle_datagram(now, addrs[local], data);
//!                 }
//!                 Output::Stream { id, action: StreamAction::Open { .. } } => {
//!                     let accepted = nodes[remote].accept_stream(now, addrs[local]);
//!                     ids = Some([id, accepted.expect("max_streams_in is not reached")]);
//!                     nodes[local].handle_stream(now, id, StreamInput::Opened);
//!                 }
//!                 Output::Stream { action: StreamAction::Write(bytes), .. } => {
//!                     let id = ids.expect("the stream is open")[remote];
//!                     nodes[remote].handle_stream(now, id, StreamInput::Data(&bytes));
//!                 }
//!                 Output::Stream { id, action: StreamAction::Close } => {
//!                     nodes[local].handle_stream(now, id, StreamInput::Closed);
//!                 }
//!                 Output::Stream { action: StreamAction::Reset, .. } => {}
//!                 Output::Event(Event::Completed { ticket: completed, result }) => {
//!                     assert_eq!(completed, ticket);
//!                     joined = result.is_ok();
//!                 }
//!                 Output::Event(event) => println!("{}: {event}", nodes[local].local().id()),
//!             }
//!         }
//!     }
//! }
//! assert_eq!(nodes[0].present_count(), 2);
//! assert_eq!(nodes[1].present_count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! None is on by default.
//!
//! - `encryption`: all traffic is encrypted and authenticated with shared keys, which can be
//!   rotated while the cluster runs. Adds `Key`, `Keyring` and `ConfigBuilder::encryption`.
//! - `memberlist`: the wire format of HashiCorp's memberlist, for nodes in clusters of Serf, Consul
//!   or Alertmanager agents. Adds `Memberlist` and `Wire::Memberlist`.
//! - `record`: `Node::start_journal`, `Node::checkpoint` and module `replay`, for exact replays.
//! - `serde`: `Serialize` and `Deserialize` for [`Member`], [`Event`], [`Stats`], [`Options`] and
//!   the types in them.
//! - `std`: `Clock`, the operating system's monotonic time, for drivers, and [`StreamError`] from
//!   `std::io::ErrorKind`.
//!
//! # Limits
//!
//! - Without keys nothing is encrypted or authenticated: run the cluster in a network that you
//!   trust.
//! - Broadcasts are delivered with high probability, not with certainty.
//!   [`send_reliable`](Node::send_reliable) returns a receipt.
//! - A node does not resolve names: it joins IP addresses and ports. [`Target`] parses
//!   `[NAME/]HOST[:PORT]`, and the driver looks up the host.
//! - A table holds [`max_members`](Options::max_members) members, 100,000 by default.
//! - All nodes of a cluster need the same wire format and keys, and should have the same
//!   [`Options`].

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod addr;
mod config;
#[cfg(feature = "encryption")]
mod crypto;
mod detector;
mod error;
mod event;
mod gossip;
mod incarnation;
mod member;
mod membership;
mod node;
mod output;
mod record;
#[cfg(feature = "record")]
pub mod replay;
mod rng;
mod rtt;
mod stats;
mod stream;
mod sync;
mod target;
mod time;
mod timers;
mod wire;

pub use bytes::Bytes;
#[cfg(feature = "memberlist")]
pub use config::Memberlist;
#[cfg(feature = "encryption")]
pub use config::Plaintext;
pub use config::network::{InvalidNetwork, IpNetwork};
pub use config::options::{ConfigError, Options};
pub use config::{Config, ConfigBuilder, OnNameTaken, Wire};
#[cfg(feature = "encryption")]
pub use crypto::cipher::Cipher;
#[cfg(feature = "encryption")]
pub use crypto::key::{InvalidKey, Key, KeyId};
#[cfg(feature = "encryption")]
pub use crypto::keyring::{Keyring, KeyringError};
pub use error::{
    BroadcastError, ExchangeError, Failure, ForceLeaveError, JoinError, SeedFailure, SendError,
    SetAddrError,
};
pub use error::{Refusal, StreamError};
pub use event::{Done, Phase, Ticket};
pub use event::{Event, Via};
pub use gossip::broadcast_key::{BroadcastKey, InvalidBroadcastKey};
pub use incarnation::Incarnation;
pub use member::{ClusterName, InvalidName, Member, Meta, NodeId, State, TooLong, is_hidden};
pub use node::Node;
pub use output::Output;
pub use stats::{DatagramError, Reject, Rejected, Stats, Unsent};
pub use stream::{StreamAction, StreamId, StreamInput};
pub use target::{Network, Services, Target, TargetError};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use timers::Timer;

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
