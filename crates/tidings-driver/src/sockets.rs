//! Sockets of a node: a UDP and a TCP port of the same number.

use crate::error::StartError;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::time::Duration;

/// Binds a UDP and a TCP socket to the same port; returns their address too.
pub fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), StartError> {
    let failed = |protocol, addr| move |error| StartError::Socket { protocol, addr, error };
    let mut tries = if listen.port() == 0 { MAX_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(listen).map_err(failed("TCP", listen))?;
        let local = tcp.local_addr().map_err(failed("TCP", listen))?;
        match UdpSocket::bind(local) {
            Ok(udp) => {
                // Best effort: room for the datagrams of a burst, as memberlist asks for.
                drop(SockRef::from(&udp).set_recv_buffer_size(2 << 20));
                return Ok((udp, tcp, local));
            }
            // That free TCP port was taken for UDP: try another one.
            Err(_) if tries > 0 => {}
            Err(error) => return Err(failed("UDP", local)(error)),
        }
    }
}

/// The address at which this machine reaches a socket that is bound to `local`.
pub fn reached_from_here(mut local: SocketAddr) -> SocketAddr {
    match local.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => local.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => local.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    local
}

/// Sends a datagram without waiting; it is lost if the socket has no room for it.
///
/// `local_addr` is the address of the socket, which may be one that blocks otherwise.
pub fn send(udp: &UdpSocket, local_addr: SocketAddr, data: &[u8], to: SocketAddr) {
    let to = in_form_of(local_addr, to);
    #[cfg(unix)]
    drop(SockRef::from(udp).send_to_with_flags(data, &to.into(), libc::MSG_DONTWAIT));
    #[cfg(not(unix))]
    drop(udp.send_to(data, to));
}

/// An address in the form that a socket at `local_addr` needs: a socket for IPv6 that takes IPv4
/// too needs IPv4 addresses in IPv6's form.
fn in_form_of(local_addr: SocketAddr, to: SocketAddr) -> SocketAddr {
    match (local_addr, to) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        _ => to,
    }
}

/// Whether a read ended without a datagram for an ordinary reason.
///
/// Some systems report by such an error that an earlier datagram was not delivered.
pub fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionReset | ConnectionRefused
    )
}

/// The size of the longest datagram, in bytes.
pub const MAX_DATAGRAM: usize = 65_536;
/// The number of datagrams or streams that have arrived and are handled before a due timer.
pub const MAX_WAITING: usize = 256;
/// The pause after a socket error that is not ordinary.
pub const BACK_OFF: Duration = Duration::from_millis(5);
/// The number of attempts to find a port that is free for UDP and TCP.
const MAX_TRIES: usize = 10;
