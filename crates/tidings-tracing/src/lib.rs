//! Events of a node as events of the [`tracing`] crate.
//!
//! [`event`] is called for each event that the program reads, with any adapter; [`notice`] for what
//! goes wrong beside the node. Neither installs a subscriber, waits, or costs more than a check if
//! nobody is interested.
//!
//! ```
//! use tidings_driver::prelude::NodeId;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = NodeId::new("db-7")?;
//! let told = name.clone();
//! let (node, events) = tidings_std::builder("shop")
//!     .name(&name)
//!     .bind("127.0.0.1:0")
//!     .on_notice(move |notice| tidings_tracing::notice(&told, &notice))
//!     .start()?;
//! # drop(node);
//! for event in events {
//!     tidings_tracing::event(&name, &event);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Fields
//!
//! The target is [`TARGET`]; the message is the event's line for people.
//!
//! | field | what it is |
//! |---|---|
//! | `kind` | the kind of event, as in the metric `tidings_events_total`: `joined`, `failed`, … |
//! | `node` | the node that reports it |
//! | `member` | the member that it is about, or that sent it |
//! | `addr` | the address that it is about |
//! | `generation`, `incarnation` | the member's life, and its version within that |
//! | `other` | the second address that claims a name |
//! | `members`, `lost` | members that are present, and that were lost |
//! | `bytes` | the length of a message or of a datagram; contents are never a field |
//! | `error` | the reason of a failure |
//!
//! # Levels
//!
//! | level | events |
//! |---|---|
//! | warn | suspected, failed, degraded, …: something is wrong with a member or the network |
//! | info | members that come, change and go; ready |
//! | debug | failed commands, which their caller is told, too |
//! | trace | messages, sync states, commands that succeeded |

use std::fmt;
use std::net::SocketAddr;
use tidings::{Event, Incarnation, Member, NodeId};
use tidings_driver::prelude::Notice;
use tracing::{Level, enabled};

/// The target of all events: `tidings`.
pub const TARGET: &str = "tidings";

/// Reports an event of the node of this name.
pub fn event(node: &NodeId, event: &Event) {
    macro_rules! emit {
        ($level:expr, $fields:expr) => {{
            let it: Fields<'_> = $fields;
            tracing::event!(
                target: TARGET,
                $level,
                kind = it.kind,
                node = %node,
                member = it.member.map(tracing::field::display),
                addr = it.addr.map(tracing::field::display),
                generation = it.incarnation.map(|it| it.generation),
                incarnation = it.incarnation.map(|it| it.number),
                other = it.other.map(tracing::field::display),
                members = it.members,
                lost = it.lost,
                bytes = it.bytes,
                error = it.error.map(tracing::field::display),
                "{event}"
            )
        }};
    }
    let level = level(event);
    match level {
        Level::WARN if enabled!(target: TARGET, Level::WARN) => {
            emit!(Level::WARN, Fields::of(event))
        }
        Level::INFO if enabled!(target: TARGET, Level::INFO) => {
            emit!(Level::INFO, Fields::of(event))
        }
        Level::DEBUG if enabled!(target: TARGET, Level::DEBUG) => {
            emit!(Level::DEBUG, Fields::of(event))
        }
        Level::TRACE if enabled!(target: TARGET, Level::TRACE) => {
            emit!(Level::TRACE, Fields::of(event))
        }
        _ => {}
    }
}

/// Reports, as a warning of the kind `notice`, what went wrong beside the node of this name: with a
/// source of seeds, or with its snapshot.
pub fn notice(node: &NodeId, notice: &Notice) {
    tracing::warn!(target: TARGET, kind = "notice", node = %node, "{notice}");
}

/// The level at which [`event`] reports an event.
pub fn level(event: &Event) -> Level {
    match event {
        Event::Suspected(_)
        | Event::Failed(_)
        | Event::Degraded(_)
        | Event::StreamsBlocked(_)
        | Event::DatagramTooLong { .. }
        | Event::Conflict { .. }
        | Event::Unreachable { .. }
        | Event::SeedFailed { .. }
        | Event::PartitionSuspected { .. } => Level::WARN,
        Event::Completed { result: Err(_), .. } => Level::DEBUG,
        Event::Message { .. } | Event::SyncState { .. } | Event::Completed { .. } => Level::TRACE,
        _ => Level::INFO,
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields<'a> {
    kind: &'static str,
    member: Option<&'a NodeId>,
    addr: Option<SocketAddr>,
    incarnation: Option<Incarnation>,
    other: Option<SocketAddr>,
    members: Option<usize>,
    lost: Option<usize>,
    bytes: Option<usize>,
    error: Option<&'a dyn fmt::Display>,
}

impl<'a> Fields<'a> {
    fn of(event: &'a Event) -> Self {
        let about = |kind, member: &'a Member| Self {
            kind,
            member: Some(member.id()),
            addr: Some(member.addr()),
            incarnation: Some(member.incarnation()),
            ..Self::default()
        };
        let none = Self::default;
        match event {
            Event::Joined(member) => about("joined", member),
            Event::Updated(member) => about("updated", member),
            Event::Restarted { member, .. } => about("restarted", member),
            Event::Suspected(member) => about("suspected", member),
            Event::Recovered(member) => about("recovered", member),
            Event::Failed(member) => about("failed", member),
            Event::Left(member) => about("left", member),
            Event::Degraded(member) => about("degraded", member),
            Event::Restored(member) => about("restored", member),
            Event::StreamsBlocked(member) => about("streams_blocked", member),
            Event::StreamsRestored(member) => about("streams_restored", member),
            Event::Conflict { id, addr, other } => Self {
                kind: "conflict",
                member: Some(id),
                addr: Some(*addr),
                other: Some(*other),
                ..none()
            },
            Event::Message { from, data, .. } => {
                Self { kind: "message", member: from.as_ref(), bytes: Some(data.len()), ..none() }
            }
            Event::SyncState { from, data, .. } => Self {
                kind: "sync_state",
                member: from.as_ref(),
                bytes: Some(data.len()),
                ..none()
            },
            Event::DatagramTooLong { to, len } => {
                Self { kind: "datagram_too_long", addr: Some(*to), bytes: Some(*len), ..none() }
            }
            Event::Unreachable { addr } => {
                Self { kind: "unreachable", addr: Some(*addr), ..none() }
            }
            Event::PartitionSuspected { lost, present } => Self {
                kind: "partition_suspected",
                lost: Some(*lost),
                members: Some(*present),
                ..none()
            },
            Event::SeedFailed { seed, error } => {
                Self { kind: "seed_failed", addr: Some(*seed), error: Some(error), ..none() }
            }
            Event::Ready { members } => Self { kind: "ready", members: Some(*members), ..none() },
            Event::Completed { result, .. } => {
                let error = result.as_ref().err().map(|error| error as &dyn fmt::Display);
                Self { kind: "completed", error, ..none() }
            }
            _ => Self { kind: "other", ..none() },
        }
    }
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
