//! Digests of ranges of members, ready to be compared.

use crate::membership::Members;
use crate::membership::range::Range;
use crate::membership::table::MemberKey;
use alloc::vec::Vec;

/// The members in the order of their places, for as long as comparisons are under way.
#[derive(Debug, Default)]
pub(crate) struct DigestIndex {
    sorted: Vec<(u64, MemberKey)>,
    /// When that was made, as the members' count of changes.
    made_at: Option<u64>,
    /// The digest of all before each of them, and of all.
    sums: Vec<u64>,
}

impl DigestIndex {
    /// Sorts the members by their places, and sums their digests up, unless that was done.
    pub(super) fn refresh(&mut self, members: &Members) {
        if self.made_at != Some(members.changes()) {
            self.sorted = members.hash_positions();
            self.made_at = Some(members.changes());
            self.sums.clear();
        }
        if self.sums.last() != Some(&members.digest()) {
            self.sums.clear();
            self.sums.push(0);
            let digests = self.sorted.iter().map(|&(_, key)| members.digest_of(key));
            self.sums.extend(digests.scan(0_u64, |sum, digest| {
                *sum = sum.wrapping_add(digest);
                Some(*sum)
            }));
        }
    }

    /// Gives the memory back.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn within(&self, range: Range) -> &[(u64, MemberKey)] {
        let (from, to) = self.bounds(range);
        &self.sorted[from..to]
    }

    /// What the members of a range come down to: found as quickly as the range itself, so that whoever
    /// asks for many has little to gain.
    pub(super) fn digest(&self, range: Range) -> u64 {
        let (from, to) = self.bounds(range);
        self.sums[to].wrapping_sub(self.sums[from])
    }

    pub(super) fn bounds(&self, range: Range) -> (usize, usize) {
        let from = self.sorted.partition_point(|&(position, _)| position < range.start());
        let to = self.sorted.partition_point(|&(position, _)| position <= range.last());
        (from, to)
    }
}
