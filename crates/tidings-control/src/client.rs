//! The client: one connection to the control socket of a node.

use crate::VERSION;
use crate::json::Level;
use crate::parse;
use crate::path::{default_dir, is_private};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A connection to a control socket.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    node: String,
    next: u64,
}

impl Client {
    /// Connects to the control socket at this path.
    ///
    /// # Errors
    ///
    /// If no program serves it, this user may not use it, it has no room, or it speaks another
    /// version.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        if path.parent().is_some_and(|dir| dir == default_dir()) && !is_private(&default_dir()) {
            return Err(ClientError::NotPrivate(default_dir()));
        }
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(path.into())
            }
            _ => ClientError::Connect { path: path.into(), error },
        })?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(ClientError::Io)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(ClientError::Io)?;
        let mut client = Self { stream: BufReader::new(stream), node: String::new(), next: 0 };
        let greeting = client.read()?;
        if let Some(error) = greeting["error"].as_str() {
            return Err(ClientError::Refused(error.into()));
        }
        if greeting["control"] != VERSION {
            let version = greeting["version"].as_str().unwrap_or("unknown").into();
            let control = greeting["control"].clone();
            return Err(ClientError::Version { control: control.to_string(), version });
        }
        client.node = greeting["node"].as_str().unwrap_or_default().into();
        Ok(client)
    }

    /// The name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Has a command executed, with `arguments`, an object; returns its result.
    ///
    /// # Errors
    ///
    /// If the command fails ([`ClientError::Refused`]), or the connection does.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value, ClientError> {
        let mut request = arguments;
        self.next += 1;
        request["control"] = VERSION.into();
        request["id"] = self.next.into();
        request["cmd"] = command.into();
        let line = request.to_string() + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).map_err(ClientError::Io)?;
        let result = self.read()?;
        if result["ok"] == true {
            return Ok(result);
        }
        Err(ClientError::Refused(result["error"].as_str().unwrap_or("it failed").into()))
    }

    /// Subscribes to the events of the node, of this level and above; returns them as they happen.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn monitor(mut self, level: Level) -> Result<Monitor, ClientError> {
        self.call("monitor", json!({"level": level.as_str()}))?;
        self.stream.get_mut().set_read_timeout(None).map_err(ClientError::Io)?;
        Ok(Monitor { client: self })
    }

    fn read(&mut self) -> Result<Value, ClientError> {
        let mut line = Vec::new();
        let limited = self.stream.by_ref().take(MAX_RESULT).read_until(b'\n', &mut line);
        limited.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
            _ => ClientError::Io(error),
        })?;
        if line.is_empty() {
            return Err(ClientError::Closed);
        }
        parse(&line).map_err(|error| ClientError::Io(error.into()))
    }
}

/// The events of a node, as JSON objects; ends with its program.
#[derive(Debug)]
pub struct Monitor {
    client: Client,
}

impl Iterator for Monitor {
    type Item = Result<Value, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.client.read() {
            Err(ClientError::Closed) => None,
            event => Some(event),
        }
    }
}

/// A control socket does not answer, or a command failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No program serves this path.
    NotRunning(PathBuf),
    /// Other users can write to the directory of this user's control sockets, so that somebody else
    /// may answer there.
    NotPrivate(PathBuf),
    /// The socket cannot be connected to.
    Connect {
        /// The socket.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The server speaks another version of the control protocol.
    Version {
        /// Its version of the control protocol.
        control: String,
        /// The version of its program.
        version: String,
    },
    /// The server refuses the command: its reason.
    Refused(String),
    /// No result came within 60 s.
    TimedOut,
    /// The server has ended, or has closed the connection.
    Closed,
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrivate(path) => {
                write!(f, "others can change {}; name the socket by --control", path.display())
            }
            Self::NotRunning(path) => {
                write!(f, "nothing runs at the control socket {}", path.display())
            }
            Self::Connect { path, error } => {
                write!(f, "cannot use the control socket {}: {error}", path.display())
            }
            Self::Version { control, version } => write!(
                f,
                "the program at the control socket, of version {version}, speaks version \
                 {control} of the control protocol, and this client version {VERSION}"
            ),
            Self::Refused(error) => f.write_str(error),
            Self::TimedOut => {
                write!(f, "the program at the control socket did not answer within {TIMEOUT:?}")
            }
            Self::Closed => f.write_str("the program at the control socket closed the connection"),
            Self::Io(error) => write!(f, "the connection to the control socket failed: {error}"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect { error, .. } | Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// How long a client waits for a result; no command takes as long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest result, in bytes.
const MAX_RESULT: u64 = 256 << 20;
