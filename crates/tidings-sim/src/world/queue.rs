//! Event queue of the simulation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use tidings::Instant;

/// A scheduled event of the simulation.
#[derive(Debug)]
pub(super) enum SimEvent {
    /// A datagram arrives at an address.
    Datagram { from: usize, from_addr: SocketAddr, to: SocketAddr, data: Vec<u8> },
    /// A connection request arrives.
    Connect { stream: u64, to: SocketAddr },
    /// A chunk of data, or the end, arrives at one side of a stream.
    Chunk { stream: u64, side: usize, local: bool, chunk: super::streams::StreamChunk },
    /// A node reads its first buffered input.
    Ready { host: usize },
    /// A step of the scenario is due.
    Step(usize),
    /// A node's timer fires.
    Timer { host: usize },
}

/// Events ordered by time. At equal times arrivals come before timers, and otherwise events keep
/// the order of insertion.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    order: u64,
    event: SimEvent,
}

const TIMERS_LAST: u64 = 1 << 63;

impl Queue {
    pub(super) fn push(&mut self, at: Instant, event: SimEvent) {
        let late = if matches!(event, SimEvent::Timer { .. }) { TIMERS_LAST } else { 0 };
        self.heap.push(Reverse(Entry { at, order: late | self.pushed, event }));
        self.pushed += 1;
    }

    /// Time of the next event.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<(Instant, SimEvent)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_comes_before_timers_and_otherwise_the_first_comes_first() {
        let mut queue = Queue::default();
        let at = Instant::from_nanos;
        queue.push(at(5), SimEvent::Timer { host: 1 });
        queue.push(at(5), SimEvent::Step(2));
        queue.push(at(5), SimEvent::Step(3));
        queue.push(at(4), SimEvent::Timer { host: 4 });
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(_, event)| match event {
                SimEvent::Timer { host } => host,
                SimEvent::Step(step) => step,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(order, [4, 2, 3, 1]);
    }
}
