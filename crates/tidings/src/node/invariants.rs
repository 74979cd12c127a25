//! What must hold in a node between any two inputs; checked after each in debug builds.

use crate::member::State;
use crate::node::Node;
use crate::timers::{FixedTimer, TimerKey};
use core::sync::atomic::Ordering;

/// Asserts that a node's parts agree with one another.
///
/// # Panics
///
/// If they do not, which is a bug of the core and not of its driver.
pub(super) fn check(node: &Node) {
    let Node { members, detector, damping, gossip, sync, streams, timers, .. } = node;
    // The visits of this check are not a cost of the node.
    let visits = members.visits().load(Ordering::Relaxed);
    members.check();
    assert!(members.len() <= node.config().options().max_members);
    detector.check(members, timers);
    assert!(damping.is_consistent(node.config().options()));
    for member in members.iter() {
        assert_eq!(member.is_suppressed(), damping.is_suppressed(member.id()));
    }
    streams.exchanges.check();
    streams.paths.check();
    for id in streams.exchanges.ids() {
        assert!(timers.at(TimerKey::Stream(id)).is_some(), "each stream has its deadline");
    }
    assert!(gossip.queue.len() <= node.config().options().max_members);
    gossip.broadcasts.check();
    gossip.dedup.check();
    sync.reconnect.check();
    assert!(sync.seeds.is_consistent() && sync.name_checks.is_consistent());
    let settles = timers.at(TimerKey::Fixed(FixedTimer::Ready)).is_some();
    assert_eq!(
        settles,
        !sync.ready.is_ready(),
        "a node that has not settled checks whether it has"
    );
    let probing = timers.at(TimerKey::Fixed(FixedTimer::Probe)).is_some();
    assert_eq!(probing, node.local().state() == State::Alive, "a node that has not left probes");
    assert_ne!(node.local().state(), State::Suspect, "a node does not suspect itself");
    assert_ne!(node.local().state(), State::Failed, "a node does not declare itself failed");
    members.visits().store(visits, Ordering::Relaxed);
}
