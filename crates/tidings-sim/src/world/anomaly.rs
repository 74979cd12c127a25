//! Anomalies: nodes that stand still for a while, and what they do when they go on.

use super::World;
use super::host::{HostState, Input};

impl World {
    /// Stops a node's process for a while; its sockets go on to take what arrives.
    pub fn pause(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Paused);
    }

    /// Begins one of Lifeguard's anomalies at a node: its time goes on, but it blocks before it sends
    /// and after it has received anything.
    pub fn stall(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Stalled);
    }

    /// Begins one of Lifeguard's anomalies at a node that is like memberlist, of which each loop is
    /// blocked on its own: from the first ping that it cannot send on, it begins no other.
    ///
    /// Verdicts that come due meanwhile are reached all the same. The node does that when it goes on,
    /// before it takes what waits for it.
    pub fn block(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Stalled);
        self.hosts[node].probe_loop_blocked = self.hosts[node].state == HostState::Stalled;
    }

    /// Lets a node that was paused, stalled or blocked go on: it takes what waits for it.
    pub fn resume(&mut self, node: usize) {
        if !self.unfreeze(node) {
            return;
        }
        if std::mem::take(&mut self.hosts[node].probe_loop_blocked) {
            self.handle_input(node, Input::Timeout);
        }
        self.schedule_read(node);
        self.arm(node);
    }

    fn unfreeze(&mut self, node: usize) -> bool {
        match self.hosts[node].state {
            HostState::Paused => self.change_state(node, HostState::Paused, HostState::Up),
            HostState::Stalled => self.change_state(node, HostState::Stalled, HostState::Up),
            HostState::Up | HostState::Crashed | HostState::Off => return false,
        }
        let host = &mut self.hosts[node];
        host.backlog = host.inbox.len();
        host.next_read = None;
        host.busy_until = self.now;
        self.flush_blocked_sends(node);
        true
    }

    fn change_state(&mut self, node: usize, from: HostState, to: HostState) {
        let host = &mut self.hosts[node];
        if host.state == from {
            host.state = to;
            self.tally.stalls += u64::from(to != HostState::Up);
        }
    }
}
