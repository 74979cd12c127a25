//! Notes that a journal keeps while a node handles one input.

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
