//! A running node's keys.

use crate::handle::Handle;
use std::fmt;
use tidings::{Key, Keyring, KeyringError};

/// Keys, for a node that was configured with some; [`Keyring`] tells how one is replaced.
impl Handle {
    /// The keys as they are now; `None` if the node does not encrypt.
    pub fn keyring(&self) -> Option<Keyring> {
        self.look(|node| node.keyring().cloned())
    }

    /// Accepts a further key.
    pub fn add_key(&self, key: Key) -> Result<(), KeyError> {
        self.change(|keyring| keyring.add(key))
    }

    /// Encrypts with an accepted key from now on.
    pub fn use_key(&self, key: &Key) -> Result<(), KeyError> {
        self.change(|keyring| keyring.use_key(key))
    }

    /// Accepts a key no more.
    pub fn remove_key(&self, key: &Key) -> Result<(), KeyError> {
        self.change(|keyring| keyring.remove(key))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<(), KeyringError>,
    ) -> Result<(), KeyError> {
        self.drive(|node, _| {
            let keyring = node.keyring_mut().ok_or(KeyError::NoKeyring)?;
            change(keyring).map_err(KeyError::Refused)
        })
    }
}

/// A node's keys were not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// The node was configured without any.
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
