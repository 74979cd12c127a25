//! Recording: what one node of a world goes through, as a file that can be replayed.

use super::World;
use std::path::{Path, PathBuf};
use tidings_record::{Limits, RecordError, Recorder};

/// Which node is recorded, and where to.
#[derive(Debug)]
pub(super) struct Recorded {
    node: usize,
    path: PathBuf,
    limits: Limits,
    recorder: Option<Recorder>,
    error: Option<RecordError>,
}

impl World {
    /// Has a node be recorded from now on, or from its next start on, to a file as a real one's flight
    /// recorder writes it.
    ///
    /// If it is started again, the recording begins anew, and the earlier one is kept under the same
    /// name with `.old` behind it.
    pub fn record(&mut self, node: usize, path: &Path, limits: Limits) {
        self.end_recording();
        let (path, recorder, error) = (path.into(), None, None);
        self.recorded = Some(Recorded { node, path, limits, recorder, error });
        self.begin_recording(node);
        self.record_step(node);
    }

    /// Ends the recording, and waits until all is written.
    ///
    /// # Errors
    ///
    /// If something of it could not be.
    pub fn finish_recording(&mut self) -> Result<(), RecordError> {
        self.end_recording();
        match self.recorded.take().and_then(|recorded| recorded.error) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A node has begun to live, or is to be recorded.
    pub(super) fn begin_recording(&mut self, node: usize) {
        let Some(recorded) = self.recorded.as_mut().filter(|recorded| recorded.node == node) else {
            return;
        };
        let host = &self.hosts[node];
        if host.is_up() && host.node.is_some() {
            let now = host.clock.local(self.now);
            match Recorder::create(&recorded.path, recorded.limits, now) {
                Ok(recorder) => recorded.recorder = Some(recorder),
                Err(error) => recorded.error = Some(error),
            }
        }
    }

    /// A node was driven.
    pub(super) fn record_step(&mut self, node: usize) {
        let Some(recorded) = self.recorded.as_mut().filter(|recorded| recorded.node == node) else {
            return;
        };
        if let (Some(recorder), Some(node)) = (&mut recorded.recorder, &mut self.hosts[node].node) {
            recorder.take(node);
        }
    }

    /// The node that is recorded stops, or is to be recorded no longer.
    pub(super) fn end_recording(&mut self) {
        let Some(recorded) = &mut self.recorded else { return };
        let node = self.hosts[recorded.node].node.as_mut();
        if let (Some(recorder), Some(node)) = (recorded.recorder.take(), node) {
            recorded.error = recorder.finish(node).wait().err().or_else(|| recorded.error.take());
        }
    }

    /// Whether that node is recorded.
    pub(super) fn is_recorded(&self, node: usize) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.node == node)
    }
}
