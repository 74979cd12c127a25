//! Stand-in for the notes of a journal, in a core without feature `record`.

use alloc::vec::Vec;

/// No notes of sealing and opening.
#[derive(Debug, Default)]
pub(crate) struct CryptoNotes;

impl CryptoNotes {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn note_frame(&mut self, _: &[u8]) {}

    pub(super) fn note_opened(&mut self, _: Option<&[u8]>) {}

    /// Never called: only a replay has no keys.
    pub(super) fn open_by_script(&mut self, _: &mut Vec<u8>) -> bool {
        false
    }
}
