//! A fuzz target with a man in the middle between three nodes with keys, which he does not have.
//!
//! He drops, delays, repeats, redirects, alters, cuts and splices all that they send, and connects
//! their streams as he likes. Whatever he does, they report only what honest nodes could have done,
//! and agree again soon after he stops.

#![allow(unreachable_pub)]

use crate::harness::{Ops, broadcast, id, peer};
use crate::net::{Chunk, End, Host, Net, Packet, Watch};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    Cipher, ClusterName, Config, ConfigBuilder, Done, Event, Incarnation, Instant, Key, Keyring,
    Member, Meta, NodeId, Options, Phase, Plaintext, State, StreamAction, StreamError, StreamId,
    Ticket, Via,
};

/// A wire format, and what it promises against such a man.
pub struct Format {
    /// Adds the format and its keys to a node's configuration; the mode is a byte of the input.
    pub dress: fn(ConfigBuilder, u8) -> ConfigBuilder,
    /// Whether frames are bound to their stream and messages to their receiver.
    pub binds: bool,
    /// Whether a datagram that no node sent may be accepted all the same.
    pub malleable: fn(&[u8]) -> bool,
}

/// Fuzzes three nodes of Tidings' own format.
pub fn mitm(bytes: &[u8]) {
    reached(bytes);
}

/// The same; returns what came about, because a run in which nothing does proves nothing.
pub fn reached(bytes: &[u8]) -> BTreeSet<&'static str> {
    let dress = |config: ConfigBuilder, mode: u8| {
        let cipher = if mode & 1 == 0 { Cipher::ChaCha20Poly1305 } else { Cipher::Aes256Gcm };
        config.encryption(Keyring::new(Key::new(cipher, [7; 32])), Plaintext::Refused)
    };
    play(bytes, &Format { dress, binds: true, malleable: |_| false })
}

/// Lets the man in the middle do what the bytes say, and checks the nodes; returns what came about.
pub fn play(bytes: &[u8], format: &Format) -> BTreeSet<&'static str> {
    let mut ops = Ops(bytes);
    let mut man = Man::new(ops.byte(), format);
    for _ in 0..MAX_OPS {
        let Some(op) = ops.next() else { break };
        man.act(op, &mut ops);
    }
    man.converge();
    man.net.watch.reached
}

const NODES: usize = 3;
/// The highest number of operations in one input.
const MAX_OPS: usize = 64;
/// The highest number of datagrams, and of pieces of streams, that the man remembers.
const MAX_KEPT: usize = 96;
/// Time in which the nodes agree once the man has stopped.
const CALM: Duration = Duration::from_secs(300);

struct Man<'f> {
    mode: u8,
    format: &'f Format,
    net: Net<Truth>,
    /// The generation in which each node started: each another one.
    generations: [u64; NODES],
    /// The number of messages so far.
    messages: u32,
}

impl<'f> Man<'f> {
    /// Three nodes that have joined.
    fn new(mode: u8, format: &'f Format) -> Self {
        let truth = Truth { binds: format.binds, ..Truth::default() };
        let net = Net::new(Instant::ZERO, truth);
        let mut man = Self { mode, format, net, generations: [1, 2, 3], messages: 0 };
        for here in 0..NODES {
            man.net.start(man.config(here));
        }
        man.net.watch.joined[0] = true;
        for here in 1..NODES {
            man.join(here, &[peer(0)]);
        }
        while !man.all_agree() {
            assert!(man.net.now < Instant::ZERO + Duration::from_secs(10), "honest nodes join");
            man.net.step(Instant::MAX, |_| true);
        }
        man
    }

    fn config(&self, here: usize) -> Config {
        let mut options = Options::local();
        options.max_members = 6;
        options.max_meta = 64;
        options.max_streams_in = 8;
        options.max_streams_out = 8;
        options.tombstone_timeout = Duration::from_secs(130);
        options.sync_interval = Duration::from_secs(5);
        options.reconnect_interval = Duration::from_secs(1);
        options.reconnect_interval_max = Duration::from_secs(5);
        options.stream_only = self.format.binds && self.mode & 0x70 == 0x70;
        let cluster = ClusterName::new("test").expect("a good name");
        let config = Config::builder(cluster, id(here as u8), peer(here as u8));
        let config = config.options(options).generation(self.generations[here]);
        (self.format.dress)(config, self.mode).build().expect("good options")
    }

    fn act(&mut self, op: u8, ops: &mut Ops<'_>) {
        match op % 24 {
            0..=2 => {
                for _ in 0..=ops.byte() % 32 {
                    self.net.step(Instant::MAX, |_| true);
                }
            }
            3 | 4 => self.pass(u64::from(ops.byte()), ops.byte()),
            5 => self.pass(u64::from(ops.byte()) * 40, ops.byte()),
            6..=10 => self.meddle(ops),
            11 | 12 => self.repeat_datagram(ops),
            13 | 14 => self.repeat_bytes(ops),
            15 => self.reconnect(ops),
            16 => self.open(ops),
            17 => self.end(ops),
            18..=22 => self.command(ops),
            _ => self.restart(usize::from(ops.byte()) % NODES),
        }
    }

    /// Lets time pass, while some links lose all: a bit for each pair of nodes.
    fn pass(&mut self, millis: u64, links: u8) {
        let addrs: Vec<_> = self.net.hosts.iter().map(|host| host.addr).collect();
        let at = |addr: SocketAddr| addrs.iter().position(|&one| one == addr);
        let end = self.net.now + Duration::from_millis(millis);
        self.net.run(end, |packet| {
            let (from, to) = match packet {
                Packet::Datagram { from, to, .. } => (at(*from), at(*to)),
                Packet::Connect { from, to } => (Some(from.0), at(*to)),
                Packet::Chunk { from, to, .. } => (Some(*from), Some(to.0)),
            };
            let (Some(from), Some(to)) = (from, to) else { return true };
            // Half of the values lose nothing.
            let link = 2 * from + to - usize::from(to > from);
            links & 0x80 == 0 || from == to || links >> link & 1 == 0
        });
    }

    /// Takes something in flight, and does with it as the input says.
    fn meddle(&mut self, ops: &mut Ops<'_>) {
        let count = self.net.in_flight.len();
        let Some((due, packet)) = self.net.in_flight.remove(usize::from(ops.byte()) % count.max(1))
        else {
            return;
        };
        match ops.byte() % 6 {
            // Drop.
            0 => {}
            // Now, before all others.
            1 => self.net.deliver(packet),
            // Repeat.
            2 => {
                self.net.watch.repeated = true;
                for _ in 0..2 {
                    self.net.in_flight.push_back((self.net.now, packet.clone()));
                }
            }
            // Delay.
            3 => self.net.in_flight.push_back((due, packet)),
            _ => match packet {
                Packet::Datagram { from, to, mut data } => {
                    let (from, to) = match ops.byte() % 4 {
                        0 => (address(ops), address(ops)),
                        _ => (from, to),
                    };
                    if ops.byte() % 4 > 0 {
                        self.alter(ops, &mut data);
                    }
                    self.datagram(from, to, &data);
                }
                Packet::Chunk { to, chunk: Chunk::Data(mut data), .. } => {
                    self.alter(ops, &mut data);
                    self.net.input(to, &Chunk::Data(data));
                }
                Packet::Chunk { chunk, .. } => {
                    let Some(to) = self.some_end(ops) else { return };
                    self.net.input(to, &chunk);
                }
                // To any of the nodes, that which connects included.
                Packet::Connect { from, .. } => self.net.connect(from, usize::from(ops.byte()) % 3),
            },
        }
    }

    /// Flips a bit, cuts, or splices with something that was sent before.
    fn alter(&mut self, ops: &mut Ops<'_>, data: &mut Vec<u8>) {
        let at = (usize::from(ops.byte()) << 8 | usize::from(ops.byte())) % data.len().max(1);
        match ops.byte() % 4 {
            0 | 1 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << (ops.byte() % 8);
                }
            }
            2 => data.truncate(at),
            _ => {
                let kept = [&self.net.watch.datagrams, &self.net.watch.chunks];
                let other = kept[usize::from(ops.byte()) % 2];
                if let Some(other) = pick(other, ops.byte()) {
                    data.truncate(at);
                    data.extend(&other[at.min(other.len())..]);
                }
            }
        }
    }

    /// Gives a node a datagram; if no node sent it, it is rejected, and nothing comes of it.
    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        let genuine = self.net.watch.genuine.contains(&hash(data));
        let Some(to) = self.net.at(to) else { return };
        if genuine || (self.format.malleable)(data) {
            return self.net.with(to, |node, now| node.handle_datagram(now, from, data));
        }
        let now = self.net.now;
        let node = &mut self.net.hosts[to].node;
        let before = node.stats().rejected_datagrams.total();
        node.handle_datagram(now, from, data);
        assert_eq!(node.stats().rejected_datagrams.total(), before + 1, "it is counted");
        assert!(node.poll_output(&mut Vec::new()).is_none(), "an altered datagram does nothing");
        self.net.watch.reached.insert("rejected");
        self.net.watch.drained(&self.net.hosts, to);
    }

    fn repeat_datagram(&mut self, ops: &mut Ops<'_>) {
        self.net.watch.repeated = true;
        let Some(mut data) = pick(&self.net.watch.datagrams, ops.byte()).cloned() else { return };
        let (from, to) = (address(ops), address(ops));
        if ops.byte() % 4 == 0 {
            self.alter(ops, &mut data);
        }
        self.datagram(from, to, &data);
    }

    /// Gives a stream bytes that were sent before, on this one or on another.
    fn repeat_bytes(&mut self, ops: &mut Ops<'_>) {
        self.net.watch.repeated = true;
        let Some(mut data) = pick(&self.net.watch.chunks, ops.byte()).cloned() else { return };
        let Some(to) = self.some_end(ops) else { return };
        if ops.byte() % 4 == 0 {
            self.alter(ops, &mut data);
        }
        self.net.input(to, &Chunk::Data(data));
    }

    /// Makes two open ends those of one stream.
    fn reconnect(&mut self, ops: &mut Ops<'_>) {
        if let (Some(one), Some(other)) = (self.some_end(ops), self.some_end(ops)) {
            self.net.pair(one, other);
        }
    }

    /// Opens a stream to a node.
    fn open(&mut self, ops: &mut Ops<'_>) {
        let (to, from) = (usize::from(ops.byte()) % NODES, address(ops));
        let accepted = self.net.with(to, |node, now| node.accept_stream(now, from));
        if let Some(id) = accepted {
            self.net.hosts[to].ends.insert(id, None);
            if let Some(data) = pick(&self.net.watch.chunks, ops.byte()).cloned() {
                self.net.watch.repeated = true;
                self.net.input((to, id), &Chunk::Data(data));
            }
        }
    }

    fn end(&mut self, ops: &mut Ops<'_>) {
        let Some(to) = self.some_end(ops) else { return };
        let chunk = match ops.byte() % 3 {
            0 => Chunk::Opened,
            1 => Chunk::Closed,
            _ => Chunk::Failed(StreamError::Reset),
        };
        self.net.input(to, &chunk);
    }

    fn some_end(&self, ops: &mut Ops<'_>) -> Option<End> {
        let hosts = self.net.hosts.iter().enumerate();
        let ends: Vec<End> =
            hosts.flat_map(|(here, host)| host.ends.keys().map(move |&id| (here, id))).collect();
        ends.get(usize::from(ops.byte()) % ends.len().max(1)).copied()
    }

    // ---- the applications ----

    fn command(&mut self, ops: &mut Ops<'_>) {
        let here = usize::from(ops.byte()) % NODES;
        let to = (here + 1 + usize::from(ops.byte()) % (NODES - 1)) % NODES;
        self.messages += 1;
        // Its last byte could be no padding, which memberlist's format does not authenticate.
        let data = format!("message {} of n{here}", self.messages).into_bytes();
        match ops.byte() % 8 {
            0 => {
                if self.net.hosts[here].node.phase() == Phase::Running {
                    self.net.watch.begun[here] = self.net.watch.sent.clone();
                }
                let leave_begun = self.net.watch.begun[here].clone();
                let ticket = self.net.hosts[here].node.leave(self.net.now);
                self.net.watch.tickets[here].insert(ticket, Command::Leave(leave_begun));
                self.net.drain(here);
            }
            1 => self.join(here, &[peer(to as u8)]),
            2 => {
                let meta = Meta::new(&data);
                let _ = self.net.with(here, |node, now| node.set_meta(now, meta));
            }
            3 => {
                self.net.watch.states.insert(data.clone(), here);
                let _ = self.net.with(here, |node, now| node.set_sync_state(now, data.into()));
            }
            4 => {
                self.net.watch.said(&data, here, Some(to), Via::Datagram);
                let to = id(to as u8);
                let _ = self.net.with(here, |node, now| node.send(now, &to, data.into()));
            }
            5 => {
                self.net.watch.said(&data, here, Some(to), Via::Reliable);
                let (name, message) = (id(to as u8), data.clone().into());
                let node = &mut self.net.hosts[here].node;
                if let Ok(ticket) = node.send_reliable(self.net.now, &name, message) {
                    let command = Command::Message { to, data };
                    self.net.watch.tickets[here].insert(ticket, command);
                }
                self.net.drain(here);
            }
            6 => {
                self.net.watch.said(&data, here, None, Via::Broadcast);
                broadcast(&mut self.net.hosts[here].node, self.net.now, &[to as u8], data);
                self.net.drain(here);
            }
            _ => {
                let node = &mut self.net.hosts[here].node;
                if let Ok(ticket) = node.ping(self.net.now, &id(to as u8)) {
                    let sent = self.net.watch.sent[to].clone();
                    self.net.watch.tickets[here].insert(ticket, Command::Ping { to, sent });
                }
                self.net.drain(here);
            }
        }
    }

    fn join(&mut self, here: usize, seeds: &[SocketAddr]) {
        self.net.watch.joined[here] &= self.net.hosts[here].node.phase() == Phase::Running;
        let since = self.net.watch.sent.clone();
        if let Ok(ticket) = self.net.hosts[here].node.join(self.net.now, seeds) {
            self.net.watch.tickets[here].insert(ticket, Command::Join(since));
        }
        self.net.drain(here);
    }

    fn restart(&mut self, here: usize) {
        let clock = 1 + self.net.now.as_nanos() / 1_000_000_000;
        // Generations are seconds of a clock that is right, and no two are the same: a datagram
        // does not name its sender, so within one generation he can pass the incarnation of one
        // node as that of another, which clears a suspicion.
        if self.generations.iter().any(|&generation| clock <= generation) {
            return;
        }
        self.generations[here] = clock;
        self.net.watch.forget(here);
        self.net.restart(here, self.config(here));
        let others: Vec<_> = (0..NODES as u8).filter(|&n| usize::from(n) != here).collect();
        self.join(here, &others.into_iter().map(peer).collect::<Vec<_>>());
    }

    // ---- after him ----

    /// Checks that nodes that run agree soon, and stay so.
    fn converge(&mut self) {
        // What he holds is lost.
        let held = std::mem::take(&mut self.net.in_flight);
        drop(held);
        self.pass(1100, 0);
        let end = self.net.now + CALM;
        loop {
            for here in 0..NODES {
                // An application whose join failed tries again.
                let node = &self.net.hosts[here].node;
                // Or one whose only seed has left, or whose answer he repeated.
                let joined = self.net.watch.joined[here] && node.present_count() > 1;
                if node.phase() == Phase::Running && !joined {
                    let all: Vec<_> = (0..NODES as u8).map(peer).collect();
                    self.join(here, &all);
                }
            }
            let tries = self.net.now + Duration::from_secs(5);
            while !self.all_agree() && self.net.step(tries, |_| true) {}
            assert!(self.net.now < end, "no agreement:\n{}", self.views());
            // A probe that he spoiled may end later.
            if self.all_agree() {
                self.pass(1000, 0);
                if self.all_agree() {
                    break;
                }
            }
            self.net.now = self.net.now.max(tries);
        }
        self.pass(1100, 0);
        let running = |tickets: &BTreeMap<Ticket, Command>| !tickets.is_empty();
        let open = self.net.watch.tickets.iter().position(running);
        assert_eq!(open, None, "every ticket ends");
    }

    fn all_agree(&self) -> bool {
        let nodes = || self.net.hosts.iter().map(|host| &host.node);
        nodes().filter(|node| node.phase() == Phase::Running).all(|node| {
            nodes().all(|other| {
                let local = other.local();
                let known = node.member(local.id());
                if other.phase() == Phase::Running {
                    known.is_some_and(|known| {
                        known.state() == State::Alive
                            && known.incarnation() == local.incarnation()
                            && known.meta() == local.meta()
                    })
                } else {
                    known.is_none_or(|known| !known.state().is_present())
                }
            })
        })
    }

    fn views(&self) -> String {
        let hosts = self.net.hosts.iter();
        let views = hosts.map(|host| {
            let known: Vec<_> = host.node.all_members().collect();
            format!("{:?}, {:?} at {:?}", known, host.node.phase(), self.net.now)
        });
        views.collect::<Vec<_>>().join("\n")
    }
}

/// What really happened, which is all that a node may report.
#[derive(Default)]
struct Truth {
    binds: bool,
    /// Whether something was delivered twice, or again later.
    repeated: bool,
    /// Each node's incarnations; whether it had left in that.
    incarnations: [BTreeMap<Incarnation, bool>; NODES],
    /// Each node's metadata, the latest last.
    metas: [Vec<Meta>; NODES],
    /// Data that each node attached to syncs.
    states: BTreeMap<Vec<u8>, usize>,
    messages: BTreeMap<Vec<u8>, Said>,
    tickets: [BTreeMap<Ticket, Command>; NODES],
    /// Whether each node has joined since it started, or joined again.
    joined: [bool; NODES],
    /// What all nodes had sent when this node's latest leave began.
    begun: [[Sent; NODES]; NODES],
    sent: [Sent; NODES],
    /// Streams that each node opened.
    ours: [BTreeSet<StreamId>; NODES],
    /// Hashes of all datagrams that nodes sent.
    genuine: HashSet<u64>,
    datagrams: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
    reached: BTreeSet<&'static str>,
}

/// How often a node has sent something.
#[derive(Clone, Default)]
struct Sent {
    any: u64,
    /// Written to streams of others.
    replies: u64,
}

struct Said {
    from: usize,
    to: Option<usize>,
    via: Via,
    /// The nodes that delivered it, since they started.
    delivered: BTreeSet<usize>,
    /// The nodes that ever delivered it.
    arrived: BTreeSet<usize>,
}

enum Command {
    /// What all nodes had sent when it began.
    Join([Sent; NODES]),
    Leave([Sent; NODES]),
    Message {
        to: usize,
        data: Vec<u8>,
    },
    Ping {
        to: usize,
        sent: Sent,
    },
}

impl Truth {
    fn said(&mut self, data: &[u8], from: usize, to: Option<usize>, via: Via) {
        let (delivered, arrived) = (BTreeSet::new(), BTreeSet::new());
        let said = Said { from, to, via, delivered, arrived };
        self.messages.insert(data.into(), said);
    }

    /// A node starts anew.
    fn forget(&mut self, here: usize) {
        self.tickets[here].clear();
        self.joined[here] = false;
        self.ours[here].clear();
        for said in self.messages.values_mut() {
            said.delivered.remove(&here);
        }
    }

    /// Checks what a node says of a member: that it said so of itself at some time.
    fn check(&self, member: &Member) {
        let whose = number(member.id());
        assert!(whose < NODES, "{member:?} is nobody");
        assert_eq!(member.addr(), peer(whose as u8), "{member:?} is elsewhere");
        let had = self.incarnations[whose].get(&member.incarnation());
        let Some(left) = had else { panic!("{member:?} never had that incarnation") };
        assert!(*left || member.state() != State::Left, "{member:?} did not leave");
        let had = self.metas[whose].iter().rev().any(|meta| meta == member.meta());
        assert!(had, "{member:?} never had that metadata");
    }

    fn completed(&mut self, hosts: &[Host], here: usize, ticket: Ticket, done: Option<&Done>) {
        let command = self.tickets[here].remove(&ticket);
        let Some(command) = command else { panic!("{ticket} of n{here} ended before") };
        let Some(done) = done else { return };
        let others = (0..NODES).filter(|&n| n != here);
        let sum = |sent: &[Sent; NODES]| {
            let replies: u64 = others.clone().map(|n| sent[n].replies).sum();
            (replies, others.clone().map(|n| sent[n].any).sum::<u64>())
        };
        self.reached.insert(match done {
            Done::Joined { .. } if hosts[here].node.local().incarnation().number > 1 => "rejoined",
            Done::Joined { .. } => "joined",
            Done::Left { confirmed: 0 } => "left alone",
            Done::Left { .. } => "left",
            Done::Delivered | Done::Written => "delivered",
            Done::Pong { .. } => "answered",
            _ => "done",
        });
        match (command, done) {
            (Command::Join(since), Done::Joined { .. }) => {
                self.joined[here] = true;
                let ((before, any_before), (now, any)) = (sum(&since), sum(&self.sent));
                if self.binds {
                    assert!(now > before, "n{here} joined, and no other node replied");
                } else if !self.repeated {
                    assert!(any > any_before, "n{here} joined, and no other node sent anything");
                }
            }
            (Command::Leave(since), Done::Left { confirmed }) if *confirmed > 0 => {
                let ((before, any_before), (now, any)) = (sum(&since), sum(&self.sent));
                if self.binds {
                    let replies = now - before;
                    assert!(replies >= *confirmed as u64, "{confirmed} confirmed with {replies}");
                    let local = hosts[here].node.local();
                    let knows = |node: &tidings::Node| {
                        let known = node.member(local.id());
                        known.is_none_or(|known| !known.state().is_present())
                    };
                    let known = others.clone().any(|n| knows(&hosts[n].node));
                    assert!(known || self.repeated, "nobody knows that n{here} left");
                } else if !self.repeated {
                    assert!(any > any_before, "n{here} left, and no other node sent anything");
                }
            }
            (Command::Message { to, data }, Done::Delivered) => {
                let said = self.messages.get(&data).expect("it was sent");
                let there = said.arrived.contains(&to);
                assert!(there, "n{to} has no message that it acknowledged");
            }
            (Command::Ping { to, sent }, Done::Pong { .. }) => {
                assert!(self.sent[to].any > sent.any, "n{to} is silent, and answered a ping");
            }
            _ => {}
        }
    }

    fn message(&mut self, here: usize, from: Option<&NodeId>, data: &[u8], via: Via) {
        let Some(said) = self.messages.get_mut(data) else {
            panic!("n{here} got {:?}, which nobody sent", String::from_utf8_lossy(data))
        };
        let sent = if said.via == Via::Broadcast && !self.binds { Via::Datagram } else { said.via };
        assert_eq!(sent, via, "it was sent otherwise");
        if self.binds {
            let from = from.expect("Tidings' format names the sender");
            assert_eq!(number(from), said.from, "another node sent it");
            let receivers = said.to.filter(|_| via == Via::Reliable);
            assert!(receivers.is_none_or(|to| to == here), "it was not for n{here}");
        }
        said.arrived.insert(here);
        let first = said.delivered.insert(here);
        self.reached.insert(match (via, first) {
            (Via::Broadcast, _) => "broadcast",
            (_, true) => "message",
            (_, false) => "message again",
        });
        let once = match via {
            Via::Broadcast => true,
            Via::Reliable => !self.repeated,
            _ => false,
        };
        assert!(first || !once, "n{here} got {:?} twice", String::from_utf8_lossy(data));
    }
}

impl Watch for Truth {
    fn datagram(&mut self, here: usize, _: SocketAddr, data: &[u8]) {
        self.sent[here].any += 1;
        self.genuine.insert(hash(data));
        keep(&mut self.datagrams, data);
    }

    fn action(&mut self, here: usize, id: StreamId, action: &StreamAction) {
        match action {
            StreamAction::Open { .. } => {
                self.ours[here].insert(id);
            }
            StreamAction::Write(bytes) => {
                self.sent[here].any += 1;
                self.sent[here].replies += u64::from(!self.ours[here].contains(&id));
                keep(&mut self.chunks, bytes);
            }
            StreamAction::Close | StreamAction::Reset => {}
        }
    }

    fn event(&mut self, hosts: &[Host], here: usize, event: &Event) {
        match event {
            Event::Joined(member)
            | Event::Updated(member)
            | Event::Suspected(member)
            | Event::Recovered(member)
            | Event::Failed(member)
            | Event::Left(member)
            | Event::Degraded(member)
            | Event::Restored(member) => {
                assert_ne!(number(member.id()), here, "a node is no member of its own: {event:?}");
                self.check(member);
                self.reached.insert(match event {
                    Event::Failed(_) => "failed",
                    Event::Recovered(_) => "recovered",
                    Event::Degraded(_) => "degraded",
                    _ => "changed",
                });
            }
            Event::Conflict { .. } => panic!("n{here}: {event:?}, and each has its own name"),
            Event::SyncState { from, data, .. } => {
                let of = self.states.get(&data[..]);
                let named = from.as_ref().map(number);
                assert!(of.is_some(), "n{here}: {event:?} is nobody's");
                assert!(named.is_none() || !self.binds || named.as_ref() == of, "{event:?}");
            }
            Event::Message { from, data, via } => self.message(here, from.as_ref(), data, *via),
            Event::Completed { ticket, result } => {
                self.completed(hosts, here, *ticket, result.as_ref().ok());
            }
            _ => {}
        }
    }

    fn drained(&mut self, hosts: &[Host], here: usize) {
        // During a restart or at the start.
        let Some(host) = hosts.get(here) else { return };
        let local = host.node.local();
        let left = !local.state().is_present();
        *self.incarnations[here].entry(local.incarnation()).or_default() |= left;
        if self.metas[here].last() != Some(local.meta()) {
            self.metas[here].push(local.meta().clone());
        }
        assert!(host.node.all_members().count() <= NODES);
        host.node.all_members().for_each(|member| self.check(member));
    }
}

fn keep(kept: &mut Vec<Vec<u8>>, data: &[u8]) {
    // The first ones stay, those after them make room.
    if kept.len() == MAX_KEPT {
        kept.remove(MAX_KEPT / 3);
    }
    kept.push(data.into());
}

fn pick(kept: &[Vec<u8>], nth: u8) -> Option<&Vec<u8>> {
    kept.get(usize::from(nth) % kept.len().max(1))
}

/// The number of a node, by its name; `NODES` if it is nobody's.
fn number(id: &NodeId) -> usize {
    ["n0", "n1", "n2"].iter().position(|name| *name == id.as_str()).unwrap_or(NODES)
}

/// The address of a node, or of nobody.
fn address(ops: &mut Ops<'_>) -> SocketAddr {
    peer(ops.byte() % 4)
}

fn hash(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}
