//! The members: who is known, whom to pick, what all of it comes down to.

pub(crate) mod claim;
pub(crate) mod digest;
mod merge;
pub(crate) mod probe_order;
pub(crate) mod range;
pub(crate) mod refute;
pub(crate) mod table;
mod tombstones;

use crate::config::variant::ProtocolVariant;
use crate::member::{ClusterName, Member, NodeId, State};
use crate::membership::digest::Digester;
use crate::membership::probe_order::ProbeOrder;
use crate::membership::table::MemberKey;
use crate::membership::table::{Slot, Table};
use crate::rng::Rng;
use crate::rtt::Rtt;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// All members that are known, those that failed or left not long ago included.
///
/// Finding, adding, removing and picking at random cost the same at any size.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Members {
    table: Table,
    probe_order: ProbeOrder,
    #[serde(skip)]
    digester: Digester,
    /// The sum of the digests of those who are present.
    #[serde(skip)]
    digest: u64,
    /// Counts members that were added or removed.
    changes: u64,
    /// Who failed or left, oldest first.
    tombstones: VecDeque<Tombstone>,
    departures: u32,
    variant: ProtocolVariant,
    max: usize,
    rng: Rng,
}

/// That a member failed or left; it counts only while it is that member's latest.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
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
            probe_order: ProbeOrder::default(),
            digester,
            digest: 0,
            changes: 0,
            tombstones: VecDeque::new(),
            departures: 0,
            variant,
            max,
            rng,
        };
        let key = members.table.add(local);
        debug_assert_eq!(key, MemberKey::LOCAL);
        members.count_in(key);
        members
    }

    /// Makes what was left out of a checkpoint; `None` if the rest cannot be that of a node.
    pub(crate) fn restore(&mut self, cluster: &ClusterName) -> Option<()> {
        self.digester = Digester::new(cluster);
        self.table.get(MemberKey::LOCAL)?;
        self.probe_order.restore()?;
        let (mut digest, mut absent) = (0_u64, 0);
        for (key, slot) in self.table.iter() {
            let present = slot.member.state.is_present();
            if self.probe_order.contains(key) != (present && key != MemberKey::LOCAL) {
                return None;
            }
            absent += usize::from(!present && key != MemberKey::LOCAL);
            digest = digest.wrapping_add(self.digest_of(key));
        }
        self.digest = digest;
        let recorded = self.tombstones.iter().filter(|departure| self.counts(departure)).count();
        // Whoever is in the ring is in the table, since nobody else was counted.
        let present = self.table.len() - 1 - absent;
        (self.probe_order.len() == present && recorded == absent && self.len() <= self.max)
            .then_some(())
    }

    // ---- looking ----

    pub(crate) fn local(&self) -> &Member {
        &self[MemberKey::LOCAL]
    }

    /// Changes what the local node says of itself.
    pub(crate) fn update_local(&mut self, change: impl FnOnce(&mut Member)) {
        self.count_out(MemberKey::LOCAL);
        change(&mut self.table.slot_mut(MemberKey::LOCAL).member);
        self.count_in(MemberKey::LOCAL);
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<MemberKey> {
        self.table.find(id)
    }

    /// Whether a member of that name is present.
    pub(crate) fn is_present(&self, id: &NodeId) -> bool {
        self.find(id).is_some_and(|key| self[key].state.is_present())
    }

    /// The member at an address.
    pub(crate) fn find_addr(&self, addr: SocketAddr) -> Option<MemberKey> {
        self.table.find_addr(addr)
    }

    pub(crate) fn get(&self, key: MemberKey) -> Option<&Member> {
        self.table.get(key).map(|slot| &slot.member)
    }

    /// All that are held, the local node first, those that failed or left included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.table.iter().map(|(_, slot)| &slot.member)
    }

    /// Whether `receiver` is told of a member in a sync: of itself, and of all that we know at first
    /// hand.
    ///
    /// Those whose departure we did not see are left out: else whoever is gone would be remembered
    /// by some, and told of to the next, for ever. So are those of whose incarnation we know no
    /// more than that: what they said of themselves before does not belong to it.
    pub(crate) fn is_shared(&self, key: MemberKey, receiver: Option<&NodeId>) -> bool {
        let slot = self.table.slot(key);
        !slot.hearsay && !slot.profile_behind || Some(&slot.member.id) == receiver
    }

    /// All of whom everybody is told in a sync.
    #[cfg(feature = "memberlist")]
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Member> {
        let told = self.table.iter().filter(|&(key, _)| self.is_shared(key, None));
        told.map(|(_, slot)| &slot.member)
    }

    /// Whether there is something to say of a member: that it is alive says what it says of itself.
    pub(crate) fn has_something_to_gossip(&self, key: MemberKey) -> bool {
        let slot = self.table.slot(key);
        slot.member.state != State::Alive || !slot.profile_behind
    }

    /// How many are present, with the local node unless it left.
    pub(crate) fn present_count(&self) -> usize {
        self.probe_order.len() + usize::from(self.local().state.is_present())
    }

    /// How many others are present.
    pub(crate) fn others(&self) -> usize {
        self.probe_order.len()
    }

    /// How many are held in all.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How long a member takes to answer.
    pub(crate) fn rtt(&self, key: MemberKey) -> Rtt {
        self[key].rtt
    }

    pub(crate) fn set_degraded(&mut self, key: MemberKey, degraded: bool) {
        self.table.slot_mut(key).member.degraded = degraded;
    }

    pub(crate) fn rtt_mut(&mut self, key: MemberKey) -> &mut Rtt {
        &mut self.table.slot_mut(key).member.rtt
    }

    // ---- digests ----

    /// What all who are present come down to: the same at every node that knows the same of them.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// What one member comes down to; nothing if it is not present.
    pub(crate) fn digest_of(&self, key: MemberKey) -> u64 {
        let member = &self[key];
        if member.state.is_present() { self.digester.member(member) } else { 0 }
    }

    /// Where each member stands among all names, in that order.
    pub(crate) fn places(&self) -> Vec<(u64, MemberKey)> {
        let place = |(key, slot): (MemberKey, &Slot)| (self.digester.place(&slot.member.id), key);
        let mut places: Vec<_> = self.table.iter().map(place).collect();
        places.sort_unstable();
        places
    }

    /// Changes whenever a member is added or removed, and so [`places`](Self::places) do.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    fn count_in(&mut self, key: MemberKey) {
        self.digest = self.digest.wrapping_add(self.digest_of(key));
    }

    fn count_out(&mut self, key: MemberKey) {
        self.digest = self.digest.wrapping_sub(self.digest_of(key));
    }

    // ---- the ring ----

    /// The next member to probe.
    pub(crate) fn next_to_probe(&mut self) -> Option<MemberKey> {
        self.probe_order.next(&mut self.rng)
    }

    /// Picks up to `count` members at random into `picked` that are alive, none of them `except`.
    pub(crate) fn pick(
        &self,
        rng: &mut Rng,
        count: usize,
        except: Option<MemberKey>,
        picked: &mut Vec<MemberKey>,
    ) {
        picked.clear();
        let alive = |key| Some(key) != except && self[key].state == State::Alive;
        self.probe_order.draw(rng, count, alive, picked);
    }

    /// Picks up to `count` members to gossip to: present ones in turn and, as many as are their share,
    /// those that failed after `since`, who may live after all.
    pub(crate) fn pick_for_gossip(
        &mut self,
        rng: &mut Rng,
        count: usize,
        since: Instant,
        recent: &mut Vec<MemberKey>,
        picked: &mut Vec<MemberKey>,
    ) {
        recent.clear();
        let first = self.tombstones.partition_point(|departure| departure.at < since);
        let latest = self.tombstones.range(first..).rev().take(MAX_RECENT);
        recent.extend(latest.filter_map(|departure| {
            let slot = self.table.get(departure.key)?;
            let failed = slot.member.state == State::Failed && !slot.hearsay;
            (failed && self.counts(departure)).then_some(departure.key)
        }));
        let all = recent.len() + self.probe_order.len();
        let count = count.min(all);
        let share = (0..count).filter(|_| rng.below(all) < recent.len()).count();
        let from_ring = (count - share.min(recent.len())).min(self.probe_order.len());
        picked.clear();
        picked.extend((0..from_ring).filter_map(|_| self.probe_order.next_for_gossip()));
        rng.shuffle(recent);
        picked.extend(recent.iter().take(count - from_ring));
    }

    fn enter(&mut self, key: MemberKey) {
        self.probe_order.insert(&mut self.rng, key);
        self.table.slot_mut(key).hearsay = false;
        self.table.index_addr(key);
    }

    fn depart(&mut self, now: Instant, key: MemberKey) {
        self.probe_order.remove(key);
        self.set_degraded(key, false);
        self.add_tombstone(now, key);
    }
}

impl core::ops::Index<MemberKey> for Members {
    type Output = Member;

    fn index(&self, key: MemberKey) -> &Member {
        &self.table.slot(key).member
    }
}

/// How many of those that failed of late are considered at a gossip tick; what a mass failure
/// leaves beyond that is reached by sync.
const MAX_RECENT: usize = 64;

#[cfg(debug_assertions)]
impl Members {
    /// How often a member was looked at.
    pub(crate) fn visits(&self) -> &core::sync::atomic::AtomicUsize {
        self.table.visits()
    }

    /// Asserts that the table, the ring, the digest and the list of those that are gone agree.
    pub(crate) fn check(&self) {
        self.table.check();
        self.probe_order.check();
        let mut digest = 0_u64;
        for (key, slot) in self.table.iter() {
            let present = key != MemberKey::LOCAL && slot.member.state.is_present();
            assert_eq!(
                self.probe_order.contains(key),
                present,
                "the ring holds all who are present"
            );
            digest = digest.wrapping_add(self.digest_of(key));
        }
        assert_eq!(digest, self.digest, "the digest is that of those who are present");
        let absent = self.iter().skip(1).filter(|member| !member.state.is_present()).count();
        let recorded = self.tombstones.iter().filter(|departure| self.counts(departure)).count();
        assert_eq!(recorded, absent, "whoever is gone will be forgotten, once");
        assert!(self.tombstones.len() <= 2 * self.table.slot_count().max(1));
    }
}

#[cfg(test)]
mod tests;
