//! Recording of one node, as a file that `tidings replay` reads.

use super::World;
use std::path::{Path, PathBuf};
use tidings_record::{Limits, RecordError, Recorder};

/// The recorded node and its recorder.
#[derive(Debug)]
pub(super) struct Recorded {
    node: usize,
    path: PathBuf,
    limits: Limits,
    recorder: Option<Recorder>,
    error: Option<RecordError>,
}

impl World {
    /// Records a node, from now on or from its next start on, to a file in the format of a live
    /// node's flight recorder.
    ///
    /// When the node is restarted, a new recording begins, and the earlier one is kept with the
    /// suffix `.old`.
    pub fn record(&mut self, node: usize, path: &Path, limits: Limits) {
        self.end_recording();
        let (path, recorder, error) = (path.into(), None, None);
        self.recorded = Some(Recorded { node, path, limits, recorder, error });
        self.begin_recording(node);
        self.record_step(node);
    }

    /// Ends the recording, and waits until it is written.
    ///
    /// # Errors
    ///
    /// If any part of the recording could not be written.
    pub fn finish_recording(&mut self) -> Result<(), RecordError> {
        self.end_recording();
        match self.recorded.take().and_then(|recorded| recorded.error) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Begins the recording when its node starts.
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

    /// Records the journal of a node that handled an input.
    pub(super) fn record_step(&mut self, node: usize) {
        let Some(recorded) = self.recorded.as_mut().filter(|recorded| recorded.node == node) else {
            return;
        };
        if let (Some(recorder), Some(node)) = (&mut recorded.recorder, &mut self.hosts[node].node) {
            recorder.record(node);
        }
    }

    /// Ends the recording when its node stops, or on request.
    pub(super) fn end_recording(&mut self) {
        let Some(recorded) = &mut self.recorded else { return };
        let node = self.hosts[recorded.node].node.as_mut();
        if let (Some(recorder), Some(node)) = (recorded.recorder.take(), node) {
            recorded.error = recorder.finish(node).wait().err().or_else(|| recorded.error.take());
        }
    }

    /// Whether this node is recorded.
    pub(super) fn is_recorded(&self, node: usize) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.node == node)
    }
}
