//! One connection: a request, its answer, the end.

use crate::pages::{Pages, Response};
use crate::server::request::{self, Hosts, MAX_HEAD};
use crate::server::slots::Slot;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A connection with a client.
#[derive(Debug)]
pub(crate) struct Connection {
    // Closed before its place is free.
    stream: TcpStream,
    slot: Slot,
    hosts: Hosts,
    deadline: Duration,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, slot: Slot, hosts: Hosts, deadline: Duration) -> Self {
        Self { stream, slot, hosts, deadline }
    }

    /// Reads a request, answers it, and closes the connection.
    pub(crate) fn serve(mut self, pages: &Pages) {
        // An error is the client's: it is gone, or too slow.
        drop(self.exchange(pages));
    }

    fn exchange(&mut self, pages: &Pages) -> io::Result<()> {
        let mut head = Vec::new();
        let until = Instant::now() + self.deadline;
        let (response, body) = loop {
            match request::parse(&head, self.hosts) {
                Ok(Some(request)) => {
                    self.slot.set_idle(false)?;
                    break (pages.get(request.path, request.accept), request.body);
                }
                Ok(None) => self.read(&mut head, until)?,
                Err(response) => {
                    self.slot.set_idle(false)?;
                    break (response, true);
                }
            }
        };
        let response = if self.slot.hold(response.body.len()) {
            response
        } else {
            Response::text(503, "too many long answers are being read\n")
        };
        self.write(&response.head())?;
        if body {
            self.write(&response.body)?;
        }
        self.slot.set_idle(true)?;
        self.close()
    }

    /// Reads more of a head, up to its limit.
    fn read(&mut self, head: &mut Vec<u8>, until: Instant) -> io::Result<()> {
        let mut buf = [0; 1024];
        let room = buf.len().min(MAX_HEAD - head.len());
        self.stream.set_read_timeout(Some(left(until)?))?;
        match self.stream.read(&mut buf[..room]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                head.extend_from_slice(&buf[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a part of the answer; a client that does not read it gives way to another one.
    fn write(&mut self, mut answer: &[u8]) -> io::Result<()> {
        let until = Instant::now() + self.deadline;
        while !answer.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?.min(STALL)))?;
            match self.stream.write(answer) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    answer = &answer[count..];
                    self.slot.set_idle(false)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.slot.set_idle(true)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Closes the connection, once the client has closed it or had time for that: bytes that are
    /// not read would reset it, and the client lose the answer (RFC 9112 §9.6).
    fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let until = Instant::now() + self.deadline.min(LINGER);
        let (mut buf, mut room) = ([0; 1024], MAX_UNREAD);
        while room > 0 {
            self.stream.set_read_timeout(Some(left(until)?))?;
            match self.stream.read(&mut buf)? {
                0 => break,
                count => room = room.saturating_sub(count),
            }
        }
        Ok(())
    }
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

impl Response {
    /// The answer's head, as HTTP/1.1.
    pub(crate) fn head(&self) -> Vec<u8> {
        let Self { status, headers, body } = self;
        let reason = match status {
            200 => "OK",
            303 => "See Other",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            421 => "Misdirected Request",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("Connection: close\r\n\r\n");
        head.into_bytes()
    }
}

/// The time after which a client that takes nothing of its answer may have to give way.
const STALL: Duration = Duration::from_millis(250);
/// The time that a client has to close the connection after its answer.
const LINGER: Duration = Duration::from_secs(1);
/// The bytes behind a request that are read and ignored.
const MAX_UNREAD: usize = 64 << 10;
