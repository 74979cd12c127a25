//! Fuzz targets of memberlist's wire format: they turn bytes into inputs of a node, by its public
//! API.
//!
//! Everything that the node sends goes to a witness, a node of the same configuration, which has to
//! accept it.

#![allow(unreachable_pub)]

use crate::extreme;
use crate::harness::{MAX_OPS, Ops, Sent, World, broadcast, config, id, name, peer};
use crate::memberlist as forge;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;
use tidings::{
    ClusterName, Config, ConfigBuilder, Instant, Memberlist, Meta, Node, Options, Output, Rejected,
    StreamAction, StreamError, StreamInput, Wire,
};

/// Fuzzes one datagram: the bytes after the first one; also with the label, if the node has one.
pub fn datagram(bytes: &[u8]) {
    let [mode, body @ ..] = bytes else { return };
    let mut world = world(*mode);
    meet_two(&mut world, *mode);
    for from in [peer(1), peer(200)] {
        for datagram in both(*mode, body) {
            let sent = world.sent.len();
            let mut known = addresses(&world.node);
            world.node.handle_datagram(world.now, from, &datagram);
            known.extend(addresses(&world.node));
            world.drain();
            // One datagram may cause pings to several members: the first ping of each new one, and
            // of each that is suspected in a new incarnation.
            let fits = |to: &&SocketAddr| to.ip() == from.ip() || known.contains(to);
            let elsewhere: Vec<_> = world.sent[sent..].iter().filter(|to| !fits(to)).collect();
            // One address in a stranger's claims is asked whether a member is there.
            assert!(elsewhere.len() <= 1, "{elsewhere:?} are neither members nor the sender");
        }
    }
    end(world, *mode);
}

/// Fuzzes the data of a stream, cut into pieces: on an incoming stream, or as the answer to a join,
/// a ping or a message.
pub fn stream(bytes: &[u8]) {
    let [mode, way, piece, body @ ..] = bytes else { return };
    for data in both(*mode, body) {
        let mut world = world(*mode);
        meet_two(&mut world, *mode);
        let ours = match way % 5 {
            0 => {
                let id = world.accept();
                world.feed(id, &data, *piece);
                world.stream(id, StreamInput::Closed);
                end(world, *mode);
                continue;
            }
            1 => {
                world.join(1);
                world.ours.last().copied()
            }
            2 => {
                // The peer does not answer the ping by datagram, so the node opens a stream.
                world.advance(Duration::from_millis(1500));
                world.ours.last().copied()
            }
            3 => {
                let message = vec![7; 300];
                world.begun.extend(world.node.send_reliable(world.now, &id(1), message.into()));
                world.drain();
                world.ours.last().copied()
            }
            _ => {
                world.begun.insert(world.node.leave(world.now));
                world.drain();
                world.ours.last().copied()
            }
        };
        world.stream(ours, StreamInput::Opened);
        world.feed(ours, &data, *piece);
        world.stream(ours, StreamInput::Closed);
        end(world, *mode);
    }
}

/// Fuzzes one node with operations in any order: time, datagrams, streams and commands.
pub fn inputs(bytes: &[u8]) {
    let mut ops = Ops(bytes);
    let mode = ops.byte();
    let mut world = world(mode);
    for _ in 0..MAX_OPS {
        let Some(op) = ops.next() else { break };
        match op % 20 {
            0 => world.advance(Duration::from_millis(ops.byte().into())),
            1 => world.advance(Duration::from_millis(u64::from(ops.byte()) * 100)),
            2 => world.advance(Duration::from_secs(u64::from(ops.byte()) * 1000)),
            3..=8 => {
                let (from, count) = (peer(ops.byte() % 8), ops.byte() % 8);
                let parts: Vec<_> = (0..=count).map(|_| message(&mut ops)).collect();
                let mut datagram = match &parts[..] {
                    [one] => one.clone(),
                    parts => forge::compound(parts),
                };
                if ops.byte() % 4 == 0 {
                    datagram = forge::compress(&datagram);
                }
                give(&mut world, mode, from, &datagram);
            }
            9 => {
                let records: Vec<_> = (0..ops.byte() % 8).map(|_| record(&mut ops)).collect();
                let state = vec![7; usize::from(ops.byte())];
                let rest = [&records.concat()[..], &state].concat();
                let (nodes, state) = (records.len() as u64, state.len() as u64);
                let header = forge::push_pull_header(ops.byte() % 2 == 0, nodes, state);
                let push_pull = [header, rest].concat();
                on_stream(&mut world, mode, &mut ops, push_pull);
            }
            10 => {
                let message = match ops.byte() % 4 {
                    0 => forge::ping(1, &name(ops.byte() % 2)),
                    1 => forge::ack(world.last_ping.map_or(1, |(_, seq)| seq)),
                    2 => forge::error("an error"),
                    _ => forge::reliable(b"hello"),
                };
                on_stream(&mut world, mode, &mut ops, message);
            }
            11 => {
                let id = world.some_stream(ops.byte());
                let input = match ops.byte() % 4 {
                    0 => StreamInput::Opened,
                    1 => StreamInput::Closed,
                    2 => StreamInput::Failed(StreamError::Refused),
                    _ => StreamInput::Data(&[9, 0x81]),
                };
                world.stream(id, input);
            }
            12 => world.join(ops.byte() % 10),
            13 => {
                let ticket = world.node.leave(world.now);
                world.begun.insert(ticket);
            }
            14 => {
                let meta = Meta::new(&vec![7; usize::from(ops.byte()) * 4]);
                let _ = world.node.set_meta(world.now, meta);
                let state = vec![7; usize::from(ops.byte()) * 8];
                let _ = world.node.set_sync_state(world.now, state.into());
            }
            15 => {
                if let Some((from, seq)) = world.last_ping.take() {
                    give(&mut world, mode, from, &forge::ack(seq));
                }
            }
            16 => {
                let (to, data) = (id(ops.byte() % 8), vec![7; usize::from(ops.byte()) * 8]);
                if ops.byte() % 2 == 0 {
                    let _ = world.node.send(world.now, &to, data.into());
                } else {
                    world.begun.extend(world.node.send_reliable(world.now, &to, data.into()));
                }
            }
            17 => {
                let key = vec![ops.byte(); usize::from(ops.byte() % 2)];
                let data = vec![7; usize::from(ops.byte()) * 8];
                broadcast(&mut world.node, world.now, &key, data);
            }
            18 => {
                let to = id(ops.byte() % 8);
                world.begun.extend(world.node.ping(world.now, &to));
            }
            // Several inputs may be fed before the outputs are drained.
            _ => continue,
        }
        world.drain();
    }
    end(world, mode);
}

/// Fuzzes two nodes with configurations, times and commands at the ends of their ranges.
pub fn extreme(bytes: &[u8]) {
    let dress =
        |config: ConfigBuilder, mode| dress(config, mode).build().expect("they are in range");
    let format = extreme::Format { dress, min_datagram: 700, overhead: 400, stream_only: false };
    extreme::play(bytes, &format);
}

/// Some message of a datagram.
pub fn message(ops: &mut Ops<'_>) -> Vec<u8> {
    let kind = ops.byte() % 14;
    let (node, other) = (name(ops.byte() % 8), name(ops.byte() % 8));
    let number = match ops.byte() {
        n @ 0..200 => u32::from(n % 8),
        n => u32::MAX - u32::from(255 - n),
    };
    let at = peer(ops.byte() % 8);
    match kind {
        0 => forge::ping(number, &node),
        1 => forge::ping_from(number, &node, &octets(at), 7946),
        2 => forge::indirect_ping(number, &node, &at.to_string(), ops.byte() % 2 == 0),
        3 => forge::ack(number),
        4 => forge::nack(number),
        5 => forge::suspect(number, &node, &other),
        6 => forge::dead(number, &node, &other),
        7 => forge::dead(number, &node, &node),
        8 => forge::user(b"to whom it may concern"),
        9 => forge::compress(&forge::compound(&[forge::ping(number, ""), forge::nack(number)])),
        10 => long_compressed(number as usize % 8).clone(),
        11 => [&[ops.byte()][..], &forge::ack(number)].concat(),
        _ => {
            let Own { ip, port, meta, vsn } = Own::some(ops, at);
            forge::alive_with(number, node.as_bytes(), &ip, port, &meta, vsn)
        }
    }
}

/// A compressed message of so many times 10,000 bytes, which takes long to compress.
fn long_compressed(tens: usize) -> &'static Vec<u8> {
    static COMPRESSED: [OnceLock<Vec<u8>>; 8] = [const { OnceLock::new() }; 8];
    COMPRESSED[tens].get_or_init(|| forge::compress(&forge::user(&vec![7; tens * 10_000])))
}

/// Some member of a push/pull.
pub fn record(ops: &mut Ops<'_>) -> Vec<u8> {
    let (node, at) = (name(ops.byte() % 8), peer(ops.byte() % 8));
    let (number, state) = (u32::from(ops.byte() % 8), ops.byte() % 5);
    let Own { ip, port, meta, vsn } = Own::some(ops, at);
    forge::record_with(state, number, node.as_bytes(), &ip, port, &meta, vsn)
}

/// A member's own address, metadata and version vector.
struct Own {
    ip: Vec<u8>,
    port: u16,
    meta: Vec<u8>,
    vsn: &'static [u8],
}

impl Own {
    fn some(ops: &mut Ops<'_>, at: SocketAddr) -> Self {
        let own = Self { ip: octets(at), port: at.port(), meta: b"m".to_vec(), vsn: forge::VSN };
        match ops.byte() % 8 {
            0 => Self { ip: mapped(at), ..own },
            1 => Self { meta: vec![b'm'; 512], ..own },
            2 => Self { meta: vec![b'm'; 513], ..own },
            3 => Self { vsn: &[1, 5, 2, 1, 5, 4], ..own },
            4 => Self { vsn: &[1, 5], ..own },
            5 => Self { port: 0, ..own },
            _ => own,
        }
    }
}

fn octets(at: SocketAddr) -> Vec<u8> {
    match at.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn mapped(at: SocketAddr) -> Vec<u8> {
    [&[0; 10], &[0xff; 2][..], &octets(at)].concat()
}

/// Feeds a message on a new stream or on an open one.
fn on_stream(world: &mut World, mode: u8, ops: &mut Ops<'_>, mut message: Vec<u8>) {
    let how = ops.byte();
    if how & 1 == 0 {
        message = forge::compress(&message);
    }
    let id = if how & 2 == 0 { world.accept() } else { world.some_stream(how >> 2) };
    let ours = id.is_some_and(|id| world.ours.contains(&id));
    if ours {
        world.stream(id, StreamInput::Opened);
    } else {
        message = labelled(mode, &message);
    }
    world.feed(id, &message, ops.byte());
}

fn give(world: &mut World, mode: u8, from: SocketAddr, datagram: &[u8]) {
    let datagram = labelled(mode, &forge::crc(datagram));
    world.node.handle_datagram(world.now, from, &datagram);
    world.drain();
}

// ---- nodes of one configuration ----

fn world(mode: u8) -> World {
    let mut witness = Witness::new(mode);
    let watch = move |now, sent: Sent<'_>| witness.takes(now, sent);
    World::of(speaking(mode, 0), forge::ping_in, Box::new(watch))
}

fn meet_two(world: &mut World, mode: u8) {
    let alive = |n, ip: &[u8]| forge::alive_with(1, name(n).as_bytes(), ip, 7946, b"m", forge::VSN);
    let alive = [alive(1, &octets(peer(1))), alive(2, &mapped(peer(2)))];
    give(world, mode, peer(1), &forge::compound(&alive));
    world.advance(Duration::from_secs(2));
}

/// Checks that the node, if it still runs, answers a ping that it can read; then ends the world.
fn end(mut world: World, mode: u8) {
    world.drain();
    let running = world.node.local().state().is_present();
    let (from, sent) = (peer(250), world.sent.len());
    give(&mut world, mode, from, &forge::ping_from(77, "n0", &[0; 4], 0));
    let answered = world.sent[sent..].contains(&from);
    assert_eq!(answered, running && mode % 8 != REFUSES, "a ping is answered by who runs");
    let mut buf = Vec::new();
    assert!(world.node.poll_output(&mut buf).is_none(), "all is carried out");
    world.end();
}

fn addresses(node: &Node) -> Vec<SocketAddr> {
    node.all_members().map(|member| member.addr()).collect()
}

/// The configuration of node `n`; the mode selects label, keys and compression.
fn speaking(mode: u8, n: u8) -> Config {
    speaking_with(mode, n, &|_| {})
}

/// The same, with other options.
pub fn speaking_with(mode: u8, n: u8, change: &dyn Fn(&mut Options)) -> Config {
    let change = |options: &mut Options| {
        shrink(options, mode);
        change(options);
    };
    let config = config(n, change).to_builder();
    dress(config, mode).build().expect("they go together")
}

/// Adds the format to a configuration.
fn dress(config: ConfigBuilder, mode: u8) -> ConfigBuilder {
    let mut memberlist = Memberlist::new().with_compression(matches!(mode % 8, 4 | 6 | 7));
    if has_label(mode) {
        memberlist = memberlist.with_label(ClusterName::new(LABEL).expect("a good name"));
    }
    if mode % 8 == 7 {
        memberlist = memberlist.with_protocol(1).expect("it exists");
    }
    with_keys(config.wire(Wire::Memberlist(memberlist)), mode)
}

#[cfg(feature = "encryption")]
fn with_keys(config: ConfigBuilder, mode: u8) -> ConfigBuilder {
    use tidings::{Key, Keyring, Plaintext};
    let plaintext = match mode % 8 {
        2 | 3 | 7 => Plaintext::Accepted,
        REFUSES => Plaintext::Refused,
        _ => return config,
    };
    // The key of the test vectors.
    let key = Key::memberlist(b"0123456789abcdef").expect("a good length");
    config.encryption(Keyring::new(key), plaintext)
}

#[cfg(not(feature = "encryption"))]
fn with_keys(config: ConfigBuilder, _: u8) -> ConfigBuilder {
    config
}

/// Half of the modes have a datagram size close to the minimum for its contents.
fn shrink(options: &mut Options, mode: u8) {
    if mode & 8 != 0 {
        (options.datagram_size, options.max_meta) = (720, 300);
    }
}

fn has_label(mode: u8) -> bool {
    matches!(mode % 8, 1 | 3 | 6)
}

/// Bytes with the label, if the node has one.
pub fn labelled(mode: u8, bytes: &[u8]) -> Vec<u8> {
    forge::labelled(if has_label(mode) { LABEL } else { "" }, bytes)
}

/// The bytes as they are, and with the label, if the node has one.
fn both(mode: u8, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut both = vec![bytes.to_vec()];
    if has_label(mode) {
        both.push(labelled(mode, bytes));
    }
    both
}

const LABEL: &str = "lab";
/// The mode whose nodes reject plaintext, if the feature `encryption` is on.
const REFUSES: u8 = if cfg!(feature = "encryption") { 5 } else { 8 };

/// A node of the same configuration, which receives everything that the first one sends.
struct Witness {
    mode: u8,
    node: Node,
}

impl Witness {
    fn new(mode: u8) -> Self {
        Self { mode, node: Self::node(mode, Instant::ZERO) }
    }

    fn node(mode: u8, now: Instant) -> Node {
        Node::new(speaking(mode, 9), [8; 32], now)
    }

    fn takes(&mut self, now: Instant, sent: Sent<'_>) {
        match sent {
            Sent::Datagram(data) => {
                self.node.handle_datagram(now, peer(0), data);
                assert_eq!(
                    self.node.stats().rejected_datagrams,
                    Rejected::default(),
                    "{} bytes",
                    data.len()
                );
                drain(&mut self.node);
            }
            Sent::Request(data) => {
                let mut node = Self::node(self.mode, now);
                let id = node.accept_stream(now, peer(0)).expect("it is the first");
                node.handle_stream(now, id, StreamInput::Data(data));
                assert_eq!(
                    node.stats().rejected_streams,
                    Rejected::default(),
                    "{} bytes",
                    data.len()
                );
                drain(&mut node);
            }
            Sent::Reply(data) => {
                let mut node = Self::node(self.mode, now);
                node.join(now, &[peer(0)]).expect("it is there");
                let opened = drain(&mut node).expect("it asks");
                node.handle_stream(now, opened, StreamInput::Opened);
                drain(&mut node);
                node.handle_stream(now, opened, StreamInput::Data(data));
                let rejected = &node.stats().rejected_streams;
                // An ack is unexpected as the answer to a join, but it was decoded.
                assert_eq!(rejected.total(), rejected.unexpected, "{rejected:?}");
                drain(&mut node);
            }
        }
    }
}

/// Drains a node's outputs; returns the stream that it opens, if any.
fn drain(node: &mut Node) -> Option<tidings::StreamId> {
    let (mut buf, mut opened) = (Vec::new(), None);
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Stream { id, action: StreamAction::Open { .. } } = output {
            opened = Some(id);
        }
    }
    opened
}
