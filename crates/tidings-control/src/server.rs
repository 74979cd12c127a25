//! The server: accepts connections, and has a service answer their commands.

use crate::json::Level;
use crate::parse;
use crate::publisher::{Publisher, Subscription, lock};
use crate::service::{Arguments, Service};
use crate::socket::{BindError, SocketFile};
use crate::{MAX_CONNECTIONS, MAX_REQUEST, VERSION};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A control socket that is served until this is dropped.
///
/// It has a thread of its own, and one for each connection. At most 32 connections are served; for
/// a further one, that which has been idle for longest is closed. None of them can hold up the
/// node: a client that does not read for five seconds is disconnected, and a request has at most
/// 1 MiB.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    /// Closed to wake the thread that accepts.
    waker: Option<UnixStream>,
    acceptor: Option<JoinHandle<()>>,
    socket: Arc<SocketFile>,
}

#[derive(Debug)]
struct Shared {
    service: Arc<dyn Service>,
    publisher: Publisher,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    open: BTreeMap<u64, Open>,
    next: u64,
    stopped: bool,
}

/// A connection that is served.
#[derive(Debug)]
struct Open {
    stream: UnixStream,
    /// When the last command ended; `None` while one is executed, or the client monitors.
    idle_since: Option<Instant>,
}

impl Server {
    /// Serves a control socket at this path; clients that monitor get what `publisher` publishes.
    ///
    /// # Errors
    ///
    /// If another program serves the path, or the socket cannot be made.
    pub fn start(
        path: &Path,
        service: impl Service,
        publisher: Publisher,
    ) -> Result<Self, BindError> {
        let socket = Arc::new(SocketFile::bind(path)?);
        let failed = |error: io::Error| BindError::Failed { path: path.into(), error };
        let service = Arc::new(service);
        let connections = Mutex::default();
        let shared = Arc::new(Shared { service, publisher, connections });
        let (waker, woken) = UnixStream::pair().map_err(failed)?;
        let (accepts, at) = (Arc::clone(&shared), Arc::clone(&socket));
        let acceptor = thread::Builder::new().name("tidings-control".into());
        let acceptor = acceptor.spawn(move || accept(&accepts, &at, &woken)).map_err(failed)?;
        Ok(Self { shared, waker: Some(waker), acceptor: Some(acceptor), socket })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        self.socket.path()
    }
}

/// Closes all connections; a command that is executed goes on without one.
impl Drop for Server {
    fn drop(&mut self) {
        self.waker = None;
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        let mut connections = lock(&self.shared.connections);
        connections.stopped = true;
        for open in connections.open.values() {
            drop(open.stream.shutdown(Shutdown::Both));
        }
    }
}

/// Accepts connections until the server is dropped.
fn accept(shared: &Arc<Shared>, socket: &SocketFile, woken: &UnixStream) {
    loop {
        let mut ready =
            [PollFd::new(&socket.listener, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue;
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        match socket.listener.accept() {
            Ok((stream, _)) => admit(shared, stream),
            // Out of descriptors, say: one that is closed makes room.
            Err(_) => thread::park_timeout(RETRY_ACCEPT),
        }
    }
}

/// Starts to serve a connection, or closes it with an error.
fn admit(shared: &Arc<Shared>, stream: UnixStream) {
    if stream.set_write_timeout(Some(WRITE_TIMEOUT)).is_err() {
        return;
    }
    let Ok(clone) = stream.try_clone() else { return };
    let mut connections = lock(&shared.connections);
    if connections.open.len() >= MAX_CONNECTIONS && !close_idlest(&mut connections) {
        drop(connections);
        let error = format!("busy: {MAX_CONNECTIONS} control connections are served at a time");
        // A new connection has room for it: this does not block.
        let refusal = json!({"control": VERSION, "ok": false, "error": error});
        drop((&stream).write_all((refusal.to_string() + "\n").as_bytes()));
        return;
    }
    let number = connections.next;
    connections.next += 1;
    connections.open.insert(number, Open { stream: clone, idle_since: Some(Instant::now()) });
    drop(connections);
    let serves = Arc::clone(shared);
    let thread = thread::Builder::new().name("tidings-client".into());
    let served = stream.try_clone().and_then(|lines| {
        let lines = Arc::new(Mutex::new(lines));
        thread.spawn(move || {
            let mut connection =
                Connection { shared: serves, stream, lines, number, monitors: None };
            drop(connection.serve());
        })
    });
    if served.is_err() {
        lock(&shared.connections).open.remove(&number);
    }
}

/// Closes the connection that has been idle for longest; `false` if none is idle.
fn close_idlest(connections: &mut Connections) -> bool {
    let idle = connections.open.iter().filter_map(|(number, it)| Some((it.idle_since?, *number)));
    let Some((_, number)) = idle.min() else { return false };
    let closed = connections.open.remove(&number).expect("its number was found there");
    drop(closed.stream.shutdown(Shutdown::Both));
    true
}

/// One client, on its own thread.
struct Connection {
    shared: Arc<Shared>,
    stream: UnixStream,
    /// Its lines are written one after the other; the thread that monitors writes some.
    lines: Arc<Mutex<UnixStream>>,
    number: u64,
    monitors: Option<Monitor>,
}

/// The thread that writes events to a client.
struct Monitor {
    subscription: Arc<Subscription>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        let service = Arc::clone(&self.shared.service);
        let (node, version) = (service.node(), service.version());
        self.write(&json!({"control": VERSION, "node": node, "version": version}))?;
        let mut requests = BufReader::new(self.stream.try_clone()?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = MAX_REQUEST as u64 + 1;
            if requests.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.len() > MAX_REQUEST {
                let error = format!("a request has at most {MAX_REQUEST} bytes");
                return self.write(&json!({"ok": false, "error": error}));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            self.set_idle(None);
            let goes_on = self.answer(&line)?;
            if !goes_on {
                return Ok(());
            }
            if self.monitors.is_none() {
                self.set_idle(Some(Instant::now()));
            }
        }
    }

    /// Executes a request; returns whether the connection goes on.
    fn answer(&mut self, line: &[u8]) -> io::Result<bool> {
        let mut request = match parse(line) {
            Ok(Value::Object(request)) => request,
            other => {
                let error = other.err().map(|error| format!(": {error}")).unwrap_or_default();
                let error = format!("a request is a JSON object on one line{error}");
                self.write(&json!({"ok": false, "error": error}))?;
                return Ok(true);
            }
        };
        let id = request.remove("id").unwrap_or_default();
        let version = request.remove("control");
        if let Some(version) = version.filter(|version| *version != VERSION) {
            let error = format!(
                "the program that serves this node speaks version {VERSION} of the control \
                 protocol, and the client version {version}; use a client of version {}",
                self.shared.service.version()
            );
            self.write(&json!({"id": id, "ok": false, "error": error}))?;
            return Ok(false);
        }
        let command = match request.remove("cmd") {
            Some(Value::String(command)) => command,
            _ => String::new(),
        };
        let arguments = Arguments::new(request);
        let outcome = match command.as_str() {
            "monitor" => self.monitor(&arguments),
            _ => self.shared.service.call(&command, &arguments),
        };
        let ok = outcome.is_ok();
        let mut result = outcome.unwrap_or_else(|error| json!({"error": error}));
        result["id"] = id;
        result["cmd"] = command.into();
        result["ok"] = ok.into();
        self.write(&result)?;
        self.start_monitor()?;
        Ok(true)
    }

    /// Subscribes to events, which are written once the result is.
    fn monitor(&mut self, arguments: &Arguments) -> Result<Value, String> {
        let level = arguments.optional("level")?.unwrap_or("info").parse::<Level>()?;
        if self.monitors.is_some() {
            return Err("this connection monitors the node already".into());
        }
        let subscription = self.shared.publisher.subscribe(level);
        self.monitors = Some(Monitor { subscription, thread: None });
        Ok(json!({"level": level.as_str()}))
    }

    fn start_monitor(&mut self) -> io::Result<()> {
        let Some(monitor) = self.monitors.as_mut().filter(|it| it.thread.is_none()) else {
            return Ok(());
        };
        let (events, lines) = (Arc::clone(&monitor.subscription), Arc::clone(&self.lines));
        let thread = thread::Builder::new().name("tidings-monitor".into());
        let thread = thread.spawn(move || {
            while let Some(line) = events.next() {
                if write(&lines, line.as_bytes()).is_err() {
                    break;
                }
            }
        })?;
        monitor.thread = Some(thread);
        Ok(())
    }

    fn set_idle(&self, since: Option<Instant>) {
        if let Some(open) = lock(&self.shared.connections).open.get_mut(&self.number) {
            open.idle_since = since;
        }
    }

    fn write(&self, value: &Value) -> io::Result<()> {
        write(&self.lines, (value.to_string() + "\n").as_bytes())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.stream.shutdown(Shutdown::Both));
        if let Some(monitor) = self.monitors.take() {
            self.shared.publisher.unsubscribe(&monitor.subscription);
            drop(monitor.thread.map(JoinHandle::join));
        }
        lock(&self.shared.connections).open.remove(&self.number);
    }
}

/// Writes a whole line; a client that does not read it is disconnected.
fn write(lines: &Mutex<UnixStream>, line: &[u8]) -> io::Result<()> {
    let mut stream = lock(lines);
    stream.write_all(line).inspect_err(|_| drop(stream.shutdown(Shutdown::Both)))
}

/// How long a client may not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);
