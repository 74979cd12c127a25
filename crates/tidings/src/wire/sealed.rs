//! Sealed envelopes: encrypted and authenticated, with the time in them.

use super::codec::{put, take};
use super::{SEALED_FRAME_HEADER as FRAME_HEADER, SEALED_HEADER as HEADER, SEALED_VERSION, Thread};
use crate::config::Plaintext;
use crate::journal::Told;
use crate::keyring::Keyring;
use crate::member::ClusterName;
use crate::rng::Rng;
use crate::seal::{self, NONCE, TAG};
use crate::stats::Reject;
use alloc::vec::Vec;

/// What a node seals with, and opens with.
#[derive(Debug)]
pub(crate) struct Sealing {
    /// None in a replay, which is told what the journal says that came of opening.
    keyring: Option<Keyring>,
    pub(super) script: Option<Vec<u8>>,
    /// What came of sealing and opening, for the journal, if one is kept.
    pub(super) notes: Option<Vec<u8>>,
    plaintext: Plaintext,
    nonces: Rng,
    /// What is authenticated beside each datagram.
    bound_to: Vec<u8>,
    /// How far from our own time, in seconds, that of a message may be.
    ///
    /// Old messages say what is outdated, and do no harm while what is newer is remembered: so this
    /// is less than members that failed or left are remembered for.
    tolerance: u64,
}

impl Sealing {
    /// The most that a datagram takes beside its messages: the time takes ten bytes at most.
    pub(super) const OVERHEAD: usize = HEADER + 10 + TAG;

    /// Without a keyring, as in a replay, it encrypts nothing, and opens nothing by itself.
    pub(crate) fn new(
        cluster: &ClusterName,
        keyring: Option<Keyring>,
        plaintext: Plaintext,
        nonces: Rng,
        tolerance: u64,
    ) -> Self {
        let mut bound_to = Vec::from([DATAGRAM]);
        bound_to.extend_from_slice(cluster.as_str().as_bytes());
        Self { keyring, script: None, notes: None, plaintext, nonces, bound_to, tolerance }
    }

    /// What a checkpoint holds of it: no keys.
    pub(crate) fn state(&self) -> (Plaintext, &Rng) {
        (self.plaintext, &self.nonces)
    }

    pub(crate) fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    pub(crate) fn keyring_mut(&mut self) -> Option<&mut Keyring> {
        self.keyring.as_mut()
    }

    pub(super) fn seals(&self) -> bool {
        self.plaintext != Plaintext::Sent
    }

    pub(super) fn accepts_plaintext(&self) -> bool {
        self.plaintext != Plaintext::Refused
    }

    pub(super) fn begin(&self, buf: &mut Vec<u8>, time: u64) -> usize {
        buf.resize(HEADER, 0);
        put(buf, &time);
        TAG
    }

    pub(super) fn finish(&mut self, buf: &mut Vec<u8>, tag: u32) {
        let nonce = self.nonce();
        buf[0] = SEALED_VERSION;
        buf[1..5].copy_from_slice(&tag.to_le_bytes());
        buf[5..HEADER].copy_from_slice(&nonce);
        match &self.keyring {
            Some(keyring) => seal::seal(keyring.primary(), &nonce, &self.bound_to, buf, HEADER),
            None => buf.extend_from_slice(&[0; TAG]),
        }
    }

    /// Opens a datagram from behind its cluster tag.
    pub(super) fn open<'a>(
        &mut self,
        sealed: &[u8],
        time: u64,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(Reject::Format)?;
        let opened = match &self.keyring {
            Some(keyring) => seal::open(keyring, nonce, &self.bound_to, sealed, scratch),
            None => self.open_by_script(scratch),
        };
        self.note(opened, scratch);
        self.take_time(opened, time, scratch)
    }

    pub(super) fn begin_frame(&self, time: u64) -> Vec<u8> {
        let mut buf = alloc::vec![0; FRAME_HEADER];
        put(&mut buf, &time);
        buf
    }

    pub(super) fn finish_frame(&mut self, buf: &mut Vec<u8>, tag: u32, thread: &mut Thread) {
        let nonce = self.nonce();
        let bound_to = self.bind(thread);
        thread.first.get_or_insert(nonce);
        thread.frames += 1;
        let length = u32::try_from(buf.len() - 9 + TAG).expect("max_frame is at most 64 MiB");
        buf[0] = SEALED_VERSION;
        buf[1..5].copy_from_slice(&tag.to_le_bytes());
        buf[5..9].copy_from_slice(&length.to_le_bytes());
        buf[9..FRAME_HEADER].copy_from_slice(&nonce);
        if let Some(notes) = &mut self.notes {
            put(notes, &Told::Frame(crc32fast::hash(buf)));
        }
        match &self.keyring {
            Some(keyring) => seal::seal(keyring.primary(), &nonce, &bound_to, buf, FRAME_HEADER),
            None => buf.extend_from_slice(&[0; TAG]),
        }
    }

    /// Opens a frame from behind its length.
    pub(super) fn open_frame<'a>(
        &mut self,
        sealed: &[u8],
        time: u64,
        thread: &mut Thread,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(Reject::Format)?;
        let opened = match &self.keyring {
            Some(keyring) => seal::open(keyring, nonce, &self.bind(thread), rest, scratch),
            None => self.open_by_script(scratch),
        };
        self.note(opened, scratch);
        let body = self.take_time(opened, time, scratch);
        // One that is stale is authentic all the same, and gets an answer.
        if body.is_ok() || body == Err(Reject::Stale) {
            thread.first = thread.first.or_else(|| sealed.first_chunk().copied());
            thread.frames += 1;
        }
        body
    }

    /// Takes from the journal what came of opening what came sealed.
    fn open_by_script(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let opened = self.script.take();
        out.extend_from_slice(opened.as_deref().unwrap_or_default());
        opened.is_some()
    }

    fn note(&mut self, opened: bool, plain: &[u8]) {
        if let Some(notes) = &mut self.notes {
            put(notes, &if opened { Told::Opened(plain) } else { Told::NotOpened });
        }
    }

    fn take_time<'a>(&self, opened: bool, time: u64, plain: &'a [u8]) -> Result<&'a [u8], Reject> {
        if !opened {
            return Err(Reject::Key);
        }
        let mut body = plain;
        let theirs: u64 = take(&mut body)?;
        if theirs.abs_diff(time) > self.tolerance {
            return Err(Reject::Stale);
        }
        Ok(body)
    }

    /// What is authenticated beside a frame: which one it is, and of which stream, so that none can
    /// be put in the place of another.
    fn bind(&self, thread: &Thread) -> Vec<u8> {
        let mut bound_to = Vec::from([FRAME]);
        bound_to.extend_from_slice(&thread.frames.to_le_bytes());
        bound_to.extend_from_slice(&thread.first.unwrap_or_default());
        bound_to.extend_from_slice(&self.bound_to[1..]);
        bound_to
    }

    fn nonce(&mut self) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        for bytes in nonce.chunks_exact_mut(8) {
            bytes.copy_from_slice(&self.nonces.u64().to_le_bytes());
        }
        nonce
    }
}

/// What a message is, first of all that is authenticated beside it.
const DATAGRAM: u8 = 0;
const FRAME: u8 = 1;
