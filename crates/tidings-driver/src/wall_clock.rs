//! The wall clock, which the driver gives its node again whenever it was set.

use std::fmt;
use std::time::Duration;
use tidings::{Clock, Instant, Node};

/// Compares the machine's wall clock with the one that its node knows.
pub(crate) struct WallClock {
    clock: Clock,
    read: Box<dyn FnMut() -> u64 + Send>,
    /// When to compare next.
    next: Instant,
}

impl WallClock {
    pub(crate) fn new(clock: Clock, read: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self { clock, read: Box::new(read), next: clock.now() }
    }

    /// Before an input: tells the node if the wall clock was set, or the machine slept.
    pub(crate) fn follow(&mut self, node: &mut Node) {
        let now = self.clock.now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let known = node.wall_clock().saturating_add(now.since(node.now()).as_secs());
        let seconds = (self.read)();
        if seconds.abs_diff(known) >= STEP {
            node.set_wall_clock(now, seconds);
        }
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WallClock").field("next", &self.next).finish_non_exhaustive()
    }
}

/// The least time between two looks at the wall clock.
const INTERVAL: Duration = Duration::from_millis(100);
/// The least difference, in seconds, that a node is told of.
const STEP: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tidings::Config;

    #[test]
    fn a_node_follows_a_wall_clock_that_is_set() {
        let config = Config::local(
            "test".parse().unwrap(),
            "a".parse().unwrap(),
            "127.0.0.1:1".parse().unwrap(),
        );
        let (clock, wall) = (Clock::start(), Arc::new(AtomicU64::new(1000)));
        let mut node = Node::new(config.with_wall_clock(1000), [1; 32], clock.now());
        let read = Arc::clone(&wall);
        let mut follow = WallClock::new(clock, move || read.load(Ordering::Relaxed));
        for (seconds, known) in [(1001, 1000), (50_000, 50_000), (10, 10)] {
            wall.store(seconds, Ordering::Relaxed);
            follow.next = Instant::ZERO;
            follow.follow(&mut node);
            assert!(node.wall_clock().abs_diff(known) <= 1, "{}", node.wall_clock());
        }
        wall.store(90_000, Ordering::Relaxed);
        follow.next = Instant::MAX;
        follow.follow(&mut node);
        assert!(node.wall_clock() < 90_000, "it is not looked at for each input");
    }
}
