//! Ranges of members, by place (a hash of the name).

/// A range of members: all whose places begin with the same nibbles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    start: u64,
    depth: u8,
}

impl Range {
    /// All members.
    pub(crate) const ALL: Self = Self { start: 0, depth: 0 };
    /// Maximum depth, in nibbles: 48 bits. Two names whose places share that many bits must be
    /// searched for on purpose.
    pub(crate) const MAX_DEPTH: u8 = 12;

    /// The range of the places that share the first `depth` nibbles of `start`; `None` if `start`
    /// has further bits, or if `depth` is above 12.
    pub(crate) fn new(start: u64, depth: u8) -> Option<Self> {
        let range = Self { start, depth };
        (depth <= Self::MAX_DEPTH && start & range.mask() == 0).then_some(range)
    }

    /// Mask of the bits in which the places of the range differ.
    fn mask(self) -> u64 {
        u64::MAX.checked_shr(u32::from(self.depth) * 4).unwrap_or(0)
    }

    /// Sixteenth number `n` of the range; `None` at the maximum depth.
    pub(crate) fn child(self, n: u64) -> Option<Self> {
        let depth = self.depth + 1;
        (depth <= Self::MAX_DEPTH)
            .then(|| Self { start: self.start | (n << (64 - 4 * depth)), depth })
    }

    /// The first place in the range.
    pub(crate) fn start(self) -> u64 {
        self.start
    }

    /// The last place in the range.
    pub(crate) fn last(self) -> u64 {
        self.start | self.mask()
    }

    /// Whether a place is in the range.
    pub(crate) fn contains(self, place: u64) -> bool {
        (self.start..=self.last()).contains(&place)
    }

    /// The number of nibbles that the range's places share.
    pub(crate) fn depth(self) -> u8 {
        self.depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixteenths_of_a_range_cover_it_exactly() {
        let range = Range::ALL.child(0xa).unwrap();
        assert_eq!((range.start(), range.last()), (0xa000 << 48, (0xb000 << 48) - 1));
        let children: alloc::vec::Vec<_> = (0..16).map(|n| range.child(n).unwrap()).collect();
        assert_eq!(children[0].start(), range.start());
        assert_eq!(children[15].last(), range.last());
        for pair in children.windows(2) {
            assert_eq!(pair[0].last() + 1, pair[1].start());
        }
    }

    #[test]
    fn ranges_have_a_maximum_depth_and_one_canonical_form() {
        let deepest = (0..Range::MAX_DEPTH).fold(Range::ALL, |range, _| range.child(7).unwrap());
        assert_eq!(deepest.child(0), None);
        assert_eq!(Range::new(deepest.start(), Range::MAX_DEPTH), Some(deepest));
        assert_eq!(Range::new(deepest.start(), Range::MAX_DEPTH + 1), None);
        assert_eq!(Range::new(1, 3), None, "bits after the shared nibbles");
    }
}
