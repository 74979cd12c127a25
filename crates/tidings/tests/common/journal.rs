//! Journals kept in memory, and a check that replaying them gives the same outputs.

use tidings::Node;
use tidings::replay::Replay;

/// The journals of one node, each with the checkpoint at which it begins.
#[derive(Default)]
pub struct Journals {
    segments: Vec<(Vec<u8>, Vec<u8>)>,
    takes: usize,
}

/// Counts of what replays have compared.
#[derive(Debug, Default)]
pub struct ReplayCounts {
    pub segments: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Journals {
    pub fn begin(node: &mut Node) -> Self {
        let mut journals = Self::default();
        journals.next_segment(node);
        journals
    }

    /// Takes what the node recorded. A new segment begins now and then, also while outputs wait.
    pub fn take(&mut self, node: &mut Node) {
        let (_, journal) = self.segments.last_mut().expect("one has begun");
        node.take_journal(journal);
        self.takes += 1;
        if self.takes % SEGMENT == 0 {
            self.next_segment(node);
        }
    }

    fn next_segment(&mut self, node: &mut Node) {
        let mut checkpoint = Vec::new();
        node.start_journal(&mut checkpoint);
        self.segments.push((checkpoint, Vec::new()));
    }

    pub fn segments(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.segments
    }

    /// Asserts that a replay of each segment gives the recorded outputs, and ends in the state in
    /// which the next segment begins.
    pub fn assert_replays(&self, all: &mut ReplayCounts) {
        for (n, (checkpoint, journal)) in self.segments.iter().enumerate() {
            let mut replay = Replay::new(checkpoint, journal).expect("it was just made");
            while let Some(step) = replay.step().expect("it was just made") {
                assert_eq!(step.difference, None, "{step:?}");
                all.inputs += 1;
                all.outputs += step.outputs.len();
            }
            all.segments += 1;
            if let Some((next, _)) = self.segments.get(n + 1) {
                let mut end = Vec::new();
                replay.node().checkpoint(&mut end);
                assert!(end == *next, "segment {n} ends where the next one begins");
            }
        }
    }
}

/// How often a journal is taken before a new one begins.
const SEGMENT: usize = 203;
