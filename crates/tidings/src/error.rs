//! Errors: the reasons why a command, a stream or a peer failed.

use crate::member::{State, TooLong};
use crate::stats::Reject;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

/// The reason why a command did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Failure {
    /// A join: no seed accepted the node; each seed with its reason.
    NoSeed(Vec<SeedFailure>),
    /// A join: a seed found that another node which lives has this node's name. Give it another.
    NameTaken {
        /// The seed.
        #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
        seed: SocketAddr,
    },
    /// A leave: none of the members that were asked confirmed it within
    /// [`stream_timeout`](crate::Options::stream_timeout).
    ///
    /// The node has left all the same, and gossip about that may have reached them.
    Unconfirmed,
    /// A join: the application called `leave` before any seed had answered.
    Left,
    /// A reliable message: no receipt came. The member may have received it all the same.
    Undelivered(ExchangeError),
    /// A ping: no answer came within [`probe_interval`](crate::Options::probe_interval).
    PingTimedOut,
    /// The application cancelled the command.
    Cancelled,
    /// The driver has stopped; the outcome is unknown. A node itself never returns this.
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
            Self::NameTaken { seed } => {
                write!(f, "{seed}: {}", ExchangeError::Refused(Refusal::NameTaken))
            }
            Self::Unconfirmed => f.write_str("no member confirmed the leave within stream_timeout"),
            Self::Left => f.write_str("the node left before a seed had answered"),
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
/// Exhaustive on purpose: there is nothing else to report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SeedFailure {
    /// The seed's address.
    #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
    pub seed: SocketAddr,
    /// The reason.
    pub error: ExchangeError,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.seed, self.error)
    }
}

/// The reason why an exchange with a peer over a stream failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
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
    /// The connection failed for another reason, which only the driver knows.
    ConnectionFailed,
    /// The peer closed the stream without an answer: its cluster name, keys or protocol version
    /// differ, or it accepts no more streams.
    NoAnswer,
    /// The peer's answer is not a message that this node accepts.
    BadAnswer(Reject),
    /// The peer refused.
    Refused(Refusal),
    /// This node does not accept the peer as a member, with the reason for which it would refuse a
    /// join by that peer.
    NotAccepted(Refusal),
}

impl ExchangeError {
    /// Whether the peer sent no answer, so that it may run on the other side of a partition.
    pub(crate) fn is_silence(self) -> bool {
        match self {
            Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectionReset
            | Self::TimedOut
            | Self::ConnectionFailed
            | Self::NoAnswer => true,
            Self::BadAnswer(_) | Self::Refused(_) | Self::NotAccepted(_) => false,
        }
    }

    /// Whether the next attempt will fail too, unless somebody changes something.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Refused(refusal) | Self::NotAccepted(refusal) => match refusal {
                Refusal::NotRunning | Refusal::Full | Refusal::NotMe | Refusal::CheckingName => {
                    false
                }
                Refusal::Unacceptable
                | Refusal::ForeignCluster
                | Refusal::NotAdmitted
                | Refusal::Clock
                | Refusal::Versions
                | Refusal::Unreadable
                | Refusal::AddressNotAllowed
                | Refusal::SameNode
                | Refusal::NameTaken
                | Refusal::Unknown => true,
            },
            _ => false,
        }
    }

    /// Whether an attempt at a seed has failed: the seed is another node, and does not only ask for
    /// another attempt.
    pub(crate) fn is_failure(self) -> bool {
        !matches!(self, Self::Refused(Refusal::SameNode | Refusal::CheckingName))
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
            Self::NotAccepted(Refusal::Full) => {
                f.write_str("this node holds as many members as max_members allows")
            }
            Self::NotAccepted(Refusal::NotAdmitted) => {
                f.write_str("this node's application does not admit it")
            }
            Self::NotAccepted(Refusal::Versions) => f.write_str(
                "its members speak another version (is the delegate protocol that of the cluster?)",
            ),
            Self::NotAccepted(Refusal::AddressNotAllowed) => {
                f.write_str("this node's allowed_networks do not have its address")
            }
            Self::NotAccepted(_) => f.write_str(
                "this node does not accept its address, or its metadata is longer than max_meta",
            ),
        }
    }
}

/// The reason why a join was not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// The list of seeds is empty.
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

/// The reason why a message or a ping was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// No member of that name is known.
    Unknown,
    /// The member is not present: it failed or left.
    Absent(State),
    /// The message is longer than a datagram, or a stream's frame, allows.
    TooLong(TooLong),
    /// As many streams, pings or datagrams are open or queued as
    /// [`max_streams_out`](crate::Options::max_streams_out),
    /// [`max_pings`](crate::Options::max_pings) or
    /// [`max_queued_datagrams`](crate::Options::max_queued_datagrams) allows; try again when some
    /// have ended.
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

/// The reason why a node keeps its address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SetAddrError {
    /// No node can be reached there: port 0, or an unspecified, multicast or broadcast address.
    Unreachable(SocketAddr),
    /// It is in none of the [allowed networks](crate::ConfigBuilder::allowed_networks).
    NotAllowed(SocketAddr),
    /// In memberlist's format a present member keeps its address: leave first, and join afterwards.
    Present,
}

impl fmt::Display for SetAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(addr) => write!(f, "no member can be reached at {addr}"),
            Self::NotAllowed(addr) => write!(f, "allowed_networks do not have {}", addr.ip()),
            Self::Present => f.write_str(
                "in memberlist's format a member keeps its address while it is present; leave, set \
                 the address, and join again",
            ),
        }
    }
}

impl core::error::Error for SetAddrError {}

/// The reason why a member was not declared to have left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForceLeaveError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// No member of that name is known.
    Unknown,
    /// The member has not failed: it is alive or suspect, and would object.
    Present(State),
    /// memberlist's format has no such claim.
    Unsupported,
}

impl fmt::Display for ForceLeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the node has left its cluster; join first"),
            Self::Unknown => f.write_str("no member of that name is known"),
            Self::Present(state) => {
                write!(f, "the member is {state}; only one that failed is declared to have left")
            }
            Self::Unsupported => {
                f.write_str("memberlist's format cannot say for a member that it has left")
            }
        }
    }
}

impl core::error::Error for ForceLeaveError {}

/// The reason why a broadcast was not queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// The message, together with its key, is longer than a datagram allows.
    Message(TooLong),
    /// As many of this node's broadcasts are queued as
    /// [`max_broadcasts`](crate::Options::max_broadcasts) or
    /// [`max_broadcast_bytes`](crate::Options::max_broadcast_bytes) allows; try again when some
    /// have been sent.
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

/// The reason why a stream failed, as the driver reports it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
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
    /// Another reason, which only the driver knows.
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

/// The reason why a peer refused a request over a stream, as the peer states it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Refusal {
    /// The peer has left its cluster, or is leaving.
    NotRunning = 0,
    /// The peer's table has as many members as its [`max_members`](crate::Options::max_members)
    /// allows.
    Full = 1,
    /// The peer does not accept this node's address, or metadata of that length.
    Unacceptable = 2,
    /// The peer belongs to a cluster of another name.
    ForeignCluster = 3,
    /// The peer's application does not admit this node.
    NotAdmitted = 4,
    /// The peer is not the member that was meant: another node runs at that address now.
    NotMe = 5,
    /// The peer's clock is too far from this node's.
    Clock = 6,
    /// The peer, or a member that it knows, speaks no version of memberlist's protocol or of the
    /// delegate protocol in common with this node; in memberlist's format only.
    Versions = 7,
    /// The peer cannot read this node's frames: it has other keys or none; in memberlist's format
    /// only.
    Unreadable = 8,
    /// This node's address is in none of the peer's
    /// [`allowed_networks`](crate::ConfigBuilder::allowed_networks): the address that it
    /// advertises, or that from which its connection comes.
    AddressNotAllowed = 9,
    /// The peer is this node itself.
    SameNode = 10,
    /// Another node that lives has this node's name: give this one another name.
    NameTaken = 11,
    /// The peer checks whether the member that has this node's name lives: the next attempt brings
    /// the outcome.
    CheckingName = 12,
    /// A reason that this version does not know.
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
            9 => Self::AddressNotAllowed,
            10 => Self::SameNode,
            11 => Self::NameTaken,
            12 => Self::CheckingName,
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
            Self::Unreadable => "it cannot read this node's messages; are the keys the same?",
            Self::AddressNotAllowed => {
                "its allowed_networks do not have this node's address, as advertised or as seen"
            }
            Self::SameNode => "it is this node itself",
            Self::NameTaken => "another node that lives has this node's name",
            Self::CheckingName => "it is still checking whether this node's name is free",
            Self::Unknown => "its reason is unknown to this version",
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
        let expected = "the message has 5000 bytes; datagram_size allows 1363";
        assert_eq!(SendError::TooLong(message).to_string(), expected);
        assert_eq!(BroadcastError::Message(message).to_string(), expected);
        let key = InvalidBroadcastKey::TooLong(too_long("the broadcast key", None));
        let expected = "the broadcast key has 5000 bytes; at most 1363 are allowed";
        assert_eq!(key.to_string(), expected);
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
