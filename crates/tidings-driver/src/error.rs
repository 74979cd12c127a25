//! What can go wrong, in words that say what to do.

use crate::lookup::LookupError;
use std::error::Error;
use std::net::SocketAddr;
use std::{fmt, io};
use tidings::{Failure, JoinError};

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
    /// Others cannot reach an address with a zone, which means something on this machine only: advertise
    /// another one.
    Zone(SocketAddr),
    /// The operating system gave no random seed or no thread, or there is no runtime here.
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
            Self::Zone(addr) => {
                write!(
                    f,
                    "the zone of {addr} means nothing to others; advertise an address without"
                )
            }
            Self::System(error) => write!(f, "cannot start a node: {error}"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Socket { error, .. } | Self::System(error) => Some(error),
            Self::Unspecified(_) | Self::Zone(_) => None,
        }
    }
}

/// A command that waits for others did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandError<E> {
    /// It was not begun.
    NotBegun(E),
    /// It was begun, and came to nothing.
    Failed(Failure),
}

impl<E: fmt::Display> fmt::Display for CommandError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl<E: Error> Error for CommandError<E> {}

/// A node has not joined a cluster.
#[derive(Debug)]
pub struct JoinFailed {
    /// The places to join that have no addresses, with their names.
    pub unresolved: Vec<LookupError>,
    /// What became of joining at the addresses that were found; [`JoinError::NoSeeds`] if there were none.
    pub error: CommandError<JoinError>,
}

impl fmt::Display for JoinFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.unresolved.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "; " })?;
            error.fmt(f)?;
        }
        match self.error {
            CommandError::NotBegun(JoinError::NoSeeds) if !self.unresolved.is_empty() => Ok(()),
            _ if self.unresolved.is_empty() => self.error.fmt(f),
            _ => write!(f, "; {}", self.error),
        }
    }
}

impl Error for JoinFailed {}
