//! Exchanges: the streams that are open, one request and at most one reply each.

use crate::event::Ticket;
use crate::member::NodeId;
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::{Format, StreamBinding};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// What a stream of ours is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Purpose {
    /// The peer opened it, and asks.
    Inbound,
    /// A join that the application waits for.
    Join(Ticket),
    /// The regular comparison of the membership.
    Sync,
    /// To find whoever was lost.
    Reconnect,
    /// To tell a peer that we leave, for the leave that this ticket began.
    Leave(Ticket),
    /// To deliver a message of the application's, which waits for the receipt.
    Message(Ticket),
    /// To find out whether whom we ping with this token answers at all.
    Probe(u32),
    /// To carry what would be in a datagram, where none are sent.
    Packet,
}

/// One open stream.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Exchange {
    #[serde(with = "crate::addr")]
    pub(crate) peer: SocketAddr,
    pub(crate) purpose: Purpose,
    /// What is asked as soon as the stream is open, where that is known already.
    request: Option<Vec<u8>>,
    binding: StreamBinding,
    /// Whether it is connected.
    opened: bool,
    /// How a comparison stands, if one is made over this stream.
    pub(crate) comparison: Option<Comparison>,
    /// What the peer sent of its frame so far.
    buffer: Vec<u8>,
    /// The peer's frame is there: what else it sends is not read.
    received: bool,
    /// What the stream is for has come to its end, and it only has to be closed.
    resolved: bool,
}

/// A comparison of memberships that is under way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Comparison {
    /// With whom.
    pub(crate) with: NodeId,
    /// Where that one takes datagrams, if it is known.
    pub(crate) addr: Option<SocketAddr>,
    /// Whether what is new is news to others too.
    pub(crate) disseminate: bool,
    /// How many frames there were.
    pub(crate) rounds: u32,
    /// When it has to be over.
    pub(crate) ends: Instant,
}

/// All streams that are open, and what they may take up.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Exchanges {
    table: BTreeMap<StreamId, Exchange>,
    next: u64,
    #[serde(skip)]
    inbound: usize,
    /// The bytes in all buffers together.
    #[serde(skip)]
    buffered: usize,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Limits {
    pub(crate) max_in: usize,
    pub(crate) max_out: usize,
    /// Beyond that, for leaving.
    pub(crate) max_leave: usize,
    pub(crate) max_frame: usize,
    pub(crate) max_memory: usize,
    pub(crate) max_meta: usize,
}

impl Exchanges {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { table: BTreeMap::new(), next: 0, inbound: 0, buffered: 0, limits }
    }

    /// Counts the streams of a checkpoint; `None` if they hold more than they may.
    pub(crate) fn restore(&mut self) -> Option<()> {
        let serving = self.table.values().filter(|one| one.purpose == Purpose::Inbound);
        self.inbound = serving.count();
        self.buffered = self.table.values().map(|exchange| exchange.buffer.len()).sum();
        let named = self.table.keys().all(|id| id.0 < self.next);
        (named && self.buffered <= self.limits.max_memory).then_some(())
    }

    /// A stream that the peer opened; `None` if there are too many.
    pub(crate) fn accept(&mut self, peer: SocketAddr) -> Option<StreamId> {
        (self.inbound < self.limits.max_in).then(|| self.insert(peer, Purpose::Inbound, None))
    }

    /// How many streams may still be opened.
    pub(crate) fn room_out(&self) -> usize {
        self.limits.max_out.saturating_sub(self.outbound())
    }

    fn outbound(&self) -> usize {
        self.table.len() - self.inbound
    }

    /// A stream that we open; `None` if there are too many.
    ///
    /// Streams by which a node leaves have a reserve of their own.
    pub(crate) fn open(
        &mut self,
        peer: SocketAddr,
        purpose: Purpose,
        request: Option<Vec<u8>>,
    ) -> Option<StreamId> {
        let reserve = match purpose {
            Purpose::Leave(_) => self.limits.max_leave,
            _ => 0,
        };
        (self.outbound() < self.limits.max_out + reserve)
            .then(|| self.insert(peer, purpose, request))
    }

    fn insert(&mut self, peer: SocketAddr, purpose: Purpose, request: Option<Vec<u8>>) -> StreamId {
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
        };
        self.table.insert(id, exchange);
        id
    }

    /// A stream is connected; `false` if it was so before.
    pub(crate) fn opened(&mut self, id: StreamId) -> bool {
        self.table.get_mut(&id).is_some_and(|exchange| !mem::replace(&mut exchange.opened, true))
    }

    /// Takes out what is to be asked over a stream.
    pub(crate) fn pop_request(&mut self, id: StreamId) -> Option<Vec<u8>> {
        self.table.get_mut(&id)?.request.take()
    }

    /// Goes on with a comparison: another frame of the peer's is expected.
    pub(crate) fn continue_comparison(&mut self, id: StreamId, comparison: Comparison) {
        if let Some(exchange) = self.table.get_mut(&id) {
            exchange.received = false;
            exchange.comparison = Some(comparison);
        }
    }

    /// Whether any comparison is under way.
    pub(crate) fn is_comparing(&self) -> bool {
        self.table.values().any(|exchange| exchange.comparison.is_some())
    }

    /// What binds the frames of a stream to one another.
    pub(crate) fn binding(&mut self, id: StreamId) -> Option<&mut StreamBinding> {
        Some(&mut self.table.get_mut(&id)?.binding)
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Exchange> {
        self.table.get(&id)
    }

    /// Takes bytes of the peer's; returns its frame once that is complete.
    pub(crate) fn receive(
        &mut self,
        id: StreamId,
        data: &[u8],
        wire: &mut Format,
    ) -> Result<Option<Frame>, Reject> {
        let Some(exchange) = self.table.get_mut(&id).filter(|exchange| !exchange.received) else {
            return Ok(None);
        };
        if self.buffered + data.len() > self.limits.max_memory {
            return Err(Reject::Oversized);
        }
        exchange.buffer.extend_from_slice(data);
        self.buffered += data.len();
        let Limits { max_frame, max_meta, .. } = self.limits;
        let Exchange { buffer, binding, .. } = exchange;
        let Some(frame) = wire.parse(buffer, max_frame, binding, max_meta)? else {
            return Ok(None);
        };
        exchange.received = true;
        self.buffered -= exchange.buffer.len();
        exchange.buffer = Vec::new();
        Ok(Some(frame))
    }

    /// Whatever else a stream brings is of no interest.
    pub(crate) fn stop_reading(&mut self, id: StreamId) {
        if let Some(exchange) = self.table.get_mut(&id) {
            exchange.received = true;
            self.buffered -= mem::take(&mut exchange.buffer).len();
        }
    }

    /// What a stream has brought of a frame.
    pub(crate) fn received(&self, id: StreamId) -> &[u8] {
        self.table.get(&id).map_or(&[], |exchange| &exchange.buffer)
    }

    /// What a stream is for has come to its end; returns that, the first time.
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
        self.buffered -= exchange.buffer.len();
    }

    /// Whether some stream serves a purpose that is not settled.
    pub(crate) fn any(&self, purpose: Purpose) -> bool {
        self.table.values().any(|exchange| exchange.purpose == purpose && !exchange.resolved)
    }

    /// The streams of ours for such a purpose that have not been answered, with the peers.
    pub(crate) fn unanswered(&self, such: impl Fn(Purpose) -> bool) -> Vec<(StreamId, SocketAddr)> {
        let unanswered = self.table.iter().filter(|(_, exchange)| !exchange.resolved);
        let these = unanswered.filter(|(_, exchange)| such(exchange.purpose));
        these.map(|(&id, exchange)| (id, exchange.peer)).collect()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = StreamId> {
        self.table.keys().copied()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let buffered: usize = self.table.values().map(|exchange| exchange.buffer.len()).sum();
        assert_eq!(buffered, self.buffered, "the buffered bytes are those in the buffers");
        assert!(self.buffered <= self.limits.max_memory);
        let serving = self.table.values().filter(|one| one.purpose == Purpose::Inbound).count();
        assert_eq!(serving, self.inbound, "the inbound streams are those that serve");
    }
}
