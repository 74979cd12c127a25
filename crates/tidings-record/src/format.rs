//! The file format: a header, then slots of equal size; each slot has the blocks of one segment.

use tidings::Instant;

/// The file header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// The size of a slot, in bytes.
    pub(crate) slot: u64,
    /// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970.
    pub(crate) origin: u64,
    /// The version of Tidings that made the recording.
    pub(crate) version: String,
}

impl Header {
    pub(crate) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.slot.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.origin.to_le_bytes());
        let version = self.version.as_bytes();
        let len = version.len().min(VERSION);
        bytes[28..28 + len].copy_from_slice(&version[..len]);
        let checksum = crc32fast::hash(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn read(file: &[u8]) -> Result<Self, BadHeader> {
        if !file.starts_with(&MAGIC) {
            return Err(BadHeader::Magic);
        }
        let bytes = file.get(..HEADER).ok_or(BadHeader::Damaged)?;
        let (fields, checksum) = bytes.split_at(HEADER - 4);
        if crc32fast::hash(fields).to_le_bytes() != checksum {
            return Err(BadHeader::Damaged);
        }
        let format = u32::from_le_bytes(array(bytes, 8));
        if format != FORMAT {
            return Err(BadHeader::Format(format));
        }
        let version = bytes[28..28 + VERSION].split(|&byte| byte == 0).next().unwrap_or_default();
        let slot = u64::from_le_bytes(array(bytes, 12));
        if !(2 * BLOCK as u64..=MAX_SLOT).contains(&slot) {
            return Err(BadHeader::Damaged);
        }
        Ok(Self {
            slot,
            origin: u64::from_le_bytes(array(bytes, 20)),
            version: String::from_utf8_lossy(version).into_owned(),
        })
    }

    /// The file offset of a segment's slot, in bytes.
    pub(crate) fn offset(&self, segment: u64) -> u64 {
        HEADER as u64 + segment % SLOTS * self.slot
    }
}

/// The longest slot that a header may state, 16 TiB: offsets in the file do not overflow.
const MAX_SLOT: u64 = 1 << 44;
/// The highest number of a segment: no recording has as many.
pub(crate) const MAX_SEGMENT: u64 = 1 << 62;

/// Why a file header is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadHeader {
    /// The file does not begin with [`MAGIC`].
    Magic,
    /// The file has another format version.
    Format(u32),
    /// The checksum does not match, or the header is cut short.
    Damaged,
}

/// The kind of a block: its payload, or how its segment ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A checkpoint of the node; the first block of each segment.
    Checkpoint = 0,
    /// A part of the journal.
    Journal = 1,
    /// No payload: the end of the recording so far; the next block overwrites it.
    End = 2,
    /// No payload: the next segment continues from exactly this state.
    Continued = 3,
    /// No payload: inputs between this segment and the next were not recorded.
    Gap = 4,
}

/// A block's header; the payload follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) segment: u64,
    /// The node's clock at the end of the block.
    pub(crate) until: Instant,
}

impl Block {
    pub(crate) fn write(&self, out: &mut Vec<u8>, payload: &[u8]) {
        let start = out.len();
        let len = u32::try_from(payload.len()).expect("a slot has at most 4 GiB");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(self.kind as u32).to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.until.as_nanos().to_le_bytes());
        let checksum = checksum(&out[start..], payload);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(payload);
    }

    /// Decodes a block and advances `bytes` past it; `None` if it is incomplete or damaged.
    pub(crate) fn read<'a>(bytes: &mut &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(BLOCK)?;
        let len = usize::try_from(u32::from_le_bytes(array(head, 0))).ok()?;
        let (payload, rest) = rest.split_at_checked(len)?;
        if u32::from_le_bytes(array(head, BLOCK - 4)) != checksum(&head[..BLOCK - 4], payload) {
            return None;
        }
        let kinds = [Kind::Checkpoint, Kind::Journal, Kind::End, Kind::Continued, Kind::Gap];
        let kind = u32::from_le_bytes(array(head, 4));
        let block = Self {
            kind: kinds.into_iter().find(|&known| known as u32 == kind)?,
            segment: u64::from_le_bytes(array(head, 8)),
            until: Instant::from_nanos(u64::from_le_bytes(array(head, 16))),
        };
        *bytes = rest;
        Some((block, payload))
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

/// The number of slots in a file.
pub(crate) const SLOTS: u64 = 4;
/// The length of the file header, in bytes.
pub(crate) const HEADER: usize = 64;
/// The length of a block's header, in bytes.
pub(crate) const BLOCK: usize = 28;

/// The first bytes of each recording.
pub(crate) const MAGIC: [u8; 8] = *b"TIDINGSR";
/// The version of the file format.
const FORMAT: u32 = 1;
/// The space for the version string, in bytes.
const VERSION: usize = 32;
