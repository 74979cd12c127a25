//! The recorder: writes a node's journal to the file.

use crate::format::{BLOCK, Block, HEADER, Header, Kind, MAGIC, SLOTS};
use crate::writer::{FileWriter, Submitted, Writer};
use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tidings::{Instant, Node};

/// The size limits of a recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The size of the file, in bytes: 64 KiB to 16 GiB.
    ///
    /// At any time the file has at least the newest three quarters of this.
    pub bytes: u64,
    /// How far back the recording has to reach; old segments are overwritten sooner then.
    ///
    /// `None` uses the whole file. The recording reaches up to a third further back.
    pub time: Option<Duration>,
}

/// 64 MiB, without a limit of time: some days of a quiet node.
impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, time: None }
    }
}

/// Records a node's inputs, and checksums of its outputs, to a file or to memory.
///
/// The driver of the node owns it, and calls [`record`](Self::record) after each drive, when all
/// outputs are polled. A separate thread writes the file, so that no method blocks. Only the owner
/// can read the file, on systems with file permissions.
///
/// If the file cannot be written, the recording ends and the node goes on;
/// [`error`](Self::error) returns the reason.
#[derive(Debug)]
pub struct Recorder {
    header: Header,
    writer: Writer,
    limits: Limits,
    segment: Option<OpenSegment>,
    /// The number of the next segment.
    next: u64,
    /// The last segment, if it lacks its end because the disk was too slow.
    truncated: Option<OpenSegment>,
    /// When the next segment may begin after the disk was too slow, on the node's clock.
    retry_at: Instant,
    /// Scratch space for the journal.
    journal: Vec<u8>,
    error: Option<RecordError>,
}

/// The segment that is being written.
#[derive(Clone, Copy, Debug)]
struct OpenSegment {
    number: u64,
    /// The start, on the node's clock.
    began: Instant,
    /// The used bytes of its slot, without the end block.
    len: u64,
    /// The last write, on the node's clock.
    written: Instant,
}

impl Recorder {
    /// Creates a recording file for a node whose clock reads `now`.
    ///
    /// An existing recording is renamed: `.old` is appended to its name. A recording that has that
    /// name is replaced.
    ///
    /// # Errors
    ///
    /// If the limits are out of range, if the path is a file other than a recording, or if the file
    /// cannot be created.
    pub fn create(path: &Path, limits: Limits, now: Instant) -> Result<Self, RecordError> {
        check(limits)?;
        let error = |error| RecordError::File { path: path.into(), error };
        keep_old(path)?;
        let file = create_private(path).map_err(error)?;
        let writer = FileWriter::start(file).map_err(error)?;
        Ok(Self::new(Writer::File(writer), limits, now))
    }

    /// Creates a recording in memory, of which [`recent`](Self::recent) returns a copy, for a node
    /// whose clock reads `now`.
    ///
    /// It takes memory as it is filled, up to [`Limits::bytes`].
    ///
    /// # Errors
    ///
    /// If the limits are out of range.
    pub fn in_memory(limits: Limits, now: Instant) -> Result<Self, RecordError> {
        check(limits)?;
        Ok(Self::new(Writer::Memory(Vec::new()), limits, now))
    }

    fn new(mut writer: Writer, limits: Limits, now: Instant) -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let origin = since_1970.saturating_sub(now.since(Instant::ZERO));
        let header = Header {
            slot: (limits.bytes - HEADER as u64) / SLOTS,
            origin: u64::try_from(origin.as_nanos()).unwrap_or(u64::MAX),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        drop(writer.submit(0, header.to_bytes().into()));
        Self {
            header,
            writer,
            limits,
            segment: None,
            truncated: None,
            next: 0,
            retry_at: Instant::ZERO,
            journal: Vec::new(),
            error: None,
        }
    }

    /// Records what the node did since the last call; the first call starts the node's journal.
    ///
    /// The journal is written to the file when it has 64 KiB, or after a second of the node's time.
    pub fn record(&mut self, node: &mut Node) {
        if self.error.is_some() {
            return;
        }
        let Some(open) = self.segment else { return self.begin_segment(node) };
        let Some(journal) = node.journal_len() else {
            // One drive brought more than a journal may have, and the node ended it.
            self.end_segment(open, Kind::Gap, node.now());
            return self.begin_segment(node);
        };
        let after = open.len + (2 * BLOCK + journal) as u64;
        let full = after + self.reserve() > self.header.slot;
        let old = self
            .limits
            .time
            .is_some_and(|time| node.now().since(open.began) >= time / (SLOTS as u32 - 1));
        if !full && !old && journal < FLUSH_LEN && node.now().since(open.written) < FLUSH_INTERVAL {
            return;
        }
        if after > self.header.slot {
            self.end_segment(open, Kind::Gap, node.now());
            return self.begin_segment(node);
        }
        self.write_journal(open, node);
        if let (Some(open), true) = (self.segment, full || old) {
            if node.journal_len() == Some(0) {
                self.end_segment(open, Kind::Continued, node.now());
                self.begin_segment(node);
            }
        }
    }

    /// A copy of a recording that is in memory, up to the last [`record`](Self::record), for
    /// [`Recording::read`](crate::Recording::read); `None` if it is in a file, or has ended early.
    pub fn recent(&mut self, node: &mut Node) -> Option<Vec<u8>> {
        if self.error.is_some() || matches!(self.writer, Writer::File(_)) {
            return None;
        }
        if let (Some(open), Some(journal)) = (self.segment, node.journal_len()) {
            let after = open.len + (2 * BLOCK + journal) as u64;
            if journal > 0 && after <= self.header.slot {
                self.write_journal(open, node);
            }
        }
        match &self.writer {
            Writer::Memory(memory) => Some(memory.clone()),
            Writer::File(_) => None,
        }
    }

    /// Ends the recording and the node's journal, without blocking.
    ///
    /// [`Finishing::wait`] returns when the file is complete.
    pub fn finish(mut self, node: &mut Node) -> Finishing {
        let open = self.segment.or(self.truncated);
        if let (None, Some(open)) = (&self.error, open) {
            self.journal.clear();
            node.take_journal(&mut self.journal);
            let after = open.len + (2 * BLOCK + self.journal.len()) as u64;
            let complete = self.segment.is_some() && after <= self.header.slot;
            let mut bytes = Vec::new();
            let block = |kind| Block { kind, segment: open.number, until: node.now() };
            if complete {
                block(Kind::Journal).write(&mut bytes, &self.journal);
            }
            block(if complete { Kind::End } else { Kind::Gap }).write(&mut bytes, &[]);
            self.writer.submit_last(self.header.offset(open.number) + open.len, bytes);
        }
        node.stop_journal();
        Finishing { writer: self.writer, error: self.error }
    }

    /// Why the recording has ended early; `None` while it runs.
    pub fn error(&self) -> Option<&RecordError> {
        self.error.as_ref()
    }

    /// Begins the next segment with a checkpoint of the node.
    fn begin_segment(&mut self, node: &mut Node) {
        self.segment = None;
        if node.now() < self.retry_at {
            return;
        }
        let mut checkpoint = Vec::new();
        node.start_journal(&mut checkpoint);
        let needed = (checkpoint.len() + 3 * BLOCK) as u64 + self.reserve();
        if needed > self.header.slot {
            // Half as much again, for members that join later.
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
        if self.submit(self.header.offset(number), bytes, node) {
            self.next += 1;
            self.truncated = None;
            self.segment = Some(OpenSegment { number, began: now, len, written: now });
        } else {
            node.stop_journal();
            self.retry_at = now + FLUSH_INTERVAL;
        }
    }

    fn write_journal(&mut self, open: OpenSegment, node: &mut Node) {
        let mut journal = core::mem::take(&mut self.journal);
        journal.clear();
        node.take_journal(&mut journal);
        let mut bytes = Vec::with_capacity(journal.len() + 2 * BLOCK);
        let block = |kind| Block { kind, segment: open.number, until: node.now() };
        block(Kind::Journal).write(&mut bytes, &journal);
        let len = open.len + bytes.len() as u64;
        block(Kind::End).write(&mut bytes, &[]);
        self.journal = journal;
        if self.submit(self.header.offset(open.number) + open.len, bytes, node) {
            self.segment = Some(OpenSegment { len, written: node.now(), ..open });
        } else if self.error.is_none() {
            // This part of the journal is lost; a new segment begins.
            (self.segment, self.truncated) = (None, Some(open));
        }
    }

    /// Writes how a segment ends.
    fn end_segment(&mut self, open: OpenSegment, kind: Kind, until: Instant) {
        let mut bytes = Vec::new();
        Block { kind, segment: open.number, until }.write(&mut bytes, &[]);
        drop(self.writer.submit(self.header.offset(open.number) + open.len, bytes));
    }

    /// Submits a write; `false` if it is dropped.
    fn submit(&mut self, offset: u64, bytes: Vec<u8>, node: &mut Node) -> bool {
        match self.writer.submit(offset, bytes) {
            Submitted::Queued => true,
            Submitted::QueueFull => false,
            Submitted::Failed(error) => {
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

    /// The bytes of a slot that are kept free for the journal of one drive.
    fn reserve(&self) -> u64 {
        (self.header.slot / 8).min(FLUSH_LEN as u64)
    }
}

/// A recording that has ended, and whose last bytes are being written.
///
/// Dropping it waits for them, as [`wait`](Self::wait) does.
#[derive(Debug)]
pub struct Finishing {
    writer: Writer,
    error: Option<RecordError>,
}

impl Finishing {
    /// Waits until the file is complete.
    ///
    /// # Errors
    ///
    /// If the recording ended early, or the last bytes could not be written.
    pub fn wait(mut self) -> Result<(), RecordError> {
        let written = self.writer.end().map_err(RecordError::Write);
        self.error.map_or(written, Err)
    }
}

/// Checks that the limits are in their range.
fn check(limits: Limits) -> Result<(), RecordError> {
    match limits.bytes {
        MIN_BYTES..=MAX_BYTES => Ok(()),
        bytes => Err(RecordError::SizeOutOfRange(bytes)),
    }
}

/// Renames an existing recording to its name with `.old`.
fn keep_old(path: &Path) -> Result<(), RecordError> {
    let error = |error| RecordError::File { path: path.into(), error };
    let mut there = match File::open(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.map_err(error)?,
    };
    let mut magic = [0; MAGIC.len()];
    if there.read_exact(&mut magic).is_err() || magic != MAGIC {
        return Err(RecordError::NotARecording(path.into()));
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    fs::rename(path, old).map_err(error)
}

/// Creates a file that only its owner can read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A recording could not be made, or has ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// [`Limits::bytes`] is out of range.
    SizeOutOfRange(u64),
    /// The path is an existing file that is not a recording.
    NotARecording(PathBuf),
    /// The file cannot be created.
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A checkpoint of the node does not fit a segment.
    TooSmall {
        /// The value of [`Limits::bytes`].
        bytes: u64,
        /// A value that is large enough.
        needed: u64,
    },
    /// The file cannot be written to.
    Write(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SizeOutOfRange(bytes) => write!(
                f,
                "a recording cannot have {bytes} bytes; {MIN_BYTES} (64 KiB) to {MAX_BYTES} (16 \
                 GiB) are allowed"
            ),
            Self::NotARecording(path) => {
                write!(f, "{} exists and is not a recording; it is not overwritten", path.display())
            }
            Self::File { path, error } => write!(f, "cannot record to {}: {error}", path.display()),
            Self::TooSmall { bytes, needed } => write!(
                f,
                "a checkpoint of the node does not fit a recording of {bytes} bytes; allow \
                 {needed} bytes"
            ),
            Self::Write(error) => write!(f, "the recording has ended early: {error}"),
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

/// The least value of [`Limits::bytes`].
const MIN_BYTES: u64 = 64 << 10;
/// The greatest value of [`Limits::bytes`].
const MAX_BYTES: u64 = 16 << 30;
/// A journal of this length is written at once, in bytes.
const FLUSH_LEN: usize = 64 << 10;
/// A shorter journal is written after this time; a retry after a slow disk waits for it, too.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
