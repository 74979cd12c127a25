//! Frames: what travels on a stream, one request and at most one reply.

use super::codec::{put, put_profile, take, take_profile};
use super::{Binding, VERSION};
use crate::claim::Claim;
use crate::member::{ClusterName, Member, State};
use crate::stats::Reject;
use crate::stream::Refusal;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a frame says.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// "This is the membership as I know it; tell me yours": a request.
    Sync { members: Claims },
    /// "This is mine": the reply.
    Synced { members: Claims },
    /// "Take note": a request.
    News { members: Claims },
    /// "I did": the reply.
    Taken,
    /// "No": the reply to any request.
    Refused(Refusal),
}

/// The members in a frame, the sender itself first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) claims: Vec<Claim>,
    /// How many more there were that we do not take.
    pub(crate) refused: usize,
    /// Whether the sender is one of those.
    pub(crate) sender_refused: bool,
}

/// What the bytes received so far are.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The beginning of a frame, as far as one can tell.
    Incomplete,
    /// A whole frame.
    Complete(Frame),
}

/// A request or a reply with members, and how many of them had no place in it.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) frame: Bytes,
    pub(crate) left_out: usize,
}

pub(crate) fn sync<'a>(
    binding: &Binding,
    limit: usize,
    members: impl Iterator<Item = &'a Member>,
) -> Encoded {
    with_members(binding, limit, SYNC, members)
}

pub(crate) fn synced<'a>(
    binding: &Binding,
    limit: usize,
    members: impl Iterator<Item = &'a Member>,
) -> Encoded {
    with_members(binding, limit, SYNCED, members)
}

pub(crate) fn news(binding: &Binding, limit: usize, member: &Member) -> Bytes {
    with_members(binding, limit, NEWS, core::iter::once(member)).frame
}

pub(crate) fn taken(binding: &Binding) -> Bytes {
    finish(begin(binding), TAKEN, binding)
}

pub(crate) fn refused(binding: &Binding, refusal: Refusal) -> Bytes {
    let mut buf = begin(binding);
    buf.push(refusal as u8);
    finish(buf, REFUSED, binding)
}

/// Looks at what a stream brought so far, at most `limit` bytes of it.
///
/// What cannot become a frame of ours is turned away as soon as that can be seen.
pub(crate) fn parse(
    bytes: &[u8],
    binding: &Binding,
    limit: usize,
    max_meta: usize,
) -> Result<Progress, Reject> {
    if bytes.first().is_some_and(|&version| version != VERSION) {
        return Err(Reject::Format);
    }
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        return Ok(Progress::Incomplete);
    };
    let kind = header[1];
    let mut fields = &header[2..];
    let tag = u32::from_le_bytes(take(&mut fields)?);
    let checksum = u32::from_le_bytes(take(&mut fields)?);
    let length = u32::from_le_bytes(take(&mut fields)?);
    if tag != binding.tag {
        return Err(Reject::ForeignCluster);
    }
    let length = usize::try_from(length).ok().filter(|&length| length <= limit);
    let length = length.ok_or(Reject::Oversized)?;
    let Some(mut body) = body.get(..length) else {
        return Ok(Progress::Incomplete);
    };
    if checksum != binding.checksum(body) {
        return Err(Reject::Checksum);
    }
    if take::<ClusterName>(&mut body)? != binding.name {
        return Err(Reject::ForeignCluster);
    }
    message(kind, body, max_meta).map(Progress::Complete)
}

fn message(kind: u8, mut body: &[u8], max_meta: usize) -> Result<Frame, Reject> {
    Ok(match kind {
        SYNC => Frame::Sync { members: members(body, max_meta)? },
        SYNCED => Frame::Synced { members: members(body, max_meta)? },
        NEWS => Frame::News { members: members(body, max_meta)? },
        TAKEN => Frame::Taken,
        REFUSED => Frame::Refused(Refusal::from_u8(take(&mut body)?)),
        _ => return Err(Reject::Unexpected),
    })
}

fn members(mut body: &[u8], max_meta: usize) -> Result<Claims, Reject> {
    let mut members = Claims::default();
    while let Some((&head, rest)) = body.split_first() {
        body = rest;
        let state = match head & !IPV6 {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Failed,
            3 => State::Left,
            _ => return Err(Reject::Malformed),
        };
        match take_profile(&mut body, state, head & IPV6 != 0, max_meta)? {
            Some(claim) => members.claims.push(claim),
            None => {
                members.sender_refused |= members.claims.is_empty() && members.refused == 0;
                members.refused += 1;
            }
        }
    }
    Ok(members)
}

fn with_members<'a>(
    binding: &Binding,
    limit: usize,
    kind: u8,
    members: impl Iterator<Item = &'a Member>,
) -> Encoded {
    let mut buf = begin(binding);
    let mut left_out = 0;
    for member in members {
        let before = buf.len();
        let head = match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Failed => 2,
            State::Left => 3,
        };
        buf.push(if member.addr().is_ipv6() { head | IPV6 } else { head });
        put_profile(&mut buf, member);
        if buf.len() - HEADER > limit {
            buf.truncate(before);
            left_out += 1;
        }
    }
    Encoded { frame: finish(buf, kind, binding), left_out }
}

fn begin(binding: &Binding) -> Vec<u8> {
    let mut buf = alloc::vec![0; HEADER];
    put(&mut buf, &binding.name);
    buf
}

fn finish(mut buf: Vec<u8>, kind: u8, binding: &Binding) -> Bytes {
    let body = &buf[HEADER..];
    let length = u32::try_from(body.len()).expect("max_frame is at most 64 MiB");
    let checksum = binding.checksum(body);
    buf[0] = VERSION;
    buf[1] = kind;
    buf[2..6].copy_from_slice(&binding.tag.to_le_bytes());
    buf[6..10].copy_from_slice(&checksum.to_le_bytes());
    buf[10..HEADER].copy_from_slice(&length.to_le_bytes());
    buf.into()
}

/// Version, kind, cluster tag, checksum, length of what follows.
pub(crate) const HEADER: usize = 14;

const SYNC: u8 = 0;
const SYNCED: u8 = 1;
const NEWS: u8 = 2;
const TAKEN: u8 = 3;
const REFUSED: u8 = 4;
/// In the first byte of a member: its address has 16 bytes.
const IPV6: u8 = 0x10;
