//! Keyrings: the keys of a node, and how one is replaced while a cluster runs.

use crate::crypto::key::{Cipher, Key, KeyId};
use alloc::vec::Vec;
use core::fmt;

/// The keys of a node: the primary one, with which it seals, and those that it accepts besides.
///
/// A key is replaced while the cluster runs in three steps. Each is done at all nodes before the
/// next one begins, and no message is lost on the way:
///
/// 1. [`add`](Self::add) the new key: all can open what is sealed with it.
/// 2. [`use_key`](Self::use_key) it: all seal with it.
/// 3. [`remove`](Self::remove) the old key: what is sealed with it is turned away.
///
/// The same changes a cluster's cipher, which is part of the key.
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
    /// The primary one, then the others in the order in which they are tried; none is there twice.
    keys: Vec<Key>,
}

impl Keyring {
    /// The most keys that one holds.
    ///
    /// What nobody sealed is tried with each of them before it is turned away.
    pub const MAX_KEYS: usize = 16;

    /// One key, to seal with and to accept.
    pub fn new(primary: Key) -> Self {
        Self { keys: [primary].into() }
    }

    /// The same with a further key that is accepted.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn with_key(mut self, key: Key) -> Result<Self, KeyringError> {
        self.add(key)?;
        Ok(self)
    }

    /// The key with which is sealed.
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// All keys that are accepted, in the order in which they are tried: the primary one first.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// Accepts a further key; one that is there already stays where it is.
    ///
    /// # Errors
    ///
    /// If there are [`MAX_KEYS`](Self::MAX_KEYS) others, or if one is a key of memberlist's and the other
    /// one is not.
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

    /// Makes an accepted key the primary one; the one that was stays accepted, and is tried next.
    ///
    /// # Errors
    ///
    /// If the key is not accepted.
    pub fn use_key(&mut self, key: &Key) -> Result<(), KeyringError> {
        let at = self.position(key)?;
        self.keys[..=at].rotate_right(1);
        Ok(())
    }

    /// Accepts a key no more.
    ///
    /// # Errors
    ///
    /// If the key is the primary one, or is not accepted anyway.
    pub fn remove(&mut self, key: &Key) -> Result<(), KeyringError> {
        match self.position(key)? {
            0 => Err(KeyringError::Primary { id: key.id() }),
            at => {
                self.keys.remove(at);
                Ok(())
            }
        }
    }

    /// Whether its keys are for memberlist's wire format; all are, or none.
    pub(crate) fn is_memberlist(&self) -> bool {
        !Cipher::ALL.contains(&self.primary().cipher())
    }

    fn position(&self, key: &Key) -> Result<usize, KeyringError> {
        let at = self.keys.iter().position(|held| held == key);
        at.ok_or_else(|| KeyringError::Absent { id: key.id() })
    }
}

/// Why a [`Keyring`] was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyringError {
    /// It holds as many keys as it can.
    Full,
    /// Keys of memberlist's and others do not go into one keyring.
    Mixed,
    /// It does not hold this key.
    Absent {
        /// The key's name.
        id: KeyId,
    },
    /// It seals with this key.
    Primary {
        /// The key's name.
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
    fn a_key_is_replaced_in_three_steps() {
        let [a, b, c] = keys();
        let mut keyring = Keyring::new(a.clone()).with_key(b.clone()).unwrap();
        keyring.add(c.clone()).unwrap();
        assert_eq!(keyring.primary(), &a, "it is not used before all others have it");
        keyring.use_key(&c).unwrap();
        assert_eq!(keyring.primary(), &c);
        assert!(keyring.keys().eq([&c, &a, &b]), "what others still seal with is tried next");
        keyring.remove(&a).unwrap();
        assert!(keyring.keys().eq([&c, &b]));
    }

    #[test]
    fn steps_taken_twice_or_out_of_order_change_nothing() {
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
        assert_eq!(keyring.add(key(15)), Ok(()), "it is there already");
        assert!(keyring.with_key(key(16)).is_err());
    }

    #[test]
    fn errors_say_what_to_do_first() {
        let [a, b, _] = keys();
        let mut keyring = Keyring::new(a.clone());
        let said = |error: KeyringError| alloc::format!("{error}");
        let (a_id, b_id) = (a.id(), b.id());
        let error = keyring.remove(&a).unwrap_err();
        assert_eq!(
            said(error),
            alloc::format!("key {a_id} is the primary key; make another one primary first")
        );
        let error = keyring.use_key(&b).unwrap_err();
        let expected = alloc::format!("the keyring does not hold key {b_id}; add it first");
        assert_eq!(said(error), expected);
        let full = "the keyring has 16 keys and may have 16; remove one first";
        assert_eq!(said(KeyringError::Full), full);
    }

    fn keys() -> [Key; 3] {
        [1, 2, 3].map(|byte| Key::new(Cipher::Aes256Gcm, [byte; 32]))
    }
}
