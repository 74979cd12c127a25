//! Keyrings: the keys of a node, and their rotation in a running cluster.

use crate::crypto::key::{Cipher, Key, KeyId};
use alloc::vec::Vec;
use core::fmt;

/// The keys of a node: the primary key, with which it seals, and further keys that it accepts.
///
/// A key is rotated in a running cluster in three steps. Each step is completed at all nodes before
/// the next one, and no message is lost:
///
/// 1. [`add`](Self::add) the new key: each node opens messages that are sealed with it.
/// 2. [`use_key`](Self::use_key): each node seals with it.
/// 3. [`remove`](Self::remove) the old key: messages that are sealed with it are dropped.
///
/// The cipher is part of the key, and changes in the same way.
///
/// ```
/// use tidings::{Cipher, Key, Keyring};
///
/// let [old, new] = [1, 2].map(|byte| Key::new(Cipher::Aes256Gcm, [byte; 32]));
/// let mut keyring = Keyring::new(old.clone());
/// keyring.add(new.clone())?;
/// keyring.use_key(&new)?;
/// keyring.remove(&old)?;
/// assert_eq!(keyring.primary(), &new);
/// # Ok::<(), tidings::KeyringError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring {
    /// The primary key, then the others in the order in which they are tried; no duplicates.
    keys: Vec<Key>,
}

impl Keyring {
    /// The largest number of keys in a keyring.
    ///
    /// It bounds the cost of a forged message, which is tried with each key before it is dropped.
    pub const MAX_KEYS: usize = 16;

    /// A keyring with one key, the primary one.
    pub fn new(primary: Key) -> Self {
        Self { keys: [primary].into() }
    }

    /// Adds a key that is accepted, and returns the keyring.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn with_key(mut self, key: Key) -> Result<Self, KeyringError> {
        self.add(key)?;
        Ok(self)
    }

    /// The primary key, with which the node seals.
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// All keys, in the order in which they are tried: the primary key first.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// Adds a key that is accepted; one that is already in the keyring stays where it is.
    ///
    /// # Errors
    ///
    /// If the keyring has [`MAX_KEYS`](Self::MAX_KEYS), or if only one of the key and the keyring
    /// is for memberlist's format.
    pub fn add(&mut self, key: Key) -> Result<(), KeyringError> {
        if self.keys.contains(&key) {
            return Ok(());
        }
        if self.keys.len() >= Self::MAX_KEYS {
            return Err(KeyringError::Full);
        }
        if Self::new(key.clone()).is_memberlist() != self.is_memberlist() {
            return Err(KeyringError::Mixed);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Makes a key of the keyring the primary one; the former primary key stays, and is tried next.
    ///
    /// # Errors
    ///
    /// If the key is not in the keyring.
    pub fn use_key(&mut self, key: &Key) -> Result<(), KeyringError> {
        let at = self.position(key)?;
        self.keys[..=at].rotate_right(1);
        Ok(())
    }

    /// Removes a key.
    ///
    /// # Errors
    ///
    /// If the key is the primary one, or is not in the keyring.
    pub fn remove(&mut self, key: &Key) -> Result<(), KeyringError> {
        match self.position(key)? {
            0 => Err(KeyringError::Primary { id: key.id() }),
            at => {
                self.keys.remove(at);
                Ok(())
            }
        }
    }

    /// Whether the keys are for memberlist's wire format; all are, or none.
    pub(crate) fn is_memberlist(&self) -> bool {
        !Cipher::ALL.contains(&self.primary().cipher())
    }

    fn position(&self, key: &Key) -> Result<usize, KeyringError> {
        let at = self.keys.iter().position(|held| held == key);
        at.ok_or_else(|| KeyringError::Absent { id: key.id() })
    }
}

/// The reason why a [`Keyring`] was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyringError {
    /// The keyring has [`MAX_KEYS`](Keyring::MAX_KEYS).
    Full,
    /// Keys for memberlist's format and others cannot be in one keyring.
    Mixed,
    /// The key is not in the keyring.
    Absent {
        /// The id of the key.
        id: KeyId,
    },
    /// The key is the primary one.
    Primary {
        /// The id of the key.
        id: KeyId,
    },
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => {
                write!(
                    f,
                    "the keyring has {0} keys and may have {0}; remove one first",
                    Keyring::MAX_KEYS
                )
            }
            Self::Mixed => f.write_str(
                "one keyring cannot hold memberlist's keys and others; use two keyrings",
            ),
            Self::Absent { id } => write!(f, "the keyring does not hold key {id}; add it first"),
            Self::Primary { id } => {
                write!(f, "key {id} is the primary key; make another one primary first")
            }
        }
    }
}

impl core::error::Error for KeyringError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_rotated_in_three_steps() {
        let [a, b, c] = keys();
        let mut keyring = Keyring::new(a.clone()).with_key(b.clone()).unwrap();
        keyring.add(c.clone()).unwrap();
        assert_eq!(keyring.primary(), &a, "a key that is only added is not used");
        keyring.use_key(&c).unwrap();
        assert_eq!(keyring.primary(), &c);
        assert!(keyring.keys().eq([&c, &a, &b]), "the former primary key is tried next");
        keyring.remove(&a).unwrap();
        assert!(keyring.keys().eq([&c, &b]));
    }

    #[test]
    fn repeated_steps_and_steps_out_of_order_change_nothing() {
        let [a, b, c] = keys();
        let mut keyring = Keyring::new(a.clone()).with_key(b.clone()).unwrap();
        assert_eq!(keyring.add(a.clone()), Ok(()));
        assert_eq!(keyring.add(b.clone()), Ok(()));
        assert_eq!(keyring.use_key(&a), Ok(()));
        assert_eq!(keyring.use_key(&c), Err(KeyringError::Absent { id: c.id() }));
        assert_eq!(keyring.remove(&c), Err(KeyringError::Absent { id: c.id() }));
        assert_eq!(keyring.remove(&a), Err(KeyringError::Primary { id: a.id() }));
        assert!(keyring.keys().eq([&a, &b]));
    }

    #[test]
    fn a_keyring_has_a_limit() {
        let key = |byte| Key::new(Cipher::ChaCha20Poly1305, [byte; 32]);
        let mut keyring = Keyring::new(key(0));
        for byte in 1..16 {
            keyring.add(key(byte)).unwrap();
        }
        assert_eq!(keyring.keys().len(), Keyring::MAX_KEYS);
        assert_eq!(keyring.add(key(16)), Err(KeyringError::Full));
        assert_eq!(keyring.add(key(15)), Ok(()), "the key is already in the keyring");
        assert!(keyring.with_key(key(16)).is_err());
    }

    #[test]
    fn errors_name_the_step_to_do_first() {
        let [a, b, _] = keys();
        let mut keyring = Keyring::new(a.clone());
        let text = |error: KeyringError| alloc::format!("{error}");
        let (a_id, b_id) = (a.id(), b.id());
        let error = keyring.remove(&a).unwrap_err();
        assert_eq!(
            text(error),
            alloc::format!("key {a_id} is the primary key; make another one primary first")
        );
        let error = keyring.use_key(&b).unwrap_err();
        let expected = alloc::format!("the keyring does not hold key {b_id}; add it first");
        assert_eq!(text(error), expected);
        let full = "the keyring has 16 keys and may have 16; remove one first";
        assert_eq!(text(KeyringError::Full), full);
    }

    fn keys() -> [Key; 3] {
        [1, 2, 3].map(|byte| Key::new(Cipher::Aes256Gcm, [byte; 32]))
    }
}
