//! Watching: what experiments look at beside events.

use super::World;
use crate::seen::{Probed, Traffic};
use std::net::SocketAddr;

/// What is watched, and what was seen of it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// A node has begun a probe round, and its ping is the next datagram that it gives.
    pub(super) round_began: bool,
    probes: Vec<Probed>,
    following: Vec<u8>,
    followed: u64,
}

impl World {
    /// The probe rounds begun so far, if they are kept.
    pub fn probes(&self) -> &[Probed] {
        &self.watch.probes
    }

    /// Forgets the probe rounds begun so far.
    pub fn clear_probes(&mut self) {
        self.watch.probes.clear();
    }

    /// From now on counts the datagrams that carry these bytes. Whoever encrypts hides them.
    pub fn follow(&mut self, what: &[u8]) {
        self.watch.following = what.to_vec();
        self.watch.followed = 0;
    }

    /// How many datagrams have carried what is followed.
    pub fn followed(&self) -> u64 {
        self.watch.followed
    }

    /// What a machine sent and received so far, in all its lives.
    pub fn traffic(&self, node: usize) -> &Traffic {
        &self.hosts[node].traffic
    }

    pub(super) fn watch_probe(&mut self, by: usize, to: SocketAddr) {
        if !std::mem::take(&mut self.watch.round_began) {
            return;
        }
        if let Some(&of) = self.listening.get(&to) {
            self.watch.probes.push(Probed { at: self.now, by, of });
        }
    }

    pub(super) fn watch_datagram(&mut self, from: usize, data: &[u8]) {
        let traffic = &mut self.hosts[from].traffic;
        traffic.datagrams_out += 1;
        traffic.bytes_out += data.len() as u64;
        let following = &self.watch.following;
        if !following.is_empty() && data.windows(following.len()).any(|at| at == following) {
            self.watch.followed += 1;
        }
    }
}
