//! Steps of a replay: one input each, with the outputs that followed.

use crate::error::StreamError;
use crate::event::Event;
use crate::event::Ticket;
use crate::member::NodeId;
use crate::output::Output;
use crate::record::journal::{Entry, decode_entry};
use crate::stats::DatagramError;
use crate::stream::{StreamAction, StreamId};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::Format;
use crate::wire::dissect::{self, MessageSummary};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

/// One step of a replay: an input, and the outputs until the next one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Time of the input.
    pub at: Instant,
    /// The input.
    pub input: Input,
    /// The outputs, in order.
    pub outputs: Vec<ReplayedOutput>,
    /// The first difference from the recording; the outputs end with it.
    pub difference: Option<Difference>,
}

/// Input of a replayed node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// No input: outputs were pending when the journal began.
    Nothing,
    /// The node received a datagram.
    Datagram {
        /// Source address.
        from: SocketAddr,
        /// Length in bytes.
        len: usize,
        /// Whether it was encrypted.
        sealed: bool,
        /// Its messages, as far as they could be decoded.
        summaries: Vec<MessageSummary>,
        /// Whether the node accepted it; a rejected datagram has no effect.
        accepted: bool,
    },
    /// The driver called `handle_timeout`.
    Timeout {
        /// Timers that had expired.
        due: Vec<Timer>,
    },
    /// A peer opened a stream to the node.
    IncomingStream {
        /// The peer.
        from: SocketAddr,
        /// The stream; `None` if the node did not accept it, with `max_streams_in` open already.
        id: Option<StreamId>,
    },
    /// A stream that the node opened is connected.
    StreamOpened {
        /// The stream.
        id: StreamId,
        /// The peer; `None` if the node no longer tracked the stream.
        peer: Option<SocketAddr>,
    },
    /// Data arrived on a stream.
    StreamData {
        /// The stream.
        id: StreamId,
        /// The peer; `None` if the node no longer tracked the stream.
        peer: Option<SocketAddr>,
        /// Length in bytes.
        len: usize,
        /// Messages of the frame that these bytes complete.
        summaries: Vec<MessageSummary>,
    },
    /// A stream was closed, by the peer or after the node closed it.
    StreamClosed {
        /// The stream.
        id: StreamId,
        /// The peer; `None` if the node no longer tracked the stream.
        peer: Option<SocketAddr>,
    },
    /// A stream failed.
    StreamFailed {
        /// The stream.
        id: StreamId,
        /// The peer; `None` if the node no longer tracked the stream.
        peer: Option<SocketAddr>,
        /// The error.
        error: StreamError,
    },
    /// The application called `join`.
    Join {
        /// Seed addresses.
        seeds: Vec<SocketAddr>,
    },
    /// The application called `set_seeds`.
    SetSeeds {
        /// Seed addresses.
        seeds: Vec<SocketAddr>,
    },
    /// The application called `set_hints`.
    SetHints {
        /// Addresses where members were.
        hints: Vec<SocketAddr>,
    },
    /// The application called `leave`.
    Leave,
    /// The application called `force_leave`.
    ForceLeave {
        /// Name of the member.
        id: NodeId,
    },
    /// The application cancelled a command.
    Cancel(Ticket),
    /// The application called `ping`.
    Ping {
        /// Name of the member.
        to: NodeId,
    },
    /// The application sent a user message in a datagram.
    Send {
        /// Name of the receiver.
        to: NodeId,
        /// Length in bytes.
        len: usize,
    },
    /// The application sent a user message over a stream.
    SendReliable {
        /// Name of the receiver.
        to: NodeId,
        /// Length in bytes.
        len: usize,
    },
    /// The application sent a broadcast.
    Broadcast {
        /// Length in bytes.
        len: usize,
    },
    /// The application set the node's metadata.
    SetMeta {
        /// Length in bytes.
        len: usize,
    },
    /// The application set the data that the node attaches to each sync.
    SetSyncState {
        /// Length in bytes.
        len: usize,
    },
    /// The driver could not send a datagram.
    SendFailed {
        /// Destination address.
        to: SocketAddr,
        /// Length in bytes.
        len: usize,
        /// The error.
        error: DatagramError,
    },
    /// The application set the node's address.
    SetAddr {
        /// The address.
        addr: SocketAddr,
    },
    /// The driver set the wall clock.
    SetWallClock {
        /// The node's wall clock until then, in seconds.
        before: u64,
        /// The wall clock from then on.
        seconds: u64,
    },
}

/// Output of a replayed node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplayedOutput {
    /// No output: the pending one had become unnecessary when the node was polled.
    Nothing,
    /// Send a datagram.
    Datagram {
        /// Destination address.
        to: SocketAddr,
        /// Length in bytes.
        len: usize,
        /// Its messages.
        summaries: Vec<MessageSummary>,
    },
    /// Open a stream to a peer.
    Open {
        /// The stream.
        id: StreamId,
        /// The peer.
        to: SocketAddr,
    },
    /// Write to a stream.
    Write {
        /// The stream.
        id: StreamId,
        /// The peer; `None` if the node no longer tracks the stream.
        to: Option<SocketAddr>,
        /// Length in bytes.
        len: usize,
        /// The messages in these bytes.
        summaries: Vec<MessageSummary>,
    },
    /// Close a stream.
    Close {
        /// The stream.
        id: StreamId,
    },
    /// Reset a stream.
    Reset {
        /// The stream.
        id: StreamId,
    },
    /// An event for the application.
    Event(Event),
}

/// A difference between recording and replay, as text.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The recorded entry.
    pub recorded: String,
    /// The entry that the replay has instead.
    pub replayed: String,
}

impl Step {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, input: Input::Nothing, outputs: Vec::new(), difference: None }
    }
}

impl ReplayedOutput {
    pub(super) fn of(output: &Output<'_>, wire: &Format) -> Self {
        match output {
            Output::Datagram { to, data } => {
                let summaries = dissect::in_datagram(wire, data, None);
                Self::Datagram { to: *to, len: data.len(), summaries }
            }
            Output::Stream { id, action } => match action {
                StreamAction::Open { to, .. } => Self::Open { id: *id, to: *to },
                StreamAction::Write(bytes) => {
                    let summaries = dissect::in_written(wire, bytes);
                    Self::Write { id: *id, to: None, len: bytes.len(), summaries }
                }
                StreamAction::Close => Self::Close { id: *id },
                StreamAction::Reset => Self::Reset { id: *id },
            },
            Output::Event(event) => Self::Event(event.clone()),
        }
    }

    pub(super) fn with_peer(mut self, peer: impl FnOnce(StreamId) -> Option<SocketAddr>) -> Self {
        if let Self::Write { id, to, .. } = &mut self {
            *to = peer(*id);
        }
        self
    }
}

impl Difference {
    pub(super) fn between(mut recorded: &[u8], mut replayed: &[u8]) -> Self {
        let describe = |journal: &mut &[u8]| match decode_entry(journal) {
            Some(Entry::Output { kind, checksum }) => {
                format!("{} with checksum {checksum:08x}", kind.name())
            }
            Some(Entry::Input { notes, .. }) => format!("an input with notes {notes:.9?}"),
            None => String::from("nothing"),
        };
        Self { recorded: describe(&mut recorded), replayed: describe(&mut replayed) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorded: {}\nreplayed: {}", self.recorded, self.replayed)
    }
}
