//! Sync: how two nodes find out what one knows and the other does not.
//!
//! They compare digests of ranges of members, and go into those that differ: sixteenth by sixteenth
//! until few are left, of whom they tell each other. Each frame answers the one before; all that is
//! still to be done is in the frames, and nothing of it in the nodes.

use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::table::MemberKey;
use crate::sync::range::Range;
use crate::time::Instant;
use crate::wire::frame::{Claims, SyncPart};
use crate::wire::tidings::compare::{encode_digest, encode_members, encode_split};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

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
    fn refresh(&mut self, members: &Members) {
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

    fn within(&self, range: Range) -> &[(u64, MemberKey)] {
        let (from, to) = self.bounds(range);
        &self.sorted[from..to]
    }

    /// What the members of a range come down to: found as quickly as the range itself, so that whoever
    /// asks for many has little to gain.
    fn digest(&self, range: Range) -> u64 {
        let (from, to) = self.bounds(range);
        self.sums[to].wrapping_sub(self.sums[from])
    }

    fn bounds(&self, range: Range) -> (usize, usize) {
        let from = self.sorted.partition_point(|&(position, _)| position < range.start());
        let to = self.sorted.partition_point(|&(position, _)| position <= range.last());
        (from, to)
    }
}

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

/// Whether those whom we hear of know the same as we do: every probe is a sync check.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct SyncTrigger {
    /// Since when nobody agreed with us; `None` while somebody did last.
    differs_since: Option<Instant>,
    /// Before this no comparison is begun.
    not_before: Instant,
    /// How many comparisons in a row have changed nothing.
    fruitless: u32,
}

impl SyncTrigger {
    /// Somebody's digest was heard; `true` if it is time to compare.
    ///
    /// A difference is given time to `settle`: news may be under way. Comparisons that change nothing
    /// are begun ever less often, up to once in `longest`.
    pub(crate) fn on_digest(
        &mut self,
        now: Instant,
        same: bool,
        settle: Duration,
        longest: Duration,
    ) -> bool {
        if same {
            self.differs_since = None;
            self.fruitless = 0;
            return false;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.since(since) < settle || now < self.not_before {
            return false;
        }
        let wait = settle.saturating_mul(2 << self.fruitless.min(16)).min(longest);
        self.not_before = now + wait;
        self.fruitless += 1;
        true
    }

    /// A comparison has brought something new.
    pub(crate) fn on_change(&mut self) {
        self.fruitless = 0;
    }
}

/// The time between two syncs that a node begins, among `members`.
///
/// Up to 32 members as configured; beyond that it grows with the logarithm, so that the traffic of
/// a cluster does not grow with its square (memberlist's `pushPullScale`).
pub(crate) fn interval(configured: Duration, members: usize) -> Duration {
    const THRESHOLD: u32 = 5; // 2^5 = 32 members
    let scale = match members.max(1).next_power_of_two().ilog2() {
        log2 if log2 <= THRESHOLD => 1,
        log2 => log2 - THRESHOLD + 1,
    };
    configured.saturating_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intervals_are_those_of_memberlist() {
        let second = Duration::from_secs(1);
        for (members, scale) in
            [(0, 1), (1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (1000, 6), (10_000, 10)]
        {
            assert_eq!(interval(second, members), second * scale, "{members} members");
        }
    }
}
