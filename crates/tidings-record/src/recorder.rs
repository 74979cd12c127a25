//! The recorder: from a node's journal into the file.

use crate::format::{BLOCK, Block, HEADER, Header, Kind, MAGIC, SLOTS};
use crate::writer::{Handed, Writer};
use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tidings::{Instant, Node};

/// How much a recording holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many bytes the file may have. 64 KiB to 16 GiB.
    ///
    /// Of these the latest three quarters are there at any time, at least.
    pub bytes: u64,
    /// How far back the recording has to go, if less than fits is enough.
    pub time: Option<Duration>,
}

/// 64 MiB: some days of a quiet node.
impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, time: None }
    }
}

/// Writes down what a node hears and says.
///
/// It belongs to whoever drives the node: after each drive, when all outputs were polled, it
/// [takes](Self::take) what the node noted. A thread of its own writes the file, so that nothing here
/// waits. The file is readable by its owner alone, where there are such
/// things.
///
/// If the file cannot be written the recording ends and the node goes on;
/// [`error`](Self::error) tells why.
#[derive(Debug)]
pub struct Recorder {
    header: Header,
    writer: Writer,
    limits: Limits,
    segment: Option<Open>,
    /// The number of the next segment.
    next: u64,
    /// The one in which something is missing, since the disk did not keep up.
    broken_off: Option<Open>,
    /// The disk did not keep up: before this nothing is begun, on the node's clock.
    not_before: Instant,
    /// Scratch: what the node noted.
    noted: Vec<u8>,
    error: Option<RecordError>,
}

/// The segment that is being written.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    /// When it began, on the node's clock.
    began: Instant,
    /// How many bytes of its slot are taken, the end apart.
    len: u64,
    /// When something was last written, on the node's clock.
    written: Instant,
}

impl Recorder {
    /// Creates a file for a node whose clock stands at `now`.
    ///
    /// A recording that is there already is kept, by the same name with `.old` behind it; an older one
    /// of that name is replaced.
    ///
    /// # Errors
    ///
    /// If the limits are out of range, if something else than a recording is there, or if the file
    /// cannot be made.
    pub fn create(path: &Path, limits: Limits, now: Instant) -> Result<Self, RecordError> {
        if limits.bytes < MIN_BYTES || limits.bytes > MAX_BYTES {
            return Err(RecordError::Bytes(limits.bytes));
        }
        let error = |error| RecordError::File { path: path.into(), error };
        make_way(path)?;
        let file = create_private(path).map_err(error)?;
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let origin = since_1970.saturating_sub(now.since(Instant::ZERO));
        let header = Header {
            slot: (limits.bytes - HEADER as u64) / SLOTS,
            origin: u64::try_from(origin.as_nanos()).unwrap_or(u64::MAX),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut writer = Writer::start(file).map_err(error)?;
        drop(writer.hand(0, header.to_bytes().into()));
        Ok(Self {
            header,
            writer,
            limits,
            segment: None,
            broken_off: None,
            next: 0,
            not_before: Instant::ZERO,
            noted: Vec::new(),
            error: None,
        })
    }

    /// Takes what the node has noted since, and begins its journal at first.
    ///
    /// It is written when there is enough of it, or after a second of the node's time.
    pub fn take(&mut self, node: &mut Node) {
        if self.error.is_some() {
            return;
        }
        let Some(open) = self.segment else { return self.begin(node) };
        let Some(noted) = node.journal_len() else {
            // So much was noted at once that the journal has ended.
            self.leave(open, Kind::Gap, node.now());
            return self.begin(node);
        };
        let after = open.len + (2 * BLOCK + noted) as u64;
        let full = after + self.reserve() > self.header.slot;
        let old = self
            .limits
            .time
            .is_some_and(|time| node.now().since(open.began) >= time / (SLOTS as u32 - 1));
        if !full && !old && noted < ENOUGH && node.now().since(open.written) < A_WHILE {
            return;
        }
        if after > self.header.slot {
            self.leave(open, Kind::Gap, node.now());
            return self.begin(node);
        }
        self.write_noted(open, node);
        if let (Some(open), true) = (self.segment, full || old) {
            if node.journal_len() == Some(0) {
                self.leave(open, Kind::Continued, node.now());
                self.begin(node);
            }
        }
    }

    /// Hands over what is left, and ends the node's journal; all is written once that is
    /// [waited](Finishing::wait) for.
    pub fn finish(mut self, node: &mut Node) -> Finishing {
        let open = self.segment.or(self.broken_off);
        if let (None, Some(open)) = (&self.error, open) {
            self.noted.clear();
            node.take_journal(&mut self.noted);
            let after = open.len + (2 * BLOCK + self.noted.len()) as u64;
            let whole = self.segment.is_some() && after <= self.header.slot;
            let mut bytes = Vec::new();
            let block = |kind| Block { kind, segment: open.number, until: node.now() };
            if whole {
                block(Kind::Journal).write(&mut bytes, &self.noted);
            }
            block(if whole { Kind::End } else { Kind::Gap }).write(&mut bytes, &[]);
            self.writer.hand_last(self.header.offset(open.number) + open.len, bytes);
        }
        node.stop_journal();
        Finishing { writer: self.writer, error: self.error }
    }

    /// Why nothing is recorded any more, if that is so.
    pub fn error(&self) -> Option<&RecordError> {
        self.error.as_ref()
    }

    /// Begins the next segment with the node as it is now.
    fn begin(&mut self, node: &mut Node) {
        self.segment = None;
        if node.now() < self.not_before {
            return;
        }
        let mut checkpoint = Vec::new();
        node.start_journal(&mut checkpoint);
        let needed = (checkpoint.len() + 3 * BLOCK) as u64 + self.reserve();
        if needed > self.header.slot {
            // Some more, for those who join.
            let bytes = (needed * SLOTS + HEADER as u64) / 2 * 3;
            return self
                .fail(RecordError::TooSmall { bytes: self.limits.bytes, needed: bytes }, node);
        }
        let (number, now) = (self.next, node.now());
        let mut bytes = Vec::new();
        let block = |kind| Block { kind, segment: number, until: now };
        block(Kind::Checkpoint).write(&mut bytes, &checkpoint);
        let len = bytes.len() as u64;
        block(Kind::End).write(&mut bytes, &[]);
        if self.hand(self.header.offset(number), bytes, node) {
            self.next += 1;
            self.broken_off = None;
            self.segment = Some(Open { number, began: now, len, written: now });
        } else {
            node.stop_journal();
            self.not_before = now + A_WHILE;
        }
    }

    fn write_noted(&mut self, open: Open, node: &mut Node) {
        let mut noted = core::mem::take(&mut self.noted);
        noted.clear();
        node.take_journal(&mut noted);
        let mut bytes = Vec::with_capacity(noted.len() + 2 * BLOCK);
        let block = |kind| Block { kind, segment: open.number, until: node.now() };
        block(Kind::Journal).write(&mut bytes, &noted);
        let len = open.len + bytes.len() as u64;
        block(Kind::End).write(&mut bytes, &[]);
        self.noted = noted;
        if self.hand(self.header.offset(open.number) + open.len, bytes, node) {
            self.segment = Some(Open { len, written: node.now(), ..open });
        } else if self.error.is_none() {
            // What was taken is lost, and a new segment begins.
            (self.segment, self.broken_off) = (None, Some(open));
        }
    }

    /// Says how a segment ends.
    fn leave(&mut self, open: Open, kind: Kind, until: Instant) {
        let mut bytes = Vec::new();
        Block { kind, segment: open.number, until }.write(&mut bytes, &[]);
        drop(self.writer.hand(self.header.offset(open.number) + open.len, bytes));
    }

    fn hand(&mut self, offset: u64, bytes: Vec<u8>, node: &mut Node) -> bool {
        match self.writer.hand(offset, bytes) {
            Handed::Over => true,
            Handed::Back => false,
            Handed::Failed(error) => {
                self.fail(RecordError::Write(error), node);
                false
            }
        }
    }

    fn fail(&mut self, error: RecordError, node: &mut Node) {
        self.error = Some(error);
        self.segment = None;
        node.stop_journal();
    }

    /// So much room is left for what one drive brings.
    fn reserve(&self) -> u64 {
        (self.header.slot / 8).min(ENOUGH as u64)
    }
}

/// A recording that has ended and is still being written.
#[derive(Debug)]
pub struct Finishing {
    writer: Writer,
    error: Option<RecordError>,
}

impl Finishing {
    /// Waits until all is written; so does dropping this.
    ///
    /// # Errors
    ///
    /// Why the recording has ended before, if it has.
    pub fn wait(mut self) -> Result<(), RecordError> {
        let written = self.writer.end().map_err(RecordError::Write);
        self.error.map_or(written, Err)
    }
}

/// Moves a recording out of the way.
fn make_way(path: &Path) -> Result<(), RecordError> {
    let error = |error| RecordError::File { path: path.into(), error };
    let mut there = match File::open(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.map_err(error)?,
    };
    let mut magic = [0; MAGIC.len()];
    if there.read_exact(&mut magic).is_err() || magic != MAGIC {
        return Err(RecordError::Occupied(path.into()));
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    fs::rename(path, old).map_err(error)
}

/// Creates a file that its owner alone may read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Nothing is recorded, or no more.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The limit is out of range.
    Bytes(u64),
    /// Something else than a recording is there.
    Occupied(PathBuf),
    /// The file cannot be made.
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The state of the node alone is too large.
    TooSmall {
        /// The limit.
        bytes: u64,
        /// What it has to be.
        needed: u64,
    },
    /// The file cannot be written.
    Write(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => {
                write!(f, "a recording of {bytes} bytes; it has {MIN_BYTES} to {MAX_BYTES}")
            }
            Self::Occupied(path) => {
                write!(f, "{} is there, and is no recording", path.display())
            }
            Self::File { path, error } => write!(f, "cannot record to {}: {error}", path.display()),
            Self::TooSmall { bytes, needed } => write!(
                f,
                "the state of the node does not fit a recording of {bytes} bytes; allow {needed}"
            ),
            Self::Write(error) => write!(f, "the recording has ended: {error}"),
        }
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { error, .. } | Self::Write(error) => Some(error),
            _ => None,
        }
    }
}

const MIN_BYTES: u64 = 64 << 10;
const MAX_BYTES: u64 = 16 << 30;
/// So much of a journal is enough for a block.
const ENOUGH: usize = 64 << 10;
/// After so long whatever there is is written.
const A_WHILE: Duration = Duration::from_secs(1);
