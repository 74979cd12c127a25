//! The layers of a datagram inside label and encryption: checksum, compression and compounds.

use super::lzw;
use super::msgpack::{DecodeError, decode_struct, encode_number, encode_raw_marker, encode_struct};
use crate::stats::Reject;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Removes the layers of a datagram, and appends its leaves to `leaves`, each after its length in
/// four bytes. A malformed part of a compound becomes an empty leaf.
///
/// Decompression produces at most `limit` bytes in all, and there are at most [`MAX_LEAVES`]
/// leaves.
///
/// # Errors
///
/// If the checksum is wrong, the outermost message is malformed, or there are too many leaves.
pub(crate) fn expand(plain: &[u8], limit: usize, leaves: &mut Vec<u8>) -> Result<(), Reject> {
    Expansion { left: limit, leaves_left: MAX_LEAVES, leaves }.expand(verify(plain)?, MAX_DEPTH)
}

/// Iterates over the leaves that [`expand`] appended.
pub(crate) fn leaves(leaves: &[u8]) -> Leaves<'_> {
    Leaves(leaves)
}

/// Iterator over the leaves of an expanded datagram.
#[derive(Clone, Debug)]
pub(crate) struct Leaves<'a>(&'a [u8]);

impl<'a> Iterator for Leaves<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (leaf, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        Some(leaf)
    }
}

struct Expansion<'a> {
    /// Number of bytes that decompression may still produce.
    left: usize,
    leaves_left: usize,
    leaves: &'a mut Vec<u8>,
}

impl Expansion<'_> {
    fn expand(&mut self, message: &[u8], depth: u32) -> Result<(), Reject> {
        match message.first() {
            Some(&(COMPOUND | COMPRESS)) if depth == 0 => Err(Reject::Oversized),
            Some(&COMPOUND) => self.decode_compound(&message[1..], depth - 1),
            Some(&COMPRESS) => {
                let mut inner = Vec::new();
                let decompressed = decompress(&message[1..], self.left, &mut inner);
                // Output of a decompression that then fails counts too.
                self.left -= inner.len();
                decompressed?;
                self.expand(&inner, depth - 1)
            }
            Some(_) => self.push_leaf(message),
            None => Err(Reject::Malformed),
        }
    }

    fn push_leaf(&mut self, leaf: &[u8]) -> Result<(), Reject> {
        self.leaves_left = self.leaves_left.checked_sub(1).ok_or(Reject::Oversized)?;
        let len = u32::try_from(leaf.len())
            .expect("a datagram and its decompressed parts have less than 4 GiB");
        self.leaves.extend_from_slice(&len.to_le_bytes());
        self.leaves.extend_from_slice(leaf);
        Ok(())
    }

    /// Expands the parts of a compound. If it is cut, the incomplete part becomes an empty leaf and
    /// the parts after it are lost. Too many leaves are an error at each depth.
    fn decode_compound(&mut self, body: &[u8], depth: u32) -> Result<(), Reject> {
        let (&count, rest) = body.split_first().ok_or(Reject::Malformed)?;
        let table = 2 * usize::from(count);
        let (lengths, mut parts) = rest.split_at_checked(table).ok_or(Reject::Malformed)?;
        for length in lengths.chunks_exact(2) {
            let length = u16::from_be_bytes([length[0], length[1]]);
            let Some((part, rest)) = parts.split_at_checked(length.into()) else {
                self.push_leaf(&[])?;
                break;
            };
            parts = rest;
            if self.expand(part, depth).is_err() {
                self.push_leaf(&[])?;
            }
        }
        Ok(())
    }
}

/// Verifies and removes the checksum, if there is one.
fn verify(plain: &[u8]) -> Result<&[u8], Reject> {
    let Some((&HAS_CRC, rest)) = plain.split_first() else { return Ok(plain) };
    let (checksum, rest) = rest.split_first_chunk().ok_or(Reject::Malformed)?;
    if u32::from_be_bytes(*checksum) != crc32fast::hash(rest) {
        return Err(Reject::Checksum);
    }
    Ok(rest)
}

/// Decompresses a compress message, given the bytes behind its type, to at most `limit` bytes.
fn decompress(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
    let compressed = decode_compressed(&mut &body[..]).map_err(|_| Reject::Malformed)?;
    lzw::decompress(&compressed, limit, out)
}

/// Decodes the compressed bytes of a compress message; its algorithm must be LZW.
pub(super) fn decode_compressed<'a>(bytes: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    let (mut algorithm, mut compressed) = (0, Cow::default());
    decode_struct(bytes, &["Algo", "Buf"], |n, value| {
        match n {
            0 => algorithm = value.number(u8::MAX.into())?,
            _ => compressed = value.bytes()?,
        }
        Ok(())
    })?;
    if algorithm == LZW { Ok(compressed) } else { Err(DecodeError::Malformed) }
}

/// Inserts the header of a compound before its parts, which begin at `start`.
pub(crate) fn wrap_compound(buf: &mut Vec<u8>, start: usize, lengths: &[u16]) {
    debug_assert!(lengths.len() <= MAX_PARTS);
    let (head, end) = (2 + 2 * lengths.len(), buf.len());
    buf.resize(end + head, 0);
    buf.copy_within(start..end, start + head);
    buf[start..start + 2].copy_from_slice(&[COMPOUND, lengths.len() as u8]);
    for (place, length) in buf[start + 2..start + head].chunks_exact_mut(2).zip(lengths) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Compresses everything from `start` on; in a datagram only if that makes it smaller.
pub(crate) fn compress(buf: &mut Vec<u8>, start: usize, in_datagram: bool) {
    let mut compressed = Vec::new();
    lzw::compress(&buf[start..], &mut compressed);
    let mut message = Vec::from([COMPRESS]);
    encode_struct(&mut message, 2);
    encode_number(&mut message, "Algo", LZW as u32);
    encode_raw_marker(&mut message, 3);
    message.extend_from_slice(b"Buf");
    encode_raw_marker(&mut message, compressed.len());
    message.append(&mut compressed);
    if !in_datagram || message.len() < buf.len() - start {
        buf.truncate(start);
        buf.append(&mut message);
    }
}

/// Writes the checksum header into the five bytes at `start`, for the bytes behind them.
pub(crate) fn encode_crc(buf: &mut [u8], start: usize) {
    let checksum = crc32fast::hash(&buf[start + CRC_HEADER..]);
    buf[start] = HAS_CRC;
    buf[start + 1..start + CRC_HEADER].copy_from_slice(&checksum.to_be_bytes());
}

/// Length of a checksum header: type and CRC-32.
pub(crate) const CRC_HEADER: usize = 5;

/// Largest number of parts in a compound of ours: memberlist up to 0.2.3 crashes on more.
pub(crate) const MAX_PARTS: usize = 127;

/// Largest number of leaves in a datagram, at all depths together: as many as one compound can
/// have. memberlist has no limit, and sends one compound in a datagram. Without it, 1,000 bytes of
/// nested compounds or of compression would become 20,000 events.
const MAX_LEAVES: usize = 255;

/// Largest nesting depth of compounds and compression; memberlist has no limit, and nests two deep.
const MAX_DEPTH: u32 = 8;

const COMPOUND: u8 = 7;
pub(super) const COMPRESS: u8 = 9;
const HAS_CRC: u8 = 12;
const LZW: u64 = 0;
