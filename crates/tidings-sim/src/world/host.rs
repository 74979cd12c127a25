//! Hosts: a node's machine, with its clock, its processor and its sockets.

use super::streams::StreamChunk;
use crate::events::Traffic;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Instant, Node, StreamId, Timer};

/// One node's machine.
#[derive(Debug)]
pub(crate) struct Host {
    /// The node, from its first start on; still there to be looked at when it has stopped.
    pub(crate) node: Option<Node>,
    pub(crate) addr: SocketAddr,
    /// Which life of the node this is, from 1 on; 0 before its first start.
    pub(crate) starts: u32,
    pub(crate) state: HostState,
    pub(crate) clock: HostClock,
    /// How long the node takes over each input.
    pub(crate) cpu: Duration,
    /// Whether it has joined others in this life, if it has tried.
    pub(super) join_succeeded: Option<bool>,
    /// Until when it is busy with inputs that came before.
    pub(super) busy_until: Instant,
    /// For when its timer is set.
    pub(super) timer_at: Option<Instant>,
    /// What waits in its sockets while it does not run, does not read, or is busy.
    pub(super) inbox: VecDeque<Input>,
    /// How many of those came while it was paused or stalled.
    pub(super) backlog: usize,
    /// When it gets to the first of them.
    pub(super) next_read: Option<Instant>,
    /// Whether it begins no further probe while it is stalled and has a ping to send.
    pub(super) probe_loop_blocked: bool,
    /// What it could not send while it was stalled.
    pub(super) blocked_sends: BlockedSends,
    /// What it sent and received.
    pub(super) traffic: Traffic,
    /// Its streams: which, and on which side of it the node is.
    pub(super) streams: BTreeMap<StreamId, (u64, usize)>,
}

/// Whether a machine does what it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostState {
    /// It runs.
    Up,
    /// Its process does not run; its operating system does, and refuses connections.
    Crashed,
    /// It is off, or cut off for good: nothing answers.
    Off,
    /// Its process is stopped: neither input nor time reaches the node, and its sockets fill up.
    Paused,
    /// Lifeguard's anomaly: the node's time goes on, but it blocks before it sends anything and after
    /// it has received anything (Lifeguard §V-D).
    Stalled,
}

/// Something that is there for a node to take.
#[derive(Debug)]
pub(super) enum Input {
    Datagram { from: SocketAddr, data: Vec<u8> },
    Connect { stream: u64 },
    Chunk { stream: u64, side: usize, chunk: StreamChunk },
    Timeout,
}

/// A machine's clocks, as they differ from the world's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct HostClock {
    /// By how much its monotonic clock is ahead, which nobody should notice.
    pub(crate) ahead: Duration,
    /// How much faster it runs than it should, in millionths.
    pub(crate) drift_ppm: i32,
    /// By how many seconds its wall clock is ahead.
    pub(crate) wall_ahead: i64,
}

/// What a stalled node tried to send; of each of memberlist's loops only the latest attempt, since a
/// loop that blocks does not go on.
#[derive(Debug, Default)]
pub(super) struct BlockedSends {
    pub(super) datagrams: BTreeMap<Loop, Vec<(SocketAddr, Vec<u8>)>>,
    pub(super) actions: Vec<(StreamId, tidings::StreamAction)>,
}

/// On whose behalf a node sends.
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

    /// Whether the node is there, even if it does not run at the moment.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, HostState::Up | HostState::Paused | HostState::Stalled)
    }

    pub(super) fn node_mut(&mut self) -> &mut Node {
        self.node.as_mut().expect("only who was started is given input")
    }

    /// For which loop a node is going to act when it is told that its time has come.
    pub(super) fn next_loop(&self) -> Loop {
        match self.node.as_ref().and_then(Node::next_timer) {
            Some((_, Timer::Probe | Timer::ProbeTimeout)) => Loop::Probe,
            Some((_, Timer::Gossip)) => Loop::Gossip,
            _ => Loop::Other,
        }
    }

    /// Takes an input that cannot be worked on now into the sockets' buffers, if there is room.
    pub(super) fn enqueue(&mut self, input: Input, room: usize) {
        let full = self.inbox.len() >= room;
        if !(full && matches!(input, Input::Datagram { .. })) {
            self.inbox.push_back(input);
        }
    }
}

impl HostClock {
    /// What the machine's monotonic clock shows.
    pub(crate) fn local(self, now: Instant) -> Instant {
        let drift = i128::from(now.as_nanos()) * i128::from(self.drift_ppm) / 1_000_000;
        let nanos = i128::from(now.as_nanos()) + drift + self.ahead.as_nanos() as i128;
        Instant::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64)
    }

    /// When the machine's clock will show such a time, to the nanosecond, rounded up.
    pub(super) fn when(self, local: Instant) -> Instant {
        let since = i128::from(local.as_nanos()) - self.ahead.as_nanos() as i128;
        let nanos = since * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        let mut at = Instant::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64);
        while self.local(at) < local && at < Instant::MAX {
            at += Duration::from_nanos(1);
        }
        at
    }

    /// The seconds of the machine's wall clock.
    pub(crate) fn wall(self, now: Instant) -> u64 {
        let seconds = now.as_nanos() / 1_000_000_000;
        (WALL_CLOCK + seconds).saturating_add_signed(self.wall_ahead)
    }
}

/// What wall clocks show at the beginning: as much as one does in the second year of generations.
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
