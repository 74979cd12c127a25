//! A recording, as it is read.

use crate::format::{BadHeader, Block, Header, Kind, SLOTS};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tidings::Instant;

/// A recording: its segments, in order, and what is missing between them.
#[derive(Clone, Debug)]
pub struct Recording {
    header: Header,
    segments: Vec<Segment>,
    damage: Vec<Damage>,
}

/// What was recorded without a break: a state of the node, and all that came after.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segment {
    /// Which one it is, from the first one that was ever recorded.
    pub number: u64,
    /// The state with which it begins, for [`Replay`](tidings::replay::Replay).
    pub checkpoint: Vec<u8>,
    /// The journal from there on.
    pub journal: Vec<u8>,
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub until: Instant,
    /// The next segment begins with the state that the node has at the end of this one.
    pub continued: bool,
}

/// Something that was recorded and cannot be read, or was not recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// In which segment, if that is known.
    pub segment: Option<u64>,
    /// From when on something is missing; `None` if that is not known.
    pub from: Option<Instant>,
    /// Until when; `None` if that is not known, or at the end.
    pub until: Option<Instant>,
    /// Too much came at once, or the disk did not keep up: the file itself is sound.
    pub not_recorded: bool,
}

impl Recording {
    /// Reads a file.
    ///
    /// What cannot be read of it is left out, and is told by [`damage`](Self::damage).
    ///
    /// # Errors
    ///
    /// If the file cannot be read at all, or is no recording of this format.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::read(&fs::read(path).map_err(OpenError::File)?)
    }

    /// The same for a file that is in memory.
    ///
    /// # Errors
    ///
    /// If it is no recording of this format.
    pub fn read(file: &[u8]) -> Result<Self, OpenError> {
        let header = Header::read(file).map_err(|bad| match bad {
            BadHeader::Magic => OpenError::NoRecording,
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
        let (segments, damage) = in_order(found, unreadable);
        Ok(Self { header, segments, damage })
    }

    /// The version of Tidings that recorded.
    pub fn version(&self) -> &str {
        &self.header.version
    }

    /// The segments that can be read, the oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What is missing, the oldest first.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What the wall clock said at a time of the node's, if nobody has set it since the recording
    /// began.
    pub fn wall(&self, at: Instant) -> SystemTime {
        let origin = Duration::from_nanos(self.header.origin);
        SystemTime::UNIX_EPOCH + origin + at.since(Instant::ZERO)
    }

    /// The time of the node's at which the wall clock said this.
    pub fn instant(&self, wall: SystemTime) -> Instant {
        let since_1970 = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let origin = Duration::from_nanos(self.header.origin);
        Instant::ZERO + since_1970.saturating_sub(origin)
    }
}

enum Slot {
    Unused,
    Unreadable,
    Segment(Segment, End),
}

/// How a segment ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    /// It does, so far.
    Open,
    Continued,
    Gap,
    /// With something that cannot be read.
    Broken,
}

fn read_slot(file: &[u8], header: &Header, slot: u64) -> Slot {
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
    let start = header.offset(slot);
    let mut bytes = &file[place(start)..place(start.saturating_add(header.slot))];
    if bytes.is_empty() {
        return Slot::Unused;
    }
    let Some((first, checkpoint)) = Block::read(&mut bytes) else { return Slot::Unreadable };
    if first.kind != Kind::Checkpoint || first.segment % SLOTS != slot {
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

/// The segments in order, and what is missing between them.
fn in_order(
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
            // Its slot should have been taken over since.
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
        // The next one had begun.
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

/// A file is not read at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be read.
    File(io::Error),
    /// It is no recording.
    NoRecording,
    /// It is a recording in a format of another version.
    Format(u32),
    /// It is a recording whose beginning is damaged.
    Header,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::NoRecording => f.write_str("it is no recording"),
            Self::Format(format) => write!(
                f,
                "it is a recording in format {format}; read it with the version that made it"
            ),
            Self::Header => f.write_str("the beginning of the recording is damaged"),
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
