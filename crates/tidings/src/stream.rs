//! Streams: the exchanges that a node has open, one request and at most one reply each.

use crate::command::Ticket;
use crate::stats::Reject;
use crate::time::Instant;
use crate::wire::{Binding, frame};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;

/// Names one stream of a node; never used again by that node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(u64);

/// What a driver has to do with a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamAction {
    /// Connect to a peer; answer with [`StreamInput::Opened`] or [`StreamInput::Failed`].
    Open {
        /// The peer.
        to: SocketAddr,
        /// When the core gives up by itself: for systems in which connecting cannot be stopped.
        deadline: Instant,
    },
    /// Write all of these bytes, after all earlier ones.
    Write(Bytes),
    /// Close once all is written; answer with [`StreamInput::Closed`].
    Close,
    /// Drop the stream now; the core has forgotten it.
    Reset,
}

/// What a driver tells of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamInput<'a> {
    /// It is connected.
    Opened,
    /// The peer sent these bytes; they may be cut anywhere.
    Data(&'a [u8]),
    /// The peer, or we on being told to, closed it.
    Closed,
    /// It could not be opened, or broke.
    Failed(StreamError),
}

/// How a stream failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StreamError {
    /// Nobody listens at the address.
    Refused,
    /// The address cannot be reached.
    Unreachable,
    /// The peer broke the connection.
    Reset,
    /// There was no answer in time.
    TimedOut,
    /// Something else, of which the driver knows more.
    Other,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "nobody listens there",
            Self::Unreachable => "the address cannot be reached",
            Self::Reset => "the connection was broken",
            Self::TimedOut => "there was no answer in time",
            Self::Other => "the connection failed",
        })
    }
}

#[cfg(feature = "std")]
impl From<std::io::ErrorKind> for StreamError {
    fn from(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind::*;
        match kind {
            ConnectionRefused => Self::Refused,
            ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => Self::Reset,
            TimedOut | WouldBlock => Self::TimedOut,
            HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable => {
                Self::Unreachable
            }
            _ => Self::Other,
        }
    }
}

/// Why a peer did not do what it was asked over a stream, in its own words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is leaving, or has left.
    NotRunning = 0,
    /// It holds as many members as it may.
    Full = 1,
    /// For a reason that this version does not know.
    Unknown = 255,
}

impl Refusal {
    pub(crate) fn from_u8(byte: u8) -> Self {
        match byte {
            0 => Self::NotRunning,
            1 => Self::Full,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "it has left its cluster",
            Self::Full => "it holds as many members as it may",
            Self::Unknown => "for a reason that is not known here",
        })
    }
}

/// What a stream of ours is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// The peer opened it, and asks.
    Serve,
    /// A join that the application waits for.
    Join(Ticket),
    /// The regular comparison of the membership.
    Sync,
    /// To tell a peer that we leave, for the leave that this ticket began.
    Leave(Ticket),
}

/// One open stream.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) peer: SocketAddr,
    pub(crate) purpose: Purpose,
    /// What the peer sent of its frame so far.
    buffer: Vec<u8>,
    /// The peer's frame is there: what else it sends is not read.
    received: bool,
    /// What the stream is for has come to its end, and it only has to be closed.
    settled: bool,
}

/// All streams that are open, and what they may take up.
#[derive(Debug)]
pub(crate) struct Streams {
    table: BTreeMap<StreamId, Exchange>,
    next: u64,
    inbound: usize,
    /// The bytes in all buffers together.
    buffered: usize,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_in: usize,
    pub(crate) max_out: usize,
    /// Beyond that, for leaving.
    pub(crate) max_leave: usize,
    pub(crate) max_frame: usize,
    pub(crate) max_memory: usize,
    pub(crate) max_meta: usize,
}

impl Streams {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { table: BTreeMap::new(), next: 0, inbound: 0, buffered: 0, limits }
    }

    /// A stream that the peer opened; `None` if there are too many.
    pub(crate) fn accept(&mut self, peer: SocketAddr) -> Option<StreamId> {
        (self.inbound < self.limits.max_in).then(|| self.insert(peer, Purpose::Serve))
    }

    /// How many streams may still be opened.
    pub(crate) fn room_out(&self) -> usize {
        self.limits.max_out.saturating_sub(self.table.len() - self.inbound)
    }

    /// A stream that we open; `None` if there are too many.
    ///
    /// Streams by which a node leaves have a reserve of their own.
    pub(crate) fn open(&mut self, peer: SocketAddr, purpose: Purpose) -> Option<StreamId> {
        let reserve = match purpose {
            Purpose::Leave(_) => self.limits.max_leave,
            _ => 0,
        };
        let open = self.table.len() - self.inbound;
        (open < self.limits.max_out + reserve).then(|| self.insert(peer, purpose))
    }

    fn insert(&mut self, peer: SocketAddr, purpose: Purpose) -> StreamId {
        let id = StreamId(self.next);
        self.next += 1;
        self.inbound += usize::from(purpose == Purpose::Serve);
        let buffer = Vec::new();
        self.table.insert(id, Exchange { peer, purpose, buffer, received: false, settled: false });
        id
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Exchange> {
        self.table.get(&id)
    }

    /// Takes bytes of the peer's; returns its frame once that is complete.
    pub(crate) fn receive(
        &mut self,
        id: StreamId,
        data: &[u8],
        binding: &Binding,
    ) -> Result<Option<frame::Frame>, Reject> {
        let Some(exchange) = self.table.get_mut(&id).filter(|exchange| !exchange.received) else {
            return Ok(None);
        };
        if self.buffered + data.len() > self.limits.max_memory {
            return Err(Reject::Oversized);
        }
        exchange.buffer.extend_from_slice(data);
        self.buffered += data.len();
        let Limits { max_frame, max_meta, .. } = self.limits;
        match frame::parse(&exchange.buffer, binding, max_frame, max_meta)? {
            frame::Progress::Incomplete => Ok(None),
            frame::Progress::Complete(frame) => {
                exchange.received = true;
                self.buffered -= exchange.buffer.len();
                exchange.buffer = Vec::new();
                Ok(Some(frame))
            }
        }
    }

    /// What a stream is for has come to its end; returns that, the first time.
    pub(crate) fn settle(&mut self, id: StreamId) -> Option<(SocketAddr, Purpose)> {
        let exchange = self.table.get_mut(&id).filter(|exchange| !exchange.settled)?;
        exchange.settled = true;
        Some((exchange.peer, exchange.purpose))
    }

    pub(crate) fn remove(&mut self, id: StreamId) {
        let Some(exchange) = self.table.remove(&id) else {
            return;
        };
        self.inbound -= usize::from(exchange.purpose == Purpose::Serve);
        self.buffered -= exchange.buffer.len();
    }

    /// Whether some stream serves a purpose that is not settled.
    pub(crate) fn any(&self, purpose: Purpose) -> bool {
        self.table.values().any(|exchange| exchange.purpose == purpose && !exchange.settled)
    }

    /// The streams by which we join.
    pub(crate) fn joining(&self) -> Vec<StreamId> {
        let joins = |exchange: &Exchange| matches!(exchange.purpose, Purpose::Join(_));
        self.table.iter().filter(|(_, exchange)| joins(exchange)).map(|(&id, _)| id).collect()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = StreamId> {
        self.table.keys().copied()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let buffered: usize = self.table.values().map(|exchange| exchange.buffer.len()).sum();
        assert_eq!(buffered, self.buffered, "the buffered bytes are those in the buffers");
        assert!(self.buffered <= self.limits.max_memory);
        let serving = self.table.values().filter(|one| one.purpose == Purpose::Serve).count();
        assert_eq!(serving, self.inbound, "the inbound streams are those that serve");
    }
}
