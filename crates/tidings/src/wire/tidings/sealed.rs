//! Sealed envelopes: encryption and authentication, with the time inside.

use super::clock::MessageClock;
use super::{SEALED_FRAME_HEADER as FRAME_HEADER, SEALED_HEADER as HEADER, SEALED_VERSION};
use crate::crypto::aead::{NONCE, TAG};
use crate::member::ClusterName;
use crate::stats::Reject;
use crate::wire::StreamBinding;
use crate::wire::codec::{decode, encode};
use crate::wire::crypto_state::CryptoState;
use alloc::vec::Vec;

/// Seals and opens datagrams and frames.
#[derive(Debug)]
pub(crate) struct Sealing {
    crypto: CryptoState,
    /// The associated data of every datagram: the byte 0, then the cluster's name.
    datagram_aad: Vec<u8>,
    /// Largest difference between a message's time and ours, in seconds.
    ///
    /// A replayed old message does no harm while its claims are outdated by newer ones. So this is
    /// less than the time for which members that failed or left are remembered.
    tolerance: u64,
}

impl Sealing {
    /// Largest overhead of a datagram, in bytes; the time takes up to ten of them.
    pub(super) const OVERHEAD: usize = HEADER + 10 + TAG;

    pub(crate) fn new(cluster: &ClusterName, crypto: CryptoState, tolerance: u64) -> Self {
        let mut datagram_aad = Vec::from([DATAGRAM]);
        datagram_aad.extend_from_slice(cluster.as_str().as_bytes());
        Self { crypto, datagram_aad, tolerance }
    }

    pub(crate) fn crypto(&self) -> &CryptoState {
        &self.crypto
    }

    pub(crate) fn crypto_mut(&mut self) -> &mut CryptoState {
        &mut self.crypto
    }

    pub(super) fn begin(&self, buf: &mut Vec<u8>, time: u64) -> usize {
        buf.resize(HEADER, 0);
        encode(buf, &time);
        TAG
    }

    pub(super) fn finish(&mut self, buf: &mut Vec<u8>, tag: u32) {
        let nonce = self.crypto.nonce(NONCE);
        buf[0] = SEALED_VERSION;
        buf[1..5].copy_from_slice(&tag.to_le_bytes());
        buf[5..HEADER].copy_from_slice(&nonce);
        self.crypto.seal(&nonce, &self.datagram_aad, buf, HEADER);
    }

    /// Opens a datagram, given the bytes behind its cluster tag.
    pub(super) fn open<'a>(
        &mut self,
        sealed: &[u8],
        clock: &MessageClock,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(Reject::Format)?;
        let opened = self.crypto.open(nonce, &self.datagram_aad, sealed, scratch, |_| true);
        let tolerance = self.tolerance;
        check_time(opened, scratch, |time| clock.accepts(time, tolerance))
    }

    pub(super) fn begin_frame(&self, time: u64) -> Vec<u8> {
        let mut buf = alloc::vec![0; FRAME_HEADER];
        encode(&mut buf, &time);
        buf
    }

    pub(super) fn finish_frame(
        &mut self,
        buf: &mut Vec<u8>,
        tag: u32,
        binding: &mut StreamBinding,
    ) {
        let nonce = self.crypto.nonce(NONCE);
        let aad = self.frame_aad(binding, binding.ours, binding.received);
        binding.sent = Some(nonce);
        binding.frames += 1;
        let length = u32::try_from(buf.len() - 9 + TAG).expect("max_frame is at most 64 MiB");
        buf[0] = SEALED_VERSION;
        buf[1..5].copy_from_slice(&tag.to_le_bytes());
        buf[5..9].copy_from_slice(&length.to_le_bytes());
        buf[9..FRAME_HEADER].copy_from_slice(&nonce);
        self.crypto.note_frame(buf);
        self.crypto.seal(&nonce, &aad, buf, FRAME_HEADER);
    }

    /// Opens a frame, given the bytes behind its length.
    pub(super) fn open_frame<'a>(
        &mut self,
        sealed: &[u8],
        clock: &mut MessageClock,
        binding: &mut StreamBinding,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(Reject::Format)?;
        let aad = self.frame_aad(binding, !binding.ours, binding.sent);
        let opened = self.crypto.open(nonce, &aad, rest, scratch, |_| true);
        let (tolerance, is_reply) = (self.tolerance, binding.sent.is_some());
        let body = check_time(opened, scratch, |time| match is_reply {
            true => clock.accepts_reply(time, tolerance),
            false => clock.accepts(time, tolerance),
        });
        // A stale frame is authentic and gets a reply, so it counts.
        if body.is_ok() || body == Err(Reject::Stale) {
            binding.received = Some(*nonce);
            binding.frames += 1;
        }
        body
    }

    /// The associated data of a frame, with the nonce of the frame that it replies to.
    ///
    /// It identifies the frame, its direction and its stream, so that no frame can be replaced by
    /// another; and a node that gets a reply to its own frame knows that the peer is live, because
    /// it drew the nonce.
    fn frame_aad(
        &self,
        binding: &StreamBinding,
        from_opener: bool,
        replies_to: Option<[u8; NONCE]>,
    ) -> Vec<u8> {
        let mut aad = Vec::from([if from_opener { REQUEST } else { ANSWER }]);
        aad.extend_from_slice(&binding.frames.to_le_bytes());
        aad.extend_from_slice(&replies_to.unwrap_or_default());
        aad.extend_from_slice(&self.datagram_aad[1..]);
        aad
    }
}

/// Checks the time in an opened message; returns the rest.
fn check_time(
    opened: bool,
    plain: &[u8],
    accepts: impl FnOnce(u64) -> bool,
) -> Result<&[u8], Reject> {
    if !opened {
        return Err(Reject::Key);
    }
    let mut body = plain;
    if accepts(decode(&mut body)?) { Ok(body) } else { Err(Reject::Stale) }
}

/// First byte of a datagram's associated data.
const DATAGRAM: u8 = 0;
/// First byte of the associated data of a frame from the side that opened the stream.
const REQUEST: u8 = 1;
/// First byte of the associated data of a frame from the other side.
const ANSWER: u8 = 2;
