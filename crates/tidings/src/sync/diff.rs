//! Sync: how two nodes find out what one knows and the other does not.
//!
//! They compare digests of ranges of members, and go into those that differ: sixteenth by sixteenth
//! until few are left, of whom they tell each other. Each frame answers the one before; all that is
//! still to be done is in the frames, and nothing of it in the nodes.

use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::range::Range;
use crate::sync::index::DigestIndex;
use crate::wire::frame::{Claims, SyncPart};
use crate::wire::tidings::compare::{encode_digest, encode_members, encode_split};
use alloc::vec::Vec;

/// Begins a comparison: of everything, by its digest; whoever knows nobody asks for everybody at once.
pub(crate) fn begin(members: &Members, buf: &mut Vec<u8>) {
    if members.len() == 1 {
        encode_members(buf, usize::MAX, Range::ALL, true, members.iter());
    } else {
        encode_digest(buf, Range::ALL, members.digest());
    }
}

/// The answer to what the peer said, while it is being written.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    members: &'a Members,
    index: &'a DigestIndex,
    /// Who gets it.
    receiver: &'a NodeId,
    buf: &'a mut Vec<u8>,
    /// How long the frame should become.
    limit: usize,
    /// Members that fit into no frame.
    left_out: u64,
    /// Something found no room: all else waits too, and is asked for again.
    full: bool,
    /// Whether members have been put in.
    told: bool,
}

impl<'a> Answer<'a> {
    /// Writes into `buf` what is answered to `parts`, of whose members all have been taken already.
    ///
    /// Returns how many members fit into no frame.
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
        let (left_out, full, told) = (0, false, false);
        let mut answer = Self { members, index, receiver, buf, limit, left_out, full, told };
        answer.answer(parts);
        answer.left_out
    }

    fn answer(&mut self, parts: &[SyncPart]) {
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
                SyncPart::Members { range, claims, ask: true } => self.tell(*range, claims),
                SyncPart::Members { ask: false, .. } => {}
            }
        }
    }

    fn compare(&mut self, range: Range, theirs: u64) {
        if self.index.digest(range) != theirs {
            self.differs(range);
        }
    }

    /// Goes into a range that is not the same at both.
    fn differs(&mut self, range: Range) {
        if self.full {
            return self.ask_again(range);
        }
        if self.index.within(range).len() > FEW && self.split(range) {
            return;
        }
        if !self.encode_members(range, true, |_| true) {
            self.ask_again(range);
        }
    }

    /// Tells what we know of a range, and the peer does not.
    fn tell(&mut self, range: Range, theirs: &Claims) {
        if self.full {
            return self.ask_again(range);
        }
        let mut theirs: Vec<_> = theirs.claims.iter().collect();
        theirs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let news = |member: &Member| {
            let same = theirs.binary_search_by(|claim| claim.id.cmp(&member.id));
            !same.is_ok_and(|at| theirs[at].is_all_of(member))
        };
        if self.encode_members(range, false, news) {
            return;
        }
        if self.told {
            self.ask_again(range);
        } else if !self.split(range) {
            self.left_out += self.index.within(range).len() as u64;
        }
    }

    /// Puts members of a range in; `false` if there is no room for all.
    fn encode_members(&mut self, range: Range, ask: bool, which: impl Fn(&Member) -> bool) -> bool {
        let keys = self.index.within(range).iter().map(|&(_, key)| key);
        let told = keys.filter(|&key| self.members.is_shared(key, Some(self.receiver)));
        let mut members =
            told.map(|key| &self.members[key]).filter(|member| which(member)).peekable();
        if members.peek().is_none() && !ask {
            return true;
        }
        let put = encode_members(self.buf, self.limit, range, ask, members);
        self.told |= put;
        self.full |= !put && self.told;
        put
    }

    /// Says what each sixteenth of a range comes down to; `false` if it cannot be divided.
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

    /// Has the peer find out again that the range is not the same, when there is room for it.
    fn ask_again(&mut self, range: Range) {
        self.full = true;
        encode_digest(self.buf, range, self.index.digest(range));
    }
}

/// So many members are told of rather than compared any further.
const FEW: usize = 16;
