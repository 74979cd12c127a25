//! A few nodes and the network between them, in virtual time.

#![allow(dead_code, unreachable_pub)]

pub mod forge;
#[cfg(feature = "record")]
pub mod journal;
#[cfg(not(feature = "record"))]
#[path = "no_journal.rs"]
pub mod journal;
#[cfg(feature = "memberlist")]
pub mod memberlist;
pub mod single_node;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, Done, Event, Failure, Instant, Member, Meta, Node, NodeId, Options,
    Output, State, StreamAction, StreamError, StreamId, StreamInput, Ticket, Via, Wire,
};

/// One-way latency of datagrams and of stream chunks.
pub const LATENCY: Duration = Duration::from_millis(1);

/// Nodes, named by their index, and the packets in flight between them.
pub struct Net {
    pub now: Instant,
    pub nodes: Vec<Host>,
    /// Further addresses of nodes.
    pub aliases: BTreeMap<SocketAddr, usize>,
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    sent: u64,
    /// Base of the random seeds of nodes that start from now on.
    pub seed: u8,
    restarts: u8,
    /// Links, by sender and receiver, that lose everything.
    cuts: BTreeSet<(usize, usize)>,
    /// Datagram loss, in percent.
    pub loss: u8,
    /// Links that lose all datagrams, but no streams.
    datagram_cuts: BTreeSet<(usize, usize)>,
    /// Links on which no stream opens, and which lose no datagrams.
    stream_cuts: BTreeSet<(usize, usize)>,
    /// Those of the cuts that refuse connections.
    rejects: BTreeSet<(usize, usize)>,
    /// Links with another latency than [`LATENCY`].
    latencies: BTreeMap<(usize, usize), Duration>,
    /// Actions of nodes on streams that a test injected, by node and stream.
    strangers: BTreeMap<(usize, StreamId), Vec<StreamAction>>,
    /// The messages in every datagram that was sent: sender, destination, messages.
    pub datagrams: Vec<(usize, SocketAddr, Vec<u8>)>,
    /// Total length of those datagrams, with their envelopes.
    pub datagram_bytes: usize,
    /// Every datagram as it was sent, if they are recorded: sender, destination, bytes.
    pub recorded: Option<Vec<(SocketAddr, SocketAddr, Vec<u8>)>>,
    /// Whether nodes that start from now on keep journals.
    pub journaling: bool,
    /// Number of inputs after which each node is restored from a checkpoint; 0: never.
    pub restoring: usize,
    inputs: usize,
    /// Journals of nodes that were replaced by [`restart`](Self::restart).
    pub ended_journals: Vec<journal::Journals>,
    /// Everything that was written to a stream: writer, bytes.
    pub writes: Vec<(usize, Vec<u8>)>,
}

/// One node, with its events and streams.
pub struct Host {
    pub node: Node,
    pub addr: SocketAddr,
    pub up: bool,
    pub events: Vec<(Instant, Event)>,
    /// From this node's ID of a stream to the peer and the peer's ID of it.
    streams: BTreeMap<StreamId, (usize, StreamId)>,
    /// Inbound streams that are open, and the highest number of them at a time.
    serving: BTreeSet<StreamId>,
    pub most_served: usize,
    pub journals: Option<journal::Journals>,
}

enum InFlight {
    Datagram { from: usize, to: SocketAddr, data: Vec<u8> },
    Connect { from: usize, to: SocketAddr, id: StreamId },
    Stream { from: usize, to: usize, id: StreamId, what: StreamChunk },
}

enum StreamChunk {
    Opened,
    Data(Vec<u8>),
    Closed,
    Failed(StreamError),
}

/// Two nodes that have joined.
pub fn pair() -> Net {
    joined(2)
}

/// Three nodes that have joined.
pub fn trio() -> Net {
    joined(3)
}

/// Nodes that have joined, and know each other.
pub fn joined(count: usize) -> Net {
    let mut net = Net::new(count);
    for here in 1..count {
        net.join(here, &[addr(0)]);
    }
    net.run_until(|net| (0..count).all(|here| net.nodes[here].node.present_count() == count));
    net
}

pub fn id(n: usize) -> NodeId {
    NodeId::new(&format!("n{n}")).unwrap()
}

pub fn addr(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 7946))
}

/// As [`addr`], for numbers over 254.
pub fn wide_addr(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (n / 254) as u8, (n % 254) as u8 + 1], 7946))
}

pub fn config(n: usize, addr: SocketAddr) -> Config {
    forge::with_keys(Config::local(ClusterName::new("test").unwrap(), id(n), addr))
}

pub fn config_with(n: usize, options: &Options) -> Config {
    config_at(n, addr(n), options)
}

pub fn config_at(n: usize, addr: SocketAddr, options: &Options) -> Config {
    let cluster = ClusterName::new("test").unwrap();
    let config = Config::builder(cluster, id(n), addr).options(options.clone());
    forge::with_keys(config.build().unwrap())
}

/// Takes a node's outputs; adds the destinations of its datagrams and of the streams that it opens,
/// all of which fail.
pub fn drain_destinations(node: &mut Node, now: Instant, destinations: &mut BTreeSet<SocketAddr>) {
    let mut buf = Vec::new();
    while let Some(output) = node.poll_output(&mut buf) {
        match output {
            Output::Datagram { to, .. } => drop(destinations.insert(to)),
            Output::Stream { id, action: StreamAction::Open { to, .. } } => {
                destinations.insert(to);
                let failed = StreamInput::Failed(StreamError::Unreachable);
                node.handle_stream(now, id, failed);
            }
            _ => {}
        }
    }
}

/// Carries out a node's outputs for a while, as somebody who connects each stream that it opens
/// back to it; with `echo`, each stream with itself. Returns the node's events.
pub fn connect_back(node: &mut Node, mut now: Instant, echo: bool) -> Vec<Event> {
    let (mut events, mut ends, mut buf) = (Vec::new(), BTreeMap::new(), Vec::new());
    let end = now + Duration::from_secs(60);
    while now < end {
        while let Some(output) = node.poll_output(&mut buf) {
            let (id, action) = match output {
                Output::Stream { id, action } => (id, action),
                Output::Event(event) => {
                    events.push(event);
                    continue;
                }
                _ => continue,
            };
            if let StreamAction::Open { to, .. } = action {
                let other = if echo { id } else { node.accept_stream(now, to).unwrap() };
                ends.extend([(id, other), (other, id)]);
                node.handle_stream(now, id, StreamInput::Opened);
                continue;
            }
            // Streams from before have no other end.
            let Some(&other) = ends.get(&id) else { continue };
            match action {
                StreamAction::Write(bytes) => {
                    node.handle_stream(now, other, StreamInput::Data(&bytes));
                }
                StreamAction::Close => {
                    node.handle_stream(now, id, StreamInput::Closed);
                    node.handle_stream(now, other, StreamInput::Closed);
                }
                _ => {
                    let error = StreamError::Reset;
                    node.handle_stream(now, other, StreamInput::Failed(error));
                }
            }
        }
        now = node.poll_timeout().unwrap_or(end);
        node.handle_timeout(now);
    }
    events
}

impl Net {
    /// Asserts that the journals of all nodes, also of ended ones, replay with more outputs than
    /// this. Without feature `record` there are no journals.
    pub fn assert_replays(&self, min_outputs: usize) {
        #[cfg(feature = "record")]
        {
            let mut all = journal::ReplayCounts::default();
            let hosts = self.nodes.iter();
            let running = hosts.map(|host| host.journals.as_ref().expect("it keeps a journal"));
            running.chain(&self.ended_journals).for_each(|one| one.assert_replays(&mut all));
            assert!(all.outputs > min_outputs, "{all:?}");
        }
        let _ = min_outputs;
    }

    /// Nodes of generation 1 that do not know each other yet.
    pub fn new(count: usize) -> Self {
        Self::of((0..count).map(|n| config(n, addr(n)).with_generation(1)))
    }

    pub fn with_options(count: usize, options: &Options) -> Self {
        Self::of((0..count).map(|n| config_with(n, options).with_generation(1)))
    }

    /// As `with_options`, with other random choices for each `seed`.
    pub fn seeded(count: usize, options: &Options, seed: u8) -> Self {
        let mut net = Self::new(0);
        net.seed = seed;
        for n in 0..count {
            net.start(config_with(n, options).with_generation(1));
        }
        net
    }

    pub fn of(configs: impl IntoIterator<Item = Config>) -> Self {
        let mut net = Self {
            now: Instant::ZERO,
            nodes: Vec::new(),
            aliases: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            seed: 0,
            restarts: 0,
            cuts: BTreeSet::new(),
            loss: 0,
            datagram_cuts: BTreeSet::new(),
            stream_cuts: BTreeSet::new(),
            rejects: BTreeSet::new(),
            latencies: BTreeMap::new(),
            strangers: BTreeMap::new(),
            datagrams: Vec::new(),
            datagram_bytes: 0,
            recorded: None,
            journaling: false,
            restoring: 0,
            inputs: 0,
            ended_journals: Vec::new(),
            writes: Vec::new(),
        };
        for config in configs {
            net.start(config);
        }
        net
    }

    pub fn start(&mut self, config: Config) -> usize {
        let here = self.nodes.len();
        self.nodes.push(self.host(here, config));
        here
    }

    fn host(&self, here: usize, config: Config) -> Host {
        let addr = config.addr();
        let mut seed = [here as u8; 32];
        // A seed is never used twice.
        (seed[0], seed[1]) = (self.seed, self.restarts);
        let mut node = Node::new(config, seed, self.now);
        let journals = self.journaling.then(|| journal::Journals::begin(&mut node));
        let (events, streams, serving) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Host { node, addr, up: true, events, streams, serving, most_served: 0, journals }
    }

    /// Stops a node at once, and starts another one in its place.
    pub fn restart(&mut self, here: usize, config: Config) {
        // Connections end with the node.
        self.in_flight.retain(|_, packet| match packet {
            InFlight::Datagram { .. } => true,
            InFlight::Connect { from, .. } => *from != here,
            InFlight::Stream { from, to, .. } => *from != here && *to != here,
        });
        self.restarts += 1;
        let host = self.host(here, config);
        let old = std::mem::replace(&mut self.nodes[here], host);
        self.ended_journals.extend(old.journals);
    }

    /// Stops a node, without a leave.
    pub fn kill(&mut self, here: usize) {
        self.nodes[here].up = false;
    }

    /// Lets a stopped node go on from its state.
    pub fn resume(&mut self, here: usize) {
        self.nodes[here].up = true;
    }

    /// From now on, everything from one node to the other is lost.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub fn cut_both(&mut self, a: usize, b: usize) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// From now on, datagrams between the two are lost, and streams are not.
    pub fn cut_datagrams(&mut self, a: usize, b: usize) {
        self.datagram_cuts.extend([(a, b), (b, a)]);
    }

    /// From now on, no stream opens between the two, and datagrams arrive.
    pub fn cut_streams(&mut self, a: usize, b: usize) {
        self.stream_cuts.extend([(a, b), (b, a)]);
    }

    /// From now on, a firewall refuses connections between the two, and drops datagrams.
    pub fn reject_both(&mut self, a: usize, b: usize) {
        self.cut_both(a, b);
        self.rejects.extend([(a, b), (b, a)]);
    }

    /// Removes all cuts.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.datagram_cuts.clear();
        self.stream_cuts.clear();
        self.rejects.clear();
    }

    /// From now on, everything between the two has this one-way latency.
    pub fn slow(&mut self, a: usize, b: usize, latency: Duration) {
        self.latencies.extend([((a, b), latency), ((b, a), latency)]);
    }

    // ---- commands ----

    pub fn join(&mut self, here: usize, seeds: &[SocketAddr]) -> Ticket {
        let ticket = self.nodes[here].node.join(self.now, seeds).unwrap();
        self.drain(here);
        ticket
    }

    pub fn leave(&mut self, here: usize) -> Ticket {
        let ticket = self.nodes[here].node.leave(self.now);
        self.drain(here);
        ticket
    }

    pub fn set_meta(&mut self, here: usize, meta: &str) {
        self.nodes[here].node.set_meta(self.now, Meta::from(meta)).unwrap();
        self.drain(here);
    }

    /// Gives a node a command, and handles its outputs.
    pub fn command<R>(&mut self, here: usize, command: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let result = command(&mut self.nodes[here].node, self.now);
        self.drain(here);
        result
    }

    /// Feeds a node a datagram that no node sent.
    pub fn inject(&mut self, to: usize, from: SocketAddr, data: &[u8]) {
        self.nodes[to].node.handle_datagram(self.now, from, data);
        self.drain(to);
    }

    /// Opens a stream that no node opened, and feeds it; returns its ID.
    pub fn inject_stream(&mut self, to: usize, from: SocketAddr, data: &[u8]) -> StreamId {
        let id = self.nodes[to].node.accept_stream(self.now, from).expect("there is room");
        self.strangers.insert((to, id), Vec::new());
        self.feed_stream(to, id, StreamInput::Data(data));
        id
    }

    /// Feeds a stream of [`inject_stream`](Self::inject_stream) once more.
    pub fn feed_stream(&mut self, to: usize, id: StreamId, input: StreamInput<'_>) {
        self.nodes[to].node.handle_stream(self.now, id, input);
        self.drain(to);
    }

    /// A node's actions on a stream of [`inject_stream`](Self::inject_stream).
    pub fn injected_stream_actions(&self, to: usize, id: StreamId) -> &[StreamAction] {
        &self.strangers[&(to, id)]
    }

    /// Adds members that do not exist, `x00000000` and so on, to a node's table; its outputs are
    /// dropped.
    pub fn add_fictional_members(&mut self, here: usize, count: usize) {
        let name = |n: usize| format!("x{n:08}");
        let addr = |n: usize| format!("10.{}.{}.{}:7946", 1 + n / 62_500, n / 250 % 250, n % 250);
        let alive: Vec<_> =
            (0..count).map(|n| forge::alive(&name(n), &addr(n), 1, 0, b"")).collect();
        // Claims by datagram count only from members: the node's own address is one.
        let from = self.nodes[here].node.local().addr();
        for alive in alive.chunks(300) {
            let datagram = forge::datagram(alive);
            self.nodes[here].node.handle_datagram(self.now, from, &datagram);
        }
        let mut buf = Vec::new();
        while self.nodes[here].node.poll_output(&mut buf).is_some() {}
    }

    // ---- queries ----

    /// The state of `other` in the table of `here`.
    pub fn state(&self, here: usize, other: usize) -> Option<State> {
        self.member(here, other).map(Member::state)
    }

    pub fn member(&self, here: usize, other: usize) -> Option<&Member> {
        self.nodes[here].node.member(&id(other))
    }

    pub fn saw(&self, here: usize, what: impl Fn(&Event) -> bool) -> bool {
        self.nodes[here].events.iter().any(|(_, event)| what(event))
    }

    /// The kinds of events about a member that a node emitted, in order.
    pub fn event_kinds(&self, here: usize, other: usize) -> Vec<&'static str> {
        let kind = |event: &Event| {
            let (kind, member) = match event {
                Event::Joined(member) => ("joined", member),
                Event::Updated(member) => ("updated", member),
                Event::Suspected(member) => ("suspected", member),
                Event::Recovered(member) => ("recovered", member),
                Event::Failed(member) => ("failed", member),
                Event::Left(member) => ("left", member),
                _ => return None,
            };
            (*member.id() == id(other)).then_some(kind)
        };
        self.nodes[here].events.iter().filter_map(|(_, event)| kind(event)).collect()
    }

    /// The messages that a node's application received: sender, data, delivery.
    pub fn messages(&self, here: usize) -> Vec<(NodeId, Vec<u8>, Via)> {
        let message = |event: &Event| match event {
            Event::Message { from, data, via } => Some((from.clone()?, data.to_vec(), *via)),
            _ => None,
        };
        self.nodes[here].events.iter().filter_map(|(_, event)| message(event)).collect()
    }

    /// The result of a command, if it has ended. Asserts that the ticket ends once.
    pub fn result(&self, here: usize, ticket: Ticket) -> Option<Result<Done, Failure>> {
        let mut results = self.nodes[here].events.iter().filter_map(|(_, event)| match event {
            Event::Completed { ticket: ended, result } if *ended == ticket => Some(result.clone()),
            _ => None,
        });
        let result = results.next();
        assert!(results.next().is_none(), "a ticket ends once");
        result
    }

    // ---- time ----

    /// Runs until the condition holds; returns how long that took.
    ///
    /// # Panics
    ///
    /// If it does not within ten minutes.
    #[track_caller]
    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(
                self.now.since(start) < Duration::from_secs(600),
                "the condition does not hold after ten minutes"
            );
            self.step(Instant::MAX);
        }
        self.now.since(start)
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Handles the next arrival or timer; returns false if that is after `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        let up = self.nodes.iter().enumerate().filter(|(_, host)| host.up);
        let timer = up.filter_map(|(n, host)| Some((host.node.poll_timeout()?, n))).min();
        let packet = self.in_flight.keys().next().copied();
        let next = [timer.map(|(at, _)| at), packet.map(|(at, _)| at)];
        let Some(next) = next.into_iter().flatten().min().filter(|&next| next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        // Arrivals come before timers.
        match packet.filter(|&(at, _)| at <= self.now) {
            Some(key) => {
                let packet = self.in_flight.remove(&key).expect("it was seen");
                self.deliver(packet);
            }
            None => {
                let (_, here) = timer.expect("something is next");
                self.nodes[here].node.handle_timeout(self.now);
                self.drain(here);
            }
        }
        true
    }

    fn deliver(&mut self, packet: InFlight) {
        match packet {
            InFlight::Datagram { from, to, data } => {
                let Some(to) = self.reachable(from, to) else {
                    return;
                };
                if self.datagram_cuts.contains(&(from, to)) {
                    return;
                }
                let from = self.nodes[from].addr;
                self.nodes[to].node.handle_datagram(self.now, from, &data);
                self.drain(to);
            }
            InFlight::Connect { from, to, id } => {
                let Some(to) = self.reachable(from, to) else {
                    let refuses =
                        |to: usize| !self.nodes[to].up || self.rejects.contains(&(from, to));
                    if self.host_at(to).is_some_and(refuses) {
                        self.send_chunk(from, from, id, StreamChunk::Failed(StreamError::Refused));
                    }
                    return;
                };
                if self.stream_cuts.contains(&(from, to)) {
                    return;
                }
                let peer = self.nodes[from].addr;
                if let Some(theirs) = self.nodes[to].node.accept_stream(self.now, peer) {
                    let host = &mut self.nodes[to];
                    host.streams.insert(theirs, (from, id));
                    host.serving.insert(theirs);
                    host.most_served = host.most_served.max(host.serving.len());
                    self.nodes[from].streams.insert(id, (to, theirs));
                    self.send_chunk(to, from, id, StreamChunk::Opened);
                } else {
                    self.send_chunk(to, from, id, StreamChunk::Failed(StreamError::Reset));
                }
                self.drain(to);
            }
            InFlight::Stream { from, to, id, what } => {
                if from != to && self.cuts.contains(&(from, to)) || !self.nodes[to].up {
                    return;
                }
                let input = match &what {
                    StreamChunk::Opened => StreamInput::Opened,
                    StreamChunk::Data(data) => StreamInput::Data(data),
                    StreamChunk::Closed => StreamInput::Closed,
                    StreamChunk::Failed(error) => StreamInput::Failed(*error),
                };
                if matches!(what, StreamChunk::Closed | StreamChunk::Failed(_)) {
                    self.nodes[to].serving.remove(&id);
                }
                self.nodes[to].node.handle_stream(self.now, id, input);
                self.drain(to);
            }
        }
    }

    fn host_at(&self, addr: SocketAddr) -> Option<usize> {
        let at = self.nodes.iter().position(|host| host.addr == addr);
        at.or_else(|| self.aliases.get(&addr).copied())
    }

    fn reachable(&self, from: usize, to: SocketAddr) -> Option<usize> {
        let to = self.host_at(to).filter(|&to| self.nodes[to].up)?;
        (!self.cuts.contains(&(from, to))).then_some(to)
    }

    /// Handles all outputs of a node.
    pub fn drain(&mut self, here: usize) {
        let mut buf = Vec::new();
        let Host { node, journals, .. } = &mut self.nodes[here];
        if let Some(journals) = journals {
            journals.take(node);
        }
        self.inputs += 1;
        #[cfg(feature = "record")]
        if self.restoring > 0 && self.inputs % self.restoring == 0 {
            let mut checkpoint = Vec::new();
            node.checkpoint(&mut checkpoint);
            *node = Node::restore(&checkpoint, None).expect("it was just made");
        }
        while let Some(output) = self.nodes[here].node.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => {
                    let data = data.to_vec();
                    self.datagram_bytes += data.len();
                    if let Some(recorded) = &mut self.recorded {
                        recorded.push((self.nodes[here].addr, to, data.clone()));
                    }
                    if *self.nodes[here].node.config().wire() == Wire::Tidings {
                        self.datagrams.push((here, to, forge::open(&data)));
                    }
                    self.send(InFlight::Datagram { from: here, to, data });
                }
                Output::Stream { id, action } => self.act(here, id, action),
                Output::Event(event) => self.nodes[here].events.push((self.now, event)),
            }
        }
    }

    fn act(&mut self, here: usize, id: StreamId, action: StreamAction) {
        if let Some(done) = self.strangers.get_mut(&(here, id)) {
            return done.push(action);
        }
        if action == StreamAction::Reset {
            self.nodes[here].serving.remove(&id);
        }
        let peer = self.nodes[here].streams.get(&id).copied();
        match (action, peer) {
            (StreamAction::Open { to, .. }, _) => {
                self.send(InFlight::Connect { from: here, to, id })
            }
            (StreamAction::Write(bytes), Some((to, theirs))) => {
                self.writes.push((here, bytes.to_vec()));
                self.send_chunk(here, to, theirs, StreamChunk::Data(bytes.to_vec()));
            }
            (StreamAction::Close, Some((to, theirs))) => {
                self.send_chunk(here, to, theirs, StreamChunk::Closed);
                self.send_chunk(here, here, id, StreamChunk::Closed);
            }
            (StreamAction::Reset, Some((to, theirs))) => {
                self.send_chunk(here, to, theirs, StreamChunk::Failed(StreamError::Reset));
            }
            (StreamAction::Reset, None) => {}
            (action, None) => panic!("{action:?} on a stream that is not open"),
        }
    }

    fn send_chunk(&mut self, from: usize, to: usize, id: StreamId, what: StreamChunk) {
        self.send(InFlight::Stream { from, to, id, what });
    }

    fn send(&mut self, packet: InFlight) {
        if let InFlight::Datagram { .. } = packet {
            // Numbers that look random, the same in every run.
            let dice = (self.sent + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            if dice.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32 < (u64::from(self.loss) << 32) / 100 {
                self.sent += 1;
                return;
            }
        }
        let link = match packet {
            _ if self.latencies.is_empty() => None,
            InFlight::Datagram { from, to, .. } | InFlight::Connect { from, to, .. } => {
                self.host_at(to).map(|to| (from, to))
            }
            InFlight::Stream { from, to, .. } => Some((from, to)),
        };
        let latency = link.and_then(|link| self.latencies.get(&link)).copied();
        let due = self.now + latency.unwrap_or(LATENCY);
        self.in_flight.insert((due, self.sent), packet);
        self.sent += 1;
    }
}
