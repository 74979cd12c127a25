//! Attempts: one gateway that was asked, and why it had no answer.

use crate::endpoint::Endpoint;
use crate::framer::FrameError;
use crate::http::HttpError;
use crate::reach::NotReached;
use crate::rpc::{RpcError, RpcFault};
use std::fmt;
use std::time::Duration;

/// A gateway that had no answer, and the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// The gateway.
    pub endpoint: Endpoint,
    /// The reason.
    pub fault: Fault,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.fault)
    }
}

/// The reason why a gateway had no answer: it says nothing about the request, which another gateway
/// may answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// No connection, or it broke. The text is the system's.
    Connection(String),
    /// Addresses that were advertised are not reached by configuration.
    NotReached(NotReached),
    /// The endpoint is `https`, which this crate does not speak.
    Tls,
    /// No answer within the `attempt_timeout`.
    Timeout(Duration),
    /// No answer when the call's `timeout` ended it; the gateway may not have been asked.
    OutOfTime(Duration),
    /// The gateway would have been asked, if there were as many as have to agree.
    TooFew {
        /// How many have to agree.
        agree: usize,
    },
    /// Another endpoint of the same gateway counts among those that have to agree.
    SameGateway,
    /// The gateway closed the connection before it had answered.
    Closed,
    /// An HTTP status other than 200 to 299: 401 and 429, too.
    Status(u16),
    /// The reply is no HTTP.
    Http(HttpError),
    /// The reply is nested too deep; over IPC also, if it is no JSON object or array.
    Frame(FrameError),
    /// The reply is no JSON-RPC, or has the wrong IDs, or refuses the batch.
    Reply(RpcFault),
    /// The node returned an error that is no revert.
    Rpc(RpcError),
    /// A result is not of the form that its method has.
    Result(&'static str),
    /// No contract is at the address, on this node.
    NoCode,
    /// The node serves another chain.
    WrongChain {
        /// Its chain.
        chain: u64,
    },
    /// The node's height lags behind the other gateways': it is stalled, or still syncing.
    Behind {
        /// Its height.
        height: u64,
        /// The height of the chain, as other gateways tell it.
        reference: u64,
    },
}

impl Fault {
    /// Whether the gateway is to blame, so that others should be asked before it next time. For an
    /// address that may not be reached the member is to blame that advertised it, not the gateway
    /// that is there.
    pub(crate) fn is_gateways(&self) -> bool {
        !matches!(
            self,
            Self::NotReached(_)
                | Self::Rpc(_)
                | Self::NoCode
                | Self::OutOfTime(_)
                | Self::TooFew { .. }
                | Self::SameGateway
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "no connection: {error}"),
            Self::NotReached(class) => class.fmt(f),
            Self::Tls => f.write_str("https is not supported; put a TLS proxy in between"),
            Self::Timeout(timeout) => {
                write!(f, "no answer within {timeout:?}; attempt_timeout allows no more")
            }
            Self::OutOfTime(timeout) => {
                write!(f, "no answer when the call ended; timeout allows {timeout:?}")
            }
            Self::TooFew { agree } => {
                write!(f, "not asked; agree needs {agree} gateways at about the same height")
            }
            Self::SameGateway => {
                f.write_str("not asked; another endpoint of this gateway counts for agree")
            }
            Self::Closed => f.write_str("the connection was closed before an answer"),
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Http(error) => error.fmt(f),
            Self::Frame(error) => error.fmt(f),
            Self::Reply(fault) => fault.fmt(f),
            Self::Rpc(error) => error.fmt(f),
            Self::Result(method) => write!(f, "the result of {method} has the wrong form"),
            Self::NoCode => f.write_str("no contract at that address on this node"),
            Self::WrongChain { chain } => write!(f, "the node serves chain {chain}"),
            Self::Behind { height, reference } => write!(
                f,
                "the node is behind: its height is {height}, that of other gateways {reference}"
            ),
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<RpcFault> for Fault {
    fn from(fault: RpcFault) -> Self {
        Self::Reply(fault)
    }
}
