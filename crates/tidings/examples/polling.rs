//! A node on real sockets in one thread, which waits in one place: `epoll`, `kqueue` or whatever the
//! system has for that, by the crate `mio`.
//!
//! In two terminals, NAME LISTEN [SEED]:
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

/// A node with its sockets.
#[derive(Debug)]
pub struct Driver {
    node: Node,
    clock: Clock,
    poll: Poll,
    woken: Events,
    udp: UdpSocket,
    tcp: TcpListener,
    streams: BTreeMap<StreamId, Stream>,
    /// A socket may have more, of which `poll` tells only once.
    more: bool,
    /// What the application is to be told.
    events: Vec<Event>,
    read: Vec<u8>,
    built: Vec<u8>,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    is_open: bool,
    unsent: VecDeque<u8>,
    closing: bool,
}

impl Driver {
    /// A node that listens where its configuration says that others reach it; port 0 is any that is free.
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
        let config = config.with_addr(addr).with_generation(Clock::generation());
        Ok(Self {
            node: Node::new(config, seed, clock.now()),
            clock,
            poll,
            woken: Events::with_capacity(64),
            udp,
            tcp,
            streams: BTreeMap::new(),
            more: false,
            events: Vec::new(),
            read: vec![0; MAX_READ],
            built: Vec::new(),
        })
    }

    /// Waits until something is to be done, does it, and returns what the application is to be told.
    pub fn turn(&mut self) -> io::Result<Vec<Event>> {
        let due = self.node.poll_timeout().map(|due| due.since(self.clock.now()));
        let wait = if self.more { Some(Duration::ZERO) } else { due };
        match self.poll.poll(&mut self.woken, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.more = false,
        }
        // Streams are few: it is not worth the while to know which socket woke us.
        let mut more = may_have_more(self.take_datagrams()) | may_have_more(self.accept());
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            more |= may_have_more(self.take_stream(id));
        }
        self.more |= more;
        // Only now: what is there already comes before what is due.
        self.drive(|node, now| node.handle_timeout(now));
        Ok(mem::take(&mut self.events))
    }

    /// Gives the node one input, and carries out all that it wants done.
    pub fn drive<R>(&mut self, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let result = input(&mut self.node, self.clock.now());
        self.carry_out();
        result
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output(&mut self.built) {
            match output {
                // One that would block is lost.
                Output::Datagram { to, data } => drop(self.udp.send_to(data, to)),
                Output::Stream { id, action } => self.act(id, action),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn act(&mut self, id: StreamId, action: StreamAction) {
        self.more = true;
        match (action, self.streams.get_mut(&id)) {
            // What is not connected at the deadline the node resets by itself.
            (StreamAction::Open { to, deadline: _ }, _) => {
                self.add(id, TcpStream::connect(to), false)
            }
            (StreamAction::Write(bytes), Some(stream)) => stream.unsent.extend(bytes),
            (StreamAction::Close, Some(stream)) => stream.closing = true,
            (StreamAction::Reset, Some(_)) => drop(self.streams.remove(&id)),
            // It ended by itself.
            (_, None) => {}
        }
    }

    /// Has a stream from now on, or tells the node why not.
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

    fn take_datagrams(&mut self) -> io::Result<()> {
        for _ in 0..MAX_WAITING {
            let (len, from) = self.udp.recv_from(&mut self.read)?;
            self.node.handle_datagram(self.clock.now(), from, &self.read[..len]);
            self.carry_out();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let (socket, from) = self.tcp.accept()?;
        if let Some(id) = self.node.accept_stream(self.clock.now(), from) {
            self.add(id, Ok(socket), true);
        }
        self.carry_out();
        Ok(())
    }

    fn take_stream(&mut self, id: StreamId) -> io::Result<()> {
        // Another one's input may have ended it.
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
        self.carry_out();
        Ok(())
    }
}

impl Stream {
    /// What it brings next.
    ///
    /// Nothing is read before all is written that there is to write. So what is unsent is the answer
    /// to one read at most, and who sends and does not read has to wait.
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

/// Whether a socket may have more, after this came of asking it.
fn may_have_more(taken: io::Result<()>) -> bool {
    match taken {
        Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
        // Out of descriptors, or a datagram came back: no reason to end, nor to spin.
        Err(_) => thread::sleep(BACK_OFF),
        Ok(()) => {}
    }
    true
}

/// Which socket woke us is not asked.
const ANY: Token = Token(0);
/// No datagram is longer; of a stream no more is read at a time.
const MAX_READ: usize = 65_536;
/// How many datagrams are taken before timers that may be due.
const MAX_WAITING: usize = 256;
/// For how long all rests when a socket gives errors.
const BACK_OFF: Duration = Duration::from_millis(5);
