//! Application commands to nodes.

use super::{World, host, id};
use bytes::Bytes;
use std::net::SocketAddr;
use tidings::{Instant, Meta, Node, Ticket};

impl World {
    /// Lets a node join through seeds.
    pub fn join(&mut self, node: usize, seeds: &[usize]) -> Option<Ticket> {
        let seeds: Vec<_> = seeds.iter().map(|&seed| self.hosts[seed].addr).collect();
        self.hosts[node].join_succeeded.get_or_insert(false);
        self.ask(node, |node, now| node.join(now, &seeds).ok())
    }

    /// Gives a node seeds as a standing wish.
    pub fn set_seeds(&mut self, node: usize, seeds: &[SocketAddr]) {
        self.command(node, |node, now| node.set_seeds(now, seeds));
    }

    /// Lets a node leave.
    pub fn leave(&mut self, node: usize) -> Option<Ticket> {
        self.ask(node, |node, now| Some(node.leave(now)))
    }

    /// Changes a node's metadata.
    pub fn set_meta(&mut self, node: usize, meta: &str) {
        if let Some(checks) = &mut self.checks {
            checks.meta_set(node, meta.as_bytes());
        }
        self.command(node, |node, now| node.set_meta(now, Meta::from(meta)));
    }

    /// Broadcasts a message, which must be unique; `false` if the node rejects it.
    pub fn broadcast(&mut self, node: usize, message: &str) -> bool {
        let data = Bytes::copy_from_slice(message.as_bytes());
        let begun = self.command(node, |node, now| node.broadcast(now, data));
        begun.is_some_and(|begun| begun.is_ok())
    }

    /// Sends a message to another node over a stream.
    pub fn send_reliable(&mut self, node: usize, to: usize, message: &str) -> Option<Ticket> {
        let data = Bytes::copy_from_slice(message.as_bytes());
        self.ask(node, |node, now| node.send_reliable(now, &id(to), data).ok())
    }

    /// Sends a user ping to another node.
    pub fn ping(&mut self, node: usize, to: usize) -> Option<Ticket> {
        self.ask(node, |node, now| node.ping(now, &id(to)).ok())
    }

    fn ask(
        &mut self,
        node: usize,
        begin: impl FnOnce(&mut Node, Instant) -> Option<Ticket>,
    ) -> Option<Ticket> {
        if !self.hosts[node].is_up() {
            return None;
        }
        let now = self.hosts[node].clock.local(self.now);
        let ticket = begin(self.hosts[node].node_mut(), now)?;
        if let Some(checks) = &mut self.checks {
            checks.ticket_issued(node, ticket);
        }
        self.drain(node, host::Loop::Other, None);
        Some(ticket)
    }

    /// Runs a command without a ticket on a node; `None` if the node is not running.
    pub fn command<R>(
        &mut self,
        node: usize,
        command: impl FnOnce(&mut Node, Instant) -> R,
    ) -> Option<R> {
        if !self.hosts[node].is_up() {
            return None;
        }
        let now = self.hosts[node].clock.local(self.now);
        let result = command(self.hosts[node].node_mut(), now);
        self.drain(node, host::Loop::Other, None);
        Some(result)
    }
}
