//! Reads a recording file: its segments, and what is damaged or missing.

use crate::format::{BadHeader, Block, Header, Kind, MAX_SEGMENT, SLOTS};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tidings::Instant;

/// A recording that was read from a file: its segments in order, and the damage between them.
#[derive(Clone, Debug)]
pub struct Recording {
    header: Header,
    segments: Vec<Segment>,
    damage: Vec<Damage>,
}

/// An uninterrupted part of a recording: a checkpoint of the node, and the journal after it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segment {
    /// The segment's number, counted from 0 when the recording began.
    pub number: u64,
    /// The state of the node at the start, for [`Replay`](tidings::replay::Replay).
    pub checkpoint: Vec<u8>,
    /// The inputs of the node after the checkpoint, for [`Replay`](tidings::replay::Replay).
    pub journal: Vec<u8>,
    /// The start, on the node's clock.
    pub from: Instant,
    /// The end, on the node's clock.
    pub until: Instant,
    /// Whether the next segment begins with exactly the state at the end of this one.
    pub continued: bool,
}

/// A part of a recording that cannot be read, or that was not recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The damaged segment, if known.
    pub segment: Option<u64>,
    /// The start of the missing part, on the node's clock; `None` if unknown.
    pub from: Option<Instant>,
    /// The end of the missing part; `None` if unknown, or at the end of the recording.
    pub until: Option<Instant>,
    /// Whether the part was never recorded, because one drive brought too much or the disk was too
    /// slow; the file itself is not damaged then.
    pub not_recorded: bool,
}

impl Recording {
    /// Reads a recording file.
    ///
    /// Parts that cannot be read are left out; [`damage`](Self::damage) lists them.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a recording, or has another format version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::read(&fs::read(path).map_err(OpenError::File)?)
    }

    /// Decodes a recording file that is in memory.
    ///
    /// # Errors
    ///
    /// If the bytes are not a recording, or have another format version.
    pub fn read(file: &[u8]) -> Result<Self, OpenError> {
        let header = Header::read(file).map_err(|bad| match bad {
            BadHeader::Magic => OpenError::NotARecording,
            BadHeader::Format(format) => OpenError::Format(format),
            BadHeader::Damaged => OpenError::Header,
        })?;
        let mut found = BTreeMap::new();
        let mut unreadable = 0;
        for slot in 0..SLOTS {
            match read_slot(file, &header, slot) {
                Slot::Unused => {}
                Slot::Unreadable => unreadable += 1,
                Slot::Segment(segment, end) => {
                    found.insert(segment.number, (segment, end));
                }
            }
        }
        let (segments, damage) = order_segments(found, unreadable);
        Ok(Self { header, segments, damage })
    }

    /// The version of Tidings that made the recording.
    pub fn version(&self) -> &str {
        &self.header.version
    }

    /// The segments that can be read, oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The damaged and missing parts, oldest first.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Converts a time on the node's clock to wall-clock time.
    ///
    /// The recording has the wall clock's reading at its start only, and the node's clock is
    /// monotonic: the result ignores later changes of the wall clock.
    pub fn wall(&self, at: Instant) -> SystemTime {
        let origin = Duration::from_nanos(self.header.origin);
        SystemTime::UNIX_EPOCH + origin + at.since(Instant::ZERO)
    }

    /// Converts a wall-clock time to a time on the node's clock, the inverse of
    /// [`wall`](Self::wall).
    pub fn instant(&self, wall: SystemTime) -> Instant {
        let since_1970 = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let origin = Duration::from_nanos(self.header.origin);
        Instant::ZERO + since_1970.saturating_sub(origin)
    }
}

/// A decoded slot.
enum Slot {
    Unused,
    Unreadable,
    Segment(Segment, End),
}

/// How a segment ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    /// At the end of the recording so far.
    Open,
    Continued,
    Gap,
    /// At a block that cannot be read.
    Broken,
}

fn read_slot(file: &[u8], header: &Header, slot: u64) -> Slot {
    let clamp = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
    let start = header.offset(slot);
    let mut bytes = &file[clamp(start)..clamp(start.saturating_add(header.slot))];
    if bytes.is_empty() {
        return Slot::Unused;
    }
    let Some((first, checkpoint)) = Block::read(&mut bytes) else { return Slot::Unreadable };
    let is_placed = first.segment % SLOTS == slot && first.segment <= MAX_SEGMENT;
    if first.kind != Kind::Checkpoint || !is_placed {
        return Slot::Unreadable;
    }
    let mut segment = Segment {
        number: first.segment,
        checkpoint: checkpoint.into(),
        journal: Vec::new(),
        from: first.until,
        until: first.until,
        continued: false,
    };
    let end = loop {
        let block = Block::read(&mut bytes).filter(|(block, _)| block.segment == first.segment);
        match block {
            Some((Block { kind: Kind::Journal, until, .. }, journal)) => {
                segment.journal.extend_from_slice(journal);
                segment.until = until;
            }
            Some((Block { kind: Kind::End, .. }, [])) => break End::Open,
            Some((Block { kind: Kind::Continued, .. }, [])) => break End::Continued,
            Some((Block { kind: Kind::Gap, .. }, [])) => break End::Gap,
            _ => break End::Broken,
        }
    };
    Slot::Segment(segment, end)
}

/// Sorts the segments, and finds the missing parts between them.
fn order_segments(
    found: BTreeMap<u64, (Segment, End)>,
    mut unreadable: usize,
) -> (Vec<Segment>, Vec<Damage>) {
    let (mut segments, mut damage) = (Vec::<Segment>::new(), Vec::new());
    let latest = found.keys().next_back().copied();
    let oldest = latest.map_or(0, |latest| (latest + 1).saturating_sub(SLOTS));
    let mut expected = oldest;
    let mut last_end = None;
    for (number, (segment, end)) in found {
        if number < oldest {
            // A newer segment should have overwritten its slot.
            continue;
        }
        let before = segments.last().map(|segment| segment.until);
        for missing in expected..number {
            unreadable = unreadable.saturating_sub(1);
            let (from, until) = (before, Some(segment.from));
            damage.push(Damage { segment: Some(missing), from, until, not_recorded: false });
        }
        if number == expected {
            let lost = |not_recorded| Damage {
                segment: number.checked_sub(1),
                from: before,
                until: Some(segment.from),
                not_recorded,
            };
            match last_end {
                Some(End::Gap | End::Open) => damage.push(lost(true)),
                Some(End::Broken) => damage.push(lost(false)),
                _ => {}
            }
        }
        if let (Some(last), Some(End::Continued)) = (segments.last_mut(), last_end) {
            last.continued = number == expected;
        }
        expected = number + 1;
        last_end = Some(end);
        segments.push(segment);
    }
    let after = segments.last().map(|segment| segment.until);
    let not_recorded = last_end == Some(End::Gap);
    let at_end = |segment| Damage { segment, from: after, until: None, not_recorded };
    match last_end {
        Some(End::Broken) => damage.push(at_end(latest)),
        // The next segment had begun.
        Some(End::Continued | End::Gap) => {
            unreadable = unreadable.saturating_sub(1);
            damage.push(at_end(latest.map(|latest| latest + 1)));
        }
        Some(End::Open) | None => {}
    }
    damage.extend((0..unreadable).map(|_| Damage {
        segment: None,
        from: None,
        until: None,
        not_recorded: false,
    }));
    (segments, damage)
}

/// A recording could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    File(io::Error),
    /// The file is not a recording.
    NotARecording,
    /// The recording has this format version, which this version of the crate does not read.
    Format(u32),
    /// The file header is damaged.
    Header,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::NotARecording => f.write_str("not a Tidings recording"),
            Self::Format(format) => write!(
                f,
                "the recording has format version {format}; read it with the version of Tidings \
                 that made it"
            ),
            Self::Header => f.write_str("the header of the recording is damaged"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}
