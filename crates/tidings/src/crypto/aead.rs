//! Sealing: authenticated encryption, so that only holders of a key can read or create a message.

use crate::crypto::key::{Cipher, Key};
use crate::crypto::keyring::Keyring;
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
#[cfg(feature = "memberlist")]
use aes_gcm::{Aes128Gcm, Aes256Gcm, aead, aes::Aes192};
use alloc::vec::Vec;
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

/// Encrypts `buf[from..]` in place, and appends the authentication tag.
///
/// `aad` (associated data) is authenticated but not part of the output. A nonce must not repeat
/// with the same key; random nonces do not.
pub(crate) fn seal(key: &Key, nonce: &[u8; NONCE], aad: &[u8], buf: &mut Vec<u8>, from: usize) {
    let tag = key.sealer().encrypt(nonce, aad, &mut buf[from..]);
    buf.extend_from_slice(&tag);
}

/// Decrypts a message that was sealed with any key of `keyring`, the primary key first; `false` if
/// none fits, or the message was altered.
///
/// The message replaces the content of `out`, which is empty after a failure.
pub(crate) fn open(
    keyring: &Keyring,
    nonce: &[u8; NONCE],
    aad: &[u8],
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let Some((ciphertext, tag)) = sealed.split_last_chunk() else { return false };
    out.resize(ciphertext.len(), 0);
    let opened = keyring.keys().any(|key| key.sealer().decrypt(nonce, aad, ciphertext, tag, out));
    if !opened {
        out.clear();
    }
    opened
}

/// A cipher with its key, and values that are computed once per key.
#[allow(clippy::large_enum_variant, reason = "one per key, behind a pointer")]
pub(crate) enum Sealer {
    XAes256Gcm(XAes256Gcm),
    XChaCha20Poly1305(XChaCha20Poly1305),
    #[cfg(feature = "memberlist")]
    Gcm(Gcm),
}

impl Sealer {
    /// The sealer for a key that is the first `len` bytes of `key`.
    pub(crate) fn new(cipher: Cipher, key: &[u8; 32], len: usize) -> Self {
        let _ = len;
        match cipher {
            Cipher::Aes256Gcm => Self::XAes256Gcm(XAes256Gcm::new(key)),
            Cipher::ChaCha20Poly1305 => Self::XChaCha20Poly1305(XChaCha20Poly1305::new(key.into())),
            #[cfg(feature = "memberlist")]
            Cipher::Memberlist => Self::Gcm(Gcm::new(key, len)),
        }
    }

    /// Encrypts `message` in place; returns the tag.
    pub(crate) fn encrypt(&self, nonce: &[u8; NONCE], aad: &[u8], message: &mut [u8]) -> [u8; TAG] {
        let sealed = match self {
            Self::XAes256Gcm(xaes) => {
                let (gcm, nonce) = xaes.derive(nonce);
                gcm.encrypt_inout_detached(&nonce, aad, message.into())
            }
            Self::XChaCha20Poly1305(xchacha) => {
                xchacha.encrypt_inout_detached(nonce.into(), aad, message.into())
            }
            #[cfg(feature = "memberlist")]
            Self::Gcm(gcm) => gcm.encrypt(nonce, aad, message.into()),
        };
        sealed.expect("max_frame is below the 64 GiB that one nonce allows").0
    }

    /// Decrypts `ciphertext` into `out`, which has the same length; `false` if the tag does not
    /// match.
    fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG],
        out: &mut [u8],
    ) -> bool {
        let buf = InOutBuf::new(ciphertext, out).expect("`open` gives both the same length");
        let opened = match self {
            Self::XAes256Gcm(xaes) => {
                let (gcm, nonce) = xaes.derive(nonce);
                gcm.decrypt_inout_detached(&nonce, aad, buf, tag.into())
            }
            Self::XChaCha20Poly1305(xchacha) => {
                xchacha.decrypt_inout_detached(nonce.into(), aad, buf, tag.into())
            }
            #[cfg(feature = "memberlist")]
            Self::Gcm(gcm) => gcm.decrypt(nonce, aad, buf, tag),
        };
        opened.is_ok()
    }
}

/// AES in Galois/counter mode, as in memberlist: with the first 12 bytes of a nonce.
#[cfg(feature = "memberlist")]
pub(crate) enum Gcm {
    Aes128(Aes128Gcm),
    Aes192(AesGcm<Aes192, U12>),
    Aes256(Aes256Gcm),
}

#[cfg(feature = "memberlist")]
impl Gcm {
    fn new(key: &[u8; 32], len: usize) -> Self {
        match len {
            16 => Self::Aes128(Aes128Gcm::new(key[..16].try_into().expect("16 bytes"))),
            24 => Self::Aes192(AesGcm::new(key[..24].try_into().expect("24 bytes"))),
            _ => Self::Aes256(Aes256Gcm::new(key.into())),
        }
    }

    fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        message: InOutBuf<'_, '_, u8>,
    ) -> Result<Array<u8, U16>, aead::Error> {
        let nonce = nonce[..12].try_into().expect("12 bytes");
        match self {
            Self::Aes128(gcm) => gcm.encrypt_inout_detached(nonce, aad, message),
            Self::Aes192(gcm) => gcm.encrypt_inout_detached(nonce, aad, message),
            Self::Aes256(gcm) => gcm.encrypt_inout_detached(nonce, aad, message),
        }
    }

    fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        message: InOutBuf<'_, '_, u8>,
        tag: &[u8; TAG],
    ) -> Result<(), aead::Error> {
        let nonce = nonce[..12].try_into().expect("12 bytes");
        match self {
            Self::Aes128(gcm) => gcm.decrypt_inout_detached(nonce, aad, message, tag.into()),
            Self::Aes192(gcm) => gcm.decrypt_inout_detached(nonce, aad, message, tag.into()),
            Self::Aes256(gcm) => gcm.decrypt_inout_detached(nonce, aad, message, tag.into()),
        }
    }
}

/// XAES-256-GCM (C2SP): the first half of the nonce derives a key for AES-256-GCM, whose nonce is
/// the second half.
pub(crate) struct XAes256Gcm {
    aes: Aes256Enc,
    /// CMAC's first subkey, K1 (NIST SP 800-38B §6.1).
    k1: Zeroizing<u128>,
}

impl XAes256Gcm {
    fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256Enc::new(key.into());
        let mut block = Zeroizing::new([0; 16]);
        aes.encrypt_block((&mut *block).into());
        let l = u128::from_be_bytes(*block);
        // Multiplied, not selected by an `if`, so that the time does not reveal the bit.
        Self { aes, k1: Zeroizing::new((l << 1) ^ ((l >> 127) * 0x87)) }
    }

    /// The cipher for one message, and its nonce.
    fn derive(&self, nonce: &[u8; NONCE]) -> (AesGcm<Aes256Enc, U12>, Array<u8, U12>) {
        let (head, tail) = nonce.split_at(12);
        let mut key = Zeroizing::new([0; 32]);
        let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(&mut *key);
        for (block, counter) in blocks.iter_mut().zip(1..) {
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(head);
            block.0 = (u128::from_be_bytes(block.0) ^ *self.k1).to_be_bytes();
        }
        self.aes.encrypt_blocks(blocks);
        let tail = tail.try_into().expect("half of 24 is 12");
        (AesGcm::new((&*key).into()), tail)
    }
}

/// The length of a nonce, in bytes.
pub(crate) const NONCE: usize = 24;
/// The length of an authentication tag, in bytes: the growth of a message.
pub(crate) const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    #[test]
    fn xaes_matches_the_vectors_of_c2sp() {
        // The two keys differ in the top bit of L, and so cover both cases of its doubling.
        for (byte, aad, expected) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (
                3,
                "c2sp.org/XAES-256-GCM",
                "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
            ),
        ] {
            let key = Key::new(Cipher::Aes256Gcm, [byte; 32]);
            let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
            let mut buf = b"XAES-256-GCM".to_vec();
            seal(&key, nonce, aad.as_bytes(), &mut buf, 0);
            assert_eq!(HEXLOWER.encode(&buf), expected);
        }
    }

    #[test]
    fn xchacha_matches_the_vector_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, A.3.1.
        let key = Key::new(Cipher::ChaCha20Poly1305, core::array::from_fn(|n| 0x80 + n as u8));
        let nonce = core::array::from_fn(|n| 0x40 + n as u8);
        let aad = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
        let mut buf = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
            tip for the future, sunscreen would be it."
            .to_vec();
        seal(&key, &nonce, &aad, &mut buf, 0);
        let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
                        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
                        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                        21f9664c97637da9768812f615c68b13b52e\
                        c0875924c1c7987947deafd8780acf49";
        assert_eq!(HEXLOWER.encode(&buf), expected);
    }

    #[test]
    fn a_message_with_any_altered_bit_does_not_open() {
        for key in keys(1) {
            let (nonce, aad, sealed) = (NONCE_7, *b"to all", sealed(&key, b"a failed"));
            let keyring = Keyring::new(key);
            let mut whole = [&nonce[..], &aad, &sealed].concat();
            let opens = |whole: &[u8]| {
                let (nonce, rest) = whole.split_first_chunk().unwrap();
                let (aad, sealed) = rest.split_at(aad.len());
                let mut out = b"earlier content".to_vec();
                let opened = open(&keyring, nonce, aad, sealed, &mut out);
                assert_eq!(out, if opened { &b"a failed"[..] } else { b"" });
                opened
            };
            assert!(opens(&whole));
            for bit in 0..whole.len() * 8 {
                whole[bit / 8] ^= 1 << (bit % 8);
                assert!(!opens(&whole), "bit {bit}");
                whole[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn each_key_of_the_keyring_opens_until_it_is_removed() {
        let [a, b] = keys(1);
        let [c, d] = keys(2);
        let mut keyring = Keyring::new(a.clone());
        for key in [&b, &c] {
            keyring.add(key.clone()).unwrap();
        }
        for key in [&a, &b, &c] {
            assert_eq!(opened(&keyring, &sealed(key, b"update")).as_deref(), Some(&b"update"[..]));
        }
        assert_eq!(opened(&keyring, &sealed(&d, b"update")), None);
        keyring.remove(&c).unwrap();
        assert_eq!(opened(&keyring, &sealed(&c, b"update")), None);
    }

    #[test]
    fn a_key_with_the_same_bytes_for_the_other_cipher_does_not_open() {
        let [aes, chacha] = keys(1);
        assert_eq!(opened(&Keyring::new(aes.clone()), &sealed(&chacha, b"update")), None);
        assert_eq!(opened(&Keyring::new(chacha), &sealed(&aes, b"update")), None);
    }

    #[test]
    fn sealing_and_opening_in_large_enough_buffers_allocates_nothing() {
        let [aes, chacha] = keys(1);
        let keyring = Keyring::new(aes.clone()).with_key(chacha.clone()).unwrap();
        let (mut buf, mut out) = (Vec::with_capacity(1500), Vec::with_capacity(1500));
        let counted = allocation_counter::measure(|| {
            for key in [&aes, &chacha] {
                buf.clear();
                buf.resize(1400, 7);
                seal(key, &NONCE_7, b"", &mut buf, 0);
                assert!(open(&keyring, &NONCE_7, b"", &buf, &mut out));
            }
        });
        assert_eq!(counted.count_total, 0);
    }

    proptest! {
        #[test]
        fn a_message_sealed_after_a_header_opens_to_the_same_message(
            message in prop::collection::vec(any::<u8>(), 0..300),
            header in prop::collection::vec(any::<u8>(), 0..40),
            nonce: [u8; NONCE],
            aad: Vec<u8>,
            bytes: [u8; 32],
        ) {
            for cipher in Cipher::ALL {
                let key = Key::new(cipher, bytes);
                let mut buf = [&header[..], &message].concat();
                seal(&key, &nonce, &aad, &mut buf, header.len());
                prop_assert_eq!(&buf[..header.len()], &header);
                let sealed = &buf[header.len()..];
                prop_assert_eq!(sealed.len(), message.len() + TAG);
                let mut out = Vec::new();
                prop_assert!(open(&Keyring::new(key), &nonce, &aad, sealed, &mut out));
                prop_assert_eq!(&out, &message);
            }
        }

        #[test]
        fn noise_of_any_length_does_not_open(
            noise in prop::collection::vec(any::<u8>(), 0..80),
            nonce: [u8; NONCE],
            aad: Vec<u8>,
        ) {
            let [aes, chacha] = keys(1);
            let keyring = Keyring::new(aes).with_key(chacha).unwrap();
            let mut out = b"earlier content".to_vec();
            prop_assert!(!open(&keyring, &nonce, &aad, &noise, &mut out));
            prop_assert!(out.is_empty());
        }
    }

    fn keys(byte: u8) -> [Key; 2] {
        Cipher::ALL.map(|cipher| Key::new(cipher, [byte; 32]))
    }

    fn sealed(key: &Key, message: &[u8]) -> Vec<u8> {
        let mut buf = message.to_vec();
        seal(key, &NONCE_7, b"to all", &mut buf, 0);
        buf
    }

    fn opened(keyring: &Keyring, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        open(keyring, &NONCE_7, b"to all", sealed, &mut out).then_some(out)
    }

    const NONCE_7: [u8; NONCE] = [7; NONCE];
}
