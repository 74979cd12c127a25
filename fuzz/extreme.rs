//! A fuzz target for configurations, times and commands at the ends of their ranges.
//!
//! Two nodes with any valid options talk to each other, with nobody else around. No calculation
//! overflows, timers always progress, and no node rejects what the other one sends.

#![allow(unreachable_pub)]

use crate::forge;
use crate::harness::{Ops, broadcast};
use crate::net::{Host, Net, Watch};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, ConfigBuilder, Event, Instant, Meta, NodeId, Options, StreamError,
    StreamInput, Ticket,
};

/// A wire format, and the least that it asks of options.
pub struct Format {
    /// Adds the format and its keys to a node's configuration; the mode is a byte of the input.
    pub dress: fn(ConfigBuilder, u8) -> Config,
    /// The least value of `datagram_size`, without the label.
    pub min_datagram: usize,
    /// The least difference between `datagram_size` and `max_meta`.
    pub overhead: usize,
    pub stream_only: bool,
}

/// Fuzzes two nodes of Tidings' own format.
pub fn extreme(bytes: &[u8]) {
    let dress =
        |config: ConfigBuilder, _| forge::with_keys(config.build().expect("they are in range"));
    play(bytes, &Format { dress, min_datagram: 360, overhead: 360, stream_only: true });
}

/// Runs two nodes as the bytes say, and checks them.
pub fn play(bytes: &[u8], format: &Format) {
    let mut ops = Ops(bytes);
    let (mode, options) = (ops.byte(), options(&mut ops, format));
    let start = Instant::from_nanos(extreme_u64(&mut ops));
    let mut net = Net::new(start, Once::default());
    let longest = NodeId::new(&"é".repeat(127)).expect("254 bytes");
    for n in 0..2 {
        let id = match ops.byte() % 3 {
            0 => NodeId::new(&format!("{n}{}", "x".repeat(254))).expect("255 bytes"),
            1 if n == 0 => longest.clone(),
            _ => NodeId::new(&n.to_string()).expect("one byte"),
        };
        let config = Config::builder(cluster(mode), id, address(n, ops.byte()))
            .options(options.clone())
            .meta(Meta::new(&vec![b'm'; within(&mut ops, 0, options.max_meta, 0)]))
            .generation(extreme_u64(&mut ops));
        net.start((format.dress)(config, mode));
    }
    for _ in 0..MAX_OPS {
        let Some(op) = ops.next() else { break };
        act(&mut net, op, &mut ops);
    }
    for Host { node, .. } in &net.hosts {
        // Their clocks may differ by any time, and `max_stream_memory` may be low.
        let mut datagrams = node.stats().rejected_datagrams.clone();
        let mut streams = node.stats().rejected_streams.clone();
        (datagrams.stale, streams.stale, streams.oversized) = (0, 0, 0);
        if net.watch.jumped {
            // A sync took longer than it may.
            streams.unexpected = 0;
        }
        assert_eq!((datagrams, streams), Default::default(), "honest nodes talk to each other");
    }
}

/// The highest number of operations in one input.
const MAX_OPS: usize = 80;

fn act(net: &mut Net<Once>, op: u8, ops: &mut Ops<'_>) {
    let here = usize::from(ops.byte() % 2);
    let other = net.hosts[1 - here].node.local().id().clone();
    match op % 16 {
        0..=3 => {
            for _ in 0..=ops.byte() % 16 {
                next(net);
            }
        }
        4 => {
            net.now += Duration::from_nanos(extreme_u64(ops) >> (ops.byte() % 64));
            net.watch.jumped = true;
            tick(net, here, net.now);
        }
        // An earlier time counts as the latest one.
        5 => tick(net, here, Instant::from_nanos(extreme_u64(ops))),
        6 => {
            let seeds = [net.hosts[1 - here].addr, net.hosts[here].addr];
            let seeds = &seeds[usize::from(ops.byte() % 3).min(2)..];
            let _ = net.with(here, |node, now| node.join(now, seeds));
        }
        7 => {
            let to = net.hosts[1 - here].addr;
            let _ = net.with(here, |node, now| node.join(now, &[to]));
        }
        8 => {
            let _ = net.with(here, |node, now| node.leave(now));
        }
        9 => {
            let node = &net.hosts[here].node;
            let meta = Meta::new(&data(ops, node.config().options().max_meta));
            let _ = net.with(here, |node, now| node.set_meta(now, meta));
        }
        10 => {
            let state = data(ops, net.hosts[here].node.config().options().max_sync_state);
            let _ = net.with(here, |node, now| node.set_sync_state(now, state.into()));
        }
        11 => {
            let message = data(ops, net.hosts[here].node.config().options().max_frame - 900);
            let _ = net.with(here, |node, now| node.send_reliable(now, &other, message.into()));
        }
        12 => {
            let size = net.hosts[here].node.config().options().datagram_size;
            let room = size - usize::from(ops.byte());
            let message = data(ops, room);
            let _ = net.with(here, |node, now| node.send(now, &other, message.into()));
        }
        13 => {
            let size = net.hosts[here].node.config().options().datagram_size;
            let key = vec![b'k'; [0, 1, 64, 255][usize::from(ops.byte()) % 4]];
            let room = size - usize::from(ops.byte());
            let message = data(ops, room);
            net.with(here, |node, now| broadcast(node, now, &key, message));
        }
        14 => {
            let _ = net.with(here, |node, now| node.ping(now, &other));
        }
        _ => {
            let from = net.hosts[1 - here].addr;
            net.with(here, |node, now| {
                let Some(id) = node.accept_stream(now, from) else { return };
                match ops.byte() % 3 {
                    0 => {}
                    1 => node.handle_stream(now, id, StreamInput::Closed),
                    _ => node.handle_stream(now, id, StreamInput::Failed(StreamError::Other)),
                }
            });
        }
    }
}

/// Lets the next thing happen: an arrival, or the timer that is due first.
fn next(net: &mut Net<Once>) {
    let timers = net.hosts.iter().enumerate();
    let timer = timers.filter_map(|(n, host)| Some((host.node.poll_timeout()?, n))).min();
    let arrival = net.in_flight.front().map(|(at, _)| *at);
    match timer.filter(|(at, _)| arrival.is_none_or(|arrival| *at < arrival)) {
        Some((at, here)) => {
            net.now = net.now.max(at);
            tick(net, here, net.now);
        }
        None => {
            if let Some((at, packet)) = net.in_flight.pop_front() {
                net.now = net.now.max(at);
                net.deliver(packet);
            }
        }
    }
}

/// Handles timers, and checks that the next one is later.
fn tick(net: &mut Net<Once>, here: usize, at: Instant) {
    for _ in 0..3 {
        net.with(here, |node, _| node.handle_timeout(at));
        let node = &net.hosts[here].node;
        if node.poll_timeout().is_none_or(|next| next > node.now()) {
            return;
        }
    }
    panic!("the next timer is always due: {:?}", net.hosts[here].node.next_timer());
}

/// Checks datagrams and tickets.
#[derive(Default)]
struct Once {
    ended: BTreeSet<(usize, Ticket)>,
    /// The highest length of a datagram.
    size: usize,
    /// Whether time passed while something was in flight.
    jumped: bool,
}

impl Watch for Once {
    fn datagram(&mut self, _: usize, _: SocketAddr, data: &[u8]) {
        assert!(data.len() <= self.size, "{} bytes in a datagram", data.len());
    }

    fn event(&mut self, _: &[Host], here: usize, event: &Event) {
        if let Event::Completed { ticket, .. } = event {
            assert!(self.ended.insert((here, *ticket)), "{ticket} ends once");
        }
    }

    fn drained(&mut self, hosts: &[Host], here: usize) {
        self.size = hosts[here].node.config().options().datagram_size;
    }
}

// ---- values at the ends of their ranges ----

fn options(ops: &mut Ops<'_>, format: &Format) -> Options {
    let mut options =
        [Options::lan(), Options::wan(), Options::local()][usize::from(ops.byte()) % 3].clone();
    let o = &mut options;
    let (ms, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
    let nano = Duration::from_nanos(1);
    o.probe_interval = span(ops, 2 * ms, hour, o.probe_interval);
    let timeout = o.probe_timeout.min(o.probe_interval - nano);
    o.probe_timeout = span(ops, ms, o.probe_interval - nano, timeout);
    o.probe_timeout_min = span(ops, ms, hour, o.probe_timeout_min);
    o.gossip_interval = span(ops, ms, hour, o.gossip_interval);
    o.gossip_to_the_dead = span(ops, Duration::ZERO, 24 * hour, o.gossip_to_the_dead);
    o.sync_interval = span(ops, 10 * ms, 24 * hour, o.sync_interval);
    o.stream_timeout = span(ops, 10 * ms, hour / 6, o.stream_timeout);
    o.tombstone_timeout = span(ops, 1000 * ms, 720 * hour, o.tombstone_timeout);
    o.reconnect_interval = span(ops, 10 * ms, 24 * hour, o.reconnect_interval);
    let longest = o.reconnect_interval_max.max(o.reconnect_interval);
    o.reconnect_interval_max = span(ops, o.reconnect_interval, 24 * hour, longest);

    o.indirect_probes = within(ops, 0, 16, o.indirect_probes);
    for count in [
        &mut o.suspicion_mult,
        &mut o.suspicion_max_mult,
        &mut o.awareness_max,
        &mut o.retransmit_mult,
    ] {
        *count = within(ops, 1, 64, *count as usize) as u32;
    }
    o.gossip_nodes = within(ops, 1, 64, o.gossip_nodes);
    o.leave_peers = within(ops, 1, 16, o.leave_peers);
    let switches = ops.byte();
    for (n, switch) in [
        &mut o.nacks,
        &mut o.buddy,
        &mut o.prompt_refutation,
        &mut o.digest_checks,
        &mut o.require_recent_ack,
        &mut o.stream_probes,
    ]
    .into_iter()
    .enumerate()
    {
        *switch = switches >> n & 1 == 0;
    }
    o.stream_only = format.stream_only && switches >> 6 == 3;
    for (n, switch) in [
        &mut o.recent_relays,
        &mut o.wide_probes,
        &mut o.recent_gossip,
        &mut o.limit_confirmations,
        &mut o.suspect_on_verdict,
    ]
    .into_iter()
    .enumerate()
    {
        *switch = switches >> n & 3 != 3;
    }

    let label = cluster(0xff).as_str().len();
    o.datagram_size = within(ops, format.min_datagram + label, 65_507, o.datagram_size);
    o.max_datagram = within(ops, o.datagram_size, 65_507, o.datagram_size);
    let most = o.datagram_size - format.overhead - label.min(format.overhead - 360);
    o.max_meta = within(ops, 0, most.saturating_sub(label), o.max_meta.min(most / 2));
    o.max_members = within(ops, 2, 1_000_000, o.max_members);
    o.max_sync_state = within(ops, 0, 1 << 20, o.max_sync_state);
    let chunk = 16 * (o.max_meta + 360);
    o.sync_chunk = within(ops, chunk, 32 << 20, chunk).min(((64 << 20) - o.max_sync_state) / 2);
    let frame = 2 * o.sync_chunk + o.max_sync_state;
    o.max_frame = within(ops, frame, 64 << 20, frame);
    o.max_stream_memory = within(ops, o.max_frame + 1024, 1 << 30, o.max_frame + 1024);
    for limit in [&mut o.max_streams_in, &mut o.max_streams_out] {
        *limit = within(ops, 1, 1 << 16, *limit);
    }
    for limit in [&mut o.max_relays, &mut o.max_pings, &mut o.max_reconnect] {
        *limit = within(ops, 0, 1 << 16, *limit);
    }
    o.max_broadcasts = within(ops, 2, 1 << 20, o.max_broadcasts);
    let least = o.datagram_size + 1024;
    o.max_broadcast_bytes = within(ops, least, 1 << 30, least);
    o.max_queued_datagrams = within(ops, 64, 1 << 20, o.max_queued_datagrams);
    options
}

/// Mostly the usual value, which is moved into the range.
fn within(ops: &mut Ops<'_>, min: usize, max: usize, usual: usize) -> usize {
    match ops.byte() {
        0..160 => usual.clamp(min, max),
        160..190 => min,
        190..220 => max,
        byte @ 220..240 => min + usize::from(byte) % (max - min + 1),
        byte => max - usize::from(byte) % (max - min + 1),
    }
}

fn span(ops: &mut Ops<'_>, min: Duration, max: Duration, usual: Duration) -> Duration {
    let nanos = |duration: Duration| duration.as_nanos() as usize;
    Duration::from_nanos(within(ops, nanos(min), nanos(max), nanos(usual)) as u64)
}

/// A number near zero, near a power of two or near the highest.
fn extreme_u64(ops: &mut Ops<'_>) -> u64 {
    let (kind, near) = (ops.byte(), u64::from(ops.byte()));
    match kind {
        0..128 => near,
        128..160 => u64::MAX - near,
        160..224 => (1_u64 << (kind % 64)).wrapping_add(near).wrapping_sub(128),
        _ => (u64::MAX / 2).wrapping_add(near).wrapping_sub(128),
    }
}

/// As many bytes as there may be, a few more, or less.
fn data(ops: &mut Ops<'_>, max: usize) -> Vec<u8> {
    // More would only take time.
    let max = max.min(100_000);
    let len = match ops.byte() {
        0..64 => max,
        byte @ 64..128 => max + usize::from(byte - 63),
        byte @ 128..192 => max.saturating_sub(usize::from(byte)),
        byte => usize::from(byte - 192),
    };
    vec![b'd'; len]
}

fn cluster(mode: u8) -> ClusterName {
    let name = if mode & 0x80 == 0 { forge::CLUSTER } else { "a longer name of a cluster" };
    ClusterName::new(name).expect("a good name")
}

fn address(n: u16, how: u8) -> SocketAddr {
    let port = if how & 0x10 == 0 { 7946 } else { u16::MAX };
    match how % 3 {
        0 => SocketAddr::from(([10, 0, 0, n as u8 + 1], port)),
        1 => SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, n + 1], port)),
        _ => SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x0a00, n + 1], port)),
    }
}
