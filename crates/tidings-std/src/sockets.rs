//! Sockets: a UDP and a TCP port of one number.

use crate::error::BindError;
use socket2::SockRef;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// A UDP and a TCP socket on the same port, and where they are bound.
pub(crate) fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), BindError> {
    let failed = |protocol, addr| move |error| BindError::Socket { protocol, addr, error };
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

/// Where a socket that is bound to `local` is reached from this machine.
pub(crate) fn reached_from_here(mut local: SocketAddr) -> SocketAddr {
    match local.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => local.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => local.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    local
}

/// How often a free port is looked for that is free for UDP and TCP.
const MAX_TRIES: usize = 10;
