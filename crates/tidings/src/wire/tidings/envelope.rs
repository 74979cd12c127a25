//! Envelopes, which bind datagrams and frames to a cluster.

use super::SEALED_VERSION;
use super::clock::MessageClock;
#[cfg(feature = "encryption")]
use super::sealed::Sealing;
use crate::member::ClusterName;
use crate::stats::Reject;
use crate::wire::StreamBinding;
use crate::wire::codec::{decode, encode};
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use alloc::vec::Vec;
use bytes::Bytes;

/// Binds all datagrams and frames that a node sends to its cluster, and verifies those it receives.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Envelope {
    name: ClusterName,
    /// The cluster tag: the CRC-32 of the cluster's name.
    tag: u32,
    #[cfg(feature = "encryption")]
    #[cfg_attr(feature = "record", serde(skip))]
    sealing: Option<Sealing>,
    /// The current time; only sealed messages have it.
    #[cfg_attr(
        not(any(feature = "encryption", feature = "record")),
        expect(dead_code, reason = "checkpoints are the same with and without encryption")
    )]
    clock: MessageClock,
}

impl Envelope {
    /// An envelope without encryption.
    pub(crate) fn new(name: &ClusterName) -> Self {
        Self {
            name: name.clone(),
            tag: crc32fast::hash(name.as_str().as_bytes()),
            #[cfg(feature = "encryption")]
            sealing: None,
            clock: MessageClock::default(),
        }
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn sealed(name: &ClusterName, sealing: Sealing) -> Self {
        Self { sealing: Some(sealing), ..Self::new(name) }
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto(&self) -> Option<&CryptoState> {
        self.sealing.as_ref().map(Sealing::crypto)
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto_mut(&mut self) -> Option<&mut CryptoState> {
        self.sealing.as_mut().map(Sealing::crypto_mut)
    }

    /// Whether a datagram is sealed for our cluster, by its first bytes.
    pub(crate) fn is_sealed_for_us(&self, datagram: &[u8]) -> bool {
        let tag = self.tag.to_le_bytes();
        datagram.first() == Some(&SEALED_VERSION) && datagram.get(1..5) == Some(&tag)
    }

    /// The first bytes of every datagram for which [`Self::is_sealed_for_us`] is true.
    #[cfg(feature = "record")]
    pub(crate) fn sealed_prefix(&self) -> [u8; 5] {
        let [a, b, c, d] = self.tag.to_le_bytes();
        [SEALED_VERSION, a, b, c, d]
    }

    /// Sets the current time, in seconds, on the wall clock: that of sealed messages.
    #[cfg(feature = "encryption")]
    pub(crate) fn set_time(&mut self, time: u64) {
        self.clock.now = time;
    }

    #[cfg(feature = "record")]
    pub(crate) fn clock(&self) -> MessageClock {
        self.clock
    }

    #[cfg(any(feature = "encryption", feature = "record"))]
    pub(crate) fn clock_mut(&mut self) -> &mut MessageClock {
        &mut self.clock
    }

    /// Largest overhead of a datagram, in bytes.
    pub(crate) fn overhead(&self) -> usize {
        #[cfg(feature = "encryption")]
        if self.sealing.as_ref().is_some_and(|sealing| sealing.crypto().seals()) {
            return Sealing::OVERHEAD;
        }
        HEADER
    }

    /// Begins a datagram in `buf`; the caller appends the messages. Returns the number of bytes
    /// that [`Self::finish`] will append.
    pub(crate) fn begin(&self, buf: &mut Vec<u8>) -> usize {
        buf.clear();
        #[cfg(feature = "encryption")]
        if let Some(sealing) = self.sealing.as_ref().filter(|sealing| sealing.crypto().seals()) {
            return sealing.begin(buf, self.clock.now);
        }
        buf.resize(HEADER, 0);
        0
    }

    /// Completes a datagram after its messages were appended: checksum or encryption.
    #[cfg_attr(
        not(feature = "encryption"),
        expect(clippy::ptr_arg, reason = "sealing appends a tag")
    )]
    pub(crate) fn finish(&mut self, buf: &mut Vec<u8>) {
        #[cfg(feature = "encryption")]
        if let Some(sealing) = self.sealing.as_mut().filter(|sealing| sealing.crypto().seals()) {
            return sealing.finish(buf, self.tag);
        }
        let checksum = self.checksum(&buf[HEADER..]);
        buf[0] = VERSION;
        buf[1..5].copy_from_slice(&self.tag.to_le_bytes());
        buf[5..HEADER].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Verifies and decrypts a datagram; returns its encoded messages, in `scratch` if they were
    /// sealed.
    pub(crate) fn open<'a>(
        &mut self,
        datagram: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let (&version, mut rest) = datagram.split_first().ok_or(Reject::Format)?;
        if version != VERSION && version != SEALED_VERSION {
            return Err(Reject::Format);
        }
        let tag = u32::from_le_bytes(decode(&mut rest).map_err(|_| Reject::Format)?);
        if tag != self.tag {
            return Err(Reject::ForeignCluster);
        }
        if version == SEALED_VERSION {
            return self.open_sealed(rest, scratch);
        }
        self.accept_plaintext()?;
        let checksum = u32::from_le_bytes(decode(&mut rest).map_err(|_| Reject::Format)?);
        if checksum != self.checksum(rest) {
            return Err(Reject::Checksum);
        }
        Ok(rest)
    }

    /// Begins a frame of this kind; the caller appends its content.
    pub(crate) fn begin_frame(&self, kind: u8) -> Vec<u8> {
        #[cfg(feature = "encryption")]
        if let Some(sealing) = self.sealing.as_ref().filter(|sealing| sealing.crypto().seals()) {
            let mut buf = sealing.begin_frame(self.clock.now);
            buf.push(kind);
            return buf;
        }
        let mut buf = alloc::vec![0; FRAME_HEADER];
        encode(&mut buf, &self.name);
        buf.push(kind);
        buf
    }

    /// Completes a frame after its content was appended: length, and checksum or encryption.
    pub(crate) fn finish_frame(&mut self, mut buf: Vec<u8>, binding: &mut StreamBinding) -> Bytes {
        #[cfg(feature = "encryption")]
        if let Some(sealing) = self.sealing.as_mut().filter(|sealing| sealing.crypto().seals()) {
            sealing.finish_frame(&mut buf, self.tag, binding);
            return buf.into();
        }
        binding.frames += 1;
        let body = &buf[FRAME_HEADER..];
        let length = u32::try_from(body.len()).expect("max_frame is at most 64 MiB");
        let checksum = self.checksum(body);
        buf[0] = VERSION;
        buf[1..5].copy_from_slice(&self.tag.to_le_bytes());
        buf[5..9].copy_from_slice(&length.to_le_bytes());
        buf[9..FRAME_HEADER].copy_from_slice(&checksum.to_le_bytes());
        buf.into()
    }

    /// Opens the frame that a stream received, if it is complete; returns its kind and its content.
    ///
    /// # Errors
    ///
    /// As soon as the bytes cannot become a frame of this cluster of at most `limit` bytes.
    pub(crate) fn open_frame<'a>(
        &mut self,
        bytes: &'a [u8],
        limit: usize,
        binding: &mut StreamBinding,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<(u8, &'a [u8])>, Reject> {
        let Some((&version, mut rest)) = bytes.split_first() else { return Ok(None) };
        if version != VERSION && version != SEALED_VERSION {
            return Err(Reject::Format);
        }
        if bytes.len() < FRAME_HEADER {
            return Ok(None);
        }
        let tag = u32::from_le_bytes(decode(&mut rest)?);
        let length = u32::from_le_bytes(decode(&mut rest)?);
        if tag != self.tag {
            return Err(Reject::ForeignCluster);
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= limit);
        let length = length.ok_or(Reject::Oversized)?;
        let mut body = if version == SEALED_VERSION {
            let Some(sealed) = rest.get(..length) else { return Ok(None) };
            self.open_sealed_frame(sealed, binding, scratch)?
        } else {
            self.accept_plaintext()?;
            let checksum = u32::from_le_bytes(decode(&mut rest)?);
            let Some(mut body) = rest.get(..length) else { return Ok(None) };
            if checksum != self.checksum(body) {
                return Err(Reject::Checksum);
            }
            if decode::<ClusterName>(&mut body)? != self.name {
                return Err(Reject::ForeignCluster);
            }
            binding.frames += 1;
            body
        };
        let kind = decode(&mut body)?;
        Ok(Some((kind, body)))
    }

    /// The envelope of another cluster, from a complete plaintext frame that is bound to that
    /// cluster's name.
    ///
    /// In it, a node can refuse the frame in a way that the sender understands.
    pub(crate) fn of_foreign_frame(&self, frame: &[u8]) -> Option<Self> {
        self.accept_plaintext().ok()?;
        let name = decode::<ClusterName>(&mut frame.get(FRAME_HEADER..)?).ok()?;
        let mut theirs = Self::new(&name);
        theirs
            .open_frame(frame, frame.len(), &mut StreamBinding::default(), &mut Vec::new())
            .ok()??;
        Some(theirs)
    }

    #[cfg(feature = "encryption")]
    fn open_sealed<'a>(
        &mut self,
        sealed: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        self.sealing.as_mut().ok_or(Reject::Key)?.open(sealed, &self.clock, scratch)
    }

    #[cfg(feature = "encryption")]
    fn open_sealed_frame<'a>(
        &mut self,
        sealed: &[u8],
        binding: &mut StreamBinding,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let sealing = self.sealing.as_mut().ok_or(Reject::Key)?;
        sealing.open_frame(sealed, &mut self.clock, binding, scratch)
    }

    #[cfg(not(feature = "encryption"))]
    fn open_sealed<'a>(&mut self, _: &[u8], _: &'a mut Vec<u8>) -> Result<&'a [u8], Reject> {
        Err(Reject::Key)
    }

    #[cfg(not(feature = "encryption"))]
    fn open_sealed_frame<'a>(
        &mut self,
        _: &[u8],
        _: &mut StreamBinding,
        _: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        Err(Reject::Key)
    }

    fn accept_plaintext(&self) -> Result<(), Reject> {
        #[cfg(feature = "encryption")]
        if self.sealing.as_ref().is_some_and(|sealing| !sealing.crypto().accepts_plaintext()) {
            return Err(Reject::Plaintext);
        }
        Ok(())
    }

    /// The CRC-32 of the cluster's name followed by `bytes`; not valid in any other cluster.
    fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.tag);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// First byte of all datagrams and frames that are not sealed: Tidings' format, version 1.
const VERSION: u8 = 0xd1;

/// Header length of a datagram: version, cluster tag, checksum.
pub(super) const HEADER: usize = 9;

/// Header length of a frame: version, cluster tag, length of the body, checksum.
pub(super) const FRAME_HEADER: usize = 13;
