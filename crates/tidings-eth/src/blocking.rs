//! Calls and gateways that block their thread: on `std::net`.

use crate::answer::{Answer, CallError};
use crate::caller::{Caller, CallerOutput};
use crate::candidates::Candidate;
use crate::driver::{self, BUFFER, ConnectError};
use crate::endpoint::Endpoint;
use crate::gateway::{GatewayEvent, GatewayOptions, ServeError};
use crate::gateways::Gateways;
use crate::request::Request;
use crate::service::{Service, Step};
use alloy_primitives::Address;
use alloy_sol_types::SolCall;
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tidings::Instant;
use tidings_driver::blocking::Tidings;

/// Calls a contract's function through whichever gateway is alive, and returns its values.
///
/// # Errors
///
/// If the contract reverts, its answer is not of the function's types, or no gateway has one.
pub fn call<C: SolCall>(
    gateways: &Gateways,
    contract: Address,
    call: &C,
) -> Result<C::Return, CallError> {
    request(gateways, Request::call(contract, call))?.decode::<C>()
}

/// Sends any request to whichever gateway is alive, and returns its answer.
///
/// # Errors
///
/// See [`CallError`].
pub fn request(gateways: &Gateways, request: Request) -> Result<Answer, CallError> {
    let mut caller = gateways.caller(request);
    let result = drive(&mut caller, gateways);
    gateways.handle_outcome(&caller, &result);
    result
}

/// Runs a gateway on a node, until `on_event` breaks. It is called for each change of the gateway,
/// and with `None` after each question to its Ethereum node.
///
/// `gateways` follow the same node, whose metadata is the gateway's from now on.
///
/// # Errors
///
/// If what it is to advertise is not valid, or is longer than the node's metadata may be.
pub fn serve(
    node: &Tidings,
    gateways: &Gateways,
    options: GatewayOptions,
    on_event: impl FnMut(Option<GatewayEvent>) -> ControlFlow<()>,
) -> Result<(), ServeError> {
    let mut service = Service::new(node, gateways, options, on_event)?;
    loop {
        match service.step()? {
            Step::Ask(mut caller) => {
                let answer = drive(&mut caller, gateways);
                if service.handle_answer(answer).is_break() {
                    return Ok(());
                }
            }
            Step::Sleep(time) => thread::sleep(time),
            Step::End => return Ok(()),
        }
    }
}

/// Runs a caller to its end.
fn drive(caller: &mut Caller, gateways: &Gateways) -> Result<Answer, CallError> {
    let mut stream: Option<Box<dyn Stream>> = None;
    let mut buf = vec![0; BUFFER];
    loop {
        match caller.poll_output() {
            Some(CallerOutput::Done(result)) => return result,
            Some(CallerOutput::Close) => stream = None,
            Some(CallerOutput::Connect { candidate, bytes, deadline }) => {
                match connect(&candidate, deadline, gateways) {
                    Ok(mut connected) => {
                        caller.handle_connected();
                        match send(&mut *connected, &bytes, deadline, gateways) {
                            Ok(()) => stream = Some(connected),
                            Err(error) => caller.handle_failed(&error.to_string(), gateways.now()),
                        }
                    }
                    Err(error) => error.tell(caller, gateways.now()),
                }
            }
            None => {
                let due = caller.poll_timeout().expect("it waits for something");
                let left = due.since(gateways.now());
                match &mut stream {
                    _ if left.is_zero() => caller.handle_timeout(gateways.now()),
                    None => thread::sleep(left),
                    Some(stream) => match receive(&mut **stream, &mut buf, left) {
                        Ok(0) => caller.handle_closed(gateways.now()),
                        Ok(len) => caller.handle_received(&buf[..len], gateways.now()),
                        Err(error) if is_timeout(&error) => {}
                        Err(error) => caller.handle_failed(&error.to_string(), gateways.now()),
                    },
                }
            }
        }
    }
}

fn receive(stream: &mut dyn Stream, buf: &mut [u8], left: Duration) -> io::Result<usize> {
    stream.set_timeout(left)?;
    stream.read(buf)
}

fn send(
    stream: &mut dyn Stream,
    mut bytes: &[u8],
    deadline: Instant,
    gateways: &Gateways,
) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_timeout(left(deadline, gateways)?)?;
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn connect(
    candidate: &Candidate,
    deadline: Instant,
    gateways: &Gateways,
) -> Result<Box<dyn Stream>, ConnectError> {
    if let Endpoint::Ipc(path) = &candidate.endpoint {
        #[cfg(unix)]
        return Ok(Box::new(connect_ipc(path, left(deadline, gateways)?)?));
        #[cfg(not(unix))]
        return Err(io::Error::from(ErrorKind::Unsupported).into());
    }
    let found = match driver::name(candidate) {
        Some(name) => look_up(name, left(deadline, gateways)?)?,
        None => Vec::new(),
    };
    let addrs = driver::addrs(candidate, found)?;
    let mut last = io::Error::from(ErrorKind::TimedOut);
    for (place, addr) in addrs.iter().enumerate() {
        // Each address has its share of the time.
        let share = u32::try_from(addrs.len() - place).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(addr, left(deadline, gateways)? / share) {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Connects to a Unix socket. Linux makes a connection wait while the socket's queue is full, which
/// it is if the node is frozen, and counts the timeout for writes.
#[cfg(unix)]
fn connect_ipc(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(timeout))?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(UnixStream::from(OwnedFd::from(socket))),
        Err(error) if is_timeout(&error) => Err(ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
    }
}

/// Looks a name up on a thread of its own, because a lookup has no timeout. A thread ends when the
/// system has its answer.
fn look_up(name: (String, u16), timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = channel();
    let look_up = move || {
        let found = name.to_socket_addrs().map(Iterator::collect);
        drop(answer.send(found));
    };
    thread::Builder::new().name("tidings-eth-lookup".into()).spawn(look_up)?;
    answered.recv_timeout(timeout).map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

/// The time until a deadline.
fn left(deadline: Instant, gateways: &Gateways) -> io::Result<Duration> {
    let left = deadline.since(gateways.now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A connection over TCP or a Unix socket.
trait Stream: Read + Write {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

#[cfg(unix)]
impl Stream for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}
