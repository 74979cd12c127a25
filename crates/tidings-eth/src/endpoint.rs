//! Endpoints: where an Ethereum node answers JSON-RPC.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A place where an Ethereum node answers JSON-RPC: an HTTP address, or a Unix socket.
///
/// As text it is `http://HOST[:PORT][/PATH]` or a path of the file system:
///
/// ```
/// use tidings_eth::Endpoint;
///
/// let endpoint: Endpoint = "http://10.0.0.7:8545".parse()?;
/// assert!(matches!(endpoint, Endpoint::Http(_)));
/// let endpoint: Endpoint = "/run/anvil.ipc".parse()?;
/// assert!(matches!(endpoint, Endpoint::Ipc(_)));
/// # Ok::<(), tidings_eth::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    /// JSON-RPC over HTTP/1.1.
    Http(HttpEndpoint),
    /// JSON-RPC over a Unix socket, which a node calls IPC. Local configuration only: members
    /// cannot advertise one.
    Ipc(PathBuf),
}

impl Endpoint {
    /// The socket's path, if it is one.
    pub fn as_ipc(&self) -> Option<&Path> {
        match self {
            Self::Ipc(path) => Some(path),
            Self::Http(_) => None,
        }
    }

    /// The HTTP address, if it is one.
    pub fn as_http(&self) -> Option<&HttpEndpoint> {
        match self {
            Self::Http(http) => Some(http),
            Self::Ipc(_) => None,
        }
    }
}

/// Parses a URL if the text contains `://`, and takes it for a path otherwise.
impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if text.contains("://") {
            text.parse().map(Self::Http)
        } else if text.is_empty() || text.contains('\0') {
            Err(InvalidEndpoint::Path)
        } else if is_authority(text) {
            Err(InvalidEndpoint::Scheme)
        } else {
            Ok(Self::Ipc(text.into()))
        }
    }
}

/// Whether the text is HOST:PORT, a URL without its scheme. A socket of that name is `./HOST:PORT`.
fn is_authority(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        port.parse::<u16>().is_ok()
            && (host.parse::<Host>().is_ok() || host.parse::<Ipv6Addr>().is_ok())
    })
}

impl From<HttpEndpoint> for Endpoint {
    fn from(http: HttpEndpoint) -> Self {
        Self::Http(http)
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Self::Ipc(path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => http.fmt(f),
            Self::Ipc(path) => path.display().fmt(f),
        }
    }
}

/// The HTTP address of a node: scheme, host, port and path.
///
/// The host is an IP address or a name of letters, digits, dots, hyphens and underscores. Names
/// that the system would take for an address, such as `127.1` or `0x7f000001`, are refused. So is a
/// user name, a password, a query and a fragment.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HttpEndpoint {
    tls: bool,
    host: Host,
    port: u16,
    /// With its leading slash.
    path: String,
}

impl HttpEndpoint {
    /// An address without a path, from an IP address and a port: `http://10.0.0.7:8545`.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { tls: false, host: Host::Ip(ip), port, path: "/".into() }
    }

    /// Whether the scheme is `https`. This crate speaks no TLS itself.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, which begins with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port, as the header `Host` has them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for HttpEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if text.len() > MAX_URL {
            return Err(InvalidEndpoint::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidEndpoint::Scheme)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(InvalidEndpoint::Scheme),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte)) {
            return Err(InvalidEndpoint::UrlPath);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (ip, port) = rest.split_once(']').ok_or(InvalidEndpoint::Host)?;
                let ip: Ipv6Addr = ip.parse().map_err(|_| InvalidEndpoint::Host)?;
                (Host::Ip(ip.into()), port)
            }
            None => {
                let (host, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (host.parse()?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|&port| port != 0).ok_or(InvalidEndpoint::Port)?
            }
            _ => return Err(InvalidEndpoint::Port),
        };
        Ok(Self { tls, host, port, path: path.into() })
    }
}

impl fmt::Display for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}:{}{path}", self.host, self.port)
    }
}

/// The host of an [`HttpEndpoint`]: an IP address, or a name to look up.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A name, in lower case.
    Name(String),
}

impl FromStr for Host {
    type Err = InvalidEndpoint;

    /// Parses an IPv4 address or a name.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let valid = |label: &str| {
            !label.is_empty()
                && label.len() <= MAX_LABEL
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let labels = text.strip_suffix('.').unwrap_or(text);
        let last = labels.rsplit('.').next().unwrap_or_default();
        // The system's parser of addresses takes such a name for a number.
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last.starts_with("0x")
            || last.starts_with("0X");
        if text.len() > MAX_NAME || !labels.split('.').all(valid) || number {
            return Err(InvalidEndpoint::Host);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The reason why text is not an [`Endpoint`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The scheme is neither `http` nor `https`.
    Scheme,
    /// The host is neither an IP address nor a name, or is followed or preceded by something else,
    /// such as a user name.
    Host,
    /// The port is not a number from 1 to 65,535.
    Port,
    /// The URL's path has a query, a fragment, or characters that a URL cannot have.
    UrlPath,
    /// The URL is too long.
    TooLong,
    /// The path of a socket is empty, or has a NUL.
    Path,
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the URL of a node begins with http:// or https://"),
            Self::Host => f.write_str("the URL of a node has an IP address or a name as its host"),
            Self::Port => f.write_str("a port is a number from 1 to 65535"),
            Self::UrlPath => f.write_str("the URL's path has a character that it cannot have"),
            Self::TooLong => write!(f, "a node's URL has at most {MAX_URL} bytes"),
            Self::Path => f.write_str("a socket's path is neither empty nor contains a NUL"),
        }
    }
}

impl std::error::Error for InvalidEndpoint {}

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;
/// The longest name of a host, in bytes (RFC 1035 §3.1).
const MAX_NAME: usize = 253;
/// The longest label of a name, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        text.parse()
    }

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in [
            "http://10.0.0.7:8545",
            "https://rpc.example:443/v3/key",
            "http://[2001:db8::7]:8545",
            "http://node_1.example.:80",
            "/run/anvil.ipc",
            "anvil.ipc",
            "./node:8545",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("http://a").unwrap(), parse("http://A:80/").unwrap());
        assert_eq!(parse("https://a").unwrap(), parse("https://a:443").unwrap());
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        use InvalidEndpoint::*;
        for (text, error) in [
            ("ws://10.0.0.7:8546", Scheme),
            ("HTTP://10.0.0.7", Scheme),
            ("127.0.0.1:8545", Scheme),
            ("[::1]:8545", Scheme),
            ("localhost:8545", Scheme),
            ("http://", Host),
            ("http://user:secret@10.0.0.7", Port),
            ("http://user@node", Host),
            ("http://a b", Host),
            ("http://a\r\nx: y", Host),
            ("http://a..b", Host),
            ("http://[::1", Host),
            ("http://[10.0.0.7]", Host),
            ("http://::1", Host),
            ("http://10.0.0.7:0", Port),
            ("http://10.0.0.7:65536", Port),
            ("http://10.0.0.7:+80", Port),
            ("http://10.0.0.7:", Port),
            ("http://[::1]8545", Port),
            ("http://a/b?c", UrlPath),
            ("http://a/b c", UrlPath),
            ("http://a/\r\nx", UrlPath),
            ("", Path),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn numbers_that_the_system_takes_for_addresses_are_no_names() {
        for text in ["127.1", "2130706433", "0x7f000001", "a.0x1", "1.2.3.4.5", "127.0.0.01", "1."]
        {
            assert_eq!(text.parse::<Host>(), Err(InvalidEndpoint::Host), "{text}");
        }
    }
}
