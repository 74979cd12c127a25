//! A node's keys and nonces for sealing and opening messages, independent of the format.

use crate::config::Plaintext;
use crate::crypto::aead::{NONCE, TAG};
use crate::crypto::keyring::Keyring;
use crate::rng::Rng;
use crate::wire::journal_note::CryptoNotes;
use alloc::vec::Vec;

/// A node's keyring, nonces and plaintext policy, with hooks for its journal and for replay.
#[derive(Debug)]
pub(crate) struct CryptoState {
    /// `None` in a replay, which encrypts nothing and takes opened plaintext from the journal.
    keyring: Option<Keyring>,
    /// Notes about sealing and opening, for the journal and from it.
    notes: CryptoNotes,
    plaintext: Plaintext,
    nonces: Rng,
}

impl CryptoState {
    pub(crate) fn new(keyring: Option<Keyring>, plaintext: Plaintext, nonces: Rng) -> Self {
        Self { keyring, notes: CryptoNotes::new(), plaintext, nonces }
    }

    /// The part that a checkpoint stores: no keys.
    #[cfg(feature = "record")]
    pub(crate) fn state(&self) -> (Plaintext, &Rng) {
        (self.plaintext, &self.nonces)
    }

    pub(crate) fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    pub(crate) fn keyring_mut(&mut self) -> Option<&mut Keyring> {
        self.keyring.as_mut()
    }

    #[cfg(feature = "record")]
    pub(super) fn notes(&mut self) -> Option<&mut Vec<u8>> {
        self.notes.notes.as_mut()
    }

    #[cfg(feature = "record")]
    pub(super) fn set_note_taking(&mut self, enabled: bool) {
        self.notes.notes = enabled.then(Vec::new);
    }

    /// In a replay, sets the plaintext of the next sealed message; `None` if it did not open.
    #[cfg(feature = "record")]
    pub(super) fn script(&mut self, opened: Option<&[u8]>) {
        self.notes.script = opened.map(Into::into);
    }

    pub(super) fn seals(&self) -> bool {
        self.plaintext != Plaintext::Sent
    }

    pub(crate) fn accepts_plaintext(&self) -> bool {
        self.plaintext != Plaintext::Refused
    }

    /// A nonce with `drawn` random bytes; the others are zero.
    pub(super) fn nonce(&mut self, drawn: usize) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        for bytes in nonce[..drawn].chunks_mut(8) {
            bytes.copy_from_slice(&self.nonces.u64().to_le_bytes()[..bytes.len()]);
        }
        nonce
    }

    /// Notes the checksum of a frame for the journal, before it is sealed.
    pub(super) fn note_frame(&mut self, frame: &[u8]) {
        self.notes.note_frame(frame);
    }

    /// Encrypts `buf[from..]` in place and appends the tag.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], buf: &mut Vec<u8>, from: usize) {
        match &self.keyring {
            Some(keyring) => keyring.primary().seal(nonce, aad, buf, from),
            None => buf.extend_from_slice(&[0; TAG]),
        }
    }

    /// Decrypts `sealed` into `out`; returns whether that succeeded. `complete` then finishes and
    /// checks the plaintext, such as its padding; a replay skips that.
    pub(super) fn open(
        &mut self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
        complete: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let opened = match &self.keyring {
            Some(keyring) => keyring.open(nonce, aad, sealed, out) && complete(out),
            None => self.notes.open_by_script(out),
        };
        self.notes.note_opened(opened.then_some(out));
        opened
    }
}
