//! Errors of parsing and resolving targets.

use super::Network;
use crate::member::InvalidName;
use alloc::string::String;
use core::fmt;

/// The reason why text is not a valid [`Target`](super::Target), or why a target has no addresses.
///
/// Each variant holds the text that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// The network is not one of `tcp`, `tcp4`, `tcp6`, `udp`, `udp4` and `udp6`, or not one that
    /// the function accepts.
    UnknownNetwork(String),
    /// The text before the first `/` is not a valid node name.
    NodeName {
        /// The whole text.
        text: String,
        /// The reason.
        error: InvalidName,
    },
    /// The host is missing.
    NoHost(String),
    /// The port is missing.
    MissingPort(String),
    /// The text has more colons than the one before the port, and no brackets.
    TooManyColons(String),
    /// The closing bracket is missing.
    MissingBracket(String),
    /// A bracket is not at the host's start or end.
    UnexpectedBracket(String),
    /// The port is not a number from 0 to 65535.
    InvalidPort(String),
    /// The port is not a number, and no service of that name is known.
    UnknownService {
        /// The name.
        service: String,
        /// The network of the service.
        network: Network,
    },
    /// The host consists of numbers, which no name does, but is not an IPv4 address.
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
    /// This machine has no network interface of that name or index.
    UnknownZone(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownNetwork(text) => write!(f, "unknown network {text:?}"),
            Self::NodeName { text, error } => {
                write!(f, "{text:?} does not start with a valid node name: {error}")
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
                    "unexpected bracket in {text:?}; brackets may only enclose the whole host"
                )
            }
            Self::InvalidPort(text) => {
                write!(f, "{text:?} is not a port; a port is a number from 0 to 65535")
            }
            Self::UnknownService { service, network } => {
                write!(
                    f,
                    "unknown port {service:?}; no {} service has that name",
                    network.protocol()
                )
            }
            Self::NotAnAddress(text) => {
                write!(f, "{text:?} is not an IP address; an IPv4 address is four decimal numbers")
            }
            Self::NotAHost(text) => {
                write!(f, "{text:?} is neither an IP address nor a valid domain name")?;
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
