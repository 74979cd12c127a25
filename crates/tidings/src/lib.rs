//! Cluster membership by gossip: which nodes are in the cluster, which have failed, and news for
//! all of them.
//!
//! This crate is the protocol and nothing else: a state machine, [`Node`], that takes timestamped
//! datagrams, stream bytes and commands, and gives back datagrams, stream actions, events and the
//! time at which it wants to be called again. It does **no** I/O, reads **no** clock, starts
//! **no** threads and asks for **no** entropy; it runs without `std`. Whoever wants a running node
//! takes an adapter, `tidings-std` for one; whoever has an event loop drives this crate from it.
//!
//! The protocol is SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018),
//! as in HashiCorp's memberlist: round-robin probes, direct and then through others, suspicion
//! before a verdict, local health, incarnations, news that rides on probes and on gossip, and
//! comparison of the membership over streams, by digests. Beside that, members that were lost are
//! looked for, and the application sends messages to one or to all.
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
//! # Driving a node
//!
//! Feed one input, carry out every output, sleep until the next timeout. Here a network is two
//! nodes in one thread, and time is a number:
//!
//! ```
//! use std::net::SocketAddr;
//! use tidings::{ClusterName, Config, Event, Instant, Node, NodeId, Output};
//! use tidings::{StreamAction, StreamInput};
//!
//! let cluster = ClusterName::new("example")?;
//! let addrs: [SocketAddr; 2] = ["10.0.0.1:7946".parse()?, "10.0.0.2:7946".parse()?];
//! let mut nodes = ["a", "b"].map(|name| {
//!     let at = addrs[usize::from(name == "b")];
//!     let config = Config::lan(cluster.clone(), NodeId::new(name).unwrap(), at);
//!     Node::new(config, [name.as_bytes()[0]; 32], Instant::ZERO)
//! });
//!
//! let now = Instant::ZERO;
//! let ticket = nodes[0].join(now, &addrs[1..])?;
//! let mut buf = Vec::new();
//! let mut stream = None; // a's name and b's name for the one stream between them
//! let mut joined = false;
//! while !joined {
//!     for here in [0, 1] {
//!         while let Some(output) = nodes[here].poll_output(&mut buf) {
//!             let there = &mut nodes[1 - here];
//!             match output {
//!                 Output::Datagram { data, .. } => there.handle_datagram(now, addrs[here], data),
//!                 Output::Stream { id, action: StreamAction::Open { .. } } => {
//!                     let theirs = there.accept_stream(now, addrs[here]).expect("few streams");
//!                     stream = Some([id, theirs]);
//!                     nodes[here].handle_stream(now, id, StreamInput::Opened);
//!                 }
//!                 Output::Stream { action: StreamAction::Write(bytes), .. } => {
//!                     let ids = stream.expect("it was opened");
//!                     there.handle_stream(now, ids[1 - here], StreamInput::Data(&bytes));
//!                 }
//!                 Output::Stream { id, action: StreamAction::Close } => {
//!                     nodes[here].handle_stream(now, id, StreamInput::Closed);
//!                 }
//!                 Output::Stream { action: StreamAction::Reset, .. } => {}
//!                 Output::Event(Event::Completed { ticket: ended, result }) => {
//!                     assert_eq!(ended, ticket);
//!                     joined = result.is_ok();
//!                 }
//!                 Output::Event(event) => println!("{here}: {event}"),
//!             }
//!         }
//!     }
//! }
//! assert_eq!(nodes[0].present_count(), 2);
//! assert_eq!(nodes[1].present_count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The contract between a node and whoever drives it stands on [`Node`].
//!
//! # Features
//!
//! - `encryption`: `Key`, `Keyring`, and nodes that seal all that they send.
//! - `record`: `Node::start_journal`, `Node::checkpoint` and module `replay`, for exact replays.
//! - `serde`: `Serialize` and `Deserialize` for [`Member`], [`Event`], [`Stats`], [`Options`] and the
//!   types in them.
//! - `memberlist`: `Memberlist`, the wire format of HashiCorp's memberlist, for nodes in its clusters.
//! - `std`: `Clock`, the system's time for drivers, and [`StreamError`] from `std::io::ErrorKind`.
//!
//! # Limits
//!
//! Without keys a node does **not** encrypt: then run it in a network that you trust. It does **not**
//! look names up: it joins IP addresses and ports. [`Target`] takes what people write, and says what is
//! to be looked up.

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
pub use config::options::{ConfigError, Options};
pub use config::{Config, ConfigBuilder, Wire};
#[cfg(feature = "encryption")]
pub use crypto::key::{Cipher, InvalidKey, Key, KeyId};
#[cfg(feature = "encryption")]
pub use crypto::keyring::{Keyring, KeyringError};
pub use error::{BroadcastError, ExchangeError, Failure, JoinError, SeedFailure, SendError};
pub use error::{Refusal, StreamError};
pub use event::{Done, Phase, Ticket};
pub use event::{Event, Via};
pub use gossip::broadcast_key::{BroadcastKey, InvalidBroadcastKey};
pub use incarnation::Incarnation;
pub use member::{ClusterName, InvalidName, Member, Meta, NodeId, State, TooLong};
pub use node::Node;
pub use output::Output;
pub use stats::{Reject, Rejected, Stats};
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
