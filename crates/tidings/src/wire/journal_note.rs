//! What a journal notes while a node handles one input.

use serde::{Deserialize, Serialize, Serializer};

/// What a node is told from outside while it takes an input, or what has to come out equal.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum JournalNote<'a> {
    /// There is no more.
    End,
    /// Whether the application admits somebody.
    Admitted(bool),
    /// What was in something that was sealed.
    Opened(#[serde(serialize_with = "octets")] &'a [u8]),
    /// That something that was sealed was not opened.
    NotOpened,
    /// The checksum of a frame before it was sealed.
    Frame(u32),
    /// The checksum of what the input returned.
    Returned(u32),
}

/// Serializes bytes as one byte string.
pub(crate) fn octets<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
