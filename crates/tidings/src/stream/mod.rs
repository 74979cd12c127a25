//! Streams: the actions that a node requests of its driver, and the driver's inputs about them.

pub(crate) mod exchange;
mod first_frames;
pub(crate) mod paths;
pub(crate) mod tickets;

use crate::config::options::Options;
use crate::error::StreamError;
use crate::stream::exchange::{Exchanges, Limits};
use crate::stream::paths::Paths;
use crate::stream::tickets::Tickets;
use crate::time::Instant;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

/// The open streams of a node, and its commands that have not ended.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Streams {
    pub(crate) exchanges: Exchanges,
    pub(crate) tickets: Tickets,
    pub(crate) paths: Paths,
}

impl Streams {
    pub(crate) fn new(options: &Options) -> Self {
        let exchanges = Exchanges::new(limits(options));
        Self { exchanges, tickets: Tickets::default(), paths: Paths::default() }
    }

    /// Recounts after deserialization; `None` if an id or a size is invalid.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self, options: &Options) -> Option<()> {
        self.exchanges.restore(limits(options))?;
        self.tickets.restore()
    }
}

fn limits(options: &Options) -> Limits {
    Limits {
        max_in: options.max_streams_in,
        max_out: options.max_streams_out,
        max_leave: options.leave_peers,
        max_frame: options.max_frame,
        max_memory: options.max_stream_memory,
        max_meta: options.max_meta,
        sync_chunk: options.sync_chunk,
        idle: idle_after(options),
    }
}

/// How long no frame of a peer's stream was complete when it is idle: a fortieth of
/// `stream_timeout`, at least a tenth of a second.
///
/// That is a few round trips, and less than the time in which a seed that turned a node away is
/// asked again, so that a join succeeds while idle streams take all places.
fn idle_after(options: &Options) -> Duration {
    (options.stream_timeout / 40).max(Duration::from_millis(100))
}

/// How long a stream of a peer waits for its first byte: a quarter of `stream_timeout`, at least a
/// second.
///
/// A peer opens a stream to send a request, whose first byte comes within a round trip. The second
/// is for machines that are busy.
pub(crate) fn first_byte_timeout(options: &Options) -> Duration {
    (options.stream_timeout / 4).max(Duration::from_secs(1)).min(options.stream_timeout)
}

/// The id of a stream; a node never uses one twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// The id as a number, for drivers that need one, such as an event loop's token; a node counts
    /// from 0.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// An action on a stream, for the driver to carry out.
///
/// Exhaustive on purpose: a driver has to handle each new action.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum StreamAction {
    /// Connect to a peer, and report [`StreamInput::Opened`] or [`StreamInput::Failed`].
    Open {
        /// The peer's address.
        #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
        to: SocketAddr,
        /// The time at which the node gives up and requests [`Reset`](Self::Reset); for drivers
        /// that cannot abort a connection attempt at that request.
        deadline: Instant,
    },
    /// Write all of these bytes, after the earlier ones.
    Write(Bytes),
    /// Close the stream once all bytes are written, and report [`StreamInput::Closed`].
    Close,
    /// Drop the stream now, without a report; the node has forgotten it.
    Reset,
}

/// An input about a stream, from the driver.
///
/// Exhaustive on purpose, as [`StreamAction`] is: together they are the whole contract on streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamInput<'a> {
    /// The stream is connected.
    Opened,
    /// The peer sent these bytes; boundaries between inputs have no meaning.
    Data(&'a [u8]),
    /// The stream is closed, by the peer or after [`StreamAction::Close`].
    Closed,
    /// The stream could not be opened, or it broke.
    Failed(StreamError),
}
