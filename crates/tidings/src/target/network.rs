//! Networks with their address families, and names of ports.

use super::TargetError;
use alloc::collections::BTreeMap;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use smol_str::{SmolStr, StrExt};

/// A protocol and its address families: IPv4, IPv6 or both; named as in Go.
///
/// Exhaustive on purpose: Go has no others with ports.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Network {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

impl Network {
    /// The network with this name, if it has the protocol of `default`; `default` for an empty
    /// name.
    pub(super) fn named(name: &str, default: Self) -> Result<Self, TargetError> {
        if name.is_empty() {
            return Ok(default);
        }
        name.parse().and_then(|network: Self| {
            let same = network.protocol() == default.protocol();
            same.then_some(network).ok_or_else(|| TargetError::UnknownNetwork(name.into()))
        })
    }

    /// The network's name: `tcp`, `tcp4`, `tcp6`, `udp`, `udp4` or `udp6`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcp4 => "tcp4",
            Self::Tcp6 => "tcp6",
            Self::Udp => "udp",
            Self::Udp4 => "udp4",
            Self::Udp6 => "udp6",
        }
    }

    /// The name of the network's protocol: `tcp` or `udp`.
    pub(super) fn protocol(self) -> &'static str {
        &self.as_str()[..3]
    }

    pub(super) fn is_ipv4(self) -> bool {
        matches!(self, Self::Tcp4 | Self::Udp4)
    }

    /// Whether the network includes addresses of this family.
    pub(super) fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::Tcp | Self::Udp => true,
            Self::Tcp4 | Self::Udp4 => ip.is_ipv4(),
            Self::Tcp6 | Self::Udp6 => ip.is_ipv6(),
        }
    }

    /// The error that a host has no address of this network.
    pub(super) fn unsuitable(self, host: &str) -> TargetError {
        TargetError::Unsuitable { host: host.into(), network: self }
    }
}

impl FromStr for Network {
    type Err = TargetError;

    fn from_str(name: &str) -> Result<Self, TargetError> {
        [Self::Tcp, Self::Tcp4, Self::Tcp6, Self::Udp, Self::Udp4, Self::Udp6]
            .into_iter()
            .find(|network| network.as_str() == name)
            .ok_or_else(|| TargetError::UnknownNetwork(name.into()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The names of ports: some that are always known, as in Go, and those of a file like
/// `/etc/services`.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Services {
    /// The port by protocol and name, both in lower case.
    listed: BTreeMap<(SmolStr, SmolStr), u16>,
}

/// Only the number of entries, because a system lists hundreds.
impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("listed", &self.listed.len()).finish()
    }
}

impl Services {
    /// Parses the text of a file such as `/etc/services`. Each line has a name, a port with its
    /// protocol, and further names; `#` starts a comment. Other lines are ignored.
    pub fn read(text: &str) -> Self {
        let mut listed = BTreeMap::new();
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = port.split_once('/') else { continue };
            let Ok(port) = port.parse() else { continue };
            for name in words.chain([name]) {
                let service =
                    (protocol.to_ascii_lowercase_smolstr(), name.to_ascii_lowercase_smolstr());
                listed.entry(service).or_insert(port);
            }
        }
        Self { listed }
    }

    /// The port of a service, whose name is case-insensitive; `None` if the network has no such
    /// service.
    pub fn port(&self, service: &str, network: Network) -> Option<u16> {
        let (protocol, service) = (network.protocol(), service.to_ascii_lowercase_smolstr());
        let listed = self.listed.get(&(protocol.into(), service.clone())).copied();
        listed.or_else(|| {
            let known = KNOWN.iter().find(|known| (known.0, known.1) == (protocol, &*service));
            known.map(|known| known.2)
        })
    }
}

/// The services that Go knows without a file.
const KNOWN: [(&str, &str, u16); 15] = [
    ("tcp", "ftp", 21),
    ("tcp", "ftps", 990),
    ("tcp", "gopher", 70),
    ("tcp", "http", 80),
    ("tcp", "https", 443),
    ("tcp", "imap2", 143),
    ("tcp", "imap3", 220),
    ("tcp", "imaps", 993),
    ("tcp", "pop3", 110),
    ("tcp", "pop3s", 995),
    ("tcp", "smtp", 25),
    ("tcp", "ssh", 22),
    ("tcp", "submissions", 465),
    ("tcp", "telnet", 23),
    ("udp", "domain", 53),
];
