//! Reasons why a recording cannot be replayed.

use core::fmt;

/// Reason why a recording cannot be replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The recording has another format version, which is this number.
    Format(u8),
    /// The checkpoint is malformed.
    Checkpoint,
    /// The journal is malformed.
    Journal,
    /// The node has keys, which are in no checkpoint: it cannot be restored, only replayed.
    Keys,
    /// The node has keys, and this program was built without the feature `encryption`.
    Encryption,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => write!(
                f,
                "the recording is in format {format}; replay it with the version that made it"
            ),
            Self::Checkpoint => f.write_str("the checkpoint is malformed"),
            Self::Journal => f.write_str("the journal is malformed"),
            Self::Keys => f.write_str("the node has keys, so it can be replayed but not restored"),
            Self::Encryption => f.write_str(
                "the node has keys; replay it with a program built with the feature encryption",
            ),
        }
    }
}

impl core::error::Error for ReplayError {}
