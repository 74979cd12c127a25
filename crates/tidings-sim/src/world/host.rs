//! A simulated machine: a node with its clock, CPU and sockets.

use super::streams::StreamChunk;
use crate::events::Traffic;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Instant, Node, StreamId, Timer};

/// The machine of one node.
#[derive(Debug)]
pub(crate) struct Host {
    /// The node, from its first start on; kept for inspection after it stopped.
    pub(crate) node: Option<Node>,
    pub(crate) addr: SocketAddr,
    /// Number of starts of the node so far.
    pub(crate) starts: u32,
    pub(crate) state: HostState,
    pub(crate) clock: HostClock,
    /// CPU time for each input.
    pub(crate) cpu: Duration,
    /// Whether a join has succeeded, if one was tried.
    pub(super) join_succeeded: Option<bool>,
    /// Time until which earlier inputs occupy the CPU.
    pub(super) busy_until: Instant,
    /// Time for which its timer is set.
    pub(super) timer_at: Option<Instant>,
    /// Inputs buffered while the node is stopped, blocked or busy.
    pub(super) inbox: VecDeque<Input>,
    /// Number of those that arrived while it was paused or stalled.
    pub(super) backlog: usize,
    /// Time at which it reads the first of them.
    pub(super) next_read: Option<Instant>,
    /// Whether its probe loop is blocked once a ping could not be sent.
    pub(super) probe_loop_blocked: bool,
    /// Sends that are blocked while it is stalled.
    pub(super) blocked_sends: BlockedSends,
    /// Its traffic counters.
    pub(super) traffic: Traffic,
    /// Its streams: the number of each, and on which side of it the node is.
    pub(super) streams: BTreeMap<StreamId, (u64, usize)>,
}

/// State of a simulated machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostState {
    /// The process runs.
    Up,
    /// The process was killed; the operating system runs and refuses connections.
    Crashed,
    /// The machine is off: nothing answers.
    Off,
    /// The process was killed, and another program listens at its port.
    Taken,
    /// The process is stopped: it handles neither input nor timers, and its socket buffers fill up.
    Paused,
    /// Lifeguard's anomaly: timers run, but the node blocks before each send and after each receive
    /// (Lifeguard §V-D).
    Stalled,
}

/// Input for a node.
#[derive(Debug)]
pub(super) enum Input {
    Datagram { from: SocketAddr, data: Vec<u8> },
    Connect { stream: u64 },
    Chunk { stream: u64, side: usize, chunk: StreamChunk },
    Timeout,
}

/// Deviation of a machine's clocks from the world's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct HostClock {
    /// Offset of the monotonic clock, which must have no effect.
    pub(crate) ahead: Duration,
    /// Drift in parts per million; positive is fast.
    pub(crate) drift_ppm: i32,
    /// Offset of the wall clock in seconds.
    pub(crate) wall_ahead: i64,
}

/// Sends of a stalled node. For each of memberlist's loops only the latest attempt is kept, because
/// a blocked loop does not continue.
#[derive(Debug, Default)]
pub(super) struct BlockedSends {
    pub(super) datagrams: BTreeMap<Loop, Vec<(SocketAddr, Vec<u8>)>>,
    pub(super) actions: Vec<(StreamId, tidings::StreamAction)>,
}

/// The loop of memberlist in which a datagram would be sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Loop {
    Probe,
    Gossip,
    Other,
}

impl Host {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self {
            node: None,
            addr,
            starts: 0,
            state: HostState::Off,
            clock: HostClock::default(),
            cpu: Duration::ZERO,
            join_succeeded: None,
            busy_until: Instant::ZERO,
            timer_at: None,
            inbox: VecDeque::new(),
            backlog: 0,
            next_read: None,
            probe_loop_blocked: false,
            blocked_sends: BlockedSends::default(),
            traffic: Traffic::default(),
            streams: BTreeMap::new(),
        }
    }

    /// Whether the node has a process, even if it is paused or stalled.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, HostState::Up | HostState::Paused | HostState::Stalled)
    }

    pub(super) fn node_mut(&mut self) -> &mut Node {
        self.node.as_mut().expect("only a started node gets input")
    }

    /// The loop to which the node's next timer belongs.
    pub(super) fn next_loop(&self) -> Loop {
        match self.node.as_ref().and_then(Node::next_timer) {
            Some((_, Timer::Probe | Timer::ProbeTimeout)) => Loop::Probe,
            Some((_, Timer::Gossip)) => Loop::Gossip,
            _ => Loop::Other,
        }
    }

    /// Buffers an input; datagrams are dropped if the buffer is full.
    pub(super) fn enqueue(&mut self, input: Input, room: usize) {
        let full = self.inbox.len() >= room;
        if !(full && matches!(input, Input::Datagram { .. })) {
            self.inbox.push_back(input);
        }
    }
}

impl HostClock {
    /// Reading of the machine's monotonic clock.
    pub(crate) fn local(self, now: Instant) -> Instant {
        let drift = i128::from(now.as_nanos()) * i128::from(self.drift_ppm) / 1_000_000;
        let nanos = i128::from(now.as_nanos()) + drift + self.ahead.as_nanos() as i128;
        Instant::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64)
    }

    /// World time at which the machine's monotonic clock reads `local`, rounded up to the
    /// nanosecond.
    pub(super) fn when(self, local: Instant) -> Instant {
        let since = i128::from(local.as_nanos()) - self.ahead.as_nanos() as i128;
        let nanos = since * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        let mut at = Instant::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64);
        while self.local(at) < local && at < Instant::MAX {
            at += Duration::from_nanos(1);
        }
        at
    }

    /// Reading of the machine's wall clock in seconds.
    pub(crate) fn wall(self, now: Instant) -> u64 {
        let seconds = now.as_nanos() / 1_000_000_000;
        (WALL_CLOCK + seconds).saturating_add_signed(self.wall_ahead)
    }
}

/// Reading of wall clocks at the beginning; generations then look like those in the second year.
const WALL_CLOCK: u64 = 50_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_due_when_the_machines_clock_shows_its_time_and_no_nanosecond_earlier() {
        for drift_ppm in [0, 37, -37, 50_000, -50_000] {
            let clock =
                HostClock { ahead: Duration::from_secs(77), drift_ppm, ..HostClock::default() };
            for nanos in [77_000_000_001, 77_123_456_789, 99_000_000_000_000] {
                let due = clock.when(Instant::from_nanos(nanos));
                assert!(clock.local(due).as_nanos() >= nanos);
                assert!(clock.local(due - Duration::from_nanos(1)).as_nanos() < nanos);
            }
        }
    }
}
