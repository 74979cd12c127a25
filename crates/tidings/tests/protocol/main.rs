//! A few nodes in virtual time: one module for each mechanism of the protocol.
//!
//! `cargo test -p tidings refutation` runs the tests of one mechanism: the filter matches modules
//! and test names. docs/COMPARE.md maps problems that users of memberlist reported to these tests.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod allowed_networks;
mod anti_entropy;
mod broadcast;
#[cfg(feature = "encryption")]
mod encryption;
mod events;
mod flapping;
mod gossip;
mod hostile;
mod incarnation;
mod indirect_probe;
mod join;
mod leave;
mod limits;
mod local_health;
mod messages;
mod moves;
mod name_conflict;
mod partition;
mod probe;
mod process_death;
mod refutation;
#[cfg(feature = "record")]
mod replay;
mod seeds;
#[cfg(not(feature = "encryption"))]
mod strangers;
mod stream_only;
mod stream_probe;
mod streams;
mod suspicion;
mod tombstone;
mod user_ping;
#[cfg(not(feature = "encryption"))]
mod validation;
#[cfg(feature = "encryption")]
mod wall_clock;

use common::{LATENCY, Net, addr, config, config_at, forge, id, joined, pair, trio, wide_addr};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    BroadcastError, ClusterName, Config, Done, Event, ExchangeError, Failure, ForceLeaveError,
    Incarnation, Instant, JoinError, Member, Meta, Node, NodeId, OnNameTaken, Options, Output,
    Phase, Refusal, Rejected, SeedFailure, SendError, State, StreamAction, StreamError, StreamId,
    StreamInput, Timer, TooLong, Via,
};

const SECOND: Duration = Duration::from_secs(1);

/// An address that no member has.
fn stranger() -> SocketAddr {
    "192.0.2.1:999".parse().unwrap()
}

/// Nodes with these options that all know each other.
fn joined_with(count: usize, options: &Options) -> Net {
    let mut net = Net::with_options(count, options);
    for here in 1..count {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
    net
}

/// The same with [`Options::lan`], which are memberlist's, but for a change.
fn joined_lan(count: usize, change: impl FnOnce(&mut Options)) -> Net {
    let mut options = Options::lan();
    change(&mut options);
    joined_with(count, &options)
}

/// The hash of a node's name, as suspicions and pings carry it.
fn name_hash(n: usize) -> u32 {
    crc32fast::hash(id(n).as_str().as_bytes())
}

/// Whether all `observers` list `other` as alive, in its own current incarnation.
fn all_believe(net: &Net, mut observers: impl Iterator<Item = usize>, other: usize) -> bool {
    let own = net.nodes[other].node.local().incarnation();
    observers.all(|here| {
        let member = net.member(here, other);
        member.is_some_and(|member| (member.state(), member.incarnation()) == (State::Alive, own))
    })
}

/// Takes all outputs of a node; returns its actions on one stream.
fn stream_actions(node: &mut Node, of: StreamId) -> Vec<StreamAction> {
    let mut buf = Vec::new();
    let mut actions = Vec::new();
    while let Some(output) = node.poll_output(&mut buf) {
        match output {
            Output::Stream { id, action } if id == of => actions.push(action),
            _ => {}
        }
    }
    actions
}
