//! Steps of a replay: what the node was given, and what it gave.

use crate::error::StreamError;
use crate::event::Event;
use crate::event::Ticket;
use crate::member::NodeId;
use crate::output::Output;
use crate::record::journal::{Entry, entry};
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

/// One input of a node, and what it gave before the next one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// When it was.
    pub at: Instant,
    /// What the node was given.
    pub input: Input,
    /// What it gave, in order.
    pub outputs: Vec<ReplayedOutput>,
    /// The first thing that is not as it was; the outputs end with it.
    pub difference: Option<Difference>,
}

/// What a node was given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Nothing: outputs waited when the journal began.
    Nothing,
    /// A datagram.
    Datagram {
        /// The address from which it came.
        from: SocketAddr,
        /// How many bytes it had.
        len: usize,
        /// Whether it was sealed.
        sealed: bool,
        /// What it said, as far as it could be read.
        summaries: Vec<MessageSummary>,
        /// Whether the node took it; if not, nothing that it said counts.
        taken: bool,
    },
    /// The time.
    Timeout {
        /// What was due.
        due: Vec<Timer>,
    },
    /// A peer opened a stream.
    Accepted {
        /// The peer.
        from: SocketAddr,
        /// The stream's name; `None` if there were too many.
        id: Option<StreamId>,
    },
    /// A stream is open.
    StreamOpened {
        /// Which one.
        id: StreamId,
        /// With whom; `None` if the node had forgotten it.
        peer: Option<SocketAddr>,
    },
    /// A stream brought something.
    StreamData {
        /// Which one.
        id: StreamId,
        /// From whom; `None` if the node had forgotten it.
        peer: Option<SocketAddr>,
        /// How many bytes.
        len: usize,
        /// What the frame says that is complete with it.
        summaries: Vec<MessageSummary>,
    },
    /// A stream was closed.
    StreamClosed {
        /// Which one.
        id: StreamId,
        /// With whom; `None` if the node had forgotten it.
        peer: Option<SocketAddr>,
    },
    /// A stream failed.
    StreamFailed {
        /// Which one.
        id: StreamId,
        /// With whom; `None` if the node had forgotten it.
        peer: Option<SocketAddr>,
        /// How.
        error: StreamError,
    },
    /// The application asked to join.
    Join {
        /// Through whom.
        seeds: Vec<SocketAddr>,
    },
    /// It asked to leave.
    Leave,
    /// It gave a command up.
    Cancel(Ticket),
    /// It asked for a ping.
    Ping {
        /// To whom.
        to: NodeId,
    },
    /// It sent a message in a datagram.
    Send {
        /// To whom.
        to: NodeId,
        /// How many bytes.
        len: usize,
    },
    /// It sent a message over a stream.
    SendReliable {
        /// To whom.
        to: NodeId,
        /// How many bytes.
        len: usize,
    },
    /// It broadcast a message.
    Broadcast {
        /// How many bytes.
        len: usize,
    },
    /// It set what the node tells of itself.
    SetMeta {
        /// How many bytes.
        len: usize,
    },
    /// It set what is told at every sync.
    SetSyncState {
        /// How many bytes.
        len: usize,
    },
}

/// What a node gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplayedOutput {
    /// Nothing, although something waited: there was nothing to say after all.
    Nothing,
    /// A datagram.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// How many bytes it has.
        len: usize,
        /// What it says.
        summaries: Vec<MessageSummary>,
    },
    /// Connect to a peer.
    Open {
        /// The stream's name.
        id: StreamId,
        /// The peer.
        to: SocketAddr,
    },
    /// Write to a stream.
    Write {
        /// Which one.
        id: StreamId,
        /// To whom; `None` if the node has forgotten it already.
        to: Option<SocketAddr>,
        /// How many bytes.
        len: usize,
        /// What they say.
        summaries: Vec<MessageSummary>,
    },
    /// Close a stream.
    Close {
        /// Which one.
        id: StreamId,
    },
    /// Drop a stream.
    Reset {
        /// Which one.
        id: StreamId,
    },
    /// Something for the application.
    Event(Event),
}

/// What was recorded and what the replay has in its place, as far as a recording tells.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// What was recorded.
    pub recorded: String,
    /// What the replay has.
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
        let tell = |journal: &mut &[u8]| match entry(journal) {
            Some(Entry::Output { kind, checksum }) => {
                format!("{} with checksum {checksum:08x}", kind.name())
            }
            Some(Entry::Input { told, .. }) => format!("an input that was told {told:.9?}"),
            None => String::from("nothing"),
        };
        Self { recorded: tell(&mut recorded), replayed: tell(&mut replayed) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorded: {}\nreplayed: {}", self.recorded, self.replayed)
    }
}
