//! Keys: what messages are sealed with.

use crate::crypto::aead::{NONCE, Sealer};
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;
use ctutils::CtEq;
use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

/// What a key encrypts with.
///
/// The first two are used with a nonce of 192 bits: the nodes of a cluster share a key and draw their
/// nonces at random, for which the 96 bits that both ciphers have by themselves are too few.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Cipher {
    /// XAES-256-GCM, as specified by C2SP: the faster one where the processor has instructions for
    /// AES.
    Aes256Gcm,
    /// XChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// AES-128, -192 or -256 in Galois counter mode with nonces of 96 bits, for memberlist's wire format
    /// and only for that; the [key](Key::memberlist) says by its length which.
    #[cfg(feature = "memberlist")]
    Memberlist,
}

impl Cipher {
    /// Those of Tidings' own format.
    pub(crate) const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    fn of_name(name: &str) -> Option<Self> {
        #[cfg(feature = "memberlist")]
        if name == Self::Memberlist.name() {
            return Some(Self::Memberlist);
        }
        Self::ALL.into_iter().find(|cipher| cipher.name() == name)
    }

    /// Whether a key of so many bytes is one for it.
    fn takes(self, len: usize) -> bool {
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

/// A secret that the nodes of a cluster share, and the cipher that it is for.
///
/// As text it is base64 of its 32 bytes, after `aes-256-gcm:` or `chacha20-poly1305:`; without
/// either it is for AES-256-GCM. One for memberlist's format is that of its 16, 24 or 32 bytes after
/// `memberlist:`. `Debug` shows its [`KeyId`] and not the key.
///
/// Cloning is cheap: clones share one place in memory, which is wiped when the last of them is
/// dropped. What the caller held a key in before is the caller's to wipe.
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
    /// The first so many of them.
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
    sealer: Sealer,
}

impl Key {
    /// A key of these bytes, which should come from a generator for secrets.
    pub fn new(cipher: Cipher, bytes: [u8; 32]) -> Self {
        Self::of(cipher, &Zeroizing::new(bytes), 32)
    }

    /// A key for memberlist's wire format: 16, 24 or 32 bytes, for AES-128, AES-192 or AES-256.
    ///
    /// # Errors
    ///
    /// If there are more, or fewer, or so many in between.
    #[cfg(feature = "memberlist")]
    pub fn memberlist(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let mut padded = Zeroizing::new([0; 32]);
        let fits = Cipher::Memberlist.takes(bytes.len());
        let place = padded.get_mut(..bytes.len()).filter(|_| fits);
        place.ok_or(InvalidKey::Bytes)?.copy_from_slice(bytes);
        Ok(Self::of(Cipher::Memberlist, &padded, bytes.len()))
    }

    fn of(cipher: Cipher, bytes: &Zeroizing<[u8; 32]>, len: usize) -> Self {
        let sealer = Sealer::new(cipher, bytes, len);
        Self(Arc::new(Secret { cipher, bytes: bytes.clone(), len, sealer }))
    }

    /// What it encrypts with.
    pub fn cipher(&self) -> Cipher {
        self.0.cipher
    }

    /// A name for it that may be shown to anybody.
    pub fn id(&self) -> KeyId {
        // A tag that seals nothing else: the all-zero nonce is as good as never drawn.
        let [a, b, c, d, ..] = self.0.sealer.encrypt(&[0; NONCE], b"tidings key id", &mut []);
        KeyId([a, b, c, d])
    }

    /// The key itself as text, which is parsed back to the same key. Mind where it goes.
    pub fn to_text(&self) -> String {
        // All of it at once: a text that has to move as it grows leaves the key behind.
        let mut text = String::with_capacity(64);
        if self.0.cipher != UNNAMED {
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
            Some((name, base64)) => (Cipher::of_name(name).ok_or(InvalidKey::Cipher)?, base64),
            None => (UNNAMED, text),
        };
        // The padding is taken off here: a decoder of padded base64 takes some in the middle too,
        // and one key would have several texts.
        let digits = base64.trim_end_matches('=').as_bytes();
        let padding = base64.len() - digits.len();
        let mut bytes = Zeroizing::new([0; 32]);
        let len = BASE64_NOPAD.decode_len(digits.len()).ok().filter(|&len| cipher.takes(len));
        let len = len.filter(|len| padding == (3 - len % 3) % 3).ok_or(InvalidKey::Bytes)?;
        match BASE64_NOPAD.decode_mut(digits, &mut bytes[..len]) {
            Ok(_) => Ok(Self::of(cipher, &bytes, len)),
            Err(_) => Err(InvalidKey::Bytes),
        }
    }
}

/// In constant time: how long it takes does not tell how much of a guess is right.
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
const UNNAMED: Cipher = Cipher::Aes256Gcm;

/// Why a text was not taken as a [`Key`]; it never holds any of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// What stands before the colon names no cipher.
    Cipher,
    /// It is not 32 bytes in base64.
    Bytes,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cipher => {
                let [one, other] = Cipher::ALL;
                write!(f, "the text before the colon names no cipher; write {one}, {other}")?;
                f.write_str(if cfg!(feature = "memberlist") { " or memberlist" } else { "" })?;
                write!(f, ", or leave it out for {UNNAMED}")
            }
            Self::Bytes => f.write_str(
                "a key is 32 bytes in base64, or 16, 24 or 32 after `memberlist:`; `tidings keygen` makes one",
            ),
        }
    }
}

impl core::error::Error for InvalidKey {}

/// A short name for a key, by which people tell keys apart: eight hex digits.
///
/// It comes from encrypting with the key, and says nothing of one that was drawn at random. Two
/// keys may have the same by chance, about once in four billion.
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
    fn a_text_without_a_cipher_is_for_aes() {
        let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let key = Key::new(Cipher::Aes256Gcm, core::array::from_fn(|n| n as u8));
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(format!("aes-256-gcm:{text}").parse(), Ok(key.clone()));
        assert_eq!(key.to_text(), text);
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_repeating_it() {
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
            // Bits that no byte takes, padding in the middle, digits of the URL-safe alphabet.
            format!("{}9=", &digits[..42]),
            format!("AAE={}", &digits[3..]),
            format!("{}-=", &digits[..42]),
            format!("AES-256-GCM:{digits}="),
            format!("aes-128-gcm:{digits}="),
            format!("aes-256-gcm::{digits}="),
            format!("{digits}=:"),
        ] {
            let said = text.parse::<Key>().unwrap_err();
            for said in [said.to_string(), format!("{said:?}")] {
                assert!(!said.contains("AAECAwQF"), "{text:?}: {said}");
            }
        }
        let said = "hunter2".parse::<Key>().unwrap_err().to_string();
        assert_eq!(
            said,
            "a key is 32 bytes in base64, or 16, 24 or 32 after `memberlist:`; `tidings keygen` makes one"
        );
        let said = "rot13:hunter2".parse::<Key>().unwrap_err().to_string();
        let start =
            "the text before the colon names no cipher; write aes-256-gcm, chacha20-poly1305";
        assert!(said.starts_with(start), "{said}");
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
    fn debug_shows_the_name_of_a_key_and_not_the_key() {
        let bytes = core::array::from_fn(|n| 0xa0 + n as u8);
        for cipher in Cipher::ALL {
            let key = Key::new(cipher, bytes);
            let base64 = BASE64_NOPAD.encode(&bytes);
            for said in [format!("{key:?}"), format!("{:?}", Keyring::new(key.clone()))] {
                assert!(said.contains(&format!("Key {{ cipher: {cipher:?}, id: {} }}", key.id())));
                for secret in [HEXLOWER.encode(&bytes), HEXUPPER.encode(&bytes), base64.clone()] {
                    assert!(!said.contains(&secret[..8]), "{said}");
                }
                assert!(!said.contains("160, 161"), "{said}");
            }
        }
    }

    #[test]
    fn the_name_of_a_key_stays_the_same_and_tells_ciphers_apart() {
        // People compare names across nodes, so across versions too.
        let [aes, chacha] = Cipher::ALL.map(|cipher| Key::new(cipher, [1; 32]).id().to_string());
        assert_eq!([&*aes, &*chacha], ["c1d2af2c", "1512ce4b"]);
    }

    proptest! {
        #[test]
        fn a_text_is_parsed_to_the_same_key(bytes: [u8; 32]) {
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
