//! The ciphers that keys are for.

use core::fmt;

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
    /// wire format; the length of the [key](crate::Key::memberlist) decides which.
    #[cfg(feature = "memberlist")]
    Memberlist,
}

impl Cipher {
    /// The ciphers of Tidings' own format.
    pub(crate) const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        #[cfg(feature = "memberlist")]
        if name == Self::Memberlist.name() {
            return Some(Self::Memberlist);
        }
        Self::ALL.into_iter().find(|cipher| cipher.name() == name)
    }

    /// Whether a key for the cipher can have `len` bytes.
    pub(super) fn has_key_len(self, len: usize) -> bool {
        #[cfg(feature = "memberlist")]
        if self == Self::Memberlist {
            return matches!(len, 16 | 24 | 32);
        }
        len == 32
    }

    pub(super) fn name(self) -> &'static str {
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
