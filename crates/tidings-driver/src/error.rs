//! Errors of drivers and handles; each text names the value, and the option that changes it.

use crate::discovery::InvalidSource;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{fmt, io};
use tidings::{
    ConfigError, ExchangeError, Failure, InvalidName, InvalidNetwork, Refusal, SendError,
    TargetError,
};

/// The reason why a node did not start; each text names the setting and its value.
///
/// `{:?}` writes the same text as `{}`, so that it is readable where an error comes out of `main`.
#[non_exhaustive]
pub enum StartError {
    /// The cluster's name is not valid.
    Cluster {
        /// The name.
        cluster: String,
        /// The reason.
        error: InvalidName,
    },
    /// The node's name is not valid: set another one by [`name`](crate::Builder::name).
    Name {
        /// The name.
        name: String,
        /// The reason.
        error: InvalidName,
    },
    /// The machine has no host name that could be the node's name: set one by
    /// [`name`](crate::Builder::name).
    NoHostName {
        /// The host name, with U+FFFD for what is not UTF-8; empty if there is none.
        host_name: String,
        /// The reason.
        reason: String,
    },
    /// An address is not `IP:PORT` or `IP`.
    Addr {
        /// The option: `bind` or `advertise`.
        option: &'static str,
        /// The value.
        value: String,
    },
    /// The node listens on all interfaces, and it is not clear which address of the machine other
    /// nodes reach: set it by [`advertise`](crate::Builder::advertise).
    Advertise {
        /// The address at which the node was to listen.
        bind: SocketAddr,
        /// The machine's addresses, those of the loopback interface left out.
        candidates: Vec<IpAddr>,
    },
    /// A network of [`allowed_networks`](crate::Builder::allowed_networks) is not
    /// `ADDRESS/PREFIX`.
    Network(InvalidNetwork),
    /// An option is outside its range, or options contradict each other.
    Config(ConfigError),
    /// A socket cannot listen at an address.
    Socket {
        /// The kind of socket: `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The address to advertise is unspecified, so other nodes cannot reach it: advertise another
    /// one.
    Unspecified(SocketAddr),
    /// The address to advertise has a zone, which has a meaning on this machine only: advertise
    /// another one.
    Zone(SocketAddr),
    /// A source of [`seeds`](crate::Builder::seeds) is not valid.
    Seed(InvalidSource),
    /// [`seed_refresh`](crate::Builder::seed_refresh) is outside its range.
    SeedRefresh(Duration),
    /// The operating system gave no random seed or no thread, or there is no runtime here.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { cluster, error } => {
                write!(f, "{cluster:?} is not a cluster's name: {error}")
            }
            Self::Name { name, error } => {
                write!(f, "{name:?} is not a node's name: {error}; set another one by `name`")
            }
            Self::NoHostName { host_name, reason } => write!(
                f,
                "the host name {host_name:?} cannot be the node's name: {reason}; set one by `name`"
            ),
            Self::Addr { option, value } => {
                write!(f, "`{option}` is {value:?}, which is not IP:PORT, as in \"10.0.0.7:7946\"")
            }
            Self::Advertise { bind, candidates } => {
                write!(f, "the node listens at {bind}, and ")?;
                match &candidates[..] {
                    [] => {
                        f.write_str("this machine has no address that other nodes could reach")?
                    }
                    [first, others @ ..] => {
                        write!(f, "other nodes might reach it at {first}")?;
                        others.iter().try_for_each(|addr| write!(f, " or {addr}"))?;
                    }
                }
                f.write_str("; set `advertise` to the address of this machine that they reach")
            }
            Self::Network(error) => write!(f, "`allowed_networks`: {error}"),
            Self::Config(error) => error.fmt(f),
            Self::Socket { protocol, addr, error } => {
                write!(f, "cannot listen on {protocol} {addr}: {error}")
            }
            Self::Unspecified(addr) => write!(
                f,
                "other nodes cannot reach {addr}; set `advertise` to an address of this machine"
            ),
            Self::Zone(addr) => write!(
                f,
                "the zone of {addr} means nothing to other nodes; set `advertise` to an address \
                 without a zone"
            ),
            Self::Seed(error) => write!(f, "`seeds`: {error}"),
            Self::SeedRefresh(value) => {
                write!(f, "seed_refresh is {value:?}; 1s to 86400s are allowed")
            }
            Self::System(error) => write!(f, "cannot start a node: {error}"),
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cluster { error, .. } | Self::Name { error, .. } => Some(error),
            Self::Network(error) => Some(error),
            Self::Config(error) => Some(error),
            Self::Seed(error) => Some(error),
            Self::Socket { error, .. } | Self::System(error) => Some(error),
            Self::NoHostName { .. }
            | Self::Addr { .. }
            | Self::Advertise { .. }
            | Self::Unspecified(_)
            | Self::Zone(_)
            | Self::SeedRefresh(_) => None,
        }
    }
}

/// The reason why the sources of seeds were not replaced.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetSeedsError {
    /// Text is not a source.
    Invalid(InvalidSource),
    /// The operating system gave no thread for lookups.
    System(io::Error),
}

impl fmt::Display for SetSeedsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::System(error) => write!(f, "cannot look up seeds: {error}"),
        }
    }
}

impl Error for SetSeedsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::System(error) => Some(error),
        }
    }
}

/// The reason why a message or a ping had no success.
///
/// Exhaustive on purpose: a command is not sent, or it is sent and fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandError {
    /// The node sent nothing.
    NotSent(SendError),
    /// The node sent it, and no receipt or answer came.
    Failed(Failure),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl Error for CommandError {}

/// The reason why a node did not join a cluster, with one entry for each seed that failed.
///
/// `{}` writes one line, `{:#}` one line for each seed. `{:?}` writes the same text as `{:#}`, so
/// that it is readable where an error comes out of `main`:
///
/// ```text
/// Error: no seed answered:
///   db-1:7946 (10.0.0.5:7946): nobody listens there (is the node running, and the port right?)
///   db-2: cannot look it up: Name or service not known
/// ```
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// No seed accepted the node: the reason of each, at each of its addresses.
    Failed(Vec<SeedError>),
    /// There is no seed.
    NoSeeds,
    /// The seeds have more addresses than one join may have.
    TooManySeeds {
        /// The number of addresses.
        seeds: usize,
        /// The limit.
        max: usize,
    },
    /// A seed found that another node which lives has this node's name: set another one by
    /// [`name`](crate::Builder::name), or let the later node have it by
    /// [`on_name_taken`](crate::Builder::on_name_taken).
    NameTaken {
        /// The seed, as it was written.
        seed: String,
        /// The address of it that was asked.
        addr: SocketAddr,
    },
    /// The node is leaving; it can join again after that.
    Leaving,
    /// As many streams are open as [`max_streams_out`](tidings::Options::max_streams_out) allows.
    Busy {
        /// The limit.
        max: usize,
    },
    /// The node left before a seed had answered.
    Left,
    /// The node has stopped.
    Stopped,
}

impl JoinError {
    /// The seeds that failed; none if the reason is another one.
    pub fn seeds(&self) -> &[SeedError] {
        match self {
            Self::Failed(seeds) => seeds,
            _ => &[],
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(seeds) => {
                f.write_str("no seed answered")?;
                seeds.iter().enumerate().try_for_each(|(n, seed)| {
                    f.write_str(match (f.alternate(), n) {
                        (true, 0) => ":\n  ",
                        (true, _) => "\n  ",
                        (false, 0) => ": ",
                        (false, _) => "; ",
                    })?;
                    seed.fmt(f)
                })
            }
            Self::NoSeeds => tidings::JoinError::NoSeeds.fmt(f),
            Self::TooManySeeds { seeds, max } => {
                tidings::JoinError::TooManySeeds { seeds: *seeds, max: *max }.fmt(f)
            }
            Self::NameTaken { seed, addr } => {
                let (seed, error) = (seed.clone(), ExchangeError::Refused(Refusal::NameTaken));
                SeedError::Exchange { seed, addr: *addr, error }.fmt(f)
            }
            Self::Leaving => tidings::JoinError::Leaving.fmt(f),
            Self::Busy { max } => tidings::JoinError::Busy { max: *max }.fmt(f),
            Self::Left => Failure::Left.fmt(f),
            Self::Stopped => Failure::Stopped.fmt(f),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl Error for JoinError {}

/// One seed that did not accept the node, as the application wrote it, with the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SeedError {
    /// The text is not `[NAME/]HOST[:PORT]`, or the system has no address of that kind.
    Invalid {
        /// The seed, as it was written.
        seed: String,
        /// The reason.
        error: TargetError,
    },
    /// The operating system did not find the name.
    LookUp {
        /// The seed, as it was written.
        seed: String,
        /// The system's message.
        error: String,
    },
    /// The node asked a peer at this address, without success.
    Exchange {
        /// The seed, as it was written.
        seed: String,
        /// One of its addresses.
        addr: SocketAddr,
        /// The reason.
        error: ExchangeError,
    },
}

impl SeedError {
    /// The seed, as the application wrote it.
    pub fn seed(&self) -> &str {
        match self {
            Self::Invalid { seed, .. }
            | Self::LookUp { seed, .. }
            | Self::Exchange { seed, .. } => seed,
        }
    }

    /// The address that was tried; `None` if the seed has no address.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Exchange { addr, .. } => Some(*addr),
            Self::Invalid { .. } | Self::LookUp { .. } => None,
        }
    }

    /// What went wrong at that address; `None` if the seed has none.
    pub fn exchange(&self) -> Option<ExchangeError> {
        match self {
            Self::Exchange { error, .. } => Some(*error),
            Self::Invalid { .. } | Self::LookUp { .. } => None,
        }
    }
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { seed, error } => write!(f, "{seed}: {error}"),
            Self::LookUp { seed, error } => write!(f, "{seed}: cannot look it up: {error}"),
            Self::Exchange { seed, addr, error } if *seed == addr.to_string() => {
                write!(f, "{seed}: {error}")
            }
            Self::Exchange { seed, addr, error } => write!(f, "{seed} ({addr}): {error}"),
        }
    }
}

impl Error for SeedError {}
