//! Lookup of names, zones and services by the operating system.

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::{fmt, fs, io};
use tidings::{Services, Target, TargetError};

/// Looks up all addresses of a place to join: of its name, if it has one, and of its zone.
///
/// It blocks for as long as the system takes to look up a name, which may be many seconds and
/// cannot be cancelled. Without a name it takes some microseconds.
///
/// # Errors
///
/// If the system finds no address, none of the target's network, or no interface for the zone.
pub fn look_up(target: &Target) -> Result<Vec<SocketAddr>, LookupError> {
    let found = match target.name() {
        None => Vec::new(),
        Some(name) => match (name, 0).to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(error) => return Err(LookupError::System { name: name.into(), error }),
        },
    };
    target.addrs(&found, target.zone().and_then(index)).map_err(LookupError::Target)
}

/// The index of a network interface, by its name or its index in decimal; `None` if there is none.
///
/// The system is asked for an address that needs no server, because std has no function for this.
fn index(zone: &str) -> Option<u32> {
    let found = (format!("fe80::1%{zone}").as_str(), 0).to_socket_addrs().ok()?;
    found.into_iter().find_map(|addr| match addr {
        SocketAddr::V6(addr) => Some(addr.scope_id()),
        SocketAddr::V4(_) => None,
    })
}

/// The services of this machine: those of `/etc/services`, or without that file the fifteen that
/// [`Services::default`] knows.
pub fn services() -> Services {
    match fs::read("/etc/services") {
        Ok(text) => Services::read(&String::from_utf8_lossy(&text)),
        Err(_) => Services::default(),
    }
}

/// The reason why a place to join has no addresses.
#[derive(Debug)]
#[non_exhaustive]
pub enum LookupError {
    /// The system did not find a name.
    System {
        /// The name.
        name: String,
        /// The reason.
        error: io::Error,
    },
    /// The system found no address of the right kind, or no interface for a zone.
    Target(TargetError),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { name, error } => write!(f, "cannot look up {name:?}: {error}"),
            Self::Target(error) => error.fmt(f),
        }
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            Self::Target(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn found(text: &str) -> Vec<SocketAddr> {
        look_up(&text.parse().unwrap()).unwrap()
    }

    fn said(text: &str) -> String {
        look_up(&text.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn localhost_is_on_loopback() {
        let found = found("localhost:80");
        assert!(!found.is_empty());
        assert!(found.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80), "{found:?}");
    }

    #[test]
    fn addresses_are_what_they_are() {
        assert_eq!(found("192.0.2.1"), ["192.0.2.1:7946".parse().unwrap()]);
        assert_eq!(found("a/[2001:db8::1]:80"), ["[2001:db8::1]:80".parse().unwrap()]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zone_is_an_interface_by_name_or_by_index() {
        let by_index = found("fe80::1%1");
        assert_eq!(by_index, ["[fe80::1%1]:7946".parse().unwrap()]);
        assert_eq!(found("fe80::1%lo"), by_index, "loopback is the first interface");
    }

    #[test]
    fn a_scope_id_is_kept() {
        let addr = "[fe80::1%7]:80".parse().unwrap();
        assert_eq!(look_up(&Target::from(addr)).unwrap(), [addr]);
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let error = "this machine has no network interface \"nosuch\"";
        assert_eq!(said("fe80::1%nosuch"), error);
        assert_eq!(index("no\0such"), None);
    }

    #[test]
    fn a_name_that_is_not_found_is_named() {
        let said = said("nowhere.invalid");
        assert!(said.starts_with("cannot look up \"nowhere.invalid\": "), "{said}");
    }

    #[test]
    fn a_network_keeps_its_addresses_only() {
        let services = services();
        let any = |network| Target::resolve_tcp(network, ":http", &services).unwrap();
        assert_eq!(look_up(&any("tcp6")).unwrap(), [(Ipv6Addr::UNSPECIFIED, 80).into()]);
        let four = Target::resolve_tcp("tcp4", "localhost:80", &services).unwrap();
        assert_eq!(look_up(&four).unwrap(), ["127.0.0.1:80".parse().unwrap()]);
    }
}
