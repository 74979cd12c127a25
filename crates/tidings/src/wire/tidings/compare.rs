//! Parts of sync frames, and the member records in them.

use super::profile::{decode_profile, encode_profile};
use crate::member::{Member, State};
use crate::membership::claim::Claim;
use crate::membership::range::Range;
use crate::stats::Reject;
use crate::wire::codec::{decode, encode};
use crate::wire::frame::{Claims, DecodeLimits, SplitDigests, SyncPart};
use alloc::vec::Vec;

/// Appends a part with the digest of a range.
pub(crate) fn encode_digest(buf: &mut Vec<u8>, range: Range, digest: u64) {
    encode_range(buf, DIGEST, range);
    buf.extend_from_slice(&digest.to_le_bytes());
}

/// Appends a part with the digests of a range's sixteenths; a digest of 0 takes no bytes.
pub(crate) fn encode_split(buf: &mut Vec<u8>, range: Range, digests: &[u64; 16]) {
    encode_range(buf, SPLIT, range);
    let filled = |bits, (n, &digest): (usize, &u64)| bits | (u16::from(digest != 0) << n);
    let bits = digests.iter().enumerate().fold(0, filled);
    buf.extend_from_slice(&bits.to_le_bytes());
    for digest in digests.iter().filter(|&&digest| digest != 0) {
        buf.extend_from_slice(&digest.to_le_bytes());
    }
}

/// Appends a part with members of a range: each, and whether this node was only told of it.
pub(crate) fn encode_members<'a>(
    buf: &mut Vec<u8>,
    range: Range,
    ask: bool,
    members: impl Iterator<Item = (&'a Member, bool)>,
) {
    encode_range(buf, if ask { MEMBERS_AND_ASK } else { MEMBERS }, range);
    for (member, told) in members {
        encode_member(buf, member, told);
    }
    buf.push(END);
}

/// Length of a part without members, in bytes.
pub(crate) fn members_len(range: Range) -> usize {
    1 + usize::from(range.depth().div_ceil(2)) + 1
}

/// Appends a member's record: state, address, name, incarnation and metadata; `told` is whether
/// this node was only told of the member.
pub(crate) fn encode_member(buf: &mut Vec<u8>, member: &Member, told: bool) {
    let head = match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Failed => 2,
        State::Left => 3,
    };
    let ipv6 = if member.addr().is_ipv6() { IPV6 } else { 0 };
    buf.push(head | ipv6 | if told { TOLD } else { 0 });
    encode_profile(buf, member);
}

/// Decodes a member's record behind its first byte, `head`; `None` if it is not acceptable (see
/// [`decode_profile`]).
pub(crate) fn decode_member(
    head: u8,
    bytes: &mut &[u8],
    max_meta: usize,
) -> Result<Option<Claim>, Reject> {
    let state = match head & !(IPV6 | TOLD) {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Failed,
        3 => State::Left,
        _ => return Err(Reject::Malformed),
    };
    decode_profile(bytes, state, (head & IPV6 != 0, head & TOLD != 0), max_meta)
}

/// Decodes the parts of a frame, to its end.
///
/// Their ranges are in order and do not overlap, as every reply to such parts: so a frame asks for
/// no member twice.
pub(crate) fn decode_parts(
    mut bytes: &[u8],
    limits: &mut DecodeLimits,
) -> Result<Vec<SyncPart>, Reject> {
    let mut parts = Vec::new();
    let mut last = None;
    while let Some((&head, rest)) = bytes.split_first() {
        bytes = rest;
        let range = decode_range(head >> 2, &mut bytes)?;
        if last.replace(range.last()).is_some_and(|last| range.start() <= last) {
            return Err(Reject::Malformed);
        }
        limits.take::<SyncPart>(0)?;
        parts.push(match head & 3 {
            DIGEST => SyncPart::Digest { range, digest: u64::from_le_bytes(decode(&mut bytes)?) },
            SPLIT => SyncPart::Split { range, digests: decode_split(range, &mut bytes, limits)? },
            kind => {
                let claims = decode_claims(&mut bytes, limits)?;
                SyncPart::Members { range, claims, ask: kind == MEMBERS_AND_ASK }
            }
        });
    }
    Ok(parts)
}

fn decode_split(
    range: Range,
    bytes: &mut &[u8],
    limits: &mut DecodeLimits,
) -> Result<SplitDigests, Reject> {
    if range.child(0).is_none() {
        return Err(Reject::Malformed);
    }
    let filled = u16::from_le_bytes(decode(bytes)?);
    let mut digests = Vec::with_capacity(filled.count_ones() as usize);
    for _ in 0..filled.count_ones() {
        limits.take::<u64>(0)?;
        digests.push(u64::from_le_bytes(decode(bytes)?));
    }
    Ok(SplitDigests { filled, digests })
}

fn decode_claims(bytes: &mut &[u8], limits: &mut DecodeLimits) -> Result<Claims, Reject> {
    let mut claims = Claims::default();
    loop {
        match decode::<u8>(bytes)? {
            END => return Ok(claims),
            head => claims.push(decode_member(head, bytes, limits.max_meta)?, limits)?,
        }
    }
}

/// Appends the head of a part: one byte with the kind in the two lower bits and the depth above,
/// then the range's nibbles.
fn encode_range(buf: &mut Vec<u8>, kind: u8, range: Range) {
    buf.push(kind | (range.depth() << 2));
    let bytes = range.depth().div_ceil(2);
    buf.extend_from_slice(&range.start().to_be_bytes()[..usize::from(bytes)]);
}

fn decode_range(depth: u8, bytes: &mut &[u8]) -> Result<Range, Reject> {
    let len = usize::from(depth.div_ceil(2));
    let mut start = [0; 8];
    let nibbles = start.get_mut(..len).ok_or(Reject::Malformed)?;
    let (prefix, rest) = bytes.split_at_checked(len).ok_or(Reject::Malformed)?;
    nibbles.copy_from_slice(prefix);
    *bytes = rest;
    Range::new(u64::from_be_bytes(start), depth).ok_or(Reject::Malformed)
}

/// Appends a hello's sender that is identified by name.
pub(crate) fn encode_name(buf: &mut Vec<u8>, member: &Member) {
    buf.push(NAME);
    encode(buf, member.id());
}

const DIGEST: u8 = 0;
const SPLIT: u8 = 1;
const MEMBERS: u8 = 2;
const MEMBERS_AND_ASK: u8 = 3;

/// Bit in the first byte of a member: its address has 16 bytes.
const IPV6: u8 = 0x10;
/// Bit in the first byte of a member: the sender was only told of it.
const TOLD: u8 = 0x40;
/// In place of a member's first byte: only its name follows.
pub(crate) const NAME: u8 = 0x20;
/// In place of a member's first byte: the end of the members.
const END: u8 = 0xff;
