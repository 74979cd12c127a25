//! Errors and failures: why a command, a stream or a peer did not do what was asked.

use crate::member::{State, TooLong};
use crate::stats::Reject;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The reason why a command did not succeed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Failure {
    /// A join: no seed accepted the node; each seed with its reason.
    NoSeed(Vec<SeedFailure>),
    /// A leave: none of the members that were asked confirmed it within
    /// [`stream_timeout`](crate::Options::stream_timeout).
    ///
    /// The node has left all the same, and gossip about that may have reached them.
    Unconfirmed,
    /// A join: the node was told to leave before any seed had answered.
    Left,
    /// A reliable message: no receipt came. The member may have received it all the same.
    Undelivered(ExchangeError),
    /// A ping: no answer came within [`probe_interval`](crate::Options::probe_interval).
    PingTimedOut,
    /// The application cancelled the command.
    Cancelled,
    /// The driver has stopped, so the outcome stays unknown. A node itself never says this.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeed(failures) => {
                f.write_str("no seed answered")?;
                failures.iter().enumerate().try_for_each(|(n, failure)| {
                    f.write_str(if n == 0 { ": " } else { "; " })?;
                    failure.fmt(f)
                })
            }
            Self::Unconfirmed => f.write_str("no member confirmed the leave within stream_timeout"),
            Self::Left => f.write_str("the node was told to leave before a seed had answered"),
            Self::Undelivered(error) => write!(f, "no receipt came: {error}"),
            Self::PingTimedOut => f.write_str("no answer came within probe_interval"),
            Self::Cancelled => f.write_str("the command was cancelled"),
            Self::Stopped => f.write_str("the node has stopped"),
        }
    }
}

impl core::error::Error for Failure {}

/// One seed of a join that did not accept the node, with the reason.
///
/// Exhaustive on purpose: a seed and its reason is all there is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SeedFailure {
    /// The seed.
    #[serde(with = "crate::addr")]
    pub seed: SocketAddr,
    /// Why.
    pub error: ExchangeError,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.seed, self.error)
    }
}

/// The reason why an exchange with a peer over a stream failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Nobody listens at the peer's address.
    ConnectionRefused,
    /// The peer's address cannot be reached.
    Unreachable,
    /// The peer broke the connection.
    ConnectionReset,
    /// The peer did not answer within [`stream_timeout`](crate::Options::stream_timeout).
    TimedOut,
    /// The connection failed for another reason, which the driver knows.
    ConnectionFailed,
    /// The peer closed the stream without an answer: its cluster name, keys or protocol version
    /// differ, or it accepts no more streams.
    NoAnswer,
    /// The peer's answer is not a message that this node accepts.
    BadAnswer(Reject),
    /// The peer refused.
    Refused(Refusal),
    /// This node does not accept the peer as a member, for the reason for which it would refuse it.
    NotTaken(Refusal),
}

impl ExchangeError {
    /// Whether nothing was heard of the peer: it may be there all the same, behind a cut.
    pub(crate) fn is_silence(self) -> bool {
        match self {
            Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectionReset
            | Self::TimedOut
            | Self::ConnectionFailed
            | Self::NoAnswer => true,
            Self::BadAnswer(_) | Self::Refused(_) | Self::NotTaken(_) => false,
        }
    }
}

impl From<StreamError> for ExchangeError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Refused => Self::ConnectionRefused,
            StreamError::Unreachable => Self::Unreachable,
            StreamError::Reset => Self::ConnectionReset,
            StreamError::TimedOut => Self::TimedOut,
            StreamError::Other => Self::ConnectionFailed,
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionRefused => {
                f.write_str("nobody listens there (is the node running, and the port right?)")
            }
            Self::Unreachable => f.write_str("the address cannot be reached (is the network up?)"),
            Self::ConnectionReset => f.write_str("the connection was broken"),
            Self::TimedOut => f.write_str("there was no answer within stream_timeout"),
            Self::ConnectionFailed => f.write_str("the connection failed"),
            Self::NoAnswer => f.write_str(
                "it closed the connection without an answer (are cluster name and keys the same?)",
            ),
            Self::BadAnswer(reject) => write!(f, "its answer was not accepted: {reject}"),
            Self::Refused(refusal) => write!(f, "it refused: {refusal}"),
            Self::NotTaken(Refusal::Full) => {
                f.write_str("this node holds as many members as max_members allows")
            }
            Self::NotTaken(Refusal::NotAdmitted) => {
                f.write_str("this node's application does not admit it")
            }
            Self::NotTaken(Refusal::Versions) => f.write_str(
                "its members speak another version (is the delegate protocol that of the cluster?)",
            ),
            Self::NotTaken(_) => f.write_str(
                "this node does not accept its address, or its metadata is longer than max_meta",
            ),
        }
    }
}

/// The reason why a join was not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no seed.
    NoSeeds,
    /// There are more seeds than one join may have.
    TooManySeeds {
        /// The number of seeds.
        seeds: usize,
        /// The limit.
        max: usize,
    },
    /// The node is leaving; it can join again when the leave has completed.
    Leaving,
    /// As many streams are open as [`max_streams_out`](crate::Options::max_streams_out) allows.
    Busy {
        /// The limit.
        max: usize,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeeds => f.write_str("there is no seed; name at least one member to join"),
            Self::TooManySeeds { seeds, max } => {
                write!(f, "there are {seeds} seeds; one join allows {max}")
            }
            Self::Leaving => f.write_str("the node is leaving; join again after the leave"),
            Self::Busy { max } => write!(
                f,
                "all {max} streams that max_streams_out allows are open; join again later"
            ),
        }
    }
}

impl core::error::Error for JoinError {}

/// Why a message or a ping was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// Nobody of that name is known.
    Unknown,
    /// The member is not there.
    Absent(State),
    /// The message is too long: for a datagram, or for a stream.
    TooLong(TooLong),
    /// Too many streams, pings or datagrams are under way already; try again when some have ended.
    Busy,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the node has left its cluster; join first"),
            Self::Unknown => f.write_str("no member of that name is known"),
            Self::Absent(state) => {
                write!(f, "the member is {state}; only one that is alive or suspect is reached")
            }
            Self::TooLong(too_long) => too_long.fmt(f),
            Self::Busy => f.write_str(
                "as many streams, pings or datagrams are open or queued as max_streams_out, \
                 max_pings or max_queued_datagrams allows; try again when some have ended",
            ),
        }
    }
}

impl core::error::Error for SendError {}

/// Why a broadcast was not begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// The message is too long for a datagram, together with its key.
    Message(TooLong),
    /// Too many of this node's broadcasts wait to be told; try again when some have been.
    Full,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the node has left its cluster; join first"),
            Self::Message(too_long) => too_long.fmt(f),
            Self::Full => f.write_str(
                "as many broadcasts of this node are queued as max_broadcasts or \
                 max_broadcast_bytes allows; try again when some have been sent",
            ),
        }
    }
}

impl core::error::Error for BroadcastError {}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::broadcast_key::InvalidBroadcastKey;
    use alloc::string::ToString;

    #[test]
    fn errors_of_messages_name_the_value_the_limit_and_the_option() {
        let too_long = |what, option| TooLong { what, len: 5000, max: 1363, option };
        let message = too_long("the message", Some("datagram_size"));
        let said = "the message has 5000 bytes; datagram_size allows 1363";
        assert_eq!(SendError::TooLong(message).to_string(), said);
        assert_eq!(BroadcastError::Message(message).to_string(), said);
        let key = InvalidBroadcastKey::TooLong(too_long("the broadcast key", None));
        let said = "the broadcast key has 5000 bytes; at most 1363 are allowed";
        assert_eq!(key.to_string(), said);
        for option in ["max_streams_out", "max_pings", "max_queued_datagrams"] {
            assert!(SendError::Busy.to_string().contains(option));
        }
        for option in ["max_broadcasts", "max_broadcast_bytes"] {
            assert!(BroadcastError::Full.to_string().contains(option));
        }
        let absent = SendError::Absent(State::Failed).to_string();
        assert_eq!(absent, "the member is failed; only one that is alive or suspect is reached");
    }
}
