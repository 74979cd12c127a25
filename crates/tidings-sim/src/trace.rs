//! Trace: a hash of the history of a run.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use tidings::Instant;

/// Hash of the history of a run so far: every input and every output of every node.
///
/// Two runs with the same hash had the same history, to the byte and the nanosecond.
#[derive(Clone, Debug)]
pub struct Trace {
    hasher: SipHasher13,
    records: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hasher: SipHasher13::new_with_keys(0, 0), records: 0 }
    }
}

impl Trace {
    /// Adds an input or output of a node.
    pub(crate) fn record(&mut self, now: Instant, host: usize, kind: u8, data: &[u8]) {
        let mut head = [0; 13];
        head[..8].copy_from_slice(&now.as_nanos().to_le_bytes());
        head[8..12].copy_from_slice(&(host as u32).to_le_bytes());
        head[12] = kind;
        self.hasher.write(&head);
        self.hasher.write(data);
        self.records += 1;
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// Number of recorded inputs and outputs.
    pub fn records(&self) -> u64 {
        self.records
    }
}
