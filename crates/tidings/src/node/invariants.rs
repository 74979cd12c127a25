//! What must hold in a node between any two inputs; checked after each in debug builds.

use crate::member::State;
use crate::node::Node;
use crate::timers::{FixedTimer, TimerKey};
use core::sync::atomic::Ordering;

/// Asserts that a node's parts agree with one another.
///
/// # Panics
///
/// If they do not, which is a bug of ours and not of whoever drives the node.
pub(crate) fn check(node: &Node) {
    let (members, suspicions, exchanges, timers, gossip_queue) = node.parts();
    // What is looked at here is not what the node costs.
    let visits = members.visits().load(Ordering::Relaxed);
    members.check();
    assert!(members.len() <= node.config().options().max_members);
    for (key, deadline) in suspicions.deadlines() {
        assert_eq!(members[key].state(), State::Suspect, "whoever is suspected is a suspect");
        assert_eq!(timers.at(TimerKey::Suspicion(key)), Some(deadline));
    }
    let suspects = node.all_members().filter(|member| member.state() == State::Suspect);
    assert_eq!(suspects.count(), suspicions.deadlines().count(), "every suspect has its suspicion");
    exchanges.check();
    for id in exchanges.ids() {
        assert!(timers.at(TimerKey::Stream(id)).is_some(), "every stream has its deadline");
    }
    assert!(gossip_queue.len() <= node.config().options().max_members);
    let (broadcasts, dedup, reconnect, pings) = node.more_parts();
    broadcasts.check();
    dedup.check();
    reconnect.check();
    for token in pings.tokens() {
        assert!(timers.at(TimerKey::UserPing(token)).is_some(), "every ping has its deadline");
    }
    let running = node.local().state() == State::Alive;
    assert_eq!(
        timers.at(TimerKey::Fixed(FixedTimer::Probe)).is_some(),
        running,
        "who runs, probes"
    );
    assert_ne!(node.local().state(), State::Suspect, "nobody suspects itself");
    assert_ne!(node.local().state(), State::Failed, "nobody holds itself to have failed");
    members.visits().store(visits, Ordering::Relaxed);
}
