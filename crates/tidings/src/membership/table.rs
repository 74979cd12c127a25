//! Storage of the membership table: slots for members, with indexes by name and by address.

use crate::member::{Member, NodeId};
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::net::SocketAddr;
#[cfg(debug_assertions)]
use core::sync::atomic::{AtomicUsize, Ordering};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
#[cfg(feature = "record")]
use serde::de::Error as _;
#[cfg(feature = "record")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Key of a slot in the table, valid until its member is removed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct MemberKey(u32);

impl MemberKey {
    /// Key of the local member.
    pub(crate) const LOCAL: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    #[cfg(test)]
    pub(crate) const fn for_test(index: u32) -> Self {
        Self(index)
    }
}

/// A member's record and its flags.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Slot {
    pub(crate) member: Member,
    /// Number of its latest tombstone; 0 if it never failed or left.
    pub(crate) tombstone: u32,
    /// The profile (address, metadata) is from an earlier incarnation than `member.incarnation`.
    pub(crate) profile_behind: bool,
    /// Its failure or leave is known only from a peer's table.
    pub(crate) hearsay: bool,
    /// The member has answered from its address, or the cluster has keys.
    pub(crate) validated: bool,
    /// Another member has had its address too.
    shares_addr: bool,
}

/// A slab of members, with an index by name and one by address.
///
/// Lookup, insertion and removal take constant time at any size. Nothing depends on the order of
/// the indexes.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Slots,
    free: Vec<u32>,
    by_id: HashTable<MemberKey>,
    /// The member at an address: of several, the latest one that is present and validated, or the
    /// latest one that is present.
    by_addr: HashTable<MemberKey>,
    hasher: FixedState,
    /// Seed of the hasher.
    #[cfg_attr(not(feature = "record"), expect(dead_code, reason = "only checkpoints have it"))]
    seed: u64,
}

impl Table {
    /// An empty table; the seed makes hash collisions hard to provoke.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slots::default(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_addr: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            seed,
        }
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<MemberKey> {
        let same = |&key: &MemberKey| self.slot(key).member.id == *id;
        self.by_id.find(self.hasher.hash_one(id), same).copied()
    }

    pub(crate) fn find_addr(&self, addr: SocketAddr) -> Option<MemberKey> {
        let same = |&key: &MemberKey| self.slot(key).member.addr() == addr;
        self.by_addr.find(hash_of(&self.hasher, addr), same).copied()
    }

    pub(crate) fn get(&self, key: MemberKey) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(crate) fn slot(&self, key: MemberKey) -> &Slot {
        self.slots.at(key)
    }

    pub(crate) fn slot_mut(&mut self, key: MemberKey) -> &mut Slot {
        self.slots.at_mut(key)
    }

    /// All members, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MemberKey, &Slot)> {
        (0..self.slot_count() as u32).map(MemberKey).filter_map(|key| Some((key, self.get(key)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.slot_count() - self.free.len()
    }

    /// Number of slots, used or free.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.entries.len()
    }

    pub(crate) fn add(&mut self, member: Member, validated: bool) -> MemberKey {
        let slot = Slot {
            member,
            tombstone: 0,
            profile_behind: false,
            hearsay: false,
            validated,
            shares_addr: false,
        };
        let key = match self.free.pop() {
            Some(index) => {
                self.slots.entries[index as usize] = Some(slot);
                MemberKey(index)
            }
            None => {
                let entries = &mut self.slots.entries;
                grow(entries);
                entries.push(Some(slot));
                MemberKey(entries.len() as u32 - 1)
            }
        };
        self.index_id(key);
        self.index_addr(key);
        key
    }

    fn index_id(&mut self, key: MemberKey) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let id_of = |key| &slots.at(key).member.id;
        let hash = hasher.hash_one(id_of(key));
        self.by_id.insert_unique(hash, key, |&key| hasher.hash_one(id_of(key)));
    }

    pub(crate) fn remove(&mut self, key: MemberKey) {
        self.unindex_addr(key);
        let hash = self.hasher.hash_one(&self.slot(key).member.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
        self.slots.entries[key.index()] = None;
        self.free.push(key.0);
    }

    pub(crate) fn set_addr(&mut self, key: MemberKey, addr: SocketAddr) {
        if self.slot(key).member.addr() != addr {
            self.unindex_addr(key);
            self.slot_mut(key).member.set_addr(addr);
        }
        // Needed even if the address is unchanged: a member that moved away since may have replaced
        // this one in the index.
        self.index_addr(key);
    }

    /// Points the address index at a member, unless one that is present, or validated, comes before
    /// it.
    pub(crate) fn index_addr(&mut self, key: MemberKey) {
        let rank = |slot: &Slot| (slot.member.state.is_present(), slot.validated);
        self.set_at_addr(key, |slot, holder| rank(slot) >= rank(holder));
    }

    /// Points the address index at a member that others say is back, unless one that is present has
    /// the entry.
    pub(crate) fn index_returned(&mut self, key: MemberKey) {
        self.set_at_addr(key, |_, holder| !holder.member.state.is_present());
    }

    /// Points the address index at a member that answered from its address.
    pub(crate) fn on_answer(&mut self, key: MemberKey) {
        if self.slot(key).shares_addr {
            self.set_at_addr(key, |_, _| true);
        }
    }

    fn set_at_addr(&mut self, key: MemberKey, is_before: impl Fn(&Slot, &Slot) -> bool) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let member = |key| &slots.at(key).member;
        let addr = member(key).addr();
        let same = |&other: &MemberKey| member(other).addr() == addr;
        let rehash = |&other: &MemberKey| hash_of(hasher, member(other).addr());
        let holder = match self.by_addr.entry(hash_of(hasher, addr), same, rehash) {
            Entry::Occupied(mut entry) => {
                let holder = *entry.get();
                if is_before(slots.at(key), slots.at(holder)) {
                    *entry.get_mut() = key;
                }
                holder
            }
            Entry::Vacant(entry) => {
                entry.insert(key);
                key
            }
        };
        if holder != key {
            for key in [holder, key] {
                self.slot_mut(key).shares_addr = true;
            }
        }
    }

    /// Rebuilds the indexes, without the members `not_indexed` in the one by address; `None` if
    /// slots, free list, names and addresses are inconsistent.
    #[cfg(feature = "record")]
    fn restore(&mut self, not_indexed: &[MemberKey]) -> Option<()> {
        let mut free = self.free.clone();
        free.sort_unstable();
        let empty = (0..).zip(&self.slots.entries).filter(|(_, entry)| entry.is_none());
        if !empty.map(|(index, _)| index).eq(free) {
            return None;
        }
        for key in (0..self.slot_count() as u32).map(MemberKey) {
            let Some(slot) = self.get(key) else { continue };
            if self.find(&slot.member.id).is_some() {
                return None;
            }
            let addr = slot.member.addr();
            self.index_id(key);
            if not_indexed.binary_search(&key).is_err() {
                if self.find_addr(addr).is_some() {
                    return None;
                }
                self.index_addr(key);
            }
        }
        Some(())
    }

    fn unindex_addr(&mut self, key: MemberKey) {
        let hash = hash_of(&self.hasher, self.slot(key).member.addr());
        if let Ok(entry) = self.by_addr.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn capacity(&self) -> usize {
        self.by_id.capacity() + self.by_addr.capacity()
    }

    /// Number of slot accesses so far.
    #[cfg(debug_assertions)]
    pub(crate) fn visits(&self) -> &AtomicUsize {
        &self.slots.visits
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert_eq!(self.by_id.len(), self.len());
        assert!(self.by_addr.len() <= self.len());
        for (key, slot) in self.iter() {
            assert_eq!(self.find(&slot.member.id), Some(key));
        }
    }
}

/// Omits the indexes: the one by name follows from the slots, and for the one by address the
/// members that it lacks are stored.
#[cfg(feature = "record")]
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let other_at_addr =
            |(key, slot): &(MemberKey, &Slot)| self.find_addr(slot.member.addr()) != Some(*key);
        let not_indexed: Vec<_> = self.iter().filter(other_at_addr).map(|(key, _)| key).collect();
        (self.seed, &self.slots.entries, &self.free, not_indexed).serialize(serializer)
    }
}

#[cfg(feature = "record")]
impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seed, entries, free, not_indexed) =
            <(u64, Vec<Option<Slot>>, Vec<u32>, Vec<MemberKey>)>::deserialize(deserializer)?;
        let mut table = Self::new(seed);
        table.slots.entries = entries;
        table.free = free;
        table.restore(&not_indexed).ok_or_else(|| {
            D::Error::custom("slots, free list, names and addresses are inconsistent")
        })?;
        Ok(table)
    }
}

/// The slots of a table. Debug builds count accesses, so that a test can verify that periodic work
/// does not visit all of them.
#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Option<Slot>>,
    #[cfg(debug_assertions)]
    visits: AtomicUsize,
}

impl Slots {
    fn get(&self, key: MemberKey) -> Option<&Slot> {
        #[cfg(debug_assertions)]
        self.visits.fetch_add(1, Ordering::Relaxed);
        self.entries.get(key.index())?.as_ref()
    }

    fn at(&self, key: MemberKey) -> &Slot {
        self.get(key).expect("a key in use names an occupied slot")
    }

    fn at_mut(&mut self, key: MemberKey) -> &mut Slot {
        #[cfg(debug_assertions)]
        self.visits.fetch_add(1, Ordering::Relaxed);
        self.entries[key.index()].as_mut().expect("a key in use names an occupied slot")
    }
}

/// Hash of an address without its IPv6 zone, which a member's address never has.
fn hash_of(hasher: &FixedState, addr: SocketAddr) -> u64 {
    hasher.hash_one((addr.ip(), addr.port()))
}

/// Grows a full vector by a sixteenth instead of doubling it.
///
/// Vectors with an entry per member are most of a node's memory, and they stay.
pub(crate) fn grow<T>(vec: &mut Vec<T>) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact((vec.len() / 16).max(4));
    }
}
