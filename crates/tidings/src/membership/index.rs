//! An index of the membership table by place: the digest of any range, and the members in it.

use crate::incarnation::Incarnation;
use crate::member::{Member, Meta, NodeId};
use crate::membership::claim::{Claim, Profile};
use crate::membership::range::Range;
use crate::membership::table::MemberKey;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
#[cfg(debug_assertions)]
use core::sync::atomic::{AtomicUsize, Ordering};

/// The members that are present or [shared](super::Members::is_shared), in a tree of ranges.
///
/// Each node of the tree is a range of members with its totals, and is split into sixteenths, as in
/// a sync, once it has more than [`MAX_LEAF`] members. So a range's digest takes a few steps at any
/// size of the table, and so does a change of a member: the peer that asks pays for no others.
#[derive(Debug, Default)]
pub(crate) struct DigestIndex {
    root: Node,
    #[cfg(debug_assertions)]
    visits: AtomicUsize,
}

/// A member in the index.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(debug_assertions, derive(Eq, PartialEq))]
pub(crate) struct Entry {
    /// The hash of its name.
    pub(crate) place: u64,
    /// 0 if it is not present.
    pub(crate) digest: u64,
    pub(crate) key: MemberKey,
    /// Length of its record in a sync, in bytes; 0 if it is not shared.
    pub(crate) record: u32,
}

/// What the members of a range come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    /// The digest of those that are present.
    pub(crate) digest: u64,
    /// Length of the records of those that are shared, in bytes.
    pub(crate) records: u64,
    /// Number of members that are shared.
    pub(crate) shared: u32,
    /// Number of members in the index.
    len: u32,
}

#[derive(Debug, Default)]
struct Node {
    totals: Totals,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// In the order of places.
    Leaf(Vec<Entry>),
    Branch(Box<[Node; 16]>),
}

impl DigestIndex {
    pub(crate) fn add(&mut self, entry: Entry) {
        self.root.add(Range::ALL.depth(), entry);
    }

    /// Removes a member, if it is in the index.
    pub(crate) fn remove(&mut self, place: u64, key: MemberKey) {
        self.root.remove(Range::ALL.depth(), (place, key));
    }

    /// The totals of a range.
    pub(crate) fn totals(&self, range: Range) -> Totals {
        let (node, depth) = self.find(range);
        match &node.content {
            Content::Leaf(entries) if depth < range.depth() => {
                let mut totals = Totals::default();
                self.within(entries, range).iter().for_each(|entry| totals.add(entry));
                totals
            }
            _ => node.totals,
        }
    }

    /// The digest of each sixteenth of a range that can be split.
    pub(crate) fn digests(&self, range: Range) -> [u64; 16] {
        let (node, _) = self.find(range);
        self.count(16);
        match &node.content {
            Content::Leaf(entries) => {
                let mut digests = [0_u64; 16];
                for entry in self.within(entries, range) {
                    let digest = &mut digests[nibble(entry.place, range.depth())];
                    *digest = digest.wrapping_add(entry.digest);
                }
                digests
            }
            Content::Branch(children) => core::array::from_fn(|n| children[n].totals.digest),
        }
    }

    /// The members of a range that are shared, in the order of their places.
    pub(crate) fn shared(&self, range: Range) -> impl Iterator<Item = MemberKey> {
        let mut pending = Vec::from([self.find(range).0]);
        let mut leaf = [].iter();
        core::iter::from_fn(move || {
            loop {
                if let Some(entry) = leaf.find(|entry: &&Entry| entry.record > 0) {
                    return Some(entry.key);
                }
                match &pending.pop()?.content {
                    Content::Leaf(entries) => leaf = self.within(entries, range).iter(),
                    Content::Branch(children) => {
                        self.count(16);
                        let children = children.iter().rev();
                        pending.extend(children.filter(|child| child.totals.shared > 0));
                    }
                }
            }
        })
    }

    /// The node of the tree that has a range, and its depth; a leaf above it if there is none.
    fn find(&self, range: Range) -> (&Node, u8) {
        let (mut node, mut depth) = (&self.root, Range::ALL.depth());
        while depth < range.depth() {
            let Content::Branch(children) = &node.content else { break };
            self.count(1);
            node = &children[nibble(range.start(), depth)];
            depth += 1;
        }
        (node, depth)
    }

    /// The entries of a leaf that are in a range.
    fn within<'a>(&self, entries: &'a [Entry], range: Range) -> &'a [Entry] {
        let from = entries.partition_point(|entry| entry.place < range.start());
        let entries = &entries[from..];
        let entries = &entries[..entries.partition_point(|entry| entry.place <= range.last())];
        self.count(1 + entries.len());
        entries
    }

    fn count(&self, visits: usize) {
        #[cfg(debug_assertions)]
        self.visits.fetch_add(visits, Ordering::Relaxed);
        let _ = visits;
    }
}

impl Node {
    fn add(&mut self, depth: u8, entry: Entry) {
        self.totals.add(&entry);
        match &mut self.content {
            Content::Leaf(entries) => {
                let at = entries.partition_point(|other| other.order() < entry.order());
                entries.insert(at, entry);
                if entries.len() > MAX_LEAF && depth < Range::MAX_DEPTH {
                    self.split(depth);
                }
            }
            Content::Branch(children) => {
                children[nibble(entry.place, depth)].add(depth + 1, entry);
            }
        }
    }

    fn split(&mut self, depth: u8) {
        let mut children: Box<[Self; 16]> = Box::default();
        if let Content::Leaf(entries) = &self.content {
            for &entry in entries {
                children[nibble(entry.place, depth)].add(depth + 1, entry);
            }
        }
        self.content = Content::Branch(children);
    }

    fn remove(&mut self, depth: u8, order: (u64, MemberKey)) -> Option<Entry> {
        let removed = match &mut self.content {
            Content::Leaf(entries) => {
                let at = entries.binary_search_by_key(&order, Entry::order).ok()?;
                entries.remove(at)
            }
            Content::Branch(children) => {
                children[nibble(order.0, depth)].remove(depth + 1, order)?
            }
        };
        self.totals.remove(&removed);
        // Half of the limit, so that a member that comes and goes does not split a node each time.
        if self.totals.len as usize <= MAX_LEAF / 2 {
            self.merge();
        }
        Some(removed)
    }

    /// Makes a branch a leaf.
    fn merge(&mut self) {
        if let Content::Branch(children) = &mut self.content {
            let leaves = children.iter_mut().map(|child| match &mut child.content {
                Content::Leaf(entries) => core::mem::take(entries),
                // It has no more members than its parent, and so was merged with their removal.
                Content::Branch(_) => unreachable!("a branch has more members than half a leaf"),
            });
            self.content = Content::Leaf(leaves.flatten().collect());
        }
    }
}

impl Entry {
    fn order(&self) -> (u64, MemberKey) {
        (self.place, self.key)
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        self.digest = self.digest.wrapping_add(entry.digest);
        self.records += u64::from(entry.record);
        self.shared += u32::from(entry.record > 0);
        self.len += 1;
    }

    fn remove(&mut self, entry: &Entry) {
        self.digest = self.digest.wrapping_sub(entry.digest);
        self.records -= u64::from(entry.record);
        self.shared -= u32::from(entry.record > 0);
        self.len -= 1;
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

/// The number of the sixteenth, of a range of this depth, that has a place.
fn nibble(place: u64, depth: u8) -> usize {
    (place >> (60 - 4 * depth)) as usize & 0xf
}

/// Length of a member's record in a sync, in bytes; a test of the wire format checks it.
pub(crate) fn record_len(member: &Member) -> u32 {
    let Member { id, incarnation, meta, .. } = member;
    record_len_of(member.addr(), id, *incarnation, meta)
}

/// Length of the record in a sync that a claim came in, in bytes; 0 without an address.
pub(crate) fn claim_len(claim: &Claim) -> u32 {
    let Claim { id, incarnation, profile, .. } = claim;
    let of = |profile: &Profile| record_len_of(profile.addr, id, *incarnation, &profile.meta);
    profile.as_ref().map_or(0, of)
}

fn record_len_of(addr: SocketAddr, id: &NodeId, incarnation: Incarnation, meta: &Meta) -> u32 {
    let varint = |value: u64| (64 - (value | 1).leading_zeros()).div_ceil(7);
    let text = |len: usize| varint(len as u64) + len as u32;
    let addr = if addr.is_ipv6() { 16 + 2 } else { 4 + 2 };
    let incarnation = varint(incarnation.generation) + varint(incarnation.number);
    1 + addr + text(id.as_str().len()) + incarnation + text(meta.len())
}

/// Number of members in a range above which the index splits it.
const MAX_LEAF: usize = 32;

#[cfg(debug_assertions)]
impl DigestIndex {
    /// Number of members and ranges looked at so far.
    pub(crate) fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }

    /// All entries, in the order of their places, after a check of the totals.
    pub(crate) fn check(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.root.check(&mut entries);
        entries
    }
}

#[cfg(debug_assertions)]
impl Node {
    fn check(&self, all: &mut Vec<Entry>) {
        let begun = all.len();
        match &self.content {
            Content::Leaf(entries) => all.extend(entries),
            Content::Branch(children) => children.iter().for_each(|child| child.check(all)),
        }
        let mut totals = Totals::default();
        all[begun..].iter().for_each(|entry| totals.add(entry));
        assert_eq!(totals, self.totals, "the totals are those of the entries");
    }
}
