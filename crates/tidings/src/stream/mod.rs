//! Streams: what a driver and a node say to each other about them.

pub(crate) mod exchange;
pub(crate) mod tickets;

use crate::config::options::Options;
use crate::error::StreamError;
use crate::stream::exchange::{Exchanges, Limits};
use crate::stream::tickets::Tickets;
use crate::time::Instant;
use bytes::Bytes;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The open streams of a node, and the commands that wait for them.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Streams {
    pub(crate) exchanges: Exchanges,
    pub(crate) tickets: Tickets,
}

impl Streams {
    pub(crate) fn new(options: &Options) -> Self {
        let limits = Limits {
            max_in: options.max_streams_in,
            max_out: options.max_streams_out,
            max_leave: options.leave_peers,
            max_frame: options.max_frame,
            max_memory: options.max_stream_memory,
            max_meta: options.max_meta,
        };
        Self { exchanges: Exchanges::new(limits), tickets: Tickets::default() }
    }
}

/// Names one stream of a node; never used again by that node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// Its number, for drivers whose system names things by numbers; the node counts from 0.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// What a driver has to do with a stream.
///
/// Exhaustive on purpose: a new duty of drivers must not compile away.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum StreamAction {
    /// Connect to a peer; answer with [`StreamInput::Opened`] or [`StreamInput::Failed`].
    Open {
        /// The peer.
        #[serde(with = "crate::addr")]
        to: SocketAddr,
        /// When the core gives up by itself, and says [`Reset`](Self::Reset): for drivers that cannot stop
        /// connecting at that.
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
///
/// Exhaustive on purpose, as [`StreamAction`] is: together they are the whole contract on streams.
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
