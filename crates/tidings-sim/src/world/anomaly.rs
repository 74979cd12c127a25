//! Anomalies: paused, stalled and blocked nodes, and how they resume.

use super::World;
use super::host::{HostState, Input};

impl World {
    /// Stops a node's process, as SIGSTOP does; its sockets still buffer input.
    pub fn pause(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Paused);
    }

    /// Begins one of Lifeguard's anomalies: the node's timers run, but it blocks before each send
    /// and after each receive.
    pub fn stall(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Stalled);
    }

    /// Begins one of Lifeguard's anomalies at a node that is built like memberlist, where each loop
    /// blocks on its own: after the first ping that it cannot send, it begins no further probe.
    ///
    /// Verdicts that are due by then are still reached: the node does so when it resumes, before it
    /// reads its buffered input.
    pub fn block(&mut self, node: usize) {
        self.change_state(node, HostState::Up, HostState::Stalled);
        self.hosts[node].probe_loop_blocked = self.hosts[node].state == HostState::Stalled;
    }

    /// Resumes a paused, stalled or blocked node, which then reads its buffered input.
    pub fn resume(&mut self, node: usize) {
        if !self.end_anomaly(node) {
            return;
        }
        if std::mem::take(&mut self.hosts[node].probe_loop_blocked) {
            self.handle_input(node, Input::Timeout);
        }
        self.schedule_read(node);
        self.arm(node);
    }

    fn end_anomaly(&mut self, node: usize) -> bool {
        match self.hosts[node].state {
            HostState::Paused => self.change_state(node, HostState::Paused, HostState::Up),
            HostState::Stalled => self.change_state(node, HostState::Stalled, HostState::Up),
            HostState::Up | HostState::Crashed | HostState::Off | HostState::Taken => return false,
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
