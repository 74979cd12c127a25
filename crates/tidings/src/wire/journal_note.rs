//! Notes that a journal keeps while a node handles one input.

#[cfg(feature = "encryption")]
use super::postcard::encode;
#[cfg(feature = "encryption")]
use alloc::vec::Vec;
use serde::{Deserialize, Serialize, Serializer};

/// Outside information that a node used while it handled an input, or a checksum to compare in
/// replay.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum JournalNote<'a> {
    /// The last note of an input.
    End,
    /// Whether the application admitted a member.
    Admitted(bool),
    /// The plaintext of a sealed message.
    Opened(#[serde(serialize_with = "octets")] &'a [u8]),
    /// A sealed message did not open.
    NotOpened,
    /// The checksum of a frame before it was sealed.
    Frame(u32),
    /// The checksum of the value that the input's method returned.
    Returned(u32),
}

/// Serializes bytes as one byte string.
pub(crate) fn octets<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Notes about sealing and opening: for the journal, and for a replay, which has no keys.
#[cfg(feature = "encryption")]
#[derive(Debug, Default)]
pub(crate) struct CryptoNotes {
    /// The content of the next sealed message, in a replay.
    pub(super) script: Option<Vec<u8>>,
    /// The outcomes of sealing and opening, if a journal is kept.
    pub(super) notes: Option<Vec<u8>>,
}

#[cfg(feature = "encryption")]
impl CryptoNotes {
    pub(super) fn new() -> Self {
        Self { script: None, notes: None }
    }

    /// Notes a frame before it is sealed.
    pub(super) fn note_frame(&mut self, frame: &[u8]) {
        if let Some(notes) = &mut self.notes {
            encode(notes, &JournalNote::Frame(crc32fast::hash(frame)));
        }
    }

    /// Notes what was opened, or that it was not.
    pub(super) fn note_opened(&mut self, opened: Option<&[u8]>) {
        if let Some(notes) = &mut self.notes {
            encode(notes, &opened.map_or(JournalNote::NotOpened, JournalNote::Opened));
        }
    }

    /// Opens without keys: what the journal says that came of it.
    pub(super) fn open_by_script(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let opened = self.script.take();
        out.extend_from_slice(opened.as_deref().unwrap_or_default());
        opened.is_some()
    }
}
