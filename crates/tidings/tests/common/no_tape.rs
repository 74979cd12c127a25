//! Without feature `record` nodes keep no journals: there is nothing to replay.

use tidings::Node;

pub struct Tape;

impl Tape {
    pub fn begin(_: &mut Node) -> Self {
        Self
    }

    pub fn take(&mut self, _: &mut Node) {}
}
