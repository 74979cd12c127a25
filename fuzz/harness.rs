//! Fuzz targets of Tidings' own format: they turn bytes into inputs of a node, by its public API
//! only.
//!
//! In builds with debug assertions the core checks its invariants after every input. So a target
//! only has to check outputs and the final state.

#![allow(dead_code, unreachable_pub)]

use crate::forge;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::replay::Replay;
use tidings::{
    BroadcastKey, ClusterName, Config, Event, Instant, Meta, Node, NodeId, Options, Output,
    StreamAction, StreamError, StreamId, StreamInput, Ticket,
};

/// Fuzzes one datagram: the bytes as they are, and as the messages behind a valid header.
pub fn datagram(bytes: &[u8]) {
    let mut world = World::new();
    world.meet_two();
    let messages = forge::datagram(&[bytes.to_vec()]);
    for from in [peer(1), peer(200)] {
        for datagram in [bytes, &messages] {
            let sent = world.sent.len();
            world.node.handle_datagram(world.now, from, datagram);
            world.drain();
            assert!(world.sent.len() <= sent + 3, "a datagram gets an answer of each kind at most");
        }
    }
    world.end();
}

/// Fuzzes the data of a stream, cut into pieces: the bytes as they are, and as the body of a frame
/// with a valid header; on an incoming stream, and as the answer to a join.
pub fn stream(bytes: &[u8]) {
    let [kind, piece, body @ ..] = bytes else { return };
    let frame = forge::frame(kind % 10, body);
    for data in [body, &frame] {
        let mut world = World::new();
        let id = world.accept();
        world.feed(id, data, *piece);
        world.end();

        let mut world = World::new();
        world.join(1);
        let id = world.streams.first().copied();
        world.stream(id, StreamInput::Opened);
        world.feed(id, data, *piece);
        world.end();
    }
}

/// Fuzzes one node with operations in any order: time, datagrams, streams and commands.
pub fn inputs(bytes: &[u8]) {
    let mut world = World::new();
    let mut ops = Ops(bytes);
    for _ in 0..MAX_OPS {
        let Some(op) = ops.next() else { break };
        match op % 21 {
            0 => world.advance(Duration::from_millis(ops.byte().into())),
            1 => world.advance(Duration::from_millis(u64::from(ops.byte()) * 100)),
            2 => world.advance(Duration::from_secs(u64::from(ops.byte()) * 1000)),
            // An earlier time counts as the latest one.
            3 => world.node.handle_timeout(Instant::ZERO),
            4..=8 => {
                let from = peer(ops.byte() % 8);
                let messages: Vec<_> = (0..=ops.byte() % 8).map(|_| message(&mut ops)).collect();
                world.node.handle_datagram(world.now, from, &forge::datagram(&messages));
            }
            9 => {
                let members: Vec<_> = (0..ops.byte() % 8).map(|_| member(&mut ops)).collect();
                let body = match ops.byte() % 2 {
                    0 => forge::sync_hello(&members),
                    _ => members.concat(),
                };
                let frame = forge::frame(ops.byte() % 10, &body);
                let id = match ops.byte() % 2 {
                    0 => world.accept(),
                    _ => world.some_stream(ops.byte()),
                };
                world.drain();
                world.feed(id, &frame, ops.byte());
            }
            10 => {
                let id = world.some_stream(ops.byte());
                let input = match ops.byte() % 4 {
                    0 => StreamInput::Opened,
                    1 => StreamInput::Closed,
                    2 => StreamInput::Failed(StreamError::Refused),
                    _ => StreamInput::Data(&[0xd1, 0]),
                };
                world.stream(id, input);
            }
            11 => world.join(ops.byte() % 10),
            12 => {
                let ticket = world.node.leave(world.now);
                world.begun.insert(ticket);
            }
            13 => {
                let meta = Meta::new(&vec![7; usize::from(ops.byte()) * 4]);
                let _ = world.node.set_meta(world.now, meta);
            }
            14 => world.answer_ping(),
            15 => {
                let (to, data) = (id(ops.byte() % 8), vec![7; usize::from(ops.byte()) * 8]);
                let _ = world.node.send(world.now, &to, data.into());
            }
            16 => {
                let (to, data) = (id(ops.byte() % 8), vec![7; usize::from(ops.byte()) * 8]);
                world.begun.extend(world.node.send_reliable(world.now, &to, data.into()));
            }
            17 => {
                let key = Some([ops.byte() % 3]).filter(|key| *key != [0]);
                let data = vec![7; usize::from(ops.byte()) * 8];
                broadcast(&mut world.node, world.now, key.as_ref().map_or(&[], |key| key), data);
            }
            18 => {
                let to = id(ops.byte() % 8);
                world.begun.extend(world.node.ping(world.now, &to));
            }
            19 => {
                let nth = usize::from(ops.byte());
                let running: Vec<_> = world.begun.difference(&world.ended).copied().collect();
                if let Some(&ticket) = running.get(nth % running.len().max(1)) {
                    world.node.cancel(world.now, ticket);
                }
                let state = vec![7; usize::from(ops.byte())];
                let _ = world.node.set_sync_state(world.now, state.into());
            }
            // Several inputs may be fed before the outputs are drained.
            _ => continue,
        }
        world.drain();
    }
    world.end();
}

/// Fuzzes replay: the bytes as the journal of a node that knows two others, and as a checkpoint.
pub fn replay(bytes: &[u8]) {
    let mut world = World::new();
    world.meet_two();
    let mut checkpoint = Vec::new();
    world.node.start_journal(&mut checkpoint);
    let mut replay = Replay::new(&checkpoint, bytes).expect("it was just made");
    while let Ok(Some(step)) = replay.step() {
        if step.difference.is_some() {
            break;
        }
    }
    for checkpoint in [bytes, &[&checkpoint[..1], bytes].concat()] {
        if let Ok(replay) = Replay::new(checkpoint, &[]) {
            assert!(replay.node().all_members().count() > 0, "a node knows itself");
        }
    }
}

/// Broadcasts, with a key if it is not empty.
pub fn broadcast(node: &mut Node, now: Instant, key: &[u8], data: Vec<u8>) {
    let _ = match BroadcastKey::new(key) {
        Ok(key) => node.broadcast_replacing(now, key, data.into()),
        Err(_) => node.broadcast(now, data.into()),
    };
}

/// The highest number of operations in one input: more inputs tell more than longer ones.
pub const MAX_OPS: usize = 64;

/// One node and the state of its driver.
pub struct World {
    pub node: Node,
    pub now: Instant,
    buf: Vec<u8>,
    /// Destinations of the datagrams that it sent.
    pub sent: Vec<SocketAddr>,
    /// The destination and token of the last ping that it sent.
    pub last_ping: Option<(SocketAddr, u32)>,
    /// Open streams.
    pub streams: BTreeSet<StreamId>,
    /// Streams that the node opened.
    pub ours: BTreeSet<StreamId>,
    /// Streams to which it has written.
    written: BTreeSet<StreamId>,
    /// Commands that were started.
    pub begun: BTreeSet<Ticket>,
    /// Commands that have completed.
    pub ended: BTreeSet<Ticket>,
    /// Returns the token of a ping, in the format of the node.
    read_ping: fn(&[u8]) -> Option<u32>,
    /// Checks everything that it sends.
    watch: Box<dyn FnMut(Instant, Sent<'_>)>,
}

/// Bytes that a node sends.
#[derive(Clone, Copy, Debug)]
pub enum Sent<'a> {
    Datagram(&'a [u8]),
    /// A request, on a stream that it opened.
    Request(&'a [u8]),
    /// A reply, on a stream that a peer opened.
    Reply(&'a [u8]),
}

impl World {
    fn new() -> Self {
        Self::of(forge::with_keys(config(0, |_| {})), read_ping, Box::new(|_, _| {}))
    }

    pub fn of(
        config: Config,
        read_ping: fn(&[u8]) -> Option<u32>,
        watch: Box<dyn FnMut(Instant, Sent<'_>)>,
    ) -> Self {
        Self {
            node: Node::new(config, [9; 32], Instant::ZERO),
            now: Instant::ZERO,
            buf: Vec::new(),
            sent: Vec::new(),
            last_ping: None,
            streams: BTreeSet::new(),
            ours: BTreeSet::new(),
            written: BTreeSet::new(),
            begun: BTreeSet::new(),
            ended: BTreeSet::new(),
            read_ping,
            watch,
        }
    }

    pub fn meet_two(&mut self) {
        let alive = [1, 2].map(|n| forge::alive(&name(n), &peer(n).to_string(), 1, 0, b"meta"));
        self.node.handle_datagram(self.now, peer(1), &forge::datagram(&alive));
        self.advance(Duration::from_secs(2));
    }

    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        // Bounded, because late timeouts are harmless.
        for _ in 0..MAX_TIMEOUTS {
            let Some(at) = self.node.poll_timeout().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.node.handle_timeout(end);
        self.drain();
    }

    pub fn join(&mut self, n: u8) {
        if let Ok(ticket) = self.node.join(self.now, &[peer(n), peer(n + 1)]) {
            self.begun.insert(ticket);
        }
        self.drain();
    }

    pub fn accept(&mut self) -> Option<StreamId> {
        let id = self.node.accept_stream(self.now, peer(1));
        self.streams.extend(id);
        id
    }

    pub fn some_stream(&self, n: u8) -> Option<StreamId> {
        self.streams.iter().nth(usize::from(n) % self.streams.len().max(1)).copied()
    }

    pub fn stream(&mut self, id: Option<StreamId>, input: StreamInput<'_>) {
        let Some(id) = id else { return };
        self.node.handle_stream(self.now, id, input);
        if matches!(input, StreamInput::Closed | StreamInput::Failed(_)) {
            self.streams.remove(&id);
        }
        self.drain();
    }

    pub fn feed(&mut self, id: Option<StreamId>, data: &[u8], piece: u8) {
        for piece in data.chunks(usize::from(piece) + 1) {
            self.stream(id, StreamInput::Data(piece));
        }
    }

    fn answer_ping(&mut self) {
        if let Some((from, token)) = self.last_ping.take() {
            self.node.handle_datagram(self.now, from, &forge::datagram(&[forge::ack(token, 0)]));
        }
    }

    pub fn drain(&mut self) {
        let size = self.node.config().options().datagram_size;
        while let Some(output) = self.node.poll_output(&mut self.buf) {
            match output {
                Output::Datagram { to, data } => {
                    assert!(data.len() <= size, "no datagram exceeds its size");
                    self.sent.push(to);
                    if let Some(token) = (self.read_ping)(data) {
                        self.last_ping = Some((to, token));
                    }
                    (self.watch)(self.now, Sent::Datagram(data));
                }
                Output::Stream { id, action: StreamAction::Open { .. } } => {
                    self.streams.insert(id);
                    self.ours.insert(id);
                }
                Output::Stream { id, action: StreamAction::Write(bytes) } => {
                    let ours = self.ours.contains(&id);
                    let sent = if ours { Sent::Request(&bytes) } else { Sent::Reply(&bytes) };
                    // A second `Opened` makes the node send its request twice.
                    if self.written.insert(id) {
                        (self.watch)(self.now, sent);
                    }
                }
                Output::Stream { id, action: StreamAction::Reset } => {
                    self.streams.remove(&id);
                }
                Output::Stream { .. } => {}
                Output::Event(Event::Completed { ticket, .. }) => {
                    assert!(self.ended.insert(ticket), "{ticket:?} ends once");
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Lets all deadlines pass, and checks that every command has completed.
    pub fn end(mut self) {
        self.drain();
        self.advance(Duration::from_secs(10));
        let never_ended: Vec<_> = self.begun.difference(&self.ended).collect();
        assert!(never_ended.is_empty(), "every ticket ends: {never_ended:?}");
        assert!(self.node.all_members().count() <= 6, "the table is capped");
    }
}

/// The highest number of timeouts that are handled in time, of those that are due at once.
const MAX_TIMEOUTS: usize = 24;

/// Reads bytes one by one; zeros at the end.
pub struct Ops<'a>(pub &'a [u8]);

impl Ops<'_> {
    pub fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }
}

/// The token of the ping with which a datagram begins.
pub fn read_ping(datagram: &[u8]) -> Option<u32> {
    match forge::open(datagram)[..] {
        [0, a, b, c, d, ..] => Some(u32::from_le_bytes([a, b, c, d])),
        _ => None,
    }
}

fn message(ops: &mut Ops<'_>) -> Vec<u8> {
    let kind = ops.byte() % 11;
    let name = name(ops.byte() % 8);
    let (generation, number) = (u64::from(ops.byte() % 8), u64::from(ops.byte() % 8));
    match kind {
        0 => forge::ping(generation as u32, &name),
        1 => forge::ping_request(generation as u32, number * 100, &name),
        2 => forge::ack(generation as u32, number as u32),
        3 => forge::nack(generation as u32),
        4 => forge::suspect(number as u32, &name, generation, number),
        5 => forge::failed(&name, generation, number),
        6 => forge::left(&name, generation, number),
        9 => forge::user_message(&name, b"note"),
        10 => forge::broadcast(&name, generation, number, &[ops.byte() % 3], b"broadcast"),
        7 => forge::alive(&name, &peer(ops.byte() % 8).to_string(), generation, number, b"m"),
        _ => forge::alive(&name, &peer(ops.byte() % 8).to_string(), u64::MAX, u64::MAX, b"m"),
    }
}

fn member(ops: &mut Ops<'_>) -> Vec<u8> {
    let name = name(ops.byte() % 8);
    let addr = peer(ops.byte() % 8).to_string();
    forge::member(ops.byte() % 5, &name, &addr, u64::from(ops.byte() % 8), b"m")
}

/// The configuration of node `n`, with low limits.
pub fn config(n: u8, change: impl FnOnce(&mut Options)) -> Config {
    let mut options = Options::local();
    options.max_members = 6;
    options.max_streams_in = 4;
    options.max_streams_out = 4;
    options.max_relays = 3;
    options.max_pings = 3;
    options.max_reconnect = 3;
    options.max_broadcasts = 4;
    options.tombstone_timeout = Duration::from_secs(60);
    change(&mut options);
    let cluster = ClusterName::new(forge::CLUSTER).expect("a good name");
    let config = Config::builder(cluster, id(n), peer(n)).options(options).generation(1);
    config.build().expect("good options")
}

pub fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n + 1], 7946))
}

pub fn id(n: u8) -> NodeId {
    NodeId::new(&name(n)).expect("a good name")
}

pub fn name(n: u8) -> String {
    format!("n{n}")
}
