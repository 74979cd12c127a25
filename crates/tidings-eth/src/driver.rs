//! What the drivers of all runtimes share.

use crate::caller::Caller;
use crate::candidates::Candidate;
use crate::endpoint::{Endpoint, Host};
use crate::reach::NotReached;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The reason why there is no connection.
pub(crate) enum ConnectError {
    NotReached(NotReached),
    System(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl ConnectError {
    /// Tells a caller.
    pub(crate) fn tell(self, caller: &mut Caller, now: tidings::Instant) {
        match self {
            Self::NotReached(reason) => caller.handle_not_reached(reason, now),
            Self::System(error) => caller.handle_failed(&error.to_string(), now),
        }
    }
}

/// The name to look up before a candidate can be connected to, with its port.
pub(crate) fn name(candidate: &Candidate) -> Option<(String, u16)> {
    let http = candidate.endpoint.as_http()?;
    match http.host() {
        Host::Name(name) => Some((name.clone(), http.port())),
        Host::Ip(_) => None,
    }
}

/// The addresses of an endpoint to which a caller may connect: `found` are those of its name.
pub(crate) fn addrs(
    candidate: &Candidate,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let ip = match &candidate.endpoint {
        Endpoint::Http(http) => match http.host() {
            Host::Ip(ip) => Some((*ip, http.port())),
            Host::Name(_) => None,
        },
        Endpoint::Ipc(_) => None,
    };
    let all = found.into_iter().chain(ip.map(SocketAddr::from));
    let (mut permitted, mut refused) = (Vec::new(), None);
    for addr in all.take(MAX_ADDRS) {
        match candidate.check(IpAddr::to_canonical(&addr.ip())) {
            Ok(()) => permitted.push(addr),
            Err(reason) => refused = Some(reason),
        }
    }
    match refused {
        Some(reason) if permitted.is_empty() => Err(ConnectError::NotReached(reason)),
        None if permitted.is_empty() => Err(io::Error::other("the name has no address").into()),
        _ => Ok(permitted),
    }
}

/// The largest number of addresses of a name that are tried.
const MAX_ADDRS: usize = 16;
/// The size of the buffer into which replies are read, in bytes.
pub(crate) const BUFFER: usize = 16 << 10;
