//! The table of members: who they are, which claim about one takes precedence, whom to pick.

use crate::claim::{Change, Claim, Profile, Updated};
use crate::member::{Member, NodeId, State};
use crate::ring::Ring;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::net::SocketAddr;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Names a place in the table for as long as its member is held.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key(u32);

impl Key {
    /// The local node's own place.
    pub(crate) const LOCAL: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    #[cfg(test)]
    pub(crate) const fn for_test(index: u32) -> Self {
        Self(index)
    }
}

#[derive(Debug)]
struct Slot {
    member: Member,
    /// The number of its latest departure; 0 if it never failed or left.
    departure: u64,
    /// Its incarnation is later than what it is known to have said about itself.
    profile_behind: bool,
    /// That it failed or left is only known from another one's table.
    hearsay: bool,
}

/// That a member failed or left; it counts only while it is that member's latest.
#[derive(Clone, Copy, Debug)]
struct Departure {
    at: Instant,
    key: Key,
    number: u64,
}

/// The members: a slab, with an index by name and one by address, and the probe ring.
///
/// Finding, adding, removing and picking at random cost the same at any size.
#[derive(Debug)]
pub(crate) struct Members {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_id: HashTable<Key>,
    /// The member at an address: of several, the one that came there last and is present.
    by_addr: HashTable<Key>,
    hasher: FixedState,
    ring: Ring,
    /// Who failed or left, oldest first.
    gone: VecDeque<Departure>,
    departures: u64,
    max: usize,
    rng: Rng,
}

impl Members {
    pub(crate) fn new(local: Member, max: usize, mut rng: Rng) -> Self {
        let mut members = Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_addr: HashTable::new(),
            hasher: FixedState::with_seed(rng.u64()),
            ring: Ring::default(),
            gone: VecDeque::new(),
            departures: 0,
            max,
            rng,
        };
        let key = members.add(local);
        debug_assert_eq!(key, Key::LOCAL);
        members
    }

    // ---- looking ----

    pub(crate) fn local(&self) -> &Member {
        &self[Key::LOCAL]
    }

    pub(crate) fn local_mut(&mut self) -> &mut Member {
        &mut self.slot_mut(Key::LOCAL).member
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<Key> {
        self.by_id.find(self.hasher.hash_one(id), |&key| self[key].id == *id).copied()
    }

    /// The member at an address.
    pub(crate) fn find_addr(&self, addr: SocketAddr) -> Option<Key> {
        self.by_addr.find(self.hash_addr(addr), |&key| self[key].addr() == addr).copied()
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Member> {
        Some(&self.slots.get(key.index())?.as_ref()?.member)
    }

    /// All that are held, the local node first, those that failed or left included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().flatten().map(|slot| &slot.member)
    }

    /// Those of whom `receiver` is told in a sync: itself, and all that we know at first hand.
    ///
    /// Those whose departure we did not see are left out: else whoever is gone would be remembered
    /// by some, and told of to the next, for ever. So are those of whose incarnation we know no
    /// more than that: what they said of themselves before does not belong to it.
    pub(crate) fn iter_for(&self, receiver: Option<&NodeId>) -> impl Iterator<Item = &Member> {
        let told = move |slot: &&Slot| {
            !slot.hearsay && !slot.profile_behind || Some(&slot.member.id) == receiver
        };
        self.slots.iter().flatten().filter(told).map(|slot| &slot.member)
    }

    /// How many are present, with the local node unless it left.
    pub(crate) fn present(&self) -> usize {
        self.ring.len() + usize::from(self.local().state.is_present())
    }

    /// How many are held in all.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    // ---- claims ----

    /// Takes a claim about a member other than the local one, if it takes precedence.
    ///
    /// Claims about a member are ordered by incarnation, then by state (SWIM §4.2): the higher
    /// wins, whatever the order in which they come.
    pub(crate) fn apply(&mut self, now: Instant, claim: &Claim) -> Change {
        let Some(key) = self.find(&claim.id) else {
            return self.introduce(now, claim);
        };
        debug_assert_ne!(key, Key::LOCAL);
        let known = &self[key];
        let before = known.state;
        if (claim.incarnation, claim.state) <= (known.incarnation, before) {
            return self.complement(key, claim);
        }
        let later = claim.incarnation > known.incarnation;
        let updated = match &claim.profile {
            Some(profile) if later || self.slot(key).profile_behind => {
                self.set_profile(key, profile)
            }
            _ => Updated::No,
        };
        let slot = self.slot_mut(key);
        slot.profile_behind |= later && claim.profile.is_none();
        slot.member.incarnation = claim.incarnation;
        slot.member.state = claim.state;
        match (before.is_present(), claim.state.is_present()) {
            (false, true) => self.enter(key),
            (true, false) => self.depart(now, key),
            _ => {}
        }
        match (before, claim.state) {
            (State::Failed | State::Left, State::Alive | State::Suspect) => Change::Joined(key),
            (State::Suspect, State::Alive) => Change::Recovered(key, updated),
            (State::Alive, State::Alive) if updated == Updated::Yes => Change::Updated(key),
            (State::Alive, State::Alive) => Change::Renewed(key),
            (State::Alive | State::Suspect, State::Suspect) => Change::Suspected(key),
            (State::Alive | State::Suspect, State::Failed) => Change::Failed(key),
            (State::Failed | State::Left, State::Failed) | (State::Left, State::Left) => {
                Change::Remembered(key)
            }
            (_, State::Left) => Change::Left(key),
        }
    }

    /// Takes from a claim that does not take precedence what the member says about itself, if that
    /// is what we lack, or if it settles a conflict.
    ///
    /// Where two nodes of one name were started in the same second, all must prefer the same one
    /// until one of the two raises its incarnation: the higher address.
    fn complement(&mut self, key: Key, claim: &Claim) -> Change {
        let slot = self.slot(key);
        let Some(profile) = &claim.profile else { return Change::Nothing };
        if claim.incarnation != slot.member.incarnation || !slot.member.state.is_present() {
            return Change::Nothing;
        }
        let other = slot.member.addr();
        if slot.profile_behind {
            return match self.set_profile(key, profile) {
                Updated::Yes => Change::Updated(key),
                Updated::No => Change::Nothing,
            };
        }
        if profile.addr <= other {
            return Change::Nothing;
        }
        self.set_profile(key, profile);
        Change::Conflict { key, other }
    }

    fn introduce(&mut self, now: Instant, claim: &Claim) -> Change {
        let Some(profile) = &claim.profile else {
            return Change::Unknown;
        };
        if self.len() >= self.max && !self.forget_oldest() {
            return Change::Full;
        }
        let mut member =
            Member::new(claim.id.clone(), profile.addr, claim.incarnation, profile.meta.clone());
        member.state = claim.state;
        let key = self.add(member);
        if claim.state.is_present() {
            self.enter(key);
            Change::Joined(key)
        } else {
            self.slot_mut(key).hearsay = true;
            self.mourn(now, key);
            Change::Remembered(key)
        }
    }

    fn set_profile(&mut self, key: Key, profile: &Profile) -> Updated {
        self.slot_mut(key).profile_behind = false;
        let known = &self[key];
        let (moved, altered) = (known.addr() != profile.addr, known.meta != profile.meta);
        if moved {
            self.unindex_addr(key);
            self.slot_mut(key).member.set_addr(profile.addr);
        }
        if altered {
            self.slot_mut(key).member.meta = profile.meta.clone();
        }
        // Although it has not moved: another one may have been found there, and gone elsewhere.
        self.index_addr(key);
        if moved || altered { Updated::Yes } else { Updated::No }
    }

    // ---- the ring ----

    /// The next member to probe.
    pub(crate) fn next_to_probe(&mut self) -> Option<Key> {
        self.ring.next(&mut self.rng)
    }

    /// Picks up to `count` members at random into `picked` that are alive, none of them `except`.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        count: usize,
        except: Option<Key>,
        picked: &mut Vec<Key>,
    ) {
        picked.clear();
        let alive = |key| Some(key) != except && self[key].state == State::Alive;
        self.ring.draw(rng, count, alive, picked);
    }

    /// Picks up to `count` members to gossip to: present ones in turn and, as many as are their share,
    /// those that failed after `since`, who may live after all.
    pub(crate) fn pick_for_gossip(
        &mut self,
        rng: &mut Rng,
        count: usize,
        since: Instant,
        recent: &mut Vec<Key>,
        picked: &mut Vec<Key>,
    ) {
        recent.clear();
        let first = self.gone.partition_point(|departure| departure.at < since);
        let latest = self.gone.range(first..).rev().take(MAX_RECENT);
        recent.extend(latest.filter_map(|departure| {
            let slot = self.slots.get(departure.key.index())?.as_ref()?;
            let failed = slot.member.state == State::Failed && !slot.hearsay;
            (failed && self.counts(departure)).then_some(departure.key)
        }));
        let all = recent.len() + self.ring.len();
        let count = count.min(all);
        let share = (0..count).filter(|_| rng.below(all) < recent.len()).count();
        let from_ring = (count - share.min(recent.len())).min(self.ring.len());
        picked.clear();
        picked.extend((0..from_ring).filter_map(|_| self.ring.next_to_tell()));
        rng.shuffle(recent);
        picked.extend(recent.iter().take(count - from_ring));
    }

    fn enter(&mut self, key: Key) {
        self.ring.enter(&mut self.rng, key);
        self.slot_mut(key).hearsay = false;
        self.index_addr(key);
    }

    fn depart(&mut self, now: Instant, key: Key) {
        self.ring.leave(key);
        self.mourn(now, key);
    }

    // ---- those that are gone ----

    fn mourn(&mut self, now: Instant, key: Key) {
        self.departures += 1;
        let number = self.departures;
        self.slot_mut(key).departure = number;
        if self.gone.len() >= 2 * self.slots.len() {
            // Members that came back and failed again left entries behind.
            let mut gone = core::mem::take(&mut self.gone);
            gone.retain(|departure| self.counts(departure));
            self.gone = gone;
        }
        self.gone.push_back(Departure { at: now, key, number });
    }

    /// When the one that is gone longest was found to be so.
    pub(crate) fn oldest_gone(&mut self) -> Option<Instant> {
        while let Some(departure) = self.gone.front() {
            if self.counts(departure) {
                return Some(departure.at);
            }
            self.gone.pop_front();
        }
        None
    }

    /// Forgets those that failed or left up to `then`.
    pub(crate) fn reap(&mut self, then: Instant) {
        while self.oldest_gone().is_some_and(|at| at <= then) {
            self.forget_oldest();
        }
    }

    /// Makes room by forgetting whoever is gone longest; `false` if nobody is.
    fn forget_oldest(&mut self) -> bool {
        if self.oldest_gone().is_none() {
            return false;
        }
        if let Some(Departure { key, .. }) = self.gone.pop_front() {
            self.remove(key);
        }
        true
    }

    /// Forgets all but the local node.
    pub(crate) fn forget_others(&mut self) {
        *self = Self::new(self.local().clone(), self.max, self.rng.clone());
    }

    fn counts(&self, Departure { key, number, .. }: &Departure) -> bool {
        let slot = self.slots.get(key.index()).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.departure == *number && !slot.member.state.is_present())
    }

    // ---- the slab and its indices ----

    fn add(&mut self, member: Member) -> Key {
        let (departure, profile_behind, hearsay) = (0, false, false);
        let slot = Some(Slot { member, departure, profile_behind, hearsay });
        let key = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                Key(index)
            }
            None => {
                self.slots.push(slot);
                Key(self.slots.len() as u32 - 1)
            }
        };
        let hash = self.hasher.hash_one(&self[key].id);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_id.insert_unique(hash, key, |&key| hasher.hash_one(&member_at(slots, key).id));
        self.index_addr(key);
        key
    }

    fn remove(&mut self, key: Key) {
        debug_assert!(!self.ring.contains(key) && key != Key::LOCAL);
        self.unindex_addr(key);
        let hash = self.hasher.hash_one(&self[key].id);
        if let Ok(entry) = self.by_id.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
        self.slots[key.index()] = None;
        self.free.push(key.0);
    }

    /// Lets a member have its address, from whoever was found there before; those that are gone
    /// take none from those that are present.
    fn index_addr(&mut self, key: Key) {
        let addr = self[key].addr();
        let hash = self.hash_addr(addr);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let same = |&other: &Key| member_at(slots, other).addr() == addr;
        let rehash = |&other: &Key| hash_of(hasher, member_at(slots, other).addr());
        match self.by_addr.entry(hash, same, rehash) {
            Entry::Occupied(mut entry) => {
                let holder = member_at(slots, *entry.get());
                if member_at(slots, key).state.is_present() || !holder.state.is_present() {
                    *entry.get_mut() = key;
                }
            }
            Entry::Vacant(entry) => drop(entry.insert(key)),
        }
    }

    fn unindex_addr(&mut self, key: Key) {
        let hash = self.hash_addr(self[key].addr());
        if let Ok(entry) = self.by_addr.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
    }

    fn hash_addr(&self, addr: SocketAddr) -> u64 {
        hash_of(&self.hasher, addr)
    }

    fn slot(&self, key: Key) -> &Slot {
        self.slots[key.index()].as_ref().expect("a key names a slot that is taken")
    }

    fn slot_mut(&mut self, key: Key) -> &mut Slot {
        self.slots[key.index()].as_mut().expect("a key names a slot that is taken")
    }
}

impl core::ops::Index<Key> for Members {
    type Output = Member;

    fn index(&self, key: Key) -> &Member {
        member_at(&self.slots, key)
    }
}

fn member_at(slots: &[Option<Slot>], key: Key) -> &Member {
    &slots[key.index()].as_ref().expect("a key names a slot that is taken").member
}

/// Without the zone, which a member's address never has.
fn hash_of(hasher: &FixedState, addr: SocketAddr) -> u64 {
    hasher.hash_one((addr.ip(), addr.port()))
}

/// How many of those that failed of late are considered at a gossip tick; what a mass failure
/// leaves beyond that is reached by sync.
const MAX_RECENT: usize = 64;

#[cfg(debug_assertions)]
impl Members {
    /// Asserts that the indices, the ring and the slab agree.
    pub(crate) fn check(&self) {
        assert_eq!(self.by_id.len(), self.len());
        assert!(self.by_addr.len() <= self.len());
        self.ring.check();
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let key = Key(index as u32);
            assert_eq!(self.find(&slot.member.id), Some(key));
            let present = key != Key::LOCAL && slot.member.state.is_present();
            assert_eq!(self.ring.contains(key), present, "the ring holds all who are present");
        }
        let absent = self.iter().skip(1).filter(|member| !member.state.is_present()).count();
        let mourned = self.gone.iter().filter(|departure| self.counts(departure)).count();
        assert_eq!(mourned, absent, "whoever is gone will be forgotten, once");
        assert!(self.gone.len() <= 2 * self.slots.len().max(1));
    }
}

#[cfg(test)]
mod tests;
