//! Ranges of members, by a hash of their names.

/// The members whose places begin with the same nibbles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    start: u64,
    depth: u8,
}

impl Range {
    /// All members.
    pub(crate) const ALL: Self = Self { start: 0, depth: 0 };

    /// The places that have the first `depth` nibbles of `start`, which has no others.
    pub(crate) fn new(start: u64, depth: u8) -> Option<Self> {
        let range = Self { start, depth };
        (depth <= MAX_DEPTH && start & range.inside() == 0).then_some(range)
    }

    /// The bits in which the places of the range differ.
    fn inside(self) -> u64 {
        u64::MAX.checked_shr(u32::from(self.depth) * 4).unwrap_or(0)
    }

    /// One of its sixteenths; `None` if it is not to be divided any more.
    pub(crate) fn child(self, n: u64) -> Option<Self> {
        let depth = self.depth + 1;
        (depth <= MAX_DEPTH).then(|| Self { start: self.start | (n << (64 - 4 * depth)), depth })
    }

    /// The first place in it.
    pub(crate) fn start(self) -> u64 {
        self.start
    }

    /// The last place in it.
    pub(crate) fn last(self) -> u64 {
        self.start | self.inside()
    }

    /// How many nibbles its places have in common.
    pub(crate) fn depth(self) -> u8 {
        self.depth
    }
}

/// Ranges are divided down to 48 bits: two names that have these in common have to be looked for.
const MAX_DEPTH: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixteenths_of_a_range_are_that_range() {
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
    fn ranges_end_somewhere_and_have_one_form() {
        let deepest = (0..MAX_DEPTH).fold(Range::ALL, |range, _| range.child(7).unwrap());
        assert_eq!(deepest.child(0), None);
        assert_eq!(Range::new(deepest.start(), MAX_DEPTH), Some(deepest));
        assert_eq!(Range::new(deepest.start(), MAX_DEPTH + 1), None);
        assert_eq!(Range::new(1, 3), None, "bits behind the nibbles");
    }
}
