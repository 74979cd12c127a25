//! What can go wrong, in words that say what to do.

use std::net::SocketAddr;
use std::{fmt, io};
use tidings::Failure;

/// A node could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// A socket could not be had at an address.
    Socket {
        /// Which kind of socket: `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Others cannot reach an unspecified address: advertise another one.
    Unspecified(SocketAddr),
    /// The operating system gave no random seed, or no thread.
    System(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { protocol, addr, error } => {
                write!(f, "cannot listen on {protocol} {addr}: {error}")
            }
            Self::Unspecified(addr) => {
                write!(f, "others cannot reach {addr}; advertise an address of this machine")
            }
            Self::System(error) => write!(f, "cannot start a node: {error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket { error, .. } | Self::System(error) => Some(error),
            Self::Unspecified(_) => None,
        }
    }
}

/// A join did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// It was not begun.
    NotBegun(tidings::JoinError),
    /// No seed took us in.
    Failed(Failure),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Stopped => f.write_str("the node has stopped"),
        }
    }
}

impl std::error::Error for JoinError {}

/// A leave was not confirmed by the others.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LeaveError {
    /// None of those that were asked confirmed it. The node has left all the same.
    Failed(Failure),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for LeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Stopped => f.write_str("the node has stopped"),
        }
    }
}

impl std::error::Error for LeaveError {}
