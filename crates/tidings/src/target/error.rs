//! What is wrong with a text that should say where to join.

use super::Network;
use crate::member::InvalidName;
use alloc::string::String;
use core::fmt;

/// Why a text is no [`Target`](super::Target), or why a target has no addresses; each with the text that
/// is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// The network is none of `tcp`, `tcp4`, `tcp6`, `udp`, `udp4` and `udp6`, or none of those that the
    /// function takes.
    UnknownNetwork(String),
    /// What stands before the first `/` is no name of a node.
    NodeName {
        /// The whole text.
        text: String,
        /// Why.
        error: InvalidName,
    },
    /// There is no host.
    NoHost(String),
    /// There is no port, where one must be.
    MissingPort(String),
    /// There are more colons than the one before the port, and no brackets.
    TooManyColons(String),
    /// A `[` is not closed.
    MissingBracket(String),
    /// A bracket is where none may be.
    UnexpectedBracket(String),
    /// The port is no number from 0 to 65535.
    InvalidPort(String),
    /// The port is no number, and no service of that name is known.
    UnknownService {
        /// The name.
        service: String,
        /// In which network it was looked for.
        network: Network,
    },
    /// The host is numbers, as a name never is, but no IPv4 address.
    NotAnAddress(String),
    /// The host is neither an IP address nor a domain name.
    NotAHost(String),
    /// The host has no address of this network.
    Unsuitable {
        /// The host.
        host: String,
        /// The network.
        network: Network,
    },
    /// No address was found for the name.
    NotFound(String),
    /// The machine has no interface of that name or index.
    UnknownZone(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownNetwork(text) => write!(f, "unknown network {text:?}"),
            Self::NodeName { text, error } => {
                write!(f, "{text:?} begins with no name of a node: {error}")
            }
            Self::NoHost(text) => write!(f, "no host in {text:?}; write [NAME/]HOST[:PORT]"),
            Self::MissingPort(text) => {
                write!(f, "no port in {text:?}; write HOST:PORT, or [IPV6]:PORT")
            }
            Self::TooManyColons(text) => {
                write!(
                    f,
                    "too many colons in {text:?}; write an IPv6 address with a port as [IPV6]:PORT"
                )
            }
            Self::MissingBracket(text) => write!(f, "no ']' in {text:?}"),
            Self::UnexpectedBracket(text) => {
                write!(
                    f,
                    "a bracket too many in {text:?}; only a whole host may stand in a pair of them"
                )
            }
            Self::InvalidPort(text) => {
                write!(f, "{text:?} is no port; ports are numbers from 0 to 65535")
            }
            Self::UnknownService { service, network } => {
                write!(
                    f,
                    "unknown port {service:?}; no {} service has that name",
                    network.protocol()
                )
            }
            Self::NotAnAddress(text) => {
                write!(f, "{text:?} is no IP address; an IPv4 address is four decimal numbers")
            }
            Self::NotAHost(text) => {
                write!(f, "{text:?} is neither an IP address nor a name that could be looked up")?;
                if text.is_ascii() { Ok(()) } else { f.write_str("; write it as xn--...") }
            }
            Self::Unsuitable { host, network } => {
                let kind = if network.is_ipv4() { "IPv4" } else { "IPv6" };
                write!(f, "{host:?} has no {kind} address")
            }
            Self::NotFound(name) => write!(f, "no address was found for {name:?}"),
            Self::UnknownZone(zone) => {
                write!(f, "this machine has no network interface {zone:?}")
            }
        }
    }
}

impl core::error::Error for TargetError {}
