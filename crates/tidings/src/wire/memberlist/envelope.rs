//! Envelopes: label, encryption and checksum, of datagrams and of streams.

use super::label;
use super::packet::{self, CRC_HEADER};
#[cfg(any(feature = "encryption", feature = "record"))]
use super::stream::ENCRYPT;
use super::stream::{Unit, unit};
use crate::config::Memberlist;
use crate::member::NodeId;
use crate::stats::Reject;
use crate::wire::StreamBinding;
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

/// Wraps everything that a node sends in label and encryption or checksum, and unwraps what it
/// receives.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Envelope {
    /// The sender.
    pub(super) name: NodeId,
    pub(crate) addr: SocketAddr,
    pub(super) nacks: bool,
    label: Vec<u8>,
    compression: bool,
    /// The encryption version (0 or 1) with which we seal; both are opened.
    version: u8,
    #[cfg(feature = "encryption")]
    #[cfg_attr(feature = "record", serde(skip))]
    crypto: Option<CryptoState>,
    /// Scratch: the decrypted datagram.
    #[cfg(feature = "encryption")]
    #[cfg_attr(feature = "record", serde(skip))]
    plain: Vec<u8>,
}

impl Envelope {
    /// An envelope without encryption.
    pub(crate) fn new(
        memberlist: &Memberlist,
        name: NodeId,
        addr: SocketAddr,
        nacks: bool,
    ) -> Self {
        Self {
            name,
            addr,
            nacks,
            label: memberlist.label().to_vec(),
            compression: memberlist.compression(),
            version: u8::from(memberlist.protocol() > 1),
            #[cfg(feature = "encryption")]
            crypto: None,
            #[cfg(feature = "encryption")]
            plain: Vec::new(),
        }
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn with_crypto(self, crypto: CryptoState) -> Self {
        Self { crypto: Some(crypto), ..self }
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto(&self) -> Option<&CryptoState> {
        self.crypto.as_ref()
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto_mut(&mut self) -> Option<&mut CryptoState> {
        self.crypto.as_mut()
    }

    /// Whether a datagram is encrypted for our cluster. Its bytes do not tell, so this is true only
    /// if the node accepts no plaintext.
    pub(crate) fn is_sealed_for_us(&self, datagram: &[u8]) -> bool {
        let inner = label::strip(datagram, &self.label).ok().flatten();
        let version = inner.and_then(|inner| inner.first());
        self.has_crypto() && !self.accepts_plaintext() && matches!(version, Some(0 | 1))
    }

    /// First bytes of a datagram for which [`Self::is_sealed_for_us`] is true.
    #[cfg(feature = "record")]
    pub(crate) fn sealed_prefix(&self) -> Vec<u8> {
        let mut head = Vec::new();
        label::encode(&mut head, &self.label);
        head.push(1);
        head
    }

    /// The first bytes of a datagram of ours: if it is sealed, the header before the sealed part.
    #[cfg(feature = "record")]
    pub(crate) fn head<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        let head = if self.seals() { self.header() } else { datagram.len() };
        &datagram[..head.min(datagram.len())]
    }

    /// The content of a datagram, for a summary. `opened` is the plaintext of a received datagram
    /// that was sealed; without it, the datagram is plain or made by a replayed node.
    #[cfg(feature = "record")]
    fn plaintext_of_datagram(&self, datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
        if let Some(opened) = opened {
            return Some(opened.to_vec());
        }
        let inner = label::strip(datagram, &self.label).ok()??;
        if self.seals() && inner.first() == Some(&self.version) {
            return self.unencrypted_body(inner);
        }
        Some(inner.to_vec())
    }

    /// The expanded leaves of a datagram, for a summary. `opened` is its plaintext, if it was
    /// sealed.
    #[cfg(feature = "record")]
    pub(crate) fn messages_in(&self, datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
        let (plain, mut leaves) = (self.plaintext_of_datagram(datagram, opened)?, Vec::new());
        packet::expand(&plain, MAX_EXPANDED, &mut leaves).ok()?;
        Some(leaves)
    }

    /// The content of a message that a replayed node wrote to a stream.
    #[cfg(feature = "record")]
    pub(super) fn plaintext_of_frame(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let labelled = label::strip(bytes, &self.label).ok().flatten();
        match unit(labelled.unwrap_or(bytes), usize::MAX).ok()?? {
            Unit::Sealed(sealed) => self.unencrypted_body(sealed),
            Unit::Plain(plain) => Some(plain.to_vec()),
        }
    }

    /// The content that a replayed node, which encrypts nothing, wrote in place of the ciphertext.
    #[cfg(feature = "record")]
    fn unencrypted_body(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut plain = sealed.get(SEALED_HEADER..sealed.len().saturating_sub(TAG))?.to_vec();
        (self.version > 0 || unpad(&mut plain)).then_some(plain)
    }

    // ---- datagrams ----

    /// Begins a datagram in `buf`; the caller appends the leaves. Returns the largest number of
    /// bytes that [`Self::finish`] will append.
    pub(super) fn begin(&self, buf: &mut Vec<u8>) -> usize {
        buf.clear();
        label::encode(buf, &self.label);
        buf.resize(self.header(), 0);
        self.trailer()
    }

    /// The longest leaf, in bytes, that fits into a datagram of at most `limit` bytes.
    pub(crate) fn room(&self, limit: usize) -> usize {
        // Four bytes for the header of a compound.
        limit - self.header() - self.trailer() - 4
    }

    /// Length in bytes of a datagram with nothing but a ping of a member with the longest name.
    pub(crate) fn longest_question(&self) -> usize {
        self.header() + self.trailer() + PING_FIELDS + self.name.as_str().len() + NodeId::MAX_LEN
    }

    /// Number of bytes before the leaves.
    fn header(&self) -> usize {
        label::len(&self.label) + if self.seals() { SEALED_HEADER } else { CRC_HEADER }
    }

    /// Largest number of bytes behind the leaves.
    fn trailer(&self) -> usize {
        match (self.seals(), self.version) {
            (false, _) => 0,
            (true, 0) => TAG + BLOCK,
            (true, _) => TAG,
        }
    }

    /// Completes a datagram after its leaves were appended: compression, checksum or encryption.
    pub(crate) fn finish(&mut self, buf: &mut Vec<u8>) {
        let start = self.header();
        if self.compression {
            packet::compress(buf, start, true);
        }
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto.as_mut().filter(|crypto| crypto.seals()) {
            let nonce = crypto.nonce(NONCE);
            return seal(crypto, &nonce, self.version, &self.label, buf, start);
        }
        packet::encode_crc(buf, start - CRC_HEADER);
    }

    /// Verifies, decrypts and expands a datagram; returns its leaves, in `scratch`.
    pub(crate) fn open<'a>(
        &mut self,
        datagram: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let inner = label::strip(datagram, &self.label)?.ok_or(Reject::Malformed)?;
        scratch.clear();
        #[cfg(feature = "encryption")]
        if let Some(crypto) = &mut self.crypto {
            match open(crypto, &self.label, inner, &mut self.plain) {
                Ok(()) => {
                    packet::expand(&self.plain, MAX_EXPANDED, scratch)?;
                    return Ok(scratch);
                }
                Err(reject) if !crypto.accepts_plaintext() => return Err(reject),
                Err(_) => {}
            }
        }
        packet::expand(inner, MAX_EXPANDED, scratch)?;
        Ok(scratch)
    }

    // ---- streams ----

    /// Completes a message of a stream: compression, label and encryption.
    ///
    /// Only the side that opened the stream sends its label; both sides authenticate it.
    pub(crate) fn finish_frame(
        &mut self,
        mut message: Vec<u8>,
        binding: &mut StreamBinding,
    ) -> Bytes {
        if self.compression {
            packet::compress(&mut message, 0, false);
        }
        let mut buf = Vec::new();
        if binding.ours && binding.frames == 0 {
            label::encode(&mut buf, &self.label);
        }
        binding.frames += 1;
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto.as_mut().filter(|crypto| crypto.seals()) {
            let padding = if self.version == 0 { BLOCK - message.len() % BLOCK } else { 0 };
            let length = SEALED_HEADER + message.len() + padding + TAG;
            let aad = stream_aad(length, &self.label);
            buf.extend_from_slice(&aad[..5]);
            let start = buf.len() + SEALED_HEADER;
            buf.resize(start, 0);
            buf.append(&mut message);
            crypto.note_frame(&buf);
            let nonce = crypto.nonce(NONCE);
            binding.sent = Some(nonce);
            seal(crypto, &nonce, self.version, &aad, &mut buf, start);
            return buf.into();
        }
        buf.append(&mut message);
        buf.into()
    }

    /// Decrypts the bytes that a stream received; returns the message, or the part of it that has
    /// arrived, and whether it is complete. `None` if more bytes are needed.
    pub(super) fn open_frame<'a>(
        &mut self,
        bytes: &'a [u8],
        limit: usize,
        binding: &mut StreamBinding,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<(&'a [u8], bool)>, Reject> {
        let labelled = if binding.ours { Some(bytes) } else { label::strip(bytes, &self.label)? };
        let Some(inner) = labelled else { return Ok(None) };
        match unit(inner, limit.saturating_add(SEALED_HEADER + BLOCK + TAG))? {
            None => Ok(None),
            Some(Unit::Plain(plain)) if self.accepts_plaintext() => Ok(Some((plain, false))),
            Some(Unit::Plain(_)) => Err(Reject::Plaintext),
            Some(Unit::Sealed(sealed)) => {
                self.open_sealed_frame(sealed, scratch)?;
                let mut nonce = [0; 24];
                nonce[..NONCE].copy_from_slice(&sealed[1..SEALED_HEADER]);
                binding.received = Some(nonce);
                Ok(Some((scratch, true)))
            }
        }
    }

    #[cfg(feature = "encryption")]
    fn open_sealed_frame(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        let aad = stream_aad(sealed.len(), &self.label);
        open(self.crypto.as_mut().ok_or(Reject::Key)?, &aad, sealed, out)
    }

    #[cfg(not(feature = "encryption"))]
    fn open_sealed_frame(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Reject> {
        Err(Reject::Key)
    }

    #[cfg(feature = "encryption")]
    fn seals(&self) -> bool {
        self.crypto.as_ref().is_some_and(CryptoState::seals)
    }

    #[cfg(not(feature = "encryption"))]
    fn seals(&self) -> bool {
        false
    }

    #[cfg(feature = "encryption")]
    fn has_crypto(&self) -> bool {
        self.crypto.is_some()
    }

    #[cfg(not(feature = "encryption"))]
    fn has_crypto(&self) -> bool {
        false
    }

    #[cfg(feature = "encryption")]
    fn accepts_plaintext(&self) -> bool {
        self.crypto.as_ref().is_none_or(CryptoState::accepts_plaintext)
    }

    #[cfg(not(feature = "encryption"))]
    fn accepts_plaintext(&self) -> bool {
        true
    }
}

/// Encrypts everything from `start` on, behind a gap for version and nonce.
#[cfg(feature = "encryption")]
fn seal(
    crypto: &CryptoState,
    nonce: &[u8; crate::crypto::aead::NONCE],
    version: u8,
    aad: &[u8],
    buf: &mut Vec<u8>,
    start: usize,
) {
    if version == 0 {
        let padding = BLOCK - (buf.len() - start) % BLOCK;
        buf.resize(buf.len() + padding, padding as u8);
    }
    buf[start - SEALED_HEADER] = version;
    buf[start - NONCE..start].copy_from_slice(&nonce[..NONCE]);
    crypto.seal(nonce, aad, buf, start);
}

/// Decrypts a message of either encryption version.
#[cfg(feature = "encryption")]
fn open(
    crypto: &mut CryptoState,
    aad: &[u8],
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Reject> {
    if sealed.len() < SEALED_HEADER + TAG {
        return Err(Reject::Malformed);
    }
    let (head, ciphertext) = sealed.split_at(SEALED_HEADER);
    let version = head[0];
    if version > 1 {
        return Err(Reject::Format);
    }
    let mut nonce = [0; crate::crypto::aead::NONCE];
    nonce[..NONCE].copy_from_slice(&head[1..]);
    let complete = |out: &mut Vec<u8>| version == 1 || unpad(out);
    let opened = crypto.open(&nonce, aad, ciphertext, out, complete);
    if opened { Ok(()) } else { Err(Reject::Key) }
}

/// The associated data of an encrypted message on a stream: its type, its length, and the label.
#[cfg(feature = "encryption")]
fn stream_aad(length: usize, label: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("max_frame is at most 64 MiB");
    let mut aad = Vec::from([ENCRYPT]);
    aad.extend_from_slice(&length.to_be_bytes());
    aad.extend_from_slice(label);
    aad
}

/// Removes the padding of encryption version 0 (PKCS #7); `false` if it is invalid.
#[cfg(any(feature = "encryption", feature = "record"))]
fn unpad(plain: &mut Vec<u8>) -> bool {
    let padding = plain.last().map_or(0, |&padding| usize::from(padding));
    let len = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding));
    let Some(len) =
        len.filter(|&len| plain[len..].iter().all(|&byte| usize::from(byte) == padding))
    else {
        return false;
    };
    plain.truncate(len);
    true
}

/// The unencrypted part of a message that we wrote to a stream; `None` if it is not encrypted.
#[cfg(feature = "record")]
pub(crate) fn in_clear(frame: &[u8]) -> Option<&[u8]> {
    let label = match frame {
        [0xf4, len, ..] => 2 + usize::from(*len),
        _ => 0,
    };
    let sealed = frame.get(label) == Some(&ENCRYPT);
    sealed.then(|| &frame[..frame.len().min(label + 5 + SEALED_HEADER)])
}

/// Length of the header of an encrypted message: version and nonce.
const SEALED_HEADER: usize = 1 + NONCE;
const NONCE: usize = 12;
const TAG: usize = 16;
const BLOCK: usize = 16;
/// Length of a ping without the two names, at most: from an IPv6 address.
const PING_FIELDS: usize = 77;

/// Largest number of bytes that decompression may produce for one datagram. memberlist compresses
/// messages that have the size of a datagram before.
const MAX_EXPANDED: usize = 65_536;

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;
    use crate::config::Plaintext;
    use crate::crypto::key::Key;
    use crate::crypto::keyring::Keyring;
    use crate::rng::{Rng, RngStream};
    use data_encoding::HEXLOWER;

    const USER: &[u8] = b"\x08hi";
    const RELIABLE: &[u8] = b"\x08\x81\xaaUserMsgLen\x02hi";

    fn crypto() -> CryptoState {
        let key = Key::memberlist(b"0123456789abcdef").unwrap();
        CryptoState::new(
            Some(Keyring::new(key)),
            Plaintext::Refused,
            Rng::new([7; 32], RngStream::Nonces),
        )
    }

    /// The encrypted message behind a label, with nonce 00 01 ... 0b.
    fn sealed(version: u8, aad: &[u8], plain: &[u8]) -> alloc::string::String {
        let mut buf = [&[0; SEALED_HEADER][..], plain].concat();
        let nonce = core::array::from_fn(|n| if n < NONCE { n as u8 } else { 0 });
        seal(&crypto(), &nonce, version, aad, &mut buf, SEALED_HEADER);
        HEXLOWER.encode(&buf)
    }

    fn opened(aad: &[u8], hex: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let sealed = HEXLOWER.decode(hex.as_bytes()).unwrap();
        open(&mut crypto(), aad, &sealed, &mut out).ok().map(|()| out)
    }

    /// A memberlist node accepted each of these.
    #[test]
    fn datagrams_are_encrypted_as_by_memberlist() {
        for (version, label, plain, hex) in [
            (1, "", USER, "01000102030405060708090a0bf557ad2a5c25e7c4094c708de5eefbc98d84de"),
            (
                1,
                "",
                b"\x0c\x68\x18\xb0\xf9\x08hi",
                "01000102030405060708090a0bf157dcade77c535f774b61a43bf0e62f13039d2fb3501abe",
            ),
            (
                0,
                "",
                USER,
                "00000102030405060708090a0bf557ad101379363be52b0a17cd96bd20c3a8c503be9b6c540c153410936fc0fd",
            ),
            (1, "lab", USER, "01000102030405060708090a0bf557ad076a2d46f956cb635a0407061eba9a28"),
            (
                0,
                "lab",
                USER,
                "00000102030405060708090a0bf557ad101379363be52b0a17cd96bd20ee9ecda283c4eb47dbf4dded4458de0b",
            ),
        ] {
            assert_eq!(sealed(version, label.as_bytes(), plain), hex);
            assert_eq!(opened(label.as_bytes(), hex).as_deref(), Some(plain));
            assert_eq!(opened(b"other", hex), None, "the label is authenticated");
        }
    }

    #[test]
    fn streams_are_encrypted_as_by_memberlist() {
        let compressed = HEXLOWER
            .decode(b"0982a4416c676f00a3427566b50011045255654e19394de69c6152c68d0034690202")
            .unwrap();
        for (version, label, plain, hex) in [
            (
                1,
                "",
                RELIABLE,
                "01000102030405060708090a0bf5be6e486d11497b9b414b7fae99d8444797bc8e6ce0291a7821222fbd00fec4",
            ),
            (
                0,
                "",
                RELIABLE,
                "00000102030405060708090a0bf5be6e486d11497b9b414b7fae99d84410c747ea17a35a5b6779fae3ffbbbb7c\
                 60b18c0e0207359fa3c88f73917a8889",
            ),
            (
                1,
                "lab",
                RELIABLE,
                "01000102030405060708090a0bf5be6e486d11497b9b414b7fae99d844a8f57e1c03bdefe1e94925fd53cf8455",
            ),
            (
                1,
                "",
                &compressed,
                "01000102030405060708090a0bf4bd605c721354364b64727c759ba129528232b41e8a07adeb08b83562ab9f05\
                 5c15b6eb07690830ec3079e52b90c833aef7",
            ),
        ] {
            let aad = stream_aad(hex.len() / 2, label.as_bytes());
            assert_eq!(sealed(version, &aad, plain), hex);
            assert_eq!(opened(&aad, hex).as_deref(), Some(plain));
        }
    }

    #[test]
    fn a_captured_encrypted_ping_with_a_label_is_opened() {
        let hex = "094682bb97fa1b38ef11263d1d4d35baf7d51fd8b0e2eb3edab56a4b4551def1b500b3f9a617eb7354c0\
                   7c137aa097aa689caed8f8949d4e651dab4fed9d53100c04336c5b0f28475d8b7c7fda842960474b6ba6\
                   c4498d64f55de1752a";
        let sealed = alloc::format!("01{hex}");
        let plain = opened(b"lab", &sealed).unwrap();
        assert!(plain.starts_with(b"\x00\x85\xa4Node\xa4py-b\xa5SeqNo\x02"));
    }

    #[test]
    fn invalid_padding_is_rejected() {
        for wrong in [&b""[..], b"\0", b"aaa\x04", b"aa\x03\x02\x03", &[17; 17]] {
            assert!(!unpad(&mut wrong.to_vec()), "{wrong:?}");
        }
        let mut whole = [16; 16].to_vec();
        assert!(unpad(&mut whole) && whole.is_empty());
    }
}
