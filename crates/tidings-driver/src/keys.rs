//! Errors of a change of a running node's keys.

use std::fmt;
use tidings::KeyringError;

/// The reason why a node's keys were not changed.
///
/// Exhaustive on purpose: there is a keyring, which decides, or there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// The node was started without keys.
    NoKeyring,
    /// The keyring does not allow it.
    Refused(KeyringError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyring => f.write_str("the node does not encrypt; start it with a key"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyError {}
