//! Targets: addresses and names of nodes to join, parsed from text.

mod error;
mod grammar;
mod network;

pub use error::TargetError;
pub use network::{Network, Services};

use crate::addr::dialled;
use crate::member::NodeId;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::str::FromStr;
use smol_str::SmolStr;

/// The place of a node to join: an IP address or a host name, and a port.
///
/// [`parse`](Self::parse) accepts `[NAME/]HOST[:PORT]`, as memberlist does: the port is optional,
/// an IPv6 address is in brackets if a port follows, and NAME is the name of the node that is
/// expected there. [`resolve_tcp`](Self::resolve_tcp) and [`resolve_udp`](Self::resolve_udp) accept
/// the text that Go's `net.ResolveTCPAddr` and `net.ResolveUDPAddr` accept.
///
/// Parsing does no I/O. The caller looks up the addresses of [`name`](Self::name) and the index of
/// [`zone`](Self::zone), if there are any, and passes both to [`addrs`](Self::addrs);
/// `tidings_driver::look_up` does so.
///
/// ```
/// use tidings::Target;
///
/// let target: Target = "db-7/[2001:db8::7]".parse()?;
/// assert_eq!(target.to_string(), "db-7/[2001:db8::7]:7946");
/// assert_eq!(target.name(), None, "there is nothing to look up");
/// assert_eq!(target.addrs(&[], None)?, ["[2001:db8::7]:7946".parse().unwrap()]);
///
/// let target: Target = "shop.example:http".parse()?;
/// assert_eq!((target.name(), target.port()), (Some("shop.example"), 80));
/// # Ok::<(), tidings::TargetError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Target {
    node: Option<NodeId>,
    host: Host,
    port: u16,
    network: Network,
}

/// What stands for the machine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Host {
    /// Nothing: whatever addresses the machine has.
    Any,
    /// An IP address, never IPv4-mapped IPv6.
    Ip(IpAddr),
    /// An IPv6 address with a zone: the interface on whose link it is valid.
    Zoned(Ipv6Addr, SmolStr),
    /// A domain name that no system takes for an IPv4 address in numbers.
    Name(SmolStr),
}

impl Target {
    /// The default port, as in memberlist.
    pub const DEFAULT_PORT: u16 = 7946;

    /// Parses `[NAME/]HOST[:PORT]`, the usual form of a seed.
    ///
    /// HOST is an IPv4 or IPv6 address or a domain name, optionally in brackets; an IPv6 address
    /// with a port needs them. PORT is a number or the name of a TCP service, and `default_port` if
    /// it is missing. `str::parse` does the same with [`DEFAULT_PORT`](Self::DEFAULT_PORT) and the
    /// services that are known without a file.
    ///
    /// # Errors
    ///
    /// If the text does not have this form; the error names the wrong part. `127.1` and
    /// `0x7f000001` are rejected, although some systems take them for 127.0.0.1.
    pub fn parse(text: &str, default_port: u16, services: &Services) -> Result<Self, TargetError> {
        let (node, rest) = match text.split_once('/') {
            None => (None, text),
            Some((name, rest)) => match NodeId::new(name) {
                Ok(node) => (Some(node), rest),
                Err(error) => return Err(TargetError::NodeName { text: text.into(), error }),
            },
        };
        let network = Network::Tcp;
        let (host, port) = grammar::split_optional_port(rest)?;
        let port = match port {
            None => default_port,
            Some("") => return Err(TargetError::MissingPort(rest.into())),
            Some(port) if port.starts_with(['+', '-']) => {
                return Err(TargetError::InvalidPort(port.into()));
            }
            Some(port) => grammar::port(port, network, services)?,
        };
        if host.is_empty() {
            return Err(TargetError::NoHost(text.into()));
        }
        Ok(Self { node, host: Host::parse(host, network)?, port, network })
    }

    /// Parses the arguments of Go's `net.ResolveTCPAddr`: a network, which is `tcp`, `tcp4`, `tcp6`
    /// or empty, and `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// If Go rejects the text, or the host because it cannot be a host's name. An IPv4 address in
    /// another form than four decimal numbers is rejected too.
    pub fn resolve_tcp(
        network: &str,
        text: &str,
        services: &Services,
    ) -> Result<Self, TargetError> {
        Self::resolve(Network::named(network, Network::Tcp)?, text, services)
    }

    /// Parses the arguments of Go's `net.ResolveUDPAddr`: a network, which is `udp`, `udp4`, `udp6`
    /// or empty, and `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// As [`resolve_tcp`](Self::resolve_tcp).
    pub fn resolve_udp(
        network: &str,
        text: &str,
        services: &Services,
    ) -> Result<Self, TargetError> {
        Self::resolve(Network::named(network, Network::Udp)?, text, services)
    }

    /// Parses `HOST:PORT` as Go does: the colon is required; an empty port is 0, and an empty host
    /// is any address of the machine.
    ///
    /// # Errors
    ///
    /// As [`resolve_tcp`](Self::resolve_tcp).
    pub fn resolve(network: Network, text: &str, services: &Services) -> Result<Self, TargetError> {
        let (host, port) = match text {
            "" => ("", 0),
            _ => {
                let (host, port) = grammar::split_host_port(text)?;
                (host, grammar::port(port, network, services)?)
            }
        };
        let host = if host.is_empty() { Host::Any } else { Host::parse(host, network)? };
        Ok(Self { node: None, host, port, network })
    }

    /// The name of the node that is expected there; `None` if the text has none.
    pub fn node(&self) -> Option<&NodeId> {
        self.node.as_ref()
    }

    /// The IP address; `None` if the host is a name or empty.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ip(ip) => Some(ip),
            Host::Zoned(ip, _) => Some(ip.into()),
            Host::Any | Host::Name(_) => None,
        }
    }

    /// The host name to look up; `None` if the host is an address or empty.
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Any | Host::Ip(_) | Host::Zoned(..) => None,
        }
    }

    /// The zone of an IPv6 address, whose index is to be looked up: the name of an interface, or
    /// its index in decimal; `None` without a zone.
    pub fn zone(&self) -> Option<&str> {
        match &self.host {
            Host::Zoned(_, zone) => Some(zone),
            Host::Any | Host::Ip(_) | Host::Name(_) => None,
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The network, which restricts the addresses; [`Network::Tcp`], IPv4 and IPv6, after
    /// [`parse`](Self::parse).
    pub fn network(&self) -> Network {
        self.network
    }

    /// The socket addresses of the target, without duplicates, in the order of `found`.
    ///
    /// `found` are the addresses of [`name`](Self::name); their ports are ignored. `scope` is the
    /// index of [`zone`](Self::zone), `None` if there is no such interface. IPv4-mapped IPv6
    /// addresses are returned as IPv4. For an empty host these are the unspecified addresses, IPv6
    /// first, because a socket bound to that accepts IPv4 too on most systems.
    ///
    /// # Errors
    ///
    /// If `found` is empty or has no address of this network, or if the zone's interface does not
    /// exist.
    pub fn addrs(
        &self,
        found: &[SocketAddr],
        scope: Option<u32>,
    ) -> Result<Vec<SocketAddr>, TargetError> {
        let port = self.port;
        match &self.host {
            Host::Any => {
                let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
                let any = any.into_iter().filter(|&ip| self.network.has(ip));
                Ok(any.map(|ip| SocketAddr::new(ip, port)).collect())
            }
            Host::Ip(ip) => Ok([SocketAddr::new(*ip, port)].into()),
            Host::Zoned(ip, zone) => match scope {
                Some(scope) => Ok([SocketAddrV6::new(*ip, port, 0, scope).into()].into()),
                None => Err(TargetError::UnknownZone(zone.to_string())),
            },
            Host::Name(name) => {
                let mut seen = BTreeSet::new();
                let addrs = found.iter().map(|&addr| with_port(addr, port));
                let addrs: Vec<_> = addrs
                    .filter(|addr| self.network.has(addr.ip()) && seen.insert(*addr))
                    .collect();
                match (addrs.is_empty(), found.is_empty()) {
                    (false, _) => Ok(addrs),
                    (true, true) => Err(TargetError::NotFound(name.to_string())),
                    (true, false) => Err(self.network.unsuitable(name)),
                }
            }
        }
    }
}

fn with_port(addr: SocketAddr, port: u16) -> SocketAddr {
    let mut addr = dialled(addr);
    addr.set_port(port);
    addr
}

impl Host {
    /// Parses an address of the network, or a domain name.
    fn parse(text: &str, network: Network) -> Result<Self, TargetError> {
        let Some((ip, zone)) = grammar::ip(text) else {
            return grammar::domain_name(text).map(|name| Self::Name(name.into()));
        };
        let ip = if network.is_ipv4() && ip == Ipv6Addr::UNSPECIFIED {
            // As in Go, `::` also means any IPv4 address.
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            ip.to_canonical()
        };
        match (ip, zone) {
            (IpAddr::V4(_), Some(_)) => Err(TargetError::NotAHost(text.into())),
            _ if !network.has(ip) => Err(network.unsuitable(text)),
            (IpAddr::V6(ip), Some(zone)) => Ok(Self::Zoned(ip, zone.into())),
            (ip, None) => Ok(Self::Ip(ip)),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        Self::parse(text, Self::DEFAULT_PORT, &Services::default())
    }
}

impl From<SocketAddr> for Target {
    /// The target's zone is the scope id of an IPv6 address in decimal, if that is not 0.
    fn from(addr: SocketAddr) -> Self {
        let host = match dialled(addr) {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Host::Zoned(*v6.ip(), v6.scope_id().to_string().into())
            }
            addr => Host::Ip(addr.ip()),
        };
        Self { node: None, host, port: addr.port(), network: Network::Tcp }
    }
}

impl From<&SocketAddr> for Target {
    fn from(addr: &SocketAddr) -> Self {
        Self::from(*addr)
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

/// As [`Display`](fmt::Display), in quotes.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// `[NAME/]HOST:PORT`, with IPv6 addresses in brackets; parses to the same target.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(f, "{}/", node.as_str())?;
        }
        match &self.host {
            Host::Any => {}
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Zoned(ip, zone) => write!(f, "[{ip}%{zone}]")?,
            Host::Name(name) => f.write_str(name)?,
        }
        write!(f, ":{}", self.port)
    }
}
