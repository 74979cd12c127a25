//! A node on real sockets in one thread, with one place to wait: `epoll`, `kqueue` or the system's
//! equivalent, through the crate `mio`.
//!
//! Arguments: NAME LISTEN [SEED]. For example, in two terminals:
//!
//! ```sh
//! cargo run -p tidings --features std --example polling -- a 127.0.0.1:7946
//! cargo run -p tidings --features std --example polling -- b 127.0.0.1:7947 127.0.0.1:7946
//! ```

use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;
use std::{mem, thread};
use tidings::{Clock, ClusterName, Config, Event, Instant, Node, NodeId, Output};
use tidings::{StreamAction, StreamId, StreamInput};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(listen)) = (args.next(), args.next()) else {
        return Err("usage: polling NAME LISTEN [SEED]".into());
    };
    let config = Config::lan(ClusterName::new("tidings")?, NodeId::new(&name)?, listen.parse()?);
    let mut driver = Driver::bind(config)?;
    if let Some(seed) = args.next() {
        let seed = seed.parse()?;
        driver.drive(|node, now| node.join(now, &[seed]))?;
    }
    loop {
        for event in driver.turn()? {
            println!("{event}");
        }
    }
}

/// A driver: a node with its sockets.
#[derive(Debug)]
pub struct Driver {
    node: Node,
    clock: Clock,
    poll: Poll,
    ready: Events,
    udp: UdpSocket,
    tcp: TcpListener,
    streams: BTreeMap<StreamId, Stream>,
    /// Whether a socket may have more input, which `poll` reports only once.
    more: bool,
    /// Events for the application.
    events: Vec<Event>,
    /// Scratch space for input.
    read: Vec<u8>,
    /// Scratch space in which the node builds datagrams.
    built: Vec<u8>,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    is_open: bool,
    /// Bytes that the node wrote and the socket has not accepted yet.
    unsent: VecDeque<u8>,
    /// Whether the stream ends once all is written.
    closing: bool,
}

impl Driver {
    /// Starts a node that listens at the address in its configuration; port 0 is any free port.
    pub fn bind(config: Config) -> io::Result<Self> {
        let mut tcp = TcpListener::bind(config.addr())?;
        let addr = tcp.local_addr()?;
        let mut udp = UdpSocket::bind(addr)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut tcp, ANY, Interest::READABLE)?;
        poll.registry().register(&mut udp, ANY, Interest::READABLE)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let clock = Clock::start();
        let config = config.with_addr(addr).with_generation(Clock::generation(u32::from(seed[0])));
        let config = config.with_wall_clock(Clock::wall_clock());
        Ok(Self {
            node: Node::new(config, seed, clock.now()),
            clock,
            poll,
            ready: Events::with_capacity(64),
            udp,
            tcp,
            streams: BTreeMap::new(),
            more: false,
            events: Vec::new(),
            read: vec![0; MAX_READ],
            built: Vec::new(),
        })
    }

    /// Waits for input or the next timeout, handles it, and returns the events for the application.
    pub fn turn(&mut self) -> io::Result<Vec<Event>> {
        let due = self.node.poll_timeout().map(|due| due.since(self.clock.now()));
        let wait = if self.more { Some(Duration::ZERO) } else { due };
        match self.poll.poll(&mut self.ready, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.more = false,
        }
        // There are few streams, so that all are tried, whichever socket is ready.
        let mut more = may_have_more(self.receive_datagrams()) | may_have_more(self.accept());
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            more |= may_have_more(self.poll_stream(id));
        }
        self.more |= more;
        // Last, because input that has arrived comes before a timeout that is due.
        self.drive(|node, now| node.handle_timeout(now));
        Ok(mem::take(&mut self.events))
    }

    /// Feeds the node one input, and carries out all outputs.
    pub fn drive<R>(&mut self, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let result = input(&mut self.node, self.clock.now());
        self.drain_outputs();
        result
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.node.poll_output(&mut self.built) {
            match output {
                // A datagram that would block is dropped.
                Output::Datagram { to, data } => drop(self.udp.send_to(data, to)),
                Output::Stream { id, action } => self.act(id, action),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn act(&mut self, id: StreamId, action: StreamAction) {
        self.more = true;
        match (action, self.streams.get_mut(&id)) {
            // The node resets a stream that is not connected at the deadline.
            (StreamAction::Open { to, deadline: _ }, _) => {
                self.add(id, TcpStream::connect(to), false)
            }
            (StreamAction::Write(bytes), Some(stream)) => stream.unsent.extend(bytes),
            (StreamAction::Close, Some(stream)) => stream.closing = true,
            (StreamAction::Reset, Some(_)) => drop(self.streams.remove(&id)),
            // The stream has ended before.
            (_, None) => {}
        }
    }

    /// Adds a stream, or reports to the node why that failed.
    fn add(&mut self, id: StreamId, socket: io::Result<TcpStream>, is_open: bool) {
        let registered = socket.and_then(|mut socket| {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, ANY, both).map(|()| socket)
        });
        match registered {
            Ok(socket) => {
                let stream = Stream { socket, is_open, unsent: VecDeque::new(), closing: false };
                self.streams.insert(id, stream);
            }
            Err(error) => {
                let failed = StreamInput::Failed(error.kind().into());
                self.node.handle_stream(self.clock.now(), id, failed);
            }
        }
    }

    fn receive_datagrams(&mut self) -> io::Result<()> {
        for _ in 0..MAX_DATAGRAMS {
            let (len, from) = self.udp.recv_from(&mut self.read)?;
            self.node.handle_datagram(self.clock.now(), from, &self.read[..len]);
            self.drain_outputs();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let (socket, from) = self.tcp.accept()?;
        if let Some(id) = self.node.accept_stream(self.clock.now(), from) {
            self.add(id, Ok(socket), true);
        }
        self.drain_outputs();
        Ok(())
    }

    fn poll_stream(&mut self, id: StreamId) -> io::Result<()> {
        // The input of another stream may have ended this one.
        let stream = self.streams.get_mut(&id).ok_or(ErrorKind::WouldBlock)?;
        let input = match stream.next(&mut self.read) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
            Err(error) => StreamInput::Failed(error.kind().into()),
            Ok(input) => input,
        };
        self.node.handle_stream(self.clock.now(), id, input);
        if matches!(input, StreamInput::Closed | StreamInput::Failed(_)) {
            self.streams.remove(&id);
        }
        self.drain_outputs();
        Ok(())
    }
}

impl Stream {
    /// The next input from the stream.
    ///
    /// Nothing is read while anything is unsent. So `unsent` holds the reply to one read at most,
    /// and a peer that sends without reading has to wait.
    fn next<'b>(&mut self, buf: &'b mut [u8]) -> io::Result<StreamInput<'b>> {
        if !self.is_open {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            if self.socket.peer_addr().is_err_and(|error| error.kind() == ErrorKind::NotConnected) {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.is_open = true;
            return Ok(StreamInput::Opened);
        }
        while !self.unsent.is_empty() {
            let len = self.socket.write(self.unsent.as_slices().0)?;
            self.unsent.drain(..len);
        }
        if self.closing {
            return Ok(StreamInput::Closed);
        }
        match self.socket.read(buf)? {
            0 => Ok(StreamInput::Closed),
            len => Ok(StreamInput::Data(&buf[..len])),
        }
    }
}

/// Whether a socket may have more input, after this result of reading it.
fn may_have_more(result: io::Result<()>) -> bool {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
        // Out of descriptors, or an ICMP error for a datagram: no reason to end, nor to spin.
        Err(_) => thread::sleep(BACK_OFF),
        Ok(()) => {}
    }
    true
}

/// The token of all sockets, because all are tried.
const ANY: Token = Token(0);
/// Bytes of one read: no datagram is longer.
const MAX_READ: usize = 65_536;
/// Datagrams received in one turn, before timers that may be due.
const MAX_DATAGRAMS: usize = 256;
/// The pause after an error of a socket.
const BACK_OFF: Duration = Duration::from_millis(5);
