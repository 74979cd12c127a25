//! The simulated world: real nodes, the network between them, and virtual time.

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

/// Settings of a world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Options of the nodes.
    pub options: Options,
    /// Whether the nodes encrypt their traffic.
    pub encryption: bool,
    /// Wire format of all nodes.
    pub wire: Wire,
    /// The network link between all nodes.
    pub link: Link,
    /// Maximum delay with which a node's timers fire.
    pub timer_slack: Duration,
    /// Size of a node's receive buffer in datagrams; further ones are dropped.
    pub socket_buffer: usize,
    /// Whether all actions of the nodes are checked; takes memory for each pair of nodes.
    pub checks: bool,
    /// Whether the history is hashed.
    pub trace: bool,
    /// Whether membership events are logged.
    pub log: bool,
    /// Whether probe rounds are logged.
    pub probes: bool,
}

impl Settings {
    /// Lifetime of tombstones; in memberlist's format at most as long as gossip goes to the dead.
    pub(crate) fn forgets_after(&self) -> Duration {
        let Options { tombstone_timeout, gossip_to_the_dead, .. } = self.options;
        match self.wire {
            Wire::Tidings => tombstone_timeout,
            Wire::Memberlist => tombstone_timeout.min(gossip_to_the_dead),
        }
    }
}

impl Default for Settings {
    /// Memberlist's values for a local network; checks, trace and event log are on.
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
/// A world is a pure function of its settings, its seed and the calls: the same give the same
/// history, to the byte. Nodes are numbered, and are named `n0`, `n1` and so on.
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
    /// Node for each address in use; only looked up, never iterated.
    listening: HashMap<SocketAddr, usize>,
    queue: Queue,
    links: Links,
    /// State of paths with bursty loss: whether it is the bad one, and when it ends.
    bursts: BTreeMap<(usize, usize), (bool, Instant)>,
    streams: Streams,
    /// Random choices of the network.
    rng: SimRng,
    /// Seeds of the nodes.
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

    /// Injects a bug, which the checks must find.
    #[doc(hidden)]
    pub fn inject_bug(&mut self, bug: InjectedBug) {
        self.bug = bug;
    }

    // ---- machines ----

    /// Adds a machine without a running node; returns its number.
    pub fn add(&mut self) -> usize {
        let number = self.hosts.len();
        self.hosts.push(Host::new(address(number, 0)));
        if let Some(checks) = &mut self.checks {
            checks.add();
        }
        number
    }

    /// Number of machines.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether the world has no machines.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Sets a machine's clocks: the offset of its monotonic clock, its drift in parts per million,
    /// and the offset of its wall clock in seconds. Only before its node starts.
    ///
    /// # Panics
    ///
    /// If the node is running, because its clock must be monotonic.
    pub fn set_clock(&mut self, node: usize, ahead: Duration, drift_ppm: i32, wall_ahead: i64) {
        assert!(!self.hosts[node].is_up(), "the clock of a running node is monotonic");
        self.hosts[node].clock = host::HostClock { ahead, drift_ppm, wall_ahead };
    }

    /// Sets the offset of a machine's wall clock in seconds; its node follows it.
    pub fn set_wall_clock(&mut self, node: usize, ahead: i64) {
        self.hosts[node].clock.wall_ahead = ahead;
        let seconds = self.hosts[node].clock.wall(self.now);
        self.command(node, |node, now| node.set_wall_clock(now, seconds));
    }

    /// Sets the CPU time that a node takes for each input.
    pub fn set_cpu(&mut self, node: usize, each: Duration) {
        self.hosts[node].cpu = each;
    }

    /// Sets the options of one node, from its next start on.
    pub fn set_options(&mut self, node: usize, options: Options) {
        self.options_of.insert(node, options);
    }

    /// Starts or restarts a node at its present address.
    pub fn start(&mut self, node: usize) {
        self.start_at(node, self.hosts[node].addr);
    }

    /// Starts or restarts a node at a new address.
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
        self.drain(node, host::Loop::Other, None);
    }

    /// Installs a newly started node on its machine.
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
            let local =
                self.hosts[node].node.as_ref().expect("the node was installed above").local();
            checks.started(node, local);
        }
        self.begin_recording(node);
        self.record_step(node);
    }

    fn config(&self, node: usize, addr: SocketAddr) -> Config {
        let cluster = ClusterName::new("sim").expect("the name is valid");
        let options = self.options_of.get(&node).unwrap_or(&self.settings.options).clone();
        let generation = self.hosts[node].clock.wall(self.now);
        let (wire, cipher) = match self.settings.wire {
            Wire::Tidings => (tidings::Wire::Tidings, Cipher::ChaCha20Poly1305),
            Wire::Memberlist => (tidings::Wire::Memberlist(Memberlist::new()), Cipher::Memberlist),
        };
        let mut config = Config::builder(cluster, id(node), addr).options(options).wire(wire);
        if self.settings.encryption {
            let keyring = Keyring::new(Key::new(cipher, [7; 32]));
            config = config.encryption(keyring, Plaintext::Refused);
        }
        config.generation(generation).build().expect("options were checked")
    }

    /// Kills a node's process: its machine resets connections and refuses new ones.
    pub fn crash(&mut self, node: usize) {
        self.stop(node, false);
    }

    /// Powers a machine off: nothing answers, and its connections hang.
    pub fn power_off(&mut self, node: usize) {
        self.stop(node, true);
    }

    /// Kills a node's process, whose port another program takes: it accepts connections and greets
    /// in a protocol of its own.
    pub fn take_port(&mut self, node: usize) {
        self.stop(node, false);
        self.hosts[node].state = HostState::Taken;
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

    /// Sets the link of all paths.
    pub fn set_link(&mut self, link: Link) {
        self.links.change(None, link);
    }

    /// Sets the link of the paths from some nodes to others.
    pub fn set_link_between(&mut self, from: &[usize], to: &[usize], link: Link) {
        self.links.change(Some(paths(from, to)), link);
    }

    /// Partitions the paths from some nodes to others, for the given kind of traffic.
    pub fn cut(&mut self, from: &[usize], to: &[usize], cut: Cut) {
        self.tally.cuts += 1;
        self.links.cut(paths(from, to), cut);
    }

    /// Partitions the paths from some nodes to others by a firewall that refuses new connections,
    /// for the given kind of traffic; datagrams and open connections are silent.
    pub fn reject(&mut self, from: &[usize], to: &[usize], cut: Cut) {
        self.tally.cuts += 1;
        self.links.reject(paths(from, to), cut);
    }

    /// Partitions these nodes from all others, in both directions.
    pub fn isolate(&mut self, nodes: &[usize]) {
        let others: Vec<_> = (0..self.len()).filter(|node| !nodes.contains(node)).collect();
        self.cut(nodes, &others, Cut::All);
        self.cut(&others, nodes, Cut::All);
    }

    /// Heals all partitions.
    pub fn mend(&mut self) {
        self.links.mend();
    }

    // ---- time ----

    /// Runs until the condition holds; returns the time that took, or `None` if it did not hold
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

    /// Runs for a virtual duration.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Processes the next event, unless it is later than `end`; returns whether there was one.
    pub fn step(&mut self, end: Instant) -> bool {
        if self.queue.next().is_none_or(|next| next > end) {
            return false;
        }
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.process_event(at, event);
        true
    }

    /// Schedules a step of a scenario, by its number.
    pub(crate) fn schedule(&mut self, at: Instant, step: usize) {
        self.queue.push(at, SimEvent::Step(step));
    }

    /// Removes and returns the numbers of the steps that are due.
    pub(crate) fn take_due_steps(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.due_steps)
    }

    // ---- inspection ----

    /// The current virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The node of a machine, if it was ever started; a stopped one is in its last state.
    pub fn node(&self, node: usize) -> Option<&Node> {
        self.hosts[node].node.as_ref()
    }

    /// The present address of a machine.
    pub fn address(&self, node: usize) -> SocketAddr {
        self.hosts[node].addr
    }

    /// State of a machine.
    pub fn host_state(&self, node: usize) -> HostState {
        self.hosts[node].state
    }

    /// Whether a node is running and has not left its cluster.
    pub fn is_member(&self, node: usize) -> bool {
        self.hosts[node].is_up()
            && self.node(node).is_some_and(|node| node.phase() == Phase::Running)
    }

    /// Whether a node has tried to join a cluster and has not succeeded.
    pub fn is_join_incomplete(&self, node: usize) -> bool {
        self.hosts[node].join_succeeded == Some(false)
    }

    /// Number of members that a node holds as present, including itself; 0 if it was never started.
    pub fn present(&self, node: usize) -> usize {
        self.node(node).map_or(0, Node::present_count)
    }

    /// The log of membership events, if it is kept.
    pub fn log(&self) -> &[LoggedEvent] {
        &self.log
    }

    /// Clears the log of membership events.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Counters of everything that happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The hash of the history so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The settings of the world.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Violations of invariants so far, if checks are on.
    pub fn violations(&self) -> &[String] {
        self.checks.as_ref().map_or(&[], Checks::violations)
    }

    /// Commands that have not completed, each with its node.
    pub fn pending_commands(&self) -> Vec<(usize, Ticket)> {
        self.checks.as_ref().map(|checks| checks.pending_commands().collect()).unwrap_or_default()
    }

    /// Number of open streams.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}

/// The name of a node.
pub fn id(node: usize) -> NodeId {
    NodeId::new(&format!("n{node}")).expect("the name is valid")
}

/// The number of the node with this name.
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

/// Datagrams that fit into Linux's default receive buffer, at a few hundred bytes each.
const SOCKET_BUFFER: usize = 256;
