//! Watching: what experiments look at beside events.

use super::World;
use crate::events::{ProbeRecord, Traffic};
use std::net::SocketAddr;

/// What is watched, and what was seen of it.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// A node has begun a probe round, and its ping is the next datagram that it gives.
    pub(super) round_began: bool,
    probes: Vec<ProbeRecord>,
    tracked_payload: Vec<u8>,
    tracked_datagrams: u64,
}

impl World {
    /// The probe rounds begun so far, if they are kept.
    pub fn probes(&self) -> &[ProbeRecord] {
        &self.metrics.probes
    }

    /// Forgets the probe rounds begun so far.
    pub fn clear_probes(&mut self) {
        self.metrics.probes.clear();
    }

    /// From now on counts the datagrams that carry these bytes. Whoever encrypts hides them.
    pub fn track_payload(&mut self, payload: &[u8]) {
        self.metrics.tracked_payload = payload.to_vec();
        self.metrics.tracked_datagrams = 0;
    }

    /// How many datagrams have carried what is followed.
    pub fn tracked_datagrams(&self) -> u64 {
        self.metrics.tracked_datagrams
    }

    /// What a machine sent and received so far, in all its lives.
    pub fn traffic(&self, node: usize) -> &Traffic {
        &self.hosts[node].traffic
    }

    pub(super) fn record_probe(&mut self, prober: usize, to: SocketAddr) {
        if !std::mem::take(&mut self.metrics.round_began) {
            return;
        }
        if let Some(&target) = self.listening.get(&to) {
            self.metrics.probes.push(ProbeRecord { at: self.now, prober, target });
        }
    }

    pub(super) fn count_datagram(&mut self, from: usize, data: &[u8]) {
        let traffic = &mut self.hosts[from].traffic;
        traffic.datagrams_out += 1;
        traffic.bytes_out += data.len() as u64;
        let tracked_payload = &self.metrics.tracked_payload;
        if !tracked_payload.is_empty()
            && data.windows(tracked_payload.len()).any(|at| at == tracked_payload)
        {
            self.metrics.tracked_datagrams += 1;
        }
    }
}
