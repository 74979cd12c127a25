//! The world: real nodes, the network between them, and time that only passes when it is told to.

mod anomaly;
mod application;
mod form;
mod host;
mod metrics;
mod queue;
mod record;
mod streams;
mod traffic;

use crate::check::Checks;
use crate::events::{LoggedEvent, Tally};
use crate::injected_bug::InjectedBug;
use crate::link::{Cut, Link, Links, Paths};
use crate::scenario::Wire;
use crate::sim_rng::SimRng;
use crate::trace::Trace;
pub use host::HostState;
use host::{Host, Input};
use metrics::Metrics;
use queue::{Queue, SimEvent};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use streams::{StreamChunk, Streams};
use tidings::{
    Cipher, ClusterName, Config, Instant, Key, Keyring, Memberlist, Node, NodeId, Options, Phase,
    Plaintext, StreamError, Ticket,
};

/// What holds for a whole world, from its beginning.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The nodes' timing and limits.
    pub options: Options,
    /// Whether the nodes encrypt what they send.
    pub encryption: bool,
    /// In which wire format they speak.
    pub wire: Wire,
    /// What the network is like.
    pub link: Link,
    /// How much too late a node may be told that its time has come.
    pub timer_slack: Duration,
    /// How many datagrams wait for a node that does not read; more are dropped.
    pub socket_buffer: usize,
    /// Whether everything that nodes do and say is checked; it takes memory for each pair of them.
    pub checks: bool,
    /// Whether the history is hashed.
    pub trace: bool,
    /// Whether membership events are kept.
    pub log: bool,
    /// Whether the begins of probe rounds are kept.
    pub probes: bool,
}

impl Settings {
    /// For how long those who failed or left are remembered: in memberlist's format for no longer than
    /// gossip goes to the dead.
    pub(crate) fn forgets_after(&self) -> Duration {
        let Options { tombstone_timeout, gossip_to_the_dead, .. } = self.options;
        match self.wire {
            Wire::Tidings => tombstone_timeout,
            Wire::Memberlist => tombstone_timeout.min(gossip_to_the_dead),
        }
    }
}

impl Default for Settings {
    /// Memberlist's values for one local network, with everything checked and kept.
    fn default() -> Self {
        Self {
            options: Options::lan(),
            encryption: false,
            wire: Wire::Tidings,
            link: Link::default(),
            timer_slack: Duration::ZERO,
            socket_buffer: SOCKET_BUFFER,
            checks: true,
            trace: true,
            log: true,
            probes: false,
        }
    }
}

/// Nodes and the network between them, in virtual time.
///
/// It is a pure function of its settings, its seed and what it is told: the same give the same
/// history, to the byte. Nodes are known by their numbers, and are called `n0`, `n1` and so on.
///
/// ```
/// use std::time::Duration;
/// use tidings_sim::{Settings, World};
///
/// let mut world = World::formed(100, Settings::default(), 7);
/// world.crash(42);
/// let found = world.run_until(Duration::from_secs(60), |world| {
///     (0..100).all(|node| node == 42 || world.present(node) == 99)
/// });
/// println!("all know it after {:?}", found.expect("a crash is found within a minute"));
/// ```
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Instant,
    hosts: Vec<Host>,
    /// NodeSelector listens where; only ever looked up.
    listening: HashMap<SocketAddr, usize>,
    queue: Queue,
    links: Links,
    /// Ways that lose in bursts: whether each is bad, and until when it stays so.
    bursts: BTreeMap<(usize, usize), (bool, Instant)>,
    streams: Streams,
    /// What happens on the way.
    rng: SimRng,
    /// What nodes start with.
    node_seeds: SimRng,
    options_of: BTreeMap<usize, Options>,
    checks: Option<Checks>,
    trace: Trace,
    tally: Tally,
    log: Vec<LoggedEvent>,
    bug: InjectedBug,
    recorded: Option<record::Recorded>,
    metrics: Metrics,
    /// Steps of a scenario that are due.
    due_steps: Vec<usize>,
    buf: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl World {
    /// A world without nodes.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            links: Links::new(settings.link.clone()),
            checks: settings.checks.then(|| Checks::new(&settings)),
            now: Instant::ZERO,
            hosts: Vec::new(),
            listening: HashMap::new(),
            queue: Queue::default(),
            bursts: BTreeMap::new(),
            streams: Streams::default(),
            rng: SimRng::new(seed, 1),
            node_seeds: SimRng::new(seed, 2),
            options_of: BTreeMap::new(),
            trace: Trace::default(),
            tally: Tally::default(),
            log: Vec::new(),
            bug: InjectedBug::default(),
            recorded: None,
            metrics: Metrics::default(),
            due_steps: Vec::new(),
            buf: Vec::new(),
            spare: Vec::new(),
            settings,
        }
    }

    /// Has something be wrong that the checks must find.
    #[doc(hidden)]
    pub fn inject_bug(&mut self, bug: InjectedBug) {
        self.bug = bug;
    }

    // ---- machines ----

    /// Adds a machine on which no node runs yet; returns its number.
    pub fn add(&mut self) -> usize {
        let number = self.hosts.len();
        self.hosts.push(Host::new(address(number, 0)));
        if let Some(checks) = &mut self.checks {
            checks.add();
        }
        number
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Sets a machine's clocks: how far its monotonic one is ahead, how much too fast it runs, in
    /// millionths, and by how many seconds its wall clock is ahead. Only before its node starts.
    ///
    /// # Panics
    ///
    /// If the node runs: clocks do not jump under a running node, whose time is monotonic.
    pub fn set_clock(&mut self, node: usize, ahead: Duration, drift_ppm: i32, wall_ahead: i64) {
        assert!(!self.hosts[node].is_up(), "the clock of a running node is monotonic");
        self.hosts[node].clock = host::HostClock { ahead, drift_ppm, wall_ahead };
    }

    /// Sets by how many seconds a machine's wall clock is ahead, which a node notices when it starts.
    pub fn set_wall_clock(&mut self, node: usize, ahead: i64) {
        self.hosts[node].clock.wall_ahead = ahead;
    }

    /// Sets how long a node takes over each input: 0 is none.
    pub fn set_cpu(&mut self, node: usize, each: Duration) {
        self.hosts[node].cpu = each;
    }

    /// Has a node start with other options than the rest, from its next start on.
    pub fn set_options(&mut self, node: usize, options: Options) {
        self.options_of.insert(node, options);
    }

    /// Starts a node where it was before, or for the first time.
    pub fn start(&mut self, node: usize) {
        self.start_at(node, self.hosts[node].addr);
    }

    /// Starts a node at an address at which it never was.
    pub fn start_elsewhere(&mut self, node: usize) {
        let starts = self.hosts[node].starts;
        self.start_at(node, address(node, starts + 1));
    }

    fn start_at(&mut self, node: usize, addr: SocketAddr) {
        self.stop(node, false);
        let config = self.config(node, addr);
        let seed = self.node_seeds.seed();
        self.install_node(node, addr, |now| Node::new(config, seed, now));
        self.tally.starts += 1;
        self.drain(node, host::Loop::Other);
    }

    /// Puts a node that begins to live onto its machine.
    fn install_node(&mut self, node: usize, addr: SocketAddr, make: impl FnOnce(Instant) -> Node) {
        let now = self.now;
        let host = &mut self.hosts[node];
        self.listening.insert(addr, node);
        host.addr = addr;
        host.starts += 1;
        host.state = HostState::Up;
        host.busy_until = now;
        host.timer_at = None;
        host.join_succeeded = None;
        (host.backlog, host.next_read, host.probe_loop_blocked) = (0, None, false);
        host.node = Some(make(host.clock.local(now)));
        if let Some(checks) = &mut self.checks {
            let local = self.hosts[node].node.as_ref().expect("it was put there").local();
            checks.started(node, local);
        }
        self.begin_recording(node);
        self.record_step(node);
    }

    fn config(&self, node: usize, addr: SocketAddr) -> Config {
        let cluster = ClusterName::new("sim").expect("it is a name");
        let options = self.options_of.get(&node).unwrap_or(&self.settings.options).clone();
        let config = Config::new(cluster, id(node), addr, options).expect("options were checked");
        let config = config.with_generation(self.hosts[node].clock.wall(self.now));
        let (wire, cipher) = match self.settings.wire {
            Wire::Tidings => (tidings::Wire::Tidings, Cipher::ChaCha20Poly1305),
            Wire::Memberlist => (tidings::Wire::Memberlist(Memberlist::new()), Cipher::Memberlist),
        };
        let config = config.with_wire(wire).expect("options were checked");
        if !self.settings.encryption {
            return config;
        }
        let keyring = Keyring::new(Key::new(cipher, [7; 32]));
        config.with_encryption(keyring, Plaintext::Refused).expect("both are of one format")
    }

    /// Stops a node's process at once; its machine breaks its connections off and refuses new ones.
    pub fn crash(&mut self, node: usize) {
        self.stop(node, false);
    }

    /// Stops a node's machine at once: nothing answers, and its connections hang.
    pub fn power_off(&mut self, node: usize) {
        self.stop(node, true);
    }

    fn stop(&mut self, node: usize, silently: bool) {
        if self.is_recorded(node) {
            self.end_recording();
        }
        let host = &mut self.hosts[node];
        if host.is_up() {
            self.tally.stops += 1;
        }
        host.state = if silently { HostState::Off } else { HostState::Crashed };
        host.timer_at = None;
        host.blocked_sends = host::BlockedSends::default();
        let waiting = std::mem::take(&mut host.inbox);
        let streams = std::mem::take(&mut host.streams);
        for (_, (stream, side)) in streams {
            if !silently {
                self.send_chunk(stream, 1 - side, StreamChunk::Failed(StreamError::Reset));
            }
            self.streams.detach(stream, side);
        }
        for input in waiting {
            if let (Input::Connect { stream }, false) = (input, silently) {
                self.send_chunk(stream, 0, StreamChunk::Failed(StreamError::Reset));
            }
        }
        if let Some(checks) = &mut self.checks {
            checks.stopped(node);
        }
    }

    // ---- the network ----

    /// Changes what the network is like, everywhere.
    pub fn set_link(&mut self, link: Link) {
        self.links.change(None, link);
    }

    /// Changes what the ways from some nodes to some nodes are like.
    pub fn set_link_between(&mut self, from: &[usize], to: &[usize], link: Link) {
        self.links.change(Some(paths(from, to)), link);
    }

    /// From now on nothing, or not everything, gets from some nodes to some nodes.
    pub fn cut(&mut self, from: &[usize], to: &[usize], cut: Cut) {
        self.tally.cuts += 1;
        self.links.cut(paths(from, to), cut);
    }

    /// From now on nothing gets from these nodes to the others, nor from the others to these.
    pub fn isolate(&mut self, nodes: &[usize]) {
        let others: Vec<_> = (0..self.len()).filter(|node| !nodes.contains(node)).collect();
        self.cut(nodes, &others, Cut::All);
        self.cut(&others, nodes, Cut::All);
    }

    /// Ends all cuts.
    pub fn mend(&mut self) {
        self.links.mend();
    }

    // ---- time ----

    /// Goes on until the condition holds; returns how long that took, or `None` if it did not hold
    /// within the limit.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        let end = start + limit;
        while !done(self) {
            if !self.step(end) {
                self.now = end;
                return done(self).then_some(limit);
            }
        }
        Some(self.now.since(start))
    }

    /// Goes on for some time.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Goes to the next thing that happens, if that is not after `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        if self.queue.next().is_none_or(|next| next > end) {
            return false;
        }
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.process_event(at, event);
        true
    }

    /// Has the step of a scenario with such a number be due at some time.
    pub(crate) fn schedule(&mut self, at: Instant, step: usize) {
        self.queue.push(at, SimEvent::Step(step));
    }

    /// Takes the steps that have become due.
    pub(crate) fn take_due_steps(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.due_steps)
    }

    // ---- looking ----

    /// What time it is in the world.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A node, if it was ever started; one that has stopped is as it was then.
    pub fn node(&self, node: usize) -> Option<&Node> {
        self.hosts[node].node.as_ref()
    }

    /// Whether a machine does what it should.
    pub fn host_state(&self, node: usize) -> HostState {
        self.hosts[node].state
    }

    /// Whether a node runs, and takes part in its cluster.
    pub fn is_member(&self, node: usize) -> bool {
        self.hosts[node].is_up()
            && self.node(node).is_some_and(|node| node.phase() == Phase::Running)
    }

    /// Whether a node has tried to join others, and has not succeeded.
    pub fn is_join_incomplete(&self, node: usize) -> bool {
        self.hosts[node].join_succeeded == Some(false)
    }

    /// How many members a node holds to be present, itself included; 0 if it was never started.
    pub fn present(&self, node: usize) -> usize {
        self.node(node).map_or(0, Node::present_count)
    }

    /// Membership events so far, if they are kept.
    pub fn log(&self) -> &[LoggedEvent] {
        &self.log
    }

    /// Forgets the membership events so far.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// What has happened so far, counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The history so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The world's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What nodes did that no node may ever do, if they are checked.
    pub fn violations(&self) -> &[String] {
        self.checks.as_ref().map_or(&[], Checks::violations)
    }

    /// Commands that have not ended, by node.
    pub fn pending_commands(&self) -> Vec<(usize, Ticket)> {
        self.checks.as_ref().map(|checks| checks.pending_commands().collect()).unwrap_or_default()
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}

/// What a node is called.
pub fn id(node: usize) -> NodeId {
    NodeId::new(&format!("n{node}")).expect("it is a name")
}

/// Which node is called so.
pub(crate) fn number(id: &NodeId) -> Option<usize> {
    id.as_str().strip_prefix('n')?.parse().ok()
}

fn address(node: usize, moves: u32) -> SocketAddr {
    let [_, b, c, d] = (node as u32).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, b, c, d), 7946 + moves as u16))
}

fn paths(from: &[usize], to: &[usize]) -> Paths {
    Paths::new(from.iter().copied(), to.iter().copied())
}

/// What Linux has room for by default, at a few hundred bytes each.
const SOCKET_BUFFER: usize = 256;
