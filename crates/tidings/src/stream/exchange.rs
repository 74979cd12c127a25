//! Exchanges: the open streams, with one request and at most one reply each, and a sync's further
//! frames.

use crate::event::Ticket;
use crate::member::NodeId;
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::first_frames::FirstFrames;
use crate::time::Instant;
use crate::wire::frame::{DecodeLimits, Frame};
use crate::wire::{Format, StreamBinding};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// The purpose of a stream: the command or task that it serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Purpose {
    /// The peer opened the stream, and sends a request.
    Inbound,
    /// A join, for this ticket.
    Join(Ticket),
    /// A regular sync (anti-entropy).
    Sync,
    /// An attempt to reconnect to a failed member.
    Reconnect,
    /// An attempt at a seed that the node was given.
    Seed,
    /// The announcement of a leave, for the ticket that started the leave.
    Leave(Ticket),
    /// A reliable message of the application, until its receipt arrives.
    Message(Ticket),
    /// The stream probe of the probe with this token.
    Probe(u32),
    /// The stream ping of the indirect ping with this token, whose asker was refused.
    Relay(u32),
    /// The content of a datagram, in stream-only mode.
    Packet,
    /// A ping to the holder of a name that a newcomer wants, for the check of this number.
    NameCheck(u64),
}

/// One open stream.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Exchange {
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) peer: SocketAddr,
    pub(crate) purpose: Purpose,
    /// The request, if it is built before the stream is open.
    request: Option<Vec<u8>>,
    binding: StreamBinding,
    /// Whether the stream is connected.
    opened: bool,
    /// The state of the sync that runs over this stream, if there is one.
    pub(crate) comparison: Option<Comparison>,
    /// The received part of the peer's frame.
    buffer: Vec<u8>,
    /// Whether the peer's frame is complete; further input is ignored.
    received: bool,
    /// Whether the purpose has ended, so that the stream only has to be closed.
    resolved: bool,
    /// Length of the answer that the driver may not have written yet, in bytes.
    unsent: usize,
    /// When the stream was added, or its peer's latest frame was complete.
    active: Instant,
    /// Whether any byte arrived.
    heard: bool,
}

impl Exchange {
    fn held(&self) -> usize {
        self.buffer.len() + self.unsent
    }
}

/// The state of a sync that runs.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Comparison {
    /// The peer's name.
    pub(crate) with: NodeId,
    /// The peer's address for datagrams, if it is known.
    pub(crate) addr: Option<SocketAddr>,
    /// Whether the peer is who it says: the stream is this node's, or comes from the IP of that
    /// member, which has answered; or the cluster has keys.
    pub(crate) proven: bool,
    /// Whether the node gossips what it learns; not if it knew nobody before.
    pub(crate) disseminate: bool,
    /// The number of frames so far.
    pub(crate) rounds: u32,
    /// The deadline of the whole sync.
    pub(crate) ends: Instant,
}

/// All open streams, and their limits.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Exchanges {
    table: BTreeMap<StreamId, Exchange>,
    next: u64,
    #[cfg_attr(feature = "record", serde(skip))]
    inbound: usize,
    /// The sum of the lengths of buffers and unsent answers, in bytes.
    #[cfg_attr(feature = "record", serde(skip))]
    held: usize,
    #[cfg_attr(feature = "record", serde(skip))]
    limits: Limits,
    /// The first frames of peers' streams.
    first_frames: FirstFrames,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) max_in: usize,
    pub(crate) max_out: usize,
    /// Streams beyond `max_out` for the announcement of a leave.
    pub(crate) max_leave: usize,
    pub(crate) max_frame: usize,
    pub(crate) max_memory: usize,
    pub(crate) max_meta: usize,
    pub(crate) sync_chunk: usize,
    /// How long a stream is idle before it gives way to another one.
    pub(crate) idle: Duration,
}

/// Whether there is a place for a stream that a peer opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Free,
    /// That of this stream, which is idle.
    Of(StreamId),
    None,
}

impl Exchanges {
    pub(crate) fn new(limits: Limits) -> Self {
        let first_frames = FirstFrames::default();
        Self { table: BTreeMap::new(), next: 0, inbound: 0, held: 0, limits, first_frames }
    }

    /// Recounts streams and buffers after deserialization; `None` if an id or a size is invalid.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self, limits: Limits) -> Option<()> {
        self.limits = limits;
        let inbound = self.table.values().filter(|one| one.purpose == Purpose::Inbound);
        self.inbound = inbound.count();
        let held = |sum: usize, exchange: &Exchange| {
            sum.checked_add(exchange.buffer.len())?.checked_add(exchange.unsent)
        };
        self.held = self.table.values().try_fold(0, held)?;
        let issued = self.next <= MAX_COUNT && self.table.keys().all(|id| id.0 < self.next);
        let countable = self.table.values().all(|exchange| {
            let rounds = exchange.comparison.as_ref().map_or(0, |comparison| comparison.rounds);
            rounds < u32::MAX / 2 && exchange.binding.is_countable()
        });
        let bounded = self.held <= limits.max_memory && self.first_frames.is_bounded();
        (issued && countable && bounded).then_some(())
    }

    /// The place for a stream that a peer opens.
    ///
    /// The streams from one source have at most half of the places, so that no source has them all.
    /// If all that it may have are taken, the stream that is idle for longest gives way, of that
    /// source or of all.
    pub(crate) fn place_for(&self, peer: SocketAddr, now: Instant) -> Place {
        let source = source(peer);
        let (mut from_source, mut oldest, mut oldest_from_source) = (0, None, None);
        for (&id, exchange) in &self.table {
            if exchange.purpose != Purpose::Inbound {
                continue;
            }
            let this = Some((exchange.active, id));
            oldest = oldest.min(this).or(this);
            if self::source(exchange.peer) == source {
                from_source += 1;
                oldest_from_source = oldest_from_source.min(this).or(this);
            }
        }
        let gives_way = if from_source >= self.limits.max_in.div_ceil(2) {
            oldest_from_source
        } else if self.inbound >= self.limits.max_in {
            oldest
        } else {
            return Place::Free;
        };
        let idle = gives_way.filter(|&(active, _)| now.since(active) >= self.limits.idle);
        idle.map_or(Place::None, |(_, id)| Place::Of(id))
    }

    /// Adds a stream that a peer opened, for which there is a [place](Self::place_for).
    pub(crate) fn accept(&mut self, peer: SocketAddr, now: Instant) -> StreamId {
        self.insert(peer, Purpose::Inbound, None, now)
    }

    /// The number of streams that may still be opened.
    pub(crate) fn room_out(&self) -> usize {
        self.limits.max_out.saturating_sub(self.outbound())
    }

    /// Whether more than half of the streams to peers are free: for others than this node itself
    /// there is no more.
    pub(crate) fn has_room_to_spare(&self) -> bool {
        2 * self.room_out() > self.limits.max_out
    }

    fn outbound(&self) -> usize {
        self.table.len() - self.inbound
    }

    /// Adds a stream to a peer; `None` if `max_out` are open.
    ///
    /// Announcements of a leave have a reserve of their own.
    pub(crate) fn open(
        &mut self,
        peer: SocketAddr,
        purpose: Purpose,
        request: Option<Vec<u8>>,
        now: Instant,
    ) -> Option<StreamId> {
        let reserve = match purpose {
            Purpose::Leave(_) => self.limits.max_leave,
            _ => 0,
        };
        (self.outbound() < self.limits.max_out + reserve)
            .then(|| self.insert(peer, purpose, request, now))
    }

    fn insert(
        &mut self,
        peer: SocketAddr,
        purpose: Purpose,
        request: Option<Vec<u8>>,
        now: Instant,
    ) -> StreamId {
        let id = StreamId(self.next);
        self.next += 1;
        self.inbound += usize::from(purpose == Purpose::Inbound);
        let exchange = Exchange {
            peer,
            purpose,
            request,
            binding: StreamBinding::new(purpose != Purpose::Inbound),
            opened: purpose == Purpose::Inbound,
            comparison: None,
            buffer: Vec::new(),
            received: false,
            resolved: false,
            unsent: 0,
            active: now,
            heard: false,
        };
        self.table.insert(id, exchange);
        id
    }

    /// Marks a stream as connected; `false` if it is unknown or was connected before.
    pub(crate) fn opened(&mut self, id: StreamId) -> bool {
        self.table.get_mut(&id).is_some_and(|exchange| !mem::replace(&mut exchange.opened, true))
    }

    /// The peer of a stream of ours that is not connected yet.
    pub(crate) fn unopened(&self, id: StreamId) -> Option<SocketAddr> {
        let is_unopened = |it: &&Exchange| !it.opened && it.purpose != Purpose::Inbound;
        self.table.get(&id).filter(is_unopened).map(|exchange| exchange.peer)
    }

    /// Removes and returns the request of a stream.
    pub(crate) fn pop_request(&mut self, id: StreamId) -> Option<Vec<u8>> {
        self.table.get_mut(&id)?.request.take()
    }

    /// Continues a sync: the stream expects another frame of the peer.
    pub(crate) fn continue_comparison(&mut self, id: StreamId, comparison: Comparison) {
        if let Some(exchange) = self.table.get_mut(&id) {
            exchange.received = false;
            exchange.comparison = Some(comparison);
        }
    }

    /// The state that binds the frames of a stream to each other.
    pub(crate) fn binding(&mut self, id: StreamId) -> Option<&mut StreamBinding> {
        Some(&mut self.table.get_mut(&id)?.binding)
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Exchange> {
        self.table.get(&id)
    }

    /// Notes that bytes arrived, so that all answers are written: a driver reads nothing before.
    /// Returns when the stream was added if they are the first ones.
    pub(crate) fn hear(&mut self, id: StreamId) -> Option<Instant> {
        let exchange = self.table.get_mut(&id)?;
        self.held -= mem::take(&mut exchange.unsent);
        (!mem::replace(&mut exchange.heard, true)).then_some(exchange.active)
    }

    /// Counts an answer until it is written; `false` if it does not fit into their memory.
    ///
    /// Requests do not count: this node sends them of its own accord, one on each stream.
    #[must_use]
    pub(crate) fn hold_answer(&mut self, id: StreamId, len: usize) -> bool {
        let Some(exchange) = self.table.get_mut(&id) else { return false };
        if exchange.purpose != Purpose::Inbound && exchange.comparison.is_none() {
            return true;
        }
        let (peer, inbound) = (exchange.peer, exchange.purpose == Purpose::Inbound);
        let fits = self.has_memory(peer, inbound, len);
        if let (true, Some(exchange)) = (fits, self.table.get_mut(&id)) {
            exchange.unsent += len;
            self.held += len;
        }
        fits
    }

    /// Whether there is memory for bytes of a peer, or for a peer.
    fn has_memory(&self, peer: SocketAddr, inbound: bool, len: usize) -> bool {
        // Then no source has half of it.
        self.held + len <= self.limits.max_memory / 2 || len <= self.room(peer, inbound)
    }

    /// The memory that is left for a peer. One source has at most half of it, and the streams that
    /// peers opened leave an eighth to those of this node.
    fn room(&self, peer: SocketAddr, inbound: bool) -> usize {
        let max = self.limits.max_memory;
        if !inbound {
            return max.saturating_sub(self.held);
        }
        let source = source(peer);
        let from_peers = self.table.values().filter(|one| one.purpose == Purpose::Inbound);
        let from_source = from_peers.filter(|one| self::source(one.peer) == source);
        let from_source: usize = from_source.map(|one| one.buffer.len() + one.unsent).sum();
        // With little memory, at least one frame and one answer fit.
        let least = self.limits.max_frame.max(2 * self.limits.sync_chunk).min(max);
        let left = (max - max / 8).max(least).saturating_sub(self.held);
        left.min((max / 2).max(least).saturating_sub(from_source))
    }

    /// The length of an answer for which there is memory on a stream, in bytes.
    pub(crate) fn room_for_answers(&self, id: StreamId) -> usize {
        let Some(exchange) = self.table.get(&id) else { return 0 };
        self.room(exchange.peer, exchange.purpose == Purpose::Inbound)
    }

    /// Adds bytes from the peer; returns its frame once that is complete.
    pub(crate) fn receive(
        &mut self,
        id: StreamId,
        data: &[u8],
        wire: &mut Format,
        now: Instant,
    ) -> Result<Option<Frame>, Reject> {
        let Some(exchange) = self.table.get_mut(&id).filter(|exchange| !exchange.received) else {
            return Ok(None);
        };
        let (peer, inbound) = (exchange.peer, exchange.purpose == Purpose::Inbound);
        if !self.has_memory(peer, inbound, data.len()) {
            return Err(Reject::Oversized);
        }
        let exchange = self.table.get_mut(&id).expect("it is open");
        exchange.buffer.extend_from_slice(data);
        self.held += data.len();
        let Limits { max_frame, max_meta, sync_chunk, .. } = self.limits;
        let limits = DecodeLimits::new(max_meta, max_frame, sync_chunk);
        let Exchange { buffer, binding, .. } = exchange;
        let Some(frame) = wire.parse(buffer, max_frame, binding, limits)? else {
            return Ok(None);
        };
        exchange.received = true;
        exchange.active = now;
        self.held -= exchange.buffer.len();
        exchange.buffer = Vec::new();
        let binding = exchange.binding;
        if self.table.values().any(|other| binding.is_reflection_of(&other.binding)) {
            return Err(Reject::Unexpected);
        }
        Ok(Some(frame))
    }

    /// Whether the first frame of a peer's stream, which was received just now, was received on an
    /// earlier stream.
    pub(crate) fn is_replay(&mut self, id: StreamId) -> bool {
        let opening = self.table.get(&id).and_then(|exchange| exchange.binding.opening());
        opening.is_some_and(|nonce| !self.first_frames.add(nonce))
    }

    /// Ignores all further input of a stream.
    pub(crate) fn stop_reading(&mut self, id: StreamId) {
        if let Some(exchange) = self.table.get_mut(&id) {
            exchange.received = true;
            self.held -= mem::take(&mut exchange.buffer).len();
        }
    }

    /// The received part of a stream's frame.
    pub(crate) fn received(&self, id: StreamId) -> &[u8] {
        self.table.get(&id).map_or(&[], |exchange| &exchange.buffer)
    }

    /// Marks the purpose of a stream as ended; returns it, with the peer, the first time.
    pub(crate) fn resolve(&mut self, id: StreamId) -> Option<(SocketAddr, Purpose)> {
        let exchange = self.table.get_mut(&id).filter(|exchange| !exchange.resolved)?;
        exchange.resolved = true;
        Some((exchange.peer, exchange.purpose))
    }

    pub(crate) fn remove(&mut self, id: StreamId) {
        let Some(exchange) = self.table.remove(&id) else {
            return;
        };
        self.inbound -= usize::from(exchange.purpose == Purpose::Inbound);
        self.held -= exchange.held();
    }

    /// Whether a stream has this purpose, and it has not ended.
    pub(crate) fn any(&self, purpose: Purpose) -> bool {
        self.table.values().any(|exchange| exchange.purpose == purpose && !exchange.resolved)
    }

    /// The number of streams to a peer that are to carry the content of a datagram.
    pub(crate) fn packets_to(&self, peer: SocketAddr) -> usize {
        let to_peer = |exchange: &&Exchange| {
            (exchange.peer, exchange.purpose, exchange.resolved) == (peer, Purpose::Packet, false)
        };
        self.table.values().filter(to_peer).count()
    }

    /// The streams, with their peers, whose purpose `matches` and has not ended.
    pub(crate) fn unanswered(
        &self,
        matches: impl Fn(Purpose) -> bool,
    ) -> Vec<(StreamId, SocketAddr)> {
        let unanswered = self.table.iter().filter(|(_, exchange)| !exchange.resolved);
        let matching = unanswered.filter(|(_, exchange)| matches(exchange.purpose));
        matching.map(|(&id, exchange)| (id, exchange.peer)).collect()
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn ids(&self) -> impl Iterator<Item = StreamId> {
        self.table.keys().copied()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let held: usize = self.table.values().map(Exchange::held).sum();
        assert_eq!(held, self.held, "`held` is the sum of the buffers and unsent answers");
        assert!(self.held <= self.limits.max_memory);
        let inbound = self.table.values().filter(|one| one.purpose == Purpose::Inbound).count();
        assert_eq!(inbound, self.inbound, "`inbound` is the number of inbound streams");
    }
}

/// The source that an address belongs to: an IPv4 address, or a network of IPv6, of which one host
/// has all addresses.
fn source(peer: SocketAddr) -> u128 {
    match peer.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX),
    }
}
