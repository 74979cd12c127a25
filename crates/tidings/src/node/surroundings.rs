//! The node's surroundings, which may change while it runs: its wall clock.

use super::Node;
use crate::record::journal::Input;
use crate::time::{Instant, WallClock};

impl Node {
    /// Sets the time on the wall clock, in seconds since any moment that is the same at all nodes;
    /// it runs on with `now`.
    ///
    /// Sealed messages carry it, and the limits of [incarnations](crate::Incarnation) move with it.
    /// It may step in either direction: the next message has the new time, and is judged by it.
    /// After a step back the node still accepts no message from before the time that a peer's reply
    /// proved, less [`tombstone_timeout`](crate::Options::tombstone_timeout). After a step of a
    /// minute or more, which a machine that slept makes too, it syncs at once, and tries seeds and
    /// a lost member.
    pub fn set_wall_clock(&mut self, now: Instant, seconds: u64) {
        self.input(now, |_| Input::SetWallClock(seconds), |node| node.step_wall_clock(seconds));
    }

    fn step_wall_clock(&mut self, seconds: u64) {
        let before = self.wall_clock();
        self.wall_clock = WallClock::new(self.now, seconds);
        self.wire.on_clock_step(before, seconds);
        if before.abs_diff(seconds) >= LONG_STEP {
            self.retry_at_once();
        }
    }

    /// The time on the [wall clock](Self::set_wall_clock), in seconds, as the node knows it.
    pub fn wall_clock(&self) -> u64 {
        self.wall_clock.at(self.now)
    }
}

/// The least step of the wall clock, in seconds, after which others may judge this node's messages
/// otherwise: they accept any time for a minute, at least.
const LONG_STEP: u64 = 60;
