//! The server: threads that read requests and write answers, in bounds.

mod connection;
mod request;
mod slots;

use crate::pages::{Pages, Response};
use connection::Connection;
use request::Hosts;
use slots::Slots;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server of a node's [`Pages`], on threads of its own; dropping it ends them.
///
/// It speaks HTTP/1.1 and 1.0, GET and HEAD, and closes each connection after its answer.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    slots: Arc<Slots>,
    acceptor: Option<JoinHandle<()>>,
}

/// Bounds of what clients may take.
///
/// The head of a request has at most 8 KiB and 64 headers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at the same time, each with a thread of its own; 32.
    ///
    /// One more takes the place of the one that has been silent for longest, or does not read its
    /// answer. If all are being served, it gets status 503. So does a request whose answer has more
    /// than 16 MiB with all others that are being read.
    pub max_connections: usize,
    /// The time for a client to send its request, and then to take the answer; 5 s for each.
    pub deadline: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { max_connections: 32, deadline: Duration::from_secs(5) }
    }
}

impl Server {
    /// Serves pages at an address; port 0 takes a free port.
    ///
    /// # Errors
    ///
    /// If the port is taken, the address is not one of this machine, or the operating system gives
    /// no thread.
    pub fn start(addr: SocketAddr, pages: Pages) -> io::Result<Self> {
        Self::start_with(addr, pages, ServerLimits::default())
    }

    /// Serves pages as [`start`](Self::start) does, with other limits.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(addr: SocketAddr, pages: Pages, limits: ServerLimits) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let local_addr = listener.local_addr()?;
        let slots = Arc::new(Slots::new(limits.max_connections.max(1)));
        let acceptor = Acceptor {
            listener,
            slots: Arc::clone(&slots),
            pages,
            hosts: Hosts::of(local_addr),
            deadline: limits.deadline,
        };
        let thread = thread::Builder::new().name("tidings-http".into());
        let acceptor = thread.spawn(move || acceptor.run())?;
        Ok(Self { local_addr, slots, acceptor: Some(acceptor) })
    }

    /// The address at which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.slots.stop();
        // A connection wakes the thread that waits for one.
        let mut addr = self.local_addr;
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let woken = TcpStream::connect_timeout(&addr, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken.is_ok()) {
            drop(acceptor.join());
        }
        self.slots.wait_until_empty();
    }
}

/// What the thread that accepts connections has.
struct Acceptor {
    listener: TcpListener,
    slots: Arc<Slots>,
    pages: Pages,
    hosts: Hosts,
    deadline: Duration,
}

impl Acceptor {
    fn run(self) {
        while !self.slots.is_stopping() {
            match self.listener.accept() {
                Ok(_) if self.slots.is_stopping() => return,
                Ok((stream, _)) => self.serve(stream),
                // There is no descriptor left, say: others may give theirs back soon.
                Err(_) => self.slots.pause(Duration::from_millis(100)),
            }
        }
    }

    /// Serves a connection on a thread of its own.
    fn serve(&self, stream: TcpStream) {
        let Some(slot) = self.slots.enter(&stream) else { return refuse(&stream) };
        let connection = Connection::new(stream, slot, self.hosts, self.deadline);
        let pages = self.pages.clone();
        let thread = thread::Builder::new().name("tidings-http-client".into());
        let thread = thread.stack_size(STACK_SIZE);
        // Without a thread the connection is dropped, which closes it.
        drop(thread.spawn(move || connection.serve(&pages)));
    }
}

/// Tells a client that there is no room, without waiting for it.
fn refuse(mut stream: &TcpStream) {
    let busy = Response::text(503, "too many connections\n");
    let answer = [busy.head(), busy.body].concat();
    if stream.set_nonblocking(true).is_ok() {
        drop(stream.write(&answer));
    }
}

/// The stack of a connection's thread, in bytes: pages are built on the heap.
const STACK_SIZE: usize = 256 << 10;
