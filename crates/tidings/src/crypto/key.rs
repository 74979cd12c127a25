//! Keys, and the ciphers that they are for.

use crate::crypto::aead::{NONCE, Sealer};
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;
use ctutils::CtEq;
use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

/// The cipher of a key.
///
/// The first two have nonces of 192 bits, because the nodes of a cluster share a key and draw
/// nonces at random, for which the 96 bits of the plain ciphers are too few.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Cipher {
    /// XAES-256-GCM, as specified by C2SP; the faster one on processors with instructions for AES.
    Aes256Gcm,
    /// XChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// AES-128, -192 or -256 in Galois/counter mode with nonces of 96 bits, only for memberlist's
    /// wire format; the length of the [key](Key::memberlist) decides which.
    #[cfg(feature = "memberlist")]
    Memberlist,
}

impl Cipher {
    /// The ciphers of Tidings' own format.
    pub(crate) const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    fn from_name(name: &str) -> Option<Self> {
        #[cfg(feature = "memberlist")]
        if name == Self::Memberlist.name() {
            return Some(Self::Memberlist);
        }
        Self::ALL.into_iter().find(|cipher| cipher.name() == name)
    }

    /// Whether a key for the cipher can have `len` bytes.
    fn has_key_len(self, len: usize) -> bool {
        #[cfg(feature = "memberlist")]
        if self == Self::Memberlist {
            return matches!(len, 16 | 24 | 32);
        }
        len == 32
    }

    fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            #[cfg(feature = "memberlist")]
            Self::Memberlist => "memberlist",
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A secret key that the nodes of a cluster share, with its cipher.
///
/// As text it is `aes-256-gcm:` or `chacha20-poly1305:` and base64 of its 32 bytes; without a
/// prefix it is for AES-256-GCM. A key for memberlist's format is `memberlist:` and base64 of its
/// 16, 24 or 32 bytes. `Debug` shows the [`KeyId`] instead of the key.
///
/// Cloning is cheap: clones share their memory, which is wiped when the last one is dropped. Wiping
/// the buffer from which a key was made is up to the caller.
///
/// ```
/// use tidings::{Cipher, Key};
///
/// let key: Key = "chacha20-poly1305:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".parse()?;
/// assert_eq!(key, Key::new(Cipher::ChaCha20Poly1305, [1; 32]));
/// # Ok::<(), tidings::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct Key(Arc<Secret>);

struct Secret {
    cipher: Cipher,
    /// The key's `len` bytes, and zeros.
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
    sealer: Sealer,
}

impl Key {
    /// A key with these bytes, which should come from a cryptographic random generator.
    pub fn new(cipher: Cipher, bytes: [u8; 32]) -> Self {
        Self::from_parts(cipher, &Zeroizing::new(bytes), 32)
    }

    /// A key for memberlist's wire format: 16, 24 or 32 bytes, for AES-128, AES-192 or AES-256.
    ///
    /// # Errors
    ///
    /// If `bytes` has another length.
    #[cfg(feature = "memberlist")]
    pub fn memberlist(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let mut padded = Zeroizing::new([0; 32]);
        let fits = Cipher::Memberlist.has_key_len(bytes.len());
        let target = padded.get_mut(..bytes.len()).filter(|_| fits);
        target.ok_or(InvalidKey::Bytes)?.copy_from_slice(bytes);
        Ok(Self::from_parts(Cipher::Memberlist, &padded, bytes.len()))
    }

    fn from_parts(cipher: Cipher, bytes: &Zeroizing<[u8; 32]>, len: usize) -> Self {
        let sealer = Sealer::new(cipher, bytes, len);
        Self(Arc::new(Secret { cipher, bytes: bytes.clone(), len, sealer }))
    }

    /// The key's cipher.
    pub fn cipher(&self) -> Cipher {
        self.0.cipher
    }

    /// A short name of the key, which is not secret.
    pub fn id(&self) -> KeyId {
        // The tag of an empty message. No other message has the all-zero nonce: the probability
        // that it is drawn is negligible.
        let [a, b, c, d, ..] = self.0.sealer.encrypt(&[0; NONCE], b"tidings key id", &mut []);
        KeyId([a, b, c, d])
    }

    /// The secret key as text, which parses to the same key.
    pub fn to_text(&self) -> String {
        // One allocation: a string that moves as it grows would leave copies of the key in memory.
        let mut text = String::with_capacity(64);
        if self.0.cipher != DEFAULT_CIPHER {
            text.push_str(self.0.cipher.name());
            text.push(':');
        }
        BASE64.encode_append(&self.0.bytes[..self.0.len], &mut text);
        text
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (cipher, base64) = match text.split_once(':') {
            Some((name, base64)) => (Cipher::from_name(name).ok_or(InvalidKey::Cipher)?, base64),
            None => (DEFAULT_CIPHER, text),
        };
        // The padding is removed here, because a decoder of padded base64 also accepts padding in
        // the middle, so that one key would have several texts.
        let digits = base64.trim_end_matches('=').as_bytes();
        let padding = base64.len() - digits.len();
        let mut bytes = Zeroizing::new([0; 32]);
        let len = BASE64_NOPAD.decode_len(digits.len()).ok().filter(|&len| cipher.has_key_len(len));
        let len = len.filter(|len| padding == (3 - len % 3) % 3).ok_or(InvalidKey::Bytes)?;
        match BASE64_NOPAD.decode_mut(digits, &mut bytes[..len]) {
            Ok(_) => Ok(Self::from_parts(cipher, &bytes, len)),
            Err(_) => Err(InvalidKey::Bytes),
        }
    }
}

/// In constant time, so that the time does not reveal how much of a guess is right.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same_bytes = self.0.bytes.ct_eq(&*other.0.bytes).to_bool();
        same_bytes && (self.0.cipher, self.0.len) == (other.0.cipher, other.0.len)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("cipher", &self.0.cipher).field("id", &self.id()).finish()
    }
}

/// The cipher of a key whose text names none.
const DEFAULT_CIPHER: Cipher = Cipher::Aes256Gcm;

/// The reason why text or bytes are not a valid [`Key`]; it never contains any of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The text before the colon is not the name of a cipher.
    Cipher,
    /// The key does not have the number of bytes that its cipher needs, in base64.
    Bytes,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cipher => {
                let [one, other] = Cipher::ALL;
                write!(f, "the text before the colon is not a cipher; write {one}, {other}")?;
                f.write_str(if cfg!(feature = "memberlist") { " or memberlist" } else { "" })?;
                write!(f, ", or leave it out for {DEFAULT_CIPHER}")
            }
            Self::Bytes => f.write_str(
                "a key is 32 bytes in base64, or 16, 24 or 32 after `memberlist:`; \
                 `tidings keygen` makes one",
            ),
        }
    }
}

impl core::error::Error for InvalidKey {}

/// A short name of a key, by which people distinguish keys: eight hex digits.
///
/// It is the tag of an encryption with the key, and reveals nothing about a key that was drawn at
/// random. Two keys have the same name by chance, about once in four billion.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId([u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keyring::Keyring;
    use alloc::format;
    use alloc::string::ToString;
    use data_encoding::{HEXLOWER, HEXUPPER};
    use proptest::prelude::*;

    #[test]
    fn a_key_without_a_cipher_in_its_text_is_for_aes() {
        let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let key = Key::new(Cipher::Aes256Gcm, core::array::from_fn(|n| n as u8));
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(format!("aes-256-gcm:{text}").parse(), Ok(key.clone()));
        assert_eq!(key.to_text(), text);
    }

    #[test]
    fn an_error_about_an_invalid_key_does_not_repeat_it() {
        let digits = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for text in [
            "".into(),
            "=".into(),
            ":".into(),
            "aes-256-gcm:".into(),
            digits.into(),
            format!("{digits}=\n"),
            format!(" {digits}="),
            format!("{digits}=="),
            format!("{digits}A="),
            format!("AA=={digits}="),
            // Bits beyond the last byte, padding in the middle, digits of the URL-safe alphabet.
            format!("{}9=", &digits[..42]),
            format!("AAE={}", &digits[3..]),
            format!("{}-=", &digits[..42]),
            format!("AES-256-GCM:{digits}="),
            format!("aes-128-gcm:{digits}="),
            format!("aes-256-gcm::{digits}="),
            format!("{digits}=:"),
        ] {
            let error = text.parse::<Key>().unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("AAECAwQF"), "{text:?}: {shown}");
            }
        }
        let error = "hunter2".parse::<Key>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a key is 32 bytes in base64, or 16, 24 or 32 after `memberlist:`; \
             `tidings keygen` makes one"
        );
        let error = "rot13:hunter2".parse::<Key>().unwrap_err().to_string();
        let start =
            "the text before the colon is not a cipher; write aes-256-gcm, chacha20-poly1305";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn keys_are_equal_if_cipher_and_every_bit_are() {
        let key = Key::new(Cipher::Aes256Gcm, [1; 32]);
        assert_eq!(key, Key::new(Cipher::Aes256Gcm, [1; 32]));
        assert_ne!(key, Key::new(Cipher::ChaCha20Poly1305, [1; 32]));
        for bit in 0..256 {
            let mut bytes = [1; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(key, Key::new(Cipher::Aes256Gcm, bytes), "bit {bit}");
        }
    }

    #[test]
    fn debug_shows_the_id_of_a_key_and_not_the_key() {
        let bytes = core::array::from_fn(|n| 0xa0 + n as u8);
        for cipher in Cipher::ALL {
            let key = Key::new(cipher, bytes);
            let base64 = BASE64_NOPAD.encode(&bytes);
            for shown in [format!("{key:?}"), format!("{:?}", Keyring::new(key.clone()))] {
                assert!(shown.contains(&format!("Key {{ cipher: {cipher:?}, id: {} }}", key.id())));
                for secret in [HEXLOWER.encode(&bytes), HEXUPPER.encode(&bytes), base64.clone()] {
                    assert!(!shown.contains(&secret[..8]), "{shown}");
                }
                assert!(!shown.contains("160, 161"), "{shown}");
            }
        }
    }

    #[test]
    fn the_id_of_a_key_is_stable_and_differs_between_ciphers() {
        // People compare ids across nodes, and therefore across versions.
        let [aes, chacha] = Cipher::ALL.map(|cipher| Key::new(cipher, [1; 32]).id().to_string());
        assert_eq!([&*aes, &*chacha], ["c1d2af2c", "1512ce4b"]);
    }

    proptest! {
        #[test]
        fn the_text_of_a_key_parses_to_the_same_key(bytes: [u8; 32]) {
            for cipher in Cipher::ALL {
                let key = Key::new(cipher, bytes);
                prop_assert_eq!(key.to_text().parse(), Ok(key));
            }
        }

        #[test]
        fn a_key_has_one_text(text in "[A-Za-z0-9+/=]{43}=") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert_eq!(key.to_text(), text);
            }
        }
    }
}
