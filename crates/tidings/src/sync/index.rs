//! An index of the membership table by place, for the digests of ranges.

use crate::membership::Members;
use crate::membership::range::Range;
use crate::membership::table::MemberKey;
use alloc::vec::Vec;

/// The members in the order of their places, with prefix sums of their digests.
///
/// It exists while syncs are in progress.
#[derive(Debug, Default)]
pub(crate) struct DigestIndex {
    sorted: Vec<(u64, MemberKey)>,
    /// [`Members::changes`] when `sorted` was built.
    built_at: Option<u64>,
    /// For each index of `sorted`, the digest of all members before it; the last entry is the
    /// digest of all.
    sums: Vec<u64>,
}

impl DigestIndex {
    /// Rebuilds the parts that the table's changes have outdated.
    pub(super) fn refresh(&mut self, members: &Members) {
        if self.built_at != Some(members.changes()) {
            self.sorted = members.places();
            self.built_at = Some(members.changes());
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

    /// Releases the memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The members in a range, with their places.
    pub(super) fn within(&self, range: Range) -> &[(u64, MemberKey)] {
        let (from, to) = self.bounds(range);
        &self.sorted[from..to]
    }

    /// The digest of the members in a range.
    ///
    /// It costs no more than finding the range, so that a peer that asks for many causes little
    /// work.
    pub(super) fn digest(&self, range: Range) -> u64 {
        let (from, to) = self.bounds(range);
        self.sums[to].wrapping_sub(self.sums[from])
    }

    pub(super) fn bounds(&self, range: Range) -> (usize, usize) {
        let from = self.sorted.partition_point(|&(place, _)| place < range.start());
        let to = self.sorted.partition_point(|&(place, _)| place <= range.last());
        (from, to)
    }
}
