//! Sockets of a node: a UDP and a TCP port of the same number.

use crate::error::StartError;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::time::Duration;
use tidings::DatagramError;

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

/// Sends a datagram without waiting; `local_addr` is the address of the socket, which may be one
/// that blocks otherwise.
///
/// # Errors
///
/// If the system does not take it, for lack of room in the socket too: it is lost, and the node is
/// told by [`Node::handle_send_error`](tidings::Node::handle_send_error).
pub fn send(
    udp: &UdpSocket,
    local_addr: SocketAddr,
    data: &[u8],
    to: SocketAddr,
) -> Result<(), DatagramError> {
    let to = in_form_of(local_addr, to);
    #[cfg(unix)]
    let sent = SockRef::from(udp).send_to_with_flags(data, &to.into(), libc::MSG_DONTWAIT);
    #[cfg(not(unix))]
    let sent = udp.send_to(data, to);
    sent.map(drop).map_err(|error| datagram_error(&error))
}

fn datagram_error(error: &io::Error) -> DatagramError {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied,
        WouldBlock,
    };
    #[cfg(unix)]
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => return DatagramError::TooLong,
        Some(libc::ENOBUFS) => return DatagramError::NoRoom,
        _ => {}
    }
    #[cfg(windows)]
    if error.raw_os_error() == Some(WSAEMSGSIZE) {
        return DatagramError::TooLong;
    }
    match error.kind() {
        WouldBlock => DatagramError::NoRoom,
        HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable => {
            DatagramError::Unreachable
        }
        PermissionDenied => DatagramError::Denied,
        _ => DatagramError::Other,
    }
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

/// Windows' error for a datagram that is too long.
#[cfg(windows)]
const WSAEMSGSIZE: i32 = 10040;
/// The size of the longest datagram, in bytes.
pub const MAX_DATAGRAM: usize = 65_536;
/// The number of datagrams or streams that have arrived and are handled before a due timer.
pub const MAX_WAITING: usize = 256;
/// The pause after a socket error that is not ordinary.
pub const BACK_OFF: Duration = Duration::from_millis(5);
/// The number of attempts to find a port that is free for UDP and TCP.
const MAX_TRIES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_the_system_does_not_take_has_a_reason() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = udp.local_addr().unwrap();
        assert_eq!(send(&udp, local, b"x", local), Ok(()));
        let too_long = send(&udp, local, &[0; MAX_DATAGRAM], local);
        assert_eq!(too_long, Err(DatagramError::TooLong));
        // To send to everybody is not permitted without asking for it.
        let all = send(&udp, local, b"x", "255.255.255.255:9".parse().unwrap());
        assert!(matches!(all, Err(DatagramError::Denied | DatagramError::Unreachable)), "{all:?}");
        let reason = |code| datagram_error(&io::Error::from(code));
        assert_eq!(reason(io::ErrorKind::WouldBlock), DatagramError::NoRoom);
        assert_eq!(reason(io::ErrorKind::NetworkDown), DatagramError::Unreachable);
    }
}
