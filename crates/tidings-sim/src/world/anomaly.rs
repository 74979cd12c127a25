//! Anomalies: nodes that stand still for a while, and what they do when they go on.

use super::World;
use super::host::{Input, Mood};

impl World {
    /// Stops a node's process for a while; its sockets go on to take what arrives.
    pub fn pause(&mut self, node: usize) {
        self.set_mood(node, Mood::Up, Mood::Paused);
    }

    /// Begins one of Lifeguard's anomalies at a node: its time goes on, but it blocks before it sends
    /// and after it has received anything.
    pub fn stall(&mut self, node: usize) {
        self.set_mood(node, Mood::Up, Mood::Stalled);
    }

    /// Begins one of Lifeguard's anomalies at a node that is like memberlist, of which each loop is
    /// blocked on its own: from the first ping that it cannot send on, it begins no other.
    ///
    /// Verdicts that come due meanwhile are reached all the same. The node does that when it goes on,
    /// before it takes what waits for it.
    pub fn block(&mut self, node: usize) {
        self.set_mood(node, Mood::Up, Mood::Stalled);
        self.hosts[node].blocks = self.hosts[node].mood == Mood::Stalled;
    }

    /// Lets a node that was paused, stalled or blocked go on: it takes what waits for it.
    pub fn resume(&mut self, node: usize) {
        if !self.set_running(node) {
            return;
        }
        if std::mem::take(&mut self.hosts[node].blocks) {
            self.feed(node, Input::Timeout);
        }
        self.attend(node);
        self.arm(node);
    }

    fn set_running(&mut self, node: usize) -> bool {
        match self.hosts[node].mood {
            Mood::Paused => self.set_mood(node, Mood::Paused, Mood::Up),
            Mood::Stalled => self.set_mood(node, Mood::Stalled, Mood::Up),
            Mood::Up | Mood::Crashed | Mood::Off => return false,
        }
        let host = &mut self.hosts[node];
        host.backlog = host.inbox.len();
        host.attends = None;
        host.busy_until = self.now;
        self.send_held(node);
        true
    }

    fn set_mood(&mut self, node: usize, from: Mood, to: Mood) {
        let host = &mut self.hosts[node];
        if host.mood == from {
            host.mood = to;
            self.tally.stalls += u64::from(to != Mood::Up);
        }
    }
}
