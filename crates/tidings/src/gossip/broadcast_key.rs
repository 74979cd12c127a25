//! Broadcast keys: a broadcast replaces an earlier one of the same origin with the same key.

use crate::member::{TooLong, write_bytes};
use alloc::boxed::Box;
use core::fmt;

/// Key of a broadcast, 1 to 255 bytes: a later broadcast replaces a queued one with the same key.
///
/// ```
/// use tidings::BroadcastKey;
///
/// let key = BroadcastKey::new("load")?;
/// assert_eq!(key.as_bytes(), b"load");
/// # Ok::<(), tidings::InvalidBroadcastKey>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BroadcastKey(Box<[u8]>);

impl BroadcastKey {
    /// Maximum length of a key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks and copies a key.
    ///
    /// # Errors
    ///
    /// If the key is empty, or longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, InvalidBroadcastKey> {
        let key = key.as_ref();
        let (len, max) = (key.len(), Self::MAX_LEN);
        match len {
            0 => Err(InvalidBroadcastKey::Empty),
            _ => {
                let checked = TooLong::check("the broadcast key", len, max, None);
                checked.map_err(InvalidBroadcastKey::TooLong)?;
                Ok(Self(key.into()))
            }
        }
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for BroadcastKey {
    type Error = InvalidBroadcastKey;

    fn try_from(key: &str) -> Result<Self, InvalidBroadcastKey> {
        Self::new(key)
    }
}

impl TryFrom<&[u8]> for BroadcastKey {
    type Error = InvalidBroadcastKey;

    fn try_from(key: &[u8]) -> Result<Self, InvalidBroadcastKey> {
        Self::new(key)
    }
}

/// Text if the bytes are text, otherwise escaped bytes.
impl fmt::Debug for BroadcastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(&self.0, f)
    }
}

/// Reason why bytes are not a valid [`BroadcastKey`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidBroadcastKey {
    /// The key is empty; [`Node::broadcast`](crate::Node::broadcast) sends without a key.
    Empty,
    /// The key has too many bytes.
    TooLong(TooLong),
}

impl fmt::Display for InvalidBroadcastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the broadcast key is empty; give it 1 to 255 bytes, or broadcast without a key",
            ),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl core::error::Error for InvalidBroadcastKey {}
