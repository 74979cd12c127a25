//! Measurements that experiments take beside events.

use super::World;
use crate::events::{ProbeRecord, Traffic};
use std::net::SocketAddr;

/// Measurements, and what they are configured to record.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Whether a node has begun a probe round; its ping is then the next datagram that it sends.
    pub(super) round_began: bool,
    probes: Vec<ProbeRecord>,
    tracked_payload: Vec<u8>,
    tracked_datagrams: u64,
}

impl World {
    /// The log of probe rounds, if it is kept.
    pub fn probes(&self) -> &[ProbeRecord] {
        &self.metrics.probes
    }

    /// Clears the log of probe rounds.
    pub fn clear_probes(&mut self) {
        self.metrics.probes.clear();
    }

    /// Counts the datagrams that contain these bytes, from now on. Encryption would hide them.
    pub fn track_payload(&mut self, payload: &[u8]) {
        self.metrics.tracked_payload = payload.to_vec();
        self.metrics.tracked_datagrams = 0;
    }

    /// Number of datagrams that contained the tracked payload.
    pub fn tracked_datagrams(&self) -> u64 {
        self.metrics.tracked_datagrams
    }

    /// Traffic counters of a machine, over all restarts.
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
