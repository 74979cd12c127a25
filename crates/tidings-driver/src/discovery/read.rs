//! One look at a source: a lookup, the lines of a file, or the output of a command.

#[cfg(unix)]
use super::exec;
use super::exec::KillSwitch;
use super::source::{Kind, SeedSource};
#[cfg(feature = "srv")]
use super::srv;
use crate::lookup::{self, LookupError};
use std::error::Error;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};
use std::{fmt, str};
use tidings::{Services, Target, TargetError};

/// The longest file or output, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The largest number of seeds of one file or output, and of a node.
pub(crate) const MAX_SEEDS: usize = 1024;
/// The time limit of a command.
#[cfg(unix)]
pub(crate) const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// How names are looked up: by the operating system, or by a test.
pub(crate) struct Resolver {
    pub(crate) look_up: Box<LookUp>,
}

type LookUp = dyn Fn(&Target) -> Result<Vec<SocketAddr>, LookupError> + Send;

impl Resolver {
    /// The operating system's resolver.
    pub(crate) fn system() -> Self {
        Self { look_up: Box::new(lookup::look_up) }
    }
}

/// The seeds that a source has, as they were found last.
#[derive(Debug, Default)]
pub(crate) struct Found {
    targets: Vec<(Target, Vec<SocketAddr>)>,
}

impl Found {
    pub(crate) fn addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.targets.iter().flat_map(|(_, addrs)| addrs.iter().copied())
    }

    /// Sets addresses for which nothing was looked up.
    pub(crate) fn set(&mut self, addrs: Vec<SocketAddr>) {
        self.targets = addrs.into_iter().map(|addr| (addr.into(), vec![addr])).collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addrs().next().is_none()
    }

    /// Looks at a source again. A failure leaves the addresses that were found before, those of one
    /// host if one host was not found.
    pub(crate) fn update(
        &mut self,
        source: &SeedSource,
        resolver: &Resolver,
        switch: &KillSwitch,
    ) -> Result<(), SourceError> {
        let (targets, mut failed) = match source.kind() {
            Kind::Target(target) => (vec![target.clone()], None),
            Kind::File(path, port) => lines(&read_file(path)?, *port),
            #[cfg(unix)]
            Kind::Exec(command, port) => lines(&exec::run(command, EXEC_LIMIT, switch)?, *port),
            // Each record has a port.
            #[cfg(feature = "srv")]
            Kind::Srv(name) => {
                let records = srv::look_up(name).map_err(SourceError::Srv)?;
                lines(records.join("\n").as_bytes(), Target::DEFAULT_PORT)
            }
        };
        let mut found = Vec::with_capacity(targets.len());
        for target in targets {
            // Each lookup may take many seconds.
            if switch.is_off() {
                return Ok(());
            }
            let addrs = (resolver.look_up)(&target).unwrap_or_else(|error| {
                failed.get_or_insert(SourceError::LookUp(error));
                let before = self.targets.iter().find(|(before, _)| *before == target);
                before.map_or_else(Vec::new, |(_, addrs)| addrs.clone())
            });
            found.push((target, addrs));
        }
        self.targets = found;
        failed.map_or(Ok(()), Err)
    }
}

/// The seeds of a text, one on each line, and the first error.
fn lines(bytes: &[u8], default_port: u16) -> (Vec<Target>, Option<SourceError>) {
    let services = lookup::services();
    let (mut targets, mut failed) = (Vec::new(), None);
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let Some(parsed) = self::line(bytes, default_port, &services) else { continue };
        if targets.len() == MAX_SEEDS {
            failed.get_or_insert(SourceError::TooManyLines { max: MAX_SEEDS });
            break;
        }
        match parsed {
            Ok(target) => targets.push(target),
            Err(Some(error)) => _ = failed.get_or_insert(SourceError::Line { line, error }),
            Err(None) => _ = failed.get_or_insert(SourceError::NotText { line }),
        }
    }
    (targets, failed)
}

/// The seed of a line; `None` if it has none, an error without a reason if it is not UTF-8.
fn line(
    bytes: &[u8],
    default_port: u16,
    services: &Services,
) -> Option<Result<Target, Option<TargetError>>> {
    let seed = bytes.split(|&byte| byte == b'#').next()?.trim_ascii();
    if seed.is_empty() {
        return None;
    }
    let Ok(text) = str::from_utf8(seed) else { return Some(Err(None)) };
    Some(Target::parse(text, default_port, services).map_err(Some))
}

fn read_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    let file = open(path).map_err(SourceError::Read)?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(SourceError::Read)?;
    if bytes.len() > MAX_BYTES {
        return Err(SourceError::TooLong { max: MAX_BYTES });
    }
    Ok(bytes)
}

/// Opens a regular file; a pipe, on which opening and reading may wait for ever, is an error.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// What shows that a file is another one than before; `None` stands for a file that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    /// Device, number and time of change.
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let identity = identity(&metadata);
        Some(Self { modified: metadata.modified().ok(), len: metadata.len(), identity })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

/// The reason why a source of seeds failed; its earlier addresses remain.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// A host has no address.
    LookUp(LookupError),
    /// No SRV records were found.
    Srv(io::Error),
    /// The file cannot be read.
    Read(io::Error),
    /// The command cannot be run.
    Run(io::Error),
    /// The command did not end in time, and was killed.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The command ended without success.
    Failed(ExitStatus),
    /// The file or the output is longer than the limit.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// The file or the output has more seeds than the limit; the others are left out.
    TooManyLines {
        /// The limit.
        max: usize,
    },
    /// A line is not `HOST[:PORT]`.
    Line {
        /// The line's number, from 1.
        line: usize,
        /// The reason.
        error: TargetError,
    },
    /// A line is not UTF-8.
    NotText {
        /// The line's number, from 1.
        line: usize,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookUp(error) => error.fmt(f),
            Self::Srv(error) => write!(f, "cannot look up its SRV records: {error}"),
            Self::Read(error) => write!(f, "cannot read it: {error}"),
            Self::Run(error) => write!(f, "cannot run it: {error}"),
            Self::TimedOut { limit } => write!(f, "it did not end within {limit:?}"),
            Self::Failed(status) => write!(f, "it failed: {status}"),
            Self::TooLong { max } => write!(f, "it has more than {max} bytes"),
            Self::TooManyLines { max } => {
                write!(f, "it has more than {max} seeds; the others are left out")
            }
            Self::Line { line, error } => write!(f, "line {line}: {error}"),
            Self::NotText { line } => write!(f, "line {line} is not UTF-8"),
        }
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::LookUp(error) => Some(error),
            Self::Srv(error) | Self::Read(error) | Self::Run(error) => Some(error),
            Self::Line { error, .. } => Some(error),
            _ => None,
        }
    }
}
