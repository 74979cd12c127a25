//! Search for the differences between two membership tables, during a sync.
//!
//! The peers compare digests of ranges of members, and split each range that differs into
//! sixteenths until it has few members; then they exchange records. Each frame replies to the
//! previous one. The whole state of the comparison travels in the frames; the nodes keep none.

use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::range::Range;
use crate::sync::index::DigestIndex;
use crate::wire::frame::{Claims, SyncPart};
use crate::wire::tidings::compare::{encode_digest, encode_members, encode_split};
use alloc::vec::Vec;

/// Writes the first frame's part: the digest of the table. A node that knows nobody else requests
/// all records at once instead.
pub(crate) fn begin(members: &Members, buf: &mut Vec<u8>) {
    if members.len() == 1 {
        encode_members(buf, usize::MAX, Range::ALL, true, members.iter());
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
    /// Target size of the frame, in bytes.
    limit: usize,
    /// Number of members whose records fit into no frame.
    oversized: u64,
    /// The frame is full: all further ranges are deferred to the next frame.
    full: bool,
    /// The frame has records.
    has_records: bool,
}

impl<'a> Answer<'a> {
    /// Writes into `buf` the reply to `parts`, whose records were applied already; nothing if the
    /// tables are equal.
    ///
    /// Returns the number of members whose records fit into no frame.
    pub(crate) fn write(
        members: &'a Members,
        index: &'a mut DigestIndex,
        receiver: &'a NodeId,
        buf: &'a mut Vec<u8>,
        limit: usize,
        parts: &[SyncPart],
    ) -> u64 {
        let same = |part: &SyncPart| match part {
            SyncPart::Digest { range: Range::ALL, digest } => *digest == members.digest(),
            _ => false,
        };
        if parts.iter().all(same) {
            return 0;
        }
        index.refresh(members);
        let (oversized, full, has_records) = (0, false, false);
        let mut answer =
            Self { members, index, receiver, buf, limit, oversized, full, has_records };
        answer.reply_to_parts(parts);
        answer.oversized
    }

    fn reply_to_parts(&mut self, parts: &[SyncPart]) {
        for part in parts {
            match part {
                SyncPart::Digest { range, digest } => self.compare(*range, *digest),
                SyncPart::Split { range, digests } => {
                    for (n, &digest) in (0..).zip(digests) {
                        if let Some(child) = range.child(n) {
                            self.compare(child, digest);
                        }
                    }
                }
                SyncPart::Members { range, claims, ask: true } => self.send_records(*range, claims),
                SyncPart::Members { ask: false, .. } => {}
            }
        }
    }

    fn compare(&mut self, range: Range, theirs: u64) {
        if self.index.digest(range) != theirs {
            self.descend(range);
        }
    }

    /// Continues the search in a range that differs: splits it, or sends its records.
    fn descend(&mut self, range: Range) {
        if self.full {
            return self.defer(range);
        }
        if self.index.within(range).len() > MAX_RECORDS && self.split(range) {
            return;
        }
        if !self.encode_members(range, true, |_| true) {
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
        let is_new = |member: &Member| {
            let same = theirs.binary_search_by(|claim| claim.id.cmp(&member.id));
            !same.is_ok_and(|at| theirs[at].is_all_of(member))
        };
        if self.encode_members(range, false, is_new) {
            return;
        }
        if self.has_records {
            self.defer(range);
        } else if !self.split(range) {
            self.oversized += self.index.within(range).len() as u64;
        }
    }

    /// Appends records of a range; `false` if not all fit.
    fn encode_members(
        &mut self,
        range: Range,
        ask: bool,
        include: impl Fn(&Member) -> bool,
    ) -> bool {
        let keys = self.index.within(range).iter().map(|&(_, key)| key);
        let shared = keys.filter(|&key| self.members.is_shared(key, Some(self.receiver)));
        let mut members =
            shared.map(|key| &self.members[key]).filter(|member| include(member)).peekable();
        if members.peek().is_none() && !ask {
            return true;
        }
        let encoded = encode_members(self.buf, self.limit, range, ask, members);
        self.has_records |= encoded;
        self.full |= !encoded && self.has_records;
        encoded
    }

    /// Appends the digests of a range's sixteenths; `false` if the range cannot be split.
    fn split(&mut self, range: Range) -> bool {
        let mut digests = [0; 16];
        for (n, digest) in (0..).zip(&mut digests) {
            let Some(child) = range.child(n) else { return false };
            *digest = self.index.digest(child);
        }
        encode_split(self.buf, range, &digests);
        self.full |= self.buf.len() >= self.limit;
        true
    }

    /// Defers a range to the next frame, by sending its digest, which differs from the peer's.
    fn defer(&mut self, range: Range) {
        self.full = true;
        encode_digest(self.buf, range, self.index.digest(range));
    }
}

/// Maximum number of members in a range that is answered with records instead of being split.
const MAX_RECORDS: usize = 16;
