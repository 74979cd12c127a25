//! Streams: what a driver and a node say to each other about them.

pub(crate) mod exchange;
pub(crate) mod tickets;

use crate::time::Instant;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

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

/// How a stream failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Refusal {
    /// It is leaving, or has left.
    NotRunning = 0,
    /// It holds as many members as it may.
    Full = 1,
    /// It takes no member with so much metadata, or at such an address.
    Unacceptable = 2,
    /// It belongs to a cluster of another name.
    ForeignCluster = 3,
    /// Its application does not admit this node.
    NotAdmitted = 4,
    /// It is not the member that was meant: the address has passed on.
    NotMe = 5,
    /// Its clock is too far from this node's.
    Clock = 6,
    /// It, or one that it knows, speaks no version of memberlist's protocol, or of the application's, in
    /// common with this node; of memberlist's clusters only.
    Versions = 7,
    /// It cannot read what it is sent: its keys are others, or it has none; of memberlist's clusters only.
    Unreadable = 8,
    /// For a reason that this version does not know.
    Unknown = 255,
}

impl Refusal {
    pub(crate) fn from_u8(byte: u8) -> Self {
        match byte {
            0 => Self::NotRunning,
            1 => Self::Full,
            2 => Self::Unacceptable,
            3 => Self::ForeignCluster,
            4 => Self::NotAdmitted,
            5 => Self::NotMe,
            6 => Self::Clock,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "it has left its cluster",
            Self::Full => "it holds as many members as its max_members allows",
            Self::Unacceptable => "it does not accept this address, or metadata over its max_meta",
            Self::ForeignCluster => "it belongs to a cluster of another name",
            Self::NotAdmitted => "its application does not admit this node",
            Self::NotMe => "another node runs at that address now",
            Self::Clock => "its clock is too far from this node's",
            Self::Versions => "the versions differ; is the delegate protocol that of the cluster?",
            Self::Unreadable => "it cannot read what it is sent; are the keys the same?",
            Self::Unknown => "for a reason that is not known here",
        })
    }
}
