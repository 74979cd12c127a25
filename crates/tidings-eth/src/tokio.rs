//! Calls and gateways on tokio.

use crate::answer::{Answer, CallError};
use crate::caller::{Caller, CallerOutput};
use crate::candidates::Candidate;
use crate::driver::{self, BUFFER, ConnectError};
use crate::endpoint::Endpoint;
use crate::gateway::{GatewayEvent, GatewayOptions, ServeError};
use crate::gateways::Gateways;
use crate::request::Request;
use crate::service::{Service, Step};
use ::tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
#[cfg(unix)]
use ::tokio::net::UnixStream;
use ::tokio::net::{TcpStream, lookup_host};
use ::tokio::time::{sleep, timeout};
use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::time::Duration;
use tidings::Instant;
use tidings_driver::asynchronous::Tidings;

/// Calls a contract's function through whichever gateway is alive, and returns its values.
///
/// # Errors
///
/// If the contract reverts, its answer is not of the function's types, or no gateway has one.
pub async fn call<C: SolCall>(
    gateways: &Gateways,
    contract: Address,
    call: &C,
) -> Result<C::Return, CallError> {
    request(gateways, Request::call(contract, call)).await?.decode::<C>()
}

/// Sends any request to whichever gateway is alive, and returns its answer.
///
/// # Errors
///
/// See [`CallError`].
pub async fn request(gateways: &Gateways, request: Request) -> Result<Answer, CallError> {
    let mut caller = gateways.caller(request);
    let result = drive(&mut caller, gateways).await;
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
pub async fn serve(
    node: &Tidings,
    gateways: &Gateways,
    options: GatewayOptions,
    on_event: impl FnMut(Option<GatewayEvent>) -> ControlFlow<()>,
) -> Result<(), ServeError> {
    let mut service = Service::new(node, gateways, options, on_event)?;
    loop {
        match service.step()? {
            Step::Ask(mut caller) => {
                let answer = drive(&mut caller, gateways).await;
                if service.handle_answer(answer).is_break() {
                    return Ok(());
                }
            }
            Step::Sleep(time) => sleep(time).await,
            Step::End => return Ok(()),
        }
    }
}

/// Runs a caller to its end.
async fn drive(caller: &mut Caller, gateways: &Gateways) -> Result<Answer, CallError> {
    let mut stream: Option<Box<dyn Stream>> = None;
    let mut buf = vec![0; BUFFER];
    loop {
        match caller.poll_output() {
            Some(CallerOutput::Done(result)) => return result,
            Some(CallerOutput::Close) => stream = None,
            Some(CallerOutput::Connect { candidate, bytes, deadline }) => {
                match connect(&candidate, deadline, gateways).await {
                    Ok(mut connected) => {
                        caller.handle_connected();
                        let left = deadline.since(gateways.now());
                        match within(left, connected.write_all(&bytes)).await {
                            Ok(()) => stream = Some(connected),
                            Err(error) if error.kind() == ErrorKind::TimedOut => {}
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
                    None => sleep(left).await,
                    Some(stream) => match within(left, stream.read(&mut buf)).await {
                        Ok(0) => caller.handle_closed(gateways.now()),
                        Ok(len) => caller.handle_received(&buf[..len], gateways.now()),
                        Err(error) if error.kind() == ErrorKind::TimedOut => {}
                        Err(error) => caller.handle_failed(&error.to_string(), gateways.now()),
                    },
                }
            }
        }
    }
}

async fn connect(
    candidate: &Candidate,
    deadline: Instant,
    gateways: &Gateways,
) -> Result<Box<dyn Stream>, ConnectError> {
    let left = || deadline.since(gateways.now());
    if let Endpoint::Ipc(path) = &candidate.endpoint {
        #[cfg(unix)]
        return Ok(Box::new(within(left(), UnixStream::connect(path)).await?));
        #[cfg(not(unix))]
        return Err(io::Error::from(ErrorKind::Unsupported).into());
    }
    let found = match driver::name(candidate) {
        Some(name) => within(left(), lookup_host(name)).await?.collect(),
        None => Vec::new(),
    };
    let addrs = driver::addrs(candidate, found)?;
    let mut last = io::Error::from(ErrorKind::TimedOut);
    for (place, addr) in addrs.iter().enumerate() {
        // Each address has its share of the time.
        let share = u32::try_from(addrs.len() - place).unwrap_or(u32::MAX);
        match within(left() / share, TcpStream::connect(*addr)).await {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time, work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// A connection over TCP or a Unix socket.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
