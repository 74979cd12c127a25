//! A TCP server that accepts connections and then misbehaves.

use super::LIMIT;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A TCP server that misbehaves; it stops when dropped.
#[derive(Debug)]
pub struct FaultyPeer {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a faulty peer does with a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Reads everything, and closes the connection without an answer.
    Closes,
    /// Resets the connection at once.
    Resets,
    /// Neither reads nor writes.
    Stalls,
}

impl FaultyPeer {
    /// Listens at an address; port 0 takes a free one.
    ///
    /// # Panics
    ///
    /// If the address is in use.
    #[track_caller]
    pub fn at(addr: SocketAddr, fault: Fault) -> Self {
        let listener = listen(addr).expect("the address is free");
        let addr = listener.local_addr().expect("it listens");
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that is broken already needs nothing.
                held.extend(stream.and_then(|stream| apply(stream, fault)).ok().flatten());
            }
        });
        Self { addr, stopped, thread: Some(thread) }
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for FaultyPeer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.addr));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Listens with a small receive buffer: half a megabyte must not fit.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECV_BUFFER)?;
    // A sender's buffer grows with the segment size, which is huge on loopback.
    socket.set_tcp_mss(RECV_BUFFER as u32)?;
    socket.bind(&addr.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// Applies the fault to a connection; returns it if it is to stay open.
fn apply(mut stream: TcpStream, fault: Fault) -> io::Result<Option<TcpStream>> {
    match fault {
        Fault::Closes => {
            // Closing with unread bytes would be a reset.
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(LIMIT))?;
            io::copy(&mut stream, &mut io::sink()).map(|_| None)
        }
        Fault::Resets => {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).map(|()| None)
        }
        Fault::Stalls => Ok(Some(stream)),
    }
}

/// Reads until the peer closes or resets the connection; returns the number of bytes.
///
/// # Panics
///
/// If the peer does not close the connection in time.
#[track_caller]
pub fn read_to_close(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(LIMIT)).expect("the limit is not zero");
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it does not close: {error}");
    }
    heard.len()
}

/// The receive buffer of a faulty peer, in bytes.
const RECV_BUFFER: usize = 1 << 12;
