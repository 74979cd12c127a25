//! Search for the differences between two membership tables, during a sync.
//!
//! The peers compare digests of ranges of members, and split each range that differs into
//! sixteenths until it has few members; then they exchange records. Each frame replies to the
//! previous one. The whole state of the comparison travels in the frames; the nodes keep none.

use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::index::{DigestIndex, record_len};
use crate::membership::range::Range;
use crate::wire::frame::{Claims, SyncPart};
use crate::wire::tidings::compare::{encode_digest, encode_members, encode_split, members_len};
use alloc::vec::Vec;

/// Writes the first frame's part: the digest of the table. A node that knows nobody else requests
/// all records at once instead.
pub(crate) fn begin(members: &Members, buf: &mut Vec<u8>) {
    if members.len() == 1 {
        encode_members(buf, Range::ALL, true, members.iter().map(|member| (member, false)));
    } else {
        encode_digest(buf, Range::ALL, members.digest());
    }
}

/// The reply to a peer's sync frame, while it is being written.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    members: &'a Members,
    index: &'a DigestIndex,
    /// The peer's name.
    receiver: &'a NodeId,
    buf: &'a mut Vec<u8>,
    /// Target length of `buf`, in bytes.
    limit: usize,
    /// Largest length of `buf`, in bytes.
    max: usize,
    /// Number of members whose records fit into no frame.
    oversized: u64,
    /// The frame is full: all further ranges are deferred to the next frame.
    full: bool,
    /// The frame has records.
    has_records: bool,
}

impl<'a> Answer<'a> {
    /// Writes into `buf` the reply to `parts`, whose records were applied already; nothing if the
    /// tables are equal. The reply has about `chunk` bytes, and at most a few more than twice that:
    /// ranges beyond wait for the next sync.
    ///
    /// Returns the number of members whose records fit into no frame; `None` if the tables differ,
    /// and there may not be room for the reply: then no member was looked at.
    pub(crate) fn write(
        members: &'a mut Members,
        receiver: &'a NodeId,
        buf: &'a mut Vec<u8>,
        (chunk, room): (usize, usize),
        parts: &[SyncPart],
    ) -> Option<u64> {
        let asks_nothing = |part: &SyncPart| match part {
            SyncPart::Digest { range: Range::ALL, digest } => *digest == members.digest(),
            SyncPart::Members { ask, .. } => !ask,
            _ => false,
        };
        if parts.iter().all(asks_nothing) {
            return Some(0);
        }
        if room < 2 * chunk {
            return None;
        }
        members.build_index();
        let index = members.index()?;
        let (limit, max) = (buf.len() + chunk, buf.len() + 2 * chunk);
        let (oversized, full, has_records) = (0, false, false);
        let mut answer =
            Self { members, index, receiver, buf, limit, max, oversized, full, has_records };
        answer.reply_to_parts(parts);
        Some(answer.oversized)
    }

    fn reply_to_parts(&mut self, parts: &[SyncPart]) {
        for part in parts {
            match part {
                SyncPart::Digest { range, digest } => {
                    if self.index.totals(*range).digest != *digest {
                        self.descend(*range);
                    }
                }
                SyncPart::Split { range, digests } => {
                    let ours = self.index.digests(*range);
                    for (n, (ours, theirs)) in (0..).zip(ours.into_iter().zip(digests.all())) {
                        if ours != theirs {
                            range.child(n).into_iter().for_each(|child| self.descend(child));
                        }
                    }
                }
                SyncPart::Members { range, claims, ask: true } => self.send_records(*range, claims),
                SyncPart::Members { ask: false, .. } => {}
            }
        }
    }

    /// Continues the search in a range that differs: splits it, or sends its records.
    fn descend(&mut self, range: Range) {
        if self.full {
            return self.defer(range);
        }
        if self.index.totals(range).shared > MAX_RECORDS && self.split(range) {
            return;
        }
        if !self.encode_members(range, true, 0, |_| true) {
            self.defer(range);
        }
    }

    /// Sends the records of a range that the peer lacks.
    fn send_records(&mut self, range: Range, theirs: &Claims) {
        if self.full {
            return self.defer(range);
        }
        let mut theirs: Vec<_> = theirs.claims.iter().collect();
        theirs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        theirs.dedup_by(|a, b| a.id == b.id);
        let is_new = |member: &Member| {
            let same = theirs.binary_search_by(|claim| claim.id.cmp(&member.id));
            !same.is_ok_and(|at| theirs[at].is_all_of(member))
        };
        // Only what is left out makes room for the others.
        let known = theirs.iter().filter_map(|claim| {
            let key = self.members.find(&claim.id)?;
            let is_here = range.contains(self.members.place(key));
            let shared = is_here && self.members.is_shared(key, None);
            (shared && claim.is_all_of(&self.members[key])).then_some(key)
        });
        let known = known.map(|key| u64::from(record_len(&self.members[key]))).sum();
        if self.encode_members(range, false, known, is_new) {
            return;
        }
        if self.has_records {
            self.defer(range);
        } else if !self.split(range) {
            self.oversized += u64::from(self.index.totals(range).shared);
        }
    }

    /// Appends records of a range; `false` if not all fit. `include` leaves out `known` bytes of
    /// those that are shared.
    fn encode_members(
        &mut self,
        range: Range,
        ask: bool,
        known: u64,
        include: impl Fn(&Member) -> bool,
    ) -> bool {
        // Of a member that is not shared, only that member itself learns.
        let own = self.members.find(self.receiver).filter(|&key| {
            !self.members.is_shared(key, None) && range.contains(self.members.place(key))
        });
        let own_len = own.map_or(0, |key| record_len(&self.members[key]).into());
        // The node looks at no records that it cannot send.
        let len = (self.buf.len() + members_len(range)) as u64;
        if len + self.index.totals(range).records + own_len > self.limit as u64 + known {
            self.full |= self.has_records;
            return false;
        }
        let keys = self.index.shared(range).chain(own);
        let members = keys.filter(|&key| include(&self.members[key]));
        let mut members =
            members.map(|key| (&self.members[key], !self.members.is_validated(key))).peekable();
        if members.peek().is_none() && !ask {
            return true;
        }
        encode_members(self.buf, range, ask, members);
        debug_assert!(self.buf.len() <= self.limit);
        self.has_records = true;
        true
    }

    /// Appends the digests of a range's sixteenths; `false` if the range cannot be split.
    fn split(&mut self, range: Range) -> bool {
        if range.child(0).is_none() {
            return false;
        }
        encode_split(self.buf, range, &self.index.digests(range));
        self.full |= self.buf.len() >= self.limit;
        true
    }

    /// Defers a range to the next frame, by sending its digest, which differs from the peer's.
    fn defer(&mut self, range: Range) {
        self.full = true;
        if self.buf.len() < self.max {
            encode_digest(self.buf, range, self.index.totals(range).digest);
        }
    }
}

/// Maximum number of members in a range that is answered with records instead of being split.
const MAX_RECORDS: u32 = 16;
