//! A fuzz target with typed messages: the input is a list of them, which are encoded as valid
//! datagrams and frames, so that random bytes do not end at the first check.
//!
//! Strangers, members and spoofed sources send them to a node that has joined an honest one. After
//! that, an honest newcomer has to be able to join it.

#![allow(unreachable_pub)]

use crate::forge;
use crate::harness::{Ops, config, id, name, peer, read_ping};
use crate::net::{Chunk, Host, Net, Watch};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    Config, Done, Event, Failure, Instant, Meta, Node, Options, Phase, Rejected, Stats,
    StreamAction, StreamError, StreamId, StreamInput, Ticket,
};

/// A wire format: encodes what the input describes.
pub trait Grammar {
    /// The configuration of node `n`.
    fn config(&self, n: u8, change: &dyn Fn(&mut Options)) -> Config;

    /// Some message of a datagram.
    fn message(&self, ops: &mut Ops<'_>) -> Vec<u8>;

    /// A datagram of these messages.
    fn datagram(&self, ops: &mut Ops<'_>, messages: &[Vec<u8>]) -> Vec<u8>;

    /// An ack.
    fn ack(&self, ops: &mut Ops<'_>, token: u32) -> Vec<u8>;

    /// Some frame of the side that talks to the node.
    fn frame(&self, ops: &mut Ops<'_>, dialog: &Dialog) -> Vec<u8>;

    /// The token of the ping with which a datagram begins.
    fn read_ping(&self, datagram: &[u8]) -> Option<u32>;

    /// Whether a datagram gets one answer of each kind at most, a stranger's only one, and whether
    /// members are told to newcomers only as these accept them.
    fn is_terse(&self) -> bool;

    /// Whether a join may end with this, because of forged members.
    fn may_refuse(&self, result: &Result<Done, Failure>) -> bool;

    /// How much longer than its datagram the answer to a stranger may be, in bytes.
    fn surplus(&self) -> usize;
}

/// A stream between the node and whoever crafts messages.
#[derive(Clone, Debug, Default)]
pub struct Dialog {
    /// Whether the node opened it.
    pub ours: bool,
    /// The number of frames so far, in both directions.
    pub frames: u32,
    /// The latest frame, in either direction.
    pub latest: Vec<u8>,
    /// Bytes that the node wrote since it read the last time.
    unsent: usize,
}

/// Fuzzes a node of Tidings' own format.
pub fn craft(bytes: &[u8]) {
    play(bytes, |_| Tidings);
}

/// Sends what the bytes describe, and checks the node.
pub fn play<G: Grammar>(bytes: &[u8], grammar: impl FnOnce(u8) -> G) {
    let mut ops = Ops(bytes);
    let grammar = grammar(ops.byte());
    let mut scene = Scene::new(&grammar);
    for _ in 0..MAX_OPS {
        let Some(op) = ops.next() else { break };
        scene.act(op, &mut ops);
    }
    scene.end();
}

/// The highest number of operations in one input.
const MAX_OPS: usize = 40;
/// The node, and the honest one that it knows.
const NODE: usize = 0;
const MAX_MEMBERS: usize = 12;
/// The member that joins at the end; no message names it.
const NEWCOMER: u8 = 20;

struct Scene<'g, G> {
    grammar: &'g G,
    net: Net<Seen<'g, G>>,
    /// Whether a request of the node was answered for somebody.
    acked: bool,
}

impl<'g, G: Grammar> Scene<'g, G> {
    /// Two nodes that have joined.
    fn new(grammar: &'g G) -> Self {
        let witness = Node::new(grammar.config(9, &limit), [8; 32], Instant::ZERO);
        let seen = Seen {
            grammar,
            witness,
            now: Instant::ZERO,
            sent: Vec::new(),
            events: 0,
            dialogs: BTreeMap::new(),
            last_ping: None,
            ended: BTreeMap::new(),
        };
        let mut net = Net::new(Instant::ZERO, seen);
        net.start(grammar.config(0, &limit));
        net.start(grammar.config(1, &limit));
        let _ = net.with(1, |node, now| node.join(now, &[peer(0)]));
        let joined = |host: &Host| host.node.present_count() == 2;
        while !net.hosts.iter().all(joined) {
            assert!(net.now < Instant::ZERO + Duration::from_secs(5), "honest nodes join");
            net.step(Instant::MAX, |_| true);
        }
        Self { grammar, net, acked: false }
    }

    fn act(&mut self, op: u8, ops: &mut Ops<'_>) {
        match op % 16 {
            0 => self.pass(u64::from(ops.byte())),
            1 => self.pass(u64::from(ops.byte()) * 40),
            2..=7 => {
                let from = self.source(ops);
                let count = ops.byte() % 6;
                let messages: Vec<_> = (0..=count).map(|_| self.grammar.message(ops)).collect();
                let datagram = self.grammar.datagram(ops, &messages);
                self.datagram(from, &messages, &datagram);
            }
            8 => {
                if let Some((from, token)) = self.net.watch.last_ping.take() {
                    self.acked = true;
                    let ack = self.grammar.ack(ops, token);
                    let datagram = self.grammar.datagram(ops, &[ack]);
                    // A relay forwards it to the asker, which may be no member any more.
                    self.net.with(NODE, |node, now| node.handle_datagram(now, from, &datagram));
                }
            }
            9 | 10 => {
                let from = self.source(ops);
                let accepted = self.net.with(NODE, |node, now| node.accept_stream(now, from));
                if let Some(id) = accepted {
                    self.net.hosts[NODE].ends.insert(id, None);
                    self.net.watch.dialogs.insert(id, Dialog::default());
                    self.frame(id, ops);
                }
            }
            11..=13 => {
                let dialogs = &self.net.watch.dialogs;
                let nth = usize::from(ops.byte()) % dialogs.len().max(1);
                if let Some(&id) = dialogs.keys().nth(nth) {
                    self.frame(id, ops);
                }
            }
            14 => self.hang_up(ops),
            _ => self.command(ops),
        }
        self.check();
    }

    fn pass(&mut self, millis: u64) {
        let end = self.net.now + Duration::from_millis(millis);
        self.net.run(end, |_| true);
    }

    /// A stranger, a member or nobody, or the node's own address.
    fn source(&self, ops: &mut Ops<'_>) -> SocketAddr {
        match ops.byte() {
            n @ 0..128 => peer(n % 8),
            n => peer(n - 1),
        }
    }

    /// Sends the node a datagram, and checks how much it sends at once.
    fn datagram(&mut self, from: SocketAddr, messages: &[Vec<u8>], datagram: &[u8]) {
        let mut known = addresses(&self.net.hosts[NODE].node);
        let stranger = !known.contains(&from);
        self.net.watch.sent.clear();
        let events = self.net.watch.events;
        self.net.with(NODE, |node, now| node.handle_datagram(now, from, datagram));
        known.extend(addresses(&self.net.hosts[NODE].node));
        let sent = &self.net.watch.sent;
        let bytes = |to: SocketAddr| -> usize {
            sent.iter().filter(|(at, _)| *at == to).map(|(_, len)| len).sum()
        };
        // A member can claim that the node's name is elsewhere: then the node answers there. For a
        // stranger it asks at one address, by no more than the stranger sent, and no member.
        let elsewhere: Vec<_> =
            sent.iter().filter(|(to, _)| *to != from && !known.contains(to)).collect();
        assert!(elsewhere.len() <= 1, "{sent:?}: neither a member nor the sender");
        let most = if stranger { datagram.len() } else { usize::MAX };
        assert!(elsewhere.iter().all(|(_, len)| *len <= most), "{sent:?} for {most} bytes");
        if stranger {
            let bytes = bytes(from);
            let most = datagram.len() + self.grammar.surplus();
            assert!(
                bytes <= most,
                "{bytes} bytes for {} from {from}: {messages:?}",
                datagram.len()
            );
            assert!(sent.len() <= 1 || !self.grammar.is_terse(), "a stranger gets one answer");
        }
        assert!(sent.len() <= 2, "two answers at most: {sent:?}");
        // The shortest message that leads to an event has four bytes, compressed a bit less.
        let events = self.net.watch.events - events;
        assert!(events <= 512, "{events} events for {} bytes", datagram.len());
    }

    /// Sends a frame on a stream, in pieces.
    fn frame(&mut self, id: StreamId, ops: &mut Ops<'_>) {
        let opens = |dialog: &Dialog| dialog.ours && dialog.frames == 0;
        if self.net.watch.dialogs.get(&id).is_some_and(opens) {
            self.net.input((NODE, id), &Chunk::Opened);
        }
        let Some(dialog) = self.net.watch.dialogs.get(&id).cloned() else { return };
        let frame = self.grammar.frame(ops, &dialog);
        if let Some(dialog) = self.net.watch.dialogs.get_mut(&id) {
            dialog.latest.clone_from(&frame);
        }
        self.acked |= dialog.ours;
        let pieces = match ops.byte() {
            piece @ 0..32 => usize::from(piece) + 1,
            _ => frame.len().max(1),
        };
        #[cfg(debug_assertions)]
        let (visits, written) = (self.net.hosts[NODE].node.visits(), self.net.watch.written());
        for piece in frame.chunks(pieces) {
            if let Some(dialog) = self.net.watch.dialogs.get_mut(&id) {
                dialog.unsent = 0;
            }
            self.net.input((NODE, id), &Chunk::Data(piece.to_vec()));
        }
        #[cfg(debug_assertions)]
        {
            let visits = self.net.hosts[NODE].node.visits() - visits;
            let written = self.net.watch.written().saturating_sub(written);
            let bytes = frame.len() + written;
            assert!(visits <= 8 * bytes + 1000, "{visits} looks for {bytes} bytes");
        }
        if let Some(dialog) = self.net.watch.dialogs.get_mut(&id) {
            dialog.frames += 1;
        }
    }

    fn hang_up(&mut self, ops: &mut Ops<'_>) {
        let dialogs = &self.net.watch.dialogs;
        let nth = usize::from(ops.byte()) % dialogs.len().max(1);
        let Some(&id) = dialogs.keys().nth(nth) else { return };
        let chunk = match ops.byte() % 2 {
            0 => Chunk::Closed,
            _ => Chunk::Failed(StreamError::Reset),
        };
        self.net.watch.dialogs.remove(&id);
        self.net.input((NODE, id), &chunk);
    }

    fn command(&mut self, ops: &mut Ops<'_>) {
        let (what, to, len) = (ops.byte(), id(ops.byte() % 8), usize::from(ops.byte()));
        let data = vec![7; len];
        // Some are refused, as there may be no such member.
        let _begun = self.net.with(NODE, |node, now| match what % 7 {
            0 => node.join(now, &[peer(2), peer(3)]).is_ok(),
            1 => node.send_reliable(now, &to, data.into()).is_ok(),
            2 => node.send(now, &to, data.into()).is_ok(),
            3 => node.broadcast(now, data.into()).is_ok(),
            4 => node.set_meta(now, Meta::new(&data)).is_ok(),
            5 => node.set_sync_state(now, data.into()).is_ok(),
            _ => node.ping(now, &to).is_ok(),
        });
    }

    /// Checks the node's limits.
    fn check(&self) {
        let host = &self.net.hosts[NODE];
        let options = host.node.config().options();
        assert!(host.node.all_members().count() <= options.max_members, "members are limited");
        let streams = options.max_streams_in + options.max_streams_out + options.leave_peers;
        assert!(host.ends.len() <= streams, "streams are limited");
        let served = self.net.watch.dialogs.values().filter(|dialog| !dialog.ours);
        let unsent: usize = served.map(|dialog| dialog.unsent).sum();
        assert!(unsent <= options.max_stream_memory, "{unsent} bytes wait for readers");
    }

    /// Checks that a newcomer can join the node, and rejects nothing that it sends.
    fn end(mut self) {
        self.pass(1500);
        self.check();
        let mut honest = self.net.hosts[1].node.stats().clone();
        // With keys a node refuses itself, if a forged member was at its own address.
        honest.rejected_streams.unexpected = 0;
        assert_nothing_rejected(&honest);
        assert_nothing_rejected(self.net.watch.witness.stats());
        let node = &self.net.hosts[NODE].node;
        if node.phase() != Phase::Running || node.present_count() >= MAX_MEMBERS {
            return;
        }
        // Streams that are idle make room.
        self.pass(1000);
        // Its clock is that of the node.
        let clock = 1 + self.net.now.as_nanos() / 1_000_000_000;
        let config = self.grammar.config(NEWCOMER, &limit).with_generation(clock);
        let here = self.net.start(config);
        let seeds = [peer(0)];
        let ticket = self.net.with(here, |node, now| node.join(now, &seeds)).expect("it is free");
        let end = self.net.now + Duration::from_secs(2);
        while !self.net.watch.ended.contains_key(&(here, ticket)) {
            assert!(self.net.now < end, "a join ends");
            self.net.step(Instant::MAX, |_| true);
        }
        let result = &self.net.watch.ended[&(here, ticket)];
        if self.grammar.may_refuse(result) {
            return;
        }
        assert!(matches!(result, Ok(Done::Joined { .. })), "{result:?}");
        self.net.run(self.net.now + Duration::from_millis(50), |_| true);
        let newcomer = &self.net.hosts[here].node;
        assert_nothing_rejected(newcomer.stats());
        let stats = newcomer.stats();
        let node = &self.net.hosts[NODE].node;
        let table: Vec<_> = node.all_members().collect();
        // A member's own ack may say any incarnation.
        let strict = self.grammar.is_terse() && !self.acked;
        let implausible = if strict { stats.implausible_claims } else { 0 };
        let refused = if strict { stats.members_refused } else { 0 };
        assert_eq!((implausible, refused), (0, 0), "a newcomer accepts all of {table:?}");
        let local = self.net.hosts[NODE].node.local();
        let known = newcomer.member(local.id());
        assert!(known.is_some_and(|known| known.state().is_present()), "{known:?}: {local:?}");
        let back = node.member(newcomer.local().id());
        assert!(back.is_some_and(|back| back.state().is_present()), "it is a member");
    }
}

/// Low limits, with room for all members that messages name.
fn limit(options: &mut Options) {
    options.max_members = MAX_MEMBERS;
    options.max_sync_state = 1000;
    options.max_meta = 300;
    options.sync_chunk = 16 * (300 + 360);
    options.max_frame = 32 << 10;
    options.max_stream_memory = 40 << 10;
    options.max_broadcast_bytes = 8 << 10;
    options.max_queued_datagrams = 64;
}

fn assert_nothing_rejected(stats: &Stats) {
    assert_eq!(stats.rejected_datagrams, Rejected::default(), "datagrams of the node");
    assert_eq!(stats.rejected_streams, Rejected::default(), "streams of the node");
}

fn addresses(node: &Node) -> Vec<SocketAddr> {
    node.all_members().map(|member| member.addr()).collect()
}

/// What the node does; a witness reads its datagrams and requests.
struct Seen<'g, G> {
    grammar: &'g G,
    witness: Node,
    now: Instant,
    /// Destination and length of the datagrams since the last input.
    sent: Vec<(SocketAddr, usize)>,
    /// The number of events.
    events: usize,
    dialogs: BTreeMap<StreamId, Dialog>,
    /// The destination and token of the last ping.
    last_ping: Option<(SocketAddr, u32)>,
    /// Commands that have ended.
    ended: BTreeMap<(usize, Ticket), Result<Done, Failure>>,
}

impl<G: Grammar> Seen<'_, G> {
    #[cfg(debug_assertions)]
    fn written(&self) -> usize {
        self.dialogs.values().map(|dialog| dialog.unsent).sum()
    }

    /// Lets the witness read a request of the node.
    fn read(&mut self, request: &[u8]) {
        let Some(id) = self.witness.accept_stream(self.now, peer(0)) else { return };
        self.witness.handle_stream(self.now, id, StreamInput::Data(request));
        self.witness.handle_stream(self.now, id, StreamInput::Closed);
        self.drain_witness();
    }

    fn drain_witness(&mut self) {
        let mut buf = Vec::new();
        while self.witness.poll_output(&mut buf).is_some() {}
    }
}

impl<G: Grammar> Watch for Seen<'_, G> {
    fn datagram(&mut self, here: usize, to: SocketAddr, data: &[u8]) {
        if here != NODE {
            return;
        }
        self.sent.push((to, data.len()));
        if let Some(token) = self.grammar.read_ping(data) {
            self.last_ping = Some((to, token));
        }
        self.witness.handle_datagram(self.now, peer(0), data);
        self.drain_witness();
    }

    fn action(&mut self, here: usize, id: StreamId, action: &StreamAction) {
        if here != NODE {
            return;
        }
        match action {
            // Honest nodes answer those that are to them.
            StreamAction::Open { to, .. } if ![peer(1), peer(NEWCOMER)].contains(to) => {
                self.dialogs.insert(id, Dialog { ours: true, ..Dialog::default() });
            }
            StreamAction::Open { .. } => {}
            StreamAction::Write(bytes) => {
                let Some(dialog) = self.dialogs.get_mut(&id) else { return };
                dialog.unsent += bytes.len();
                dialog.frames += 1;
                dialog.latest = bytes.to_vec();
                if dialog.ours && dialog.frames == 1 {
                    self.read(bytes);
                }
            }
            StreamAction::Close => {}
            StreamAction::Reset => drop(self.dialogs.remove(&id)),
        }
    }

    fn event(&mut self, _: &[Host], here: usize, event: &Event) {
        self.events += usize::from(here == NODE);
        if let Event::Completed { ticket, result } = event {
            let again = self.ended.insert((here, *ticket), result.clone());
            assert!(again.is_none(), "{ticket} ends once");
        }
    }

    fn drained(&mut self, hosts: &[Host], here: usize) {
        self.now = self.now.max(hosts[here].node.now());
    }
}

// ---- Tidings' own format ----

struct Tidings;

impl Grammar for Tidings {
    fn config(&self, n: u8, change: &dyn Fn(&mut Options)) -> Config {
        forge::with_keys(config(n, change))
    }

    fn message(&self, ops: &mut Ops<'_>) -> Vec<u8> {
        let kind = ops.byte() % 16;
        let (name, generation) = (some_name(ops), some_number(ops));
        let (number, token) = (some_number(ops), u32::from(ops.byte()));
        match kind {
            0 => forge::ping(token, &name),
            1 => forge::ping_request(token, number, &name),
            2 => forge::ack(token, number as u32),
            3 => forge::nack(token),
            4 => forge::user_message(&name, &vec![b'm'; usize::from(ops.byte())]),
            5 => {
                let key = vec![b'k'; usize::from(ops.byte() % 2)];
                forge::broadcast(&name, generation, number, &key, &vec![b'b'; token as usize])
            }
            6 | 7 => forge::suspect(token, &name, generation, number),
            8 => forge::failed(&name, generation, number),
            9 => forge::left(&name, generation, number),
            10 => [vec![64 + ops.byte() % 192, 2], vec![7; 2]].concat(),
            11 => status_ping(ops, generation, number),
            _ => alive(ops, &name, generation, number),
        }
    }

    fn datagram(&self, _: &mut Ops<'_>, messages: &[Vec<u8>]) -> Vec<u8> {
        forge::datagram(messages)
    }

    fn ack(&self, ops: &mut Ops<'_>, token: u32) -> Vec<u8> {
        let status = [varint(some_number(ops)), varint(some_number(ops))].concat();
        [&[2], &token.to_le_bytes()[..], &status, &[ops.byte(); 4]].concat()
    }

    fn frame(&self, ops: &mut Ops<'_>, dialog: &Dialog) -> Vec<u8> {
        let kind = match (dialog.frames, dialog.ours) {
            (0, _) => [0, 0, 2, 6, 7, 9][usize::from(ops.byte()) % 6],
            (1, true) => [1, 1, 3, 4, 5, 8][usize::from(ops.byte()) % 6],
            _ => [5, 5, 5, 0, 1, 2][usize::from(ops.byte()) % 6],
        };
        let kind = if ops.byte() < 8 { ops.byte() % 12 } else { kind };
        let body = match kind {
            0 => [receiver(ops), hello(ops), parts(ops)].concat(),
            1 => [hello(ops), parts(ops)].concat(),
            2 => {
                let members: Vec<_> = (0..ops.byte() % 6).flat_map(|_| member(ops)).collect();
                [receiver(ops), members].concat()
            }
            4 => vec![ops.byte() % 9],
            5 => parts(ops),
            6 => {
                let message = vec![b'r'; usize::from(ops.byte()) * 4];
                [text(&some_name(ops)), text(&some_name(ops)), message].concat()
            }
            7 => text(&some_name(ops)),
            8 => [varint(some_number(ops)), varint(some_number(ops)), vec![7; 4]].concat(),
            9 => {
                let messages: Vec<_> = (0..ops.byte() % 4).map(|_| self.message(ops)).collect();
                [receiver(ops), text(&some_name(ops)), messages.concat()].concat()
            }
            _ => Vec::new(),
        };
        bound(dialog, kind, &body)
    }

    fn read_ping(&self, datagram: &[u8]) -> Option<u32> {
        read_ping(datagram)
    }

    fn is_terse(&self) -> bool {
        true
    }

    fn may_refuse(&self, _: &Result<Done, Failure>) -> bool {
        false
    }

    fn surplus(&self) -> usize {
        0
    }
}

/// A frame at this point of a stream.
fn bound(dialog: &Dialog, kind: u8, body: &[u8]) -> Vec<u8> {
    #[cfg(feature = "encryption")]
    if let (true, Some(nonce)) = (dialog.ours, dialog.latest.get(9..33)) {
        const REPLY: u8 = 2;
        let before = nonce.try_into().expect("it has 24 bytes");
        let body = [&[kind], body].concat();
        return forge::encrypted::bound_frame(REPLY, dialog.frames, before, &body);
    }
    match dialog.frames {
        frames if frames > 0 && dialog.latest.len() >= 33 => {
            forge::later_frame(&dialog.latest, frames, kind, body)
        }
        _ => forge::frame(kind, body),
    }
}

/// The name of whom a request is for: mostly nobody's.
fn receiver(ops: &mut Ops<'_>) -> Vec<u8> {
    if ops.byte() % 8 > 0 { vec![0] } else { text(&some_name(ops)) }
}

/// A ping of a sender in any incarnation and with any digest.
fn status_ping(ops: &mut Ops<'_>, generation: u64, number: u64) -> Vec<u8> {
    let ping = forge::ping(ops.byte().into(), "n0");
    let tag = forge::sender_tag(some_name(ops).as_bytes(), generation).to_le_bytes();
    [&ping[..9], &tag, &varint(number)[..], &[ops.byte(); 4]].concat()
}

fn alive(ops: &mut Ops<'_>, name: &str, generation: u64, number: u64) -> Vec<u8> {
    let meta = vec![b'm'; [0, 1, 300, 301][usize::from(ops.byte()) % 4]];
    if ops.byte() % 16 == 0 {
        let addr = [&[0x20; 16][..], &[1, 1]].concat();
        let about = [text(name), varint(generation), varint(number)].concat();
        return [&[9], &addr[..], &about, &varint(meta.len() as u64), &meta].concat();
    }
    forge::alive(name, &some_addr(ops), generation, number, &meta)
}

/// A member in a frame.
fn member(ops: &mut Ops<'_>) -> Vec<u8> {
    let (state, name) = (ops.byte() % 5, some_name(ops));
    let (generation, number) = (some_number(ops), some_number(ops));
    let mut member = alive(ops, &name, generation, number);
    member[0] = state + if member[0] == 9 { 16 } else { 0 };
    member
}

fn hello(ops: &mut Ops<'_>) -> Vec<u8> {
    let sender = match ops.byte() % 4 {
        0 => [&[0x20][..], &text(&some_name(ops))].concat(),
        _ => member(ops),
    };
    let state = vec![b's'; [0, 3, 1000, 1001][usize::from(ops.byte()) % 4]];
    [sender, varint(state.len() as u64), state].concat()
}

/// Parts of a comparison, most often about ranges in order that do not overlap.
fn parts(ops: &mut Ops<'_>) -> Vec<u8> {
    let (mut parts, mut next) = (Vec::new(), 0);
    let depth = match ops.byte() {
        depth @ 0..192 => depth % 3,
        depth => depth % 13,
    };
    for _ in 0..ops.byte() % 18 {
        let start = match ops.byte() {
            gap @ 0..240 => next + u64::from(gap % 3),
            other => u64::from(other % 16),
        };
        next = start + 1;
        let ranges = 1_u64.checked_shl(4 * u32::from(depth)).unwrap_or(u64::MAX);
        if start >= ranges {
            break;
        }
        let kind = ops.byte() % 4;
        let rest = match kind {
            0 => vec![ops.byte(); 8],
            1 => {
                let bits = u16::from_le_bytes([ops.byte(), ops.byte()]);
                let digests = vec![7; 8 * bits.count_ones() as usize];
                [&bits.to_le_bytes()[..], &digests].concat()
            }
            _ => {
                let members = (0..ops.byte() % 5).flat_map(|_| member(ops));
                members.chain([0xff]).collect()
            }
        };
        let start = if depth == 0 { 0 } else { start << (64 - 4 * depth) };
        let prefix = &start.to_be_bytes()[..usize::from(depth.div_ceil(2))];
        parts.extend([&[kind | depth << 2], prefix, &rest].concat());
    }
    parts
}

/// The name of one of eight members: the node, the honest one, or one that does not exist.
pub fn some_name(ops: &mut Ops<'_>) -> String {
    name(ops.byte() % 8)
}

/// A small number, or one about a limit.
pub fn some_number(ops: &mut Ops<'_>) -> u64 {
    match ops.byte() {
        small @ 0..160 => u64::from(small % 6),
        exact @ 160..240 => {
            let power = [16, 32, 47, 48, 49, 50, 63][usize::from(exact) % 7];
            let near = [0, 1, 1024, 1025, 1026, 2048, 2049, u64::MAX][usize::from(ops.byte()) % 8];
            (1 << power) + near.wrapping_add(u64::from(ops.byte() % 4)) % (1 << 20)
        }
        240..250 => u64::MAX - u64::from(ops.byte()),
        _ => (0..8).fold(0, |number, _| number << 8 | u64::from(ops.byte())),
    }
}

/// The address of a member, or one where none can be.
pub fn some_addr(ops: &mut Ops<'_>) -> String {
    match ops.byte() {
        n @ 0..224 => peer(n % 8).to_string(),
        n => ["224.0.0.1:1", "0.0.0.0:1", "10.0.0.3:0", "255.255.255.255:1", "127.0.0.1:1"]
            [usize::from(n) % 5]
            .into(),
    }
}

fn text(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.into()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
