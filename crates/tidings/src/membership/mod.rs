//! The membership table: lookup, probe order, random picks, digest.

pub(crate) mod claim;
pub(crate) mod damping;
pub(crate) mod digest;
pub(crate) mod index;
mod merge;
pub(crate) mod probe_order;
pub(crate) mod range;
pub(crate) mod refute;
mod rings;
pub(crate) mod table;
mod tombstones;

use crate::config::variant::ProtocolVariant;
use crate::member::{ClusterName, Condition, Member, NodeId, State};
use crate::membership::digest::Digester;
use crate::membership::index::{DigestIndex, Entry, record_len};
use crate::membership::rings::Rings;
use crate::membership::table::MemberKey;
use crate::membership::table::Table;
use crate::rng::Rng;
use crate::rtt::Rtt;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The membership table: all known members, including tombstones of those that failed or left.
///
/// Lookup, insertion, removal and a random pick take constant time at any size.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Members {
    table: Table,
    rings: Rings,
    #[cfg_attr(feature = "record", serde(skip))]
    digester: Digester,
    /// The sum of the digests of the members present.
    #[cfg_attr(feature = "record", serde(skip))]
    digest: u64,
    /// The members by place, for syncs; built for the first one that needs it.
    #[cfg_attr(feature = "record", serde(skip))]
    index: Option<Box<DigestIndex>>,
    /// A sync needed the index since it was to be [released](Self::release_index).
    #[cfg_attr(feature = "record", serde(skip))]
    index_used: bool,
    /// Members that failed or left, oldest first; some entries may be outdated.
    tombstones: VecDeque<Tombstone>,
    /// Number of the latest tombstone.
    last_tombstone: u32,
    /// Number of members present that are suppressed.
    #[cfg_attr(feature = "record", serde(skip))]
    suppressed: usize,
    variant: ProtocolVariant,
    max: usize,
    rng: Rng,
}

/// Record that a member failed or left; only a member's latest tombstone is current.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Tombstone {
    at: Instant,
    key: MemberKey,
    number: u32,
}

impl Members {
    pub(crate) fn new(
        cluster: &ClusterName,
        local: Member,
        variant: ProtocolVariant,
        max: usize,
        rng: Rng,
    ) -> Self {
        Self::alone(Digester::new(cluster), local, variant, max, rng)
    }

    fn alone(
        digester: Digester,
        local: Member,
        variant: ProtocolVariant,
        max: usize,
        mut rng: Rng,
    ) -> Self {
        let mut members = Self {
            table: Table::new(rng.u64()),
            rings: Rings::default(),
            digester,
            digest: 0,
            index: None,
            index_used: false,
            tombstones: VecDeque::new(),
            last_tombstone: 0,
            suppressed: 0,
            variant,
            max,
            rng,
        };
        let key = members.table.add(local, true);
        debug_assert_eq!(key, MemberKey::LOCAL);
        members.add_to_digest(key);
        members
    }

    /// Rebuilds the fields that a checkpoint omits; `None` if the others are inconsistent.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self, cluster: &ClusterName) -> Option<()> {
        self.digester = Digester::new(cluster);
        self.table.get(MemberKey::LOCAL)?;
        self.rings.restore()?;
        let (mut digest, mut absent) = (0_u64, 0);
        let suppressed = |member: &&Member| member.is_suppressed() && member.state.is_present();
        self.suppressed = self.iter().filter(suppressed).count();
        for (key, slot) in self.table.iter() {
            let present = slot.member.state.is_present();
            let in_ring = present && key != MemberKey::LOCAL;
            if self.rings.contains(key) != in_ring
                || in_ring && !self.rings.has_in(key, slot.validated)
            {
                return None;
            }
            absent += usize::from(!present && key != MemberKey::LOCAL);
            digest = digest.wrapping_add(self.digest_of(key));
        }
        self.digest = digest;
        let current = self.tombstones.iter().filter(|tombstone| self.is_current(tombstone));
        let mut recorded: Vec<_> = current.map(|tombstone| tombstone.key).collect();
        recorded.sort_unstable();
        recorded.dedup();
        if recorded.first() == Some(&MemberKey::LOCAL) {
            return None;
        }
        let recorded = recorded.len();
        // The loop above counted members of the table only, so the ring holds no others.
        let present = self.table.len() - 1 - absent;
        (self.rings.len() == present && recorded == absent && self.len() <= self.max).then_some(())
    }

    // ---- lookup ----

    pub(crate) fn local(&self) -> &Member {
        &self[MemberKey::LOCAL]
    }

    /// Changes the local member, and the digest with it.
    pub(crate) fn update_local(&mut self, change: impl FnOnce(&mut Member)) {
        self.remove_from_digest(MemberKey::LOCAL);
        change(&mut self.table.slot_mut(MemberKey::LOCAL).member);
        self.add_to_digest(MemberKey::LOCAL);
    }

    /// Sets the address of the local member.
    pub(crate) fn move_local(&mut self, addr: SocketAddr) {
        self.remove_from_digest(MemberKey::LOCAL);
        self.table.set_addr(MemberKey::LOCAL, addr);
        self.add_to_digest(MemberKey::LOCAL);
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<MemberKey> {
        self.table.find(id)
    }

    /// Whether a member of that name is alive or suspect.
    pub(crate) fn is_present(&self, id: &NodeId) -> bool {
        self.find(id).is_some_and(|key| self[key].state.is_present())
    }

    /// The member at an address; a member that is present comes before tombstones.
    pub(crate) fn find_addr(&self, addr: SocketAddr) -> Option<MemberKey> {
        self.table.find_addr(addr)
    }

    pub(crate) fn get(&self, key: MemberKey) -> Option<&Member> {
        self.table.get(key).map(|slot| &slot.member)
    }

    /// All known members, the local one first, including those that failed or left.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.table.iter().map(|(_, slot)| &slot.member)
    }

    /// Whether a sync sends a member's record to `receiver`.
    ///
    /// Unless the receiver is that member, a sync omits members whose departure we did not witness
    /// ourselves, because otherwise nodes would remind each other of them for ever; and members
    /// for whose latest incarnation we have no profile, because an earlier one does not belong to
    /// it.
    pub(crate) fn is_shared(&self, key: MemberKey, receiver: Option<&NodeId>) -> bool {
        let slot = self.table.slot(key);
        !slot.hearsay && !slot.profile_behind || Some(&slot.member.id) == receiver
    }

    /// All members whose records a sync sends to anybody.
    #[cfg(feature = "memberlist")]
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Member> {
        let shared = self.table.iter().filter(|&(key, _)| self.is_shared(key, None));
        shared.map(|(_, slot)| &slot.member)
    }

    /// Whether a member's record can be gossiped: an alive update needs the profile of the latest
    /// incarnation.
    pub(crate) fn has_something_to_gossip(&self, key: MemberKey) -> bool {
        let slot = self.table.slot(key);
        slot.member.state != State::Alive || !slot.profile_behind
    }

    /// Number of members present, including the local one unless it left (`n`).
    pub(crate) fn present_count(&self) -> usize {
        self.rings.len() + usize::from(self.local().state.is_present())
    }

    /// The size of the cluster in verdicts: as [`present_count`](Self::present_count), but members
    /// that are only told of count as at most as many as the validated ones.
    pub(crate) fn size(&self) -> usize {
        let validated = self.rings.validated();
        let told = self.rings.len() - validated;
        validated + told.min(validated.max(1)) + usize::from(self.local().state.is_present())
    }

    /// Number of other members present.
    pub(crate) fn others(&self) -> usize {
        self.rings.len()
    }

    /// Whether a validated member that is present has an address.
    pub(crate) fn is_present_at(&self, addr: SocketAddr) -> bool {
        let there = self.find_addr(addr);
        there.is_some_and(|key| self[key].state().is_present() && self.is_validated(key))
    }

    /// Number of other members present whose address is validated: those that others invent do not
    /// count.
    pub(crate) fn validated_others(&self) -> usize {
        self.rings.validated()
    }

    /// The other members present whose address is validated, in no order.
    pub(crate) fn validated(&self) -> impl Iterator<Item = MemberKey> {
        self.rings.validated_keys()
    }

    /// Whether the addresses of all other members present are validated.
    pub(crate) fn are_all_validated(&self) -> bool {
        self.rings.validated() == self.rings.len()
    }

    /// Whether a member's address is validated.
    pub(crate) fn is_validated(&self, key: MemberKey) -> bool {
        self.table.slot(key).validated
    }

    /// Records that the address of a member is its own; `false` if that was known.
    pub(crate) fn validate(&mut self, key: MemberKey) -> bool {
        let new = self.set_validated(key, true);
        if new {
            self.table.index_addr(key);
        }
        new
    }

    /// Records that a member answered from its address: if several have it, that one is there.
    pub(crate) fn on_answer(&mut self, key: MemberKey) {
        self.set_validated(key, true);
        self.table.on_answer(key);
    }

    fn set_validated(&mut self, key: MemberKey, validated: bool) -> bool {
        let slot = self.table.slot_mut(key);
        if core::mem::replace(&mut slot.validated, validated) == validated {
            if !validated {
                self.rings.on_moved(&mut self.rng, key);
            }
            return false;
        }
        if self.rings.contains(key) {
            self.rings.remove(key);
            self.rings.insert(&mut self.rng, key, validated);
        }
        true
    }

    /// The next member that is only told of and was not asked yet whether it is there.
    pub(crate) fn next_to_ask(&mut self) -> Option<MemberKey> {
        self.rings.next_to_ask()
    }

    /// A member was asked whether it is there.
    pub(crate) fn on_asked(&mut self, key: MemberKey) {
        self.rings.on_asked(key);
    }

    /// A member that is only told of, at random: it makes room for one that answers.
    pub(crate) fn pick_told(&mut self, picked: &mut Vec<MemberKey>) -> Option<MemberKey> {
        picked.clear();
        self.rings.draw_told(&mut self.rng, picked);
        picked.pop()
    }

    /// Number of records, tombstones included.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// A member's round-trip times.
    pub(crate) fn rtt(&self, key: MemberKey) -> Rtt {
        self[key].rtt
    }

    /// Sets whether a member answers streams only; one that is suppressed stays that.
    pub(crate) fn set_degraded(&mut self, key: MemberKey, degraded: bool) {
        let condition = &mut self.table.slot_mut(key).member.condition;
        if *condition != Condition::Suppressed {
            *condition = if degraded { Condition::Degraded } else { Condition::Well };
        }
    }

    /// Number of members present that are suppressed.
    pub(crate) fn suppressed_count(&self) -> usize {
        self.suppressed
    }

    pub(crate) fn set_suppressed(&mut self, key: MemberKey, suppressed: bool) {
        let member = &mut self.table.slot_mut(key).member;
        if suppressed == member.is_suppressed() {
            return;
        }
        member.condition = if suppressed { Condition::Suppressed } else { Condition::Well };
        match (member.state.is_present(), suppressed) {
            (true, true) => self.suppressed += 1,
            (true, false) => self.suppressed -= 1,
            (false, _) => {}
        }
    }

    pub(crate) fn rtt_mut(&mut self, key: MemberKey) -> &mut Rtt {
        &mut self.table.slot_mut(key).member.rtt
    }

    // ---- digests ----

    /// The digest of the members present: equal on nodes that have the same records of them.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// One member's digest; 0 if it is not present.
    pub(crate) fn digest_of(&self, key: MemberKey) -> u64 {
        let member = &self[key];
        if member.state.is_present() { self.digester.member(member) } else { 0 }
    }

    /// Builds the index by place, if it does not exist.
    pub(crate) fn build_index(&mut self) {
        self.index_used = true;
        if self.index.is_none() {
            let mut index = Box::<DigestIndex>::default();
            let entries = self.table.iter().filter_map(|(key, _)| self.entry(key));
            entries.for_each(|entry| index.add(entry));
            self.index = Some(index);
        }
    }

    /// The index by place, which [`build_index`](Self::build_index) has built.
    pub(crate) fn index(&self) -> Option<&DigestIndex> {
        self.index.as_deref()
    }

    /// Releases the memory of the index, if no sync needed it since the last call.
    ///
    /// It is kept between syncs, because building it takes a look at each member.
    pub(crate) fn release_index(&mut self) {
        if !core::mem::take(&mut self.index_used) {
            self.index = None;
        }
    }

    /// A member's entry in the index; `None` if it belongs there not.
    fn entry(&self, key: MemberKey) -> Option<Entry> {
        let member = &self[key];
        let shared = self.is_shared(key, None);
        (shared || member.state.is_present()).then(|| Entry {
            place: self.place(key),
            digest: self.digest_of(key),
            key,
            record: if shared { record_len(member) } else { 0 },
        })
    }

    /// The place of a member: the hash of its name.
    pub(crate) fn place(&self, key: MemberKey) -> u64 {
        self.digester.place(&self[key].id)
    }

    /// Adds a member to the digest and the index, after a change.
    fn add_to_digest(&mut self, key: MemberKey) {
        self.digest = self.digest.wrapping_add(self.digest_of(key));
        if self.index.is_some() {
            let entry = self.entry(key);
            if let (Some(index), Some(entry)) = (&mut self.index, entry) {
                index.add(entry);
            }
        }
    }

    /// Removes a member from the digest and the index, before a change.
    fn remove_from_digest(&mut self, key: MemberKey) {
        self.digest = self.digest.wrapping_sub(self.digest_of(key));
        if self.index.is_some() {
            let place = self.place(key);
            if let Some(index) = &mut self.index {
                index.remove(place, key);
            }
        }
    }

    // ---- probe order ----

    /// The next member to probe.
    pub(crate) fn next_to_probe(&mut self) -> Option<MemberKey> {
        self.rings.next(&mut self.rng)
    }

    /// Picks up to `count` alive members other than `except` at random, into `picked`: such as have
    /// answered, if there are any.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        count: usize,
        except: Option<MemberKey>,
        picked: &mut Vec<MemberKey>,
    ) {
        picked.clear();
        let alive = |key| Some(key) != except && self[key].state == State::Alive;
        self.rings.draw(rng, count, alive, picked);
    }

    /// Picks a suspect at random, into `picked`, for a node that knows nobody who is alive.
    pub(crate) fn pick_suspect(&self, rng: &mut Rng, picked: &mut Vec<MemberKey>) {
        picked.clear();
        self.rings.draw(rng, 1, |key| self[key].state == State::Suspect, picked);
    }

    /// Adds up to `count` alive members at random to those `picked`, some perhaps again.
    pub(crate) fn add_picked(&self, rng: &mut Rng, count: usize, picked: &mut Vec<MemberKey>) {
        if count > 0 {
            self.rings.draw(rng, count, |key| self[key].state == State::Alive, picked);
        }
    }

    /// Fills the relays `picked`, at most 16, up to `count` with alive members at random, other
    /// than `except`.
    pub(crate) fn fill_relays(
        &self,
        rng: &mut Rng,
        count: usize,
        except: MemberKey,
        picked: &mut Vec<MemberKey>,
    ) {
        let missing = count.saturating_sub(picked.len());
        if missing == 0 {
            return;
        }
        let mut known = [except; 16];
        known.iter_mut().zip(&*picked).for_each(|(known, &key)| *known = key);
        let eligible =
            |key| key != except && self[key].state == State::Alive && !known.contains(&key);
        self.rings.draw(rng, missing, eligible, picked);
    }

    /// Picks up to `count` gossip targets into `picked`: present members in turn and, in proportion
    /// to their number, members that failed after `since`, which may be alive after all.
    pub(crate) fn pick_for_gossip(
        &mut self,
        rng: &mut Rng,
        count: usize,
        since: Instant,
        recently_failed: &mut Vec<MemberKey>,
        picked: &mut Vec<MemberKey>,
    ) {
        recently_failed.clear();
        let first = self.tombstones.partition_point(|tombstone| tombstone.at < since);
        let latest = self.tombstones.range(first..).rev().take(MAX_RECENTLY_FAILED);
        recently_failed.extend(latest.filter_map(|tombstone| {
            let slot = self.table.get(tombstone.key)?;
            let failed = slot.member.state == State::Failed && !slot.hearsay && slot.validated;
            (failed && self.is_current(tombstone)).then_some(tombstone.key)
        }));
        let targets = self.rings.gossip_targets();
        let all = recently_failed.len() + targets;
        let count = count.min(all);
        let share = (0..count).filter(|_| rng.below(all) < recently_failed.len()).count();
        let from_ring = (count - share.min(recently_failed.len())).min(targets);
        picked.clear();
        picked.extend((0..from_ring).filter_map(|_| self.rings.next_for_gossip()));
        rng.shuffle(recently_failed);
        picked.extend(recently_failed.iter().take(count - from_ring));
    }

    /// A member is present now; `validated` is whether more than hearsay says so.
    fn on_present(&mut self, key: MemberKey, validated: bool) {
        let slot = self.table.slot_mut(key);
        slot.hearsay = false;
        self.suppressed += usize::from(slot.member.is_suppressed());
        self.rings.insert(&mut self.rng, key, slot.validated);
        if validated {
            self.table.index_addr(key);
        } else {
            self.table.index_returned(key);
        }
    }

    fn on_departed(&mut self, now: Instant, key: MemberKey) {
        self.rings.remove(key);
        self.set_degraded(key, false);
        self.suppressed -= usize::from(self[key].is_suppressed());
        self.add_tombstone(now, key);
    }
}

impl core::ops::Index<MemberKey> for Members {
    type Output = Member;

    fn index(&self, key: MemberKey) -> &Member {
        &self.table.slot(key).member
    }
}

/// Maximum number of recently failed members considered in a gossip round; after a mass failure,
/// syncs reach the others.
const MAX_RECENTLY_FAILED: usize = 64;

#[cfg(debug_assertions)]
impl Members {
    /// Number of entries of the index looked at so far.
    pub(crate) fn index_visits(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.visits())
    }

    /// Number of tombstones, outdated ones included.
    pub(crate) fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// Number of members for which the table has room, in both of its indexes.
    pub(crate) fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Number of slot accesses so far.
    pub(crate) fn visits(&self) -> &core::sync::atomic::AtomicUsize {
        self.table.visits()
    }

    /// Asserts that the table, the ring, the digest and the tombstones agree.
    pub(crate) fn check(&self) {
        self.table.check();
        self.rings.check();
        let mut digest = 0_u64;
        for (key, slot) in self.table.iter() {
            let present = key != MemberKey::LOCAL && slot.member.state.is_present();
            assert_eq!(self.rings.contains(key), present, "the rings hold the members present");
            assert!(!present || self.rings.has_in(key, slot.validated));
            digest = digest.wrapping_add(self.digest_of(key));
        }
        let suppressed = |member: &&Member| member.is_suppressed() && member.state.is_present();
        assert_eq!(self.suppressed, self.iter().filter(suppressed).count());
        assert_eq!(digest, self.digest, "the digest is that of the members present");
        let absent = self.iter().skip(1).filter(|member| !member.state.is_present()).count();
        let recorded =
            self.tombstones.iter().filter(|tombstone| self.is_current(tombstone)).count();
        assert_eq!(recorded, absent, "each departed member has one current tombstone");
        assert!(self.tombstones.len() <= 2 * self.table.slot_count().max(1));
        if let Some(index) = &self.index {
            let mut entries: Vec<_> =
                self.table.iter().filter_map(|(key, _)| self.entry(key)).collect();
            entries.sort_unstable_by_key(|entry| (entry.place, entry.key));
            assert!(index.check() == entries, "the index has all members as they are");
        }
    }
}

#[cfg(test)]
mod tests;
