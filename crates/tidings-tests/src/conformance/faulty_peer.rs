//! Somebody who takes connections, and then does as no node does.

use super::LIMIT;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Somebody at an address; gone when dropped.
#[derive(Debug)]
pub struct Stranger {
    addr: SocketAddr,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a stranger does with who connects to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// It hears all, and ends the connection without a word.
    Closes,
    /// It breaks the connection at once.
    Resets,
    /// It never reads, nor says anything.
    Stalls,
}

impl Stranger {
    /// Settles at an address; port 0 is any.
    ///
    /// # Panics
    ///
    /// If somebody is there.
    #[track_caller]
    pub fn at(addr: SocketAddr, manner: Manner) -> Self {
        let listener = listen(addr).expect("nobody listens there");
        let addr = listener.local_addr().expect("it listens");
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = Arc::clone(&gone);
        let thread = thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if is_gone.load(Ordering::Relaxed) {
                    return;
                }
                // One that is broken already needs nothing done to it.
                held.extend(stream.and_then(|stream| treat(stream, manner)).ok().flatten());
            }
        });
        Self { addr, gone, thread: Some(thread) }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.addr));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Listens with little room for what comes in: half a megabyte must not fit.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(ROOM)?;
    // What a sender keeps for itself grows with the size of segments, which are huge on loopback.
    socket.set_tcp_mss(ROOM as u32)?;
    socket.bind(&addr.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// Treats a connection in that manner; returns it if it is to stay open.
fn treat(mut stream: TcpStream, manner: Manner) -> io::Result<Option<TcpStream>> {
    match manner {
        Manner::Closes => {
            // With bytes unread it would be a reset.
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(LIMIT))?;
            io::copy(&mut stream, &mut io::sink()).map(|_| None)
        }
        Manner::Resets => {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).map(|()| None)
        }
        Manner::Stalls => Ok(Some(stream)),
    }
}

/// Hears a peer out, until it hangs up in whatever way; returns how many bytes came.
///
/// # Panics
///
/// If it does not hang up.
#[track_caller]
pub fn hear_out(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(LIMIT)).expect("the limit is not zero");
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it does not hang up: {error}");
    }
    heard.len()
}

/// How many bytes a stranger has room for.
const ROOM: usize = 1 << 12;
