//! The members: which claim about one takes precedence, whom to pick, what all of it comes down to.

use crate::claim::{Change, Claim, Profile, Updated};
use crate::digest::Digester;
use crate::member::{ClusterName, Member, NodeId, State};
use crate::ring::Ring;
use crate::rng::Rng;
use crate::rtt::Rtt;
use crate::rules::Rules;
pub(crate) use crate::table::Key;
use crate::table::{Slot, Table};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
#[cfg(feature = "memberlist")]
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// All members that are known, those that failed or left not long ago included.
///
/// Finding, adding, removing and picking at random cost the same at any size.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Members {
    table: Table,
    ring: Ring,
    #[serde(skip)]
    digester: Digester,
    /// The sum of the digests of those who are present.
    #[serde(skip)]
    digest: u64,
    /// Counts members that were added or removed.
    changes: u64,
    /// Who failed or left, oldest first.
    gone: VecDeque<Departure>,
    departures: u32,
    rules: Rules,
    max: usize,
    rng: Rng,
}

/// That a member failed or left; it counts only while it is that member's latest.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Departure {
    at: Instant,
    key: Key,
    number: u32,
}

impl Members {
    pub(crate) fn new(
        cluster: &ClusterName,
        local: Member,
        rules: Rules,
        max: usize,
        rng: Rng,
    ) -> Self {
        Self::alone(Digester::new(cluster), local, rules, max, rng)
    }

    fn alone(digester: Digester, local: Member, rules: Rules, max: usize, mut rng: Rng) -> Self {
        let mut members = Self {
            table: Table::new(rng.u64()),
            ring: Ring::default(),
            digester,
            digest: 0,
            changes: 0,
            gone: VecDeque::new(),
            departures: 0,
            rules,
            max,
            rng,
        };
        let key = members.table.add(local);
        debug_assert_eq!(key, Key::LOCAL);
        members.count_in(key);
        members
    }

    /// Makes what was left out of a checkpoint; `None` if the rest cannot be that of a node.
    pub(crate) fn restore(&mut self, cluster: &ClusterName) -> Option<()> {
        self.digester = Digester::new(cluster);
        self.table.get(Key::LOCAL)?;
        self.ring.restore()?;
        let (mut digest, mut absent) = (0_u64, 0);
        for (key, slot) in self.table.iter() {
            let present = slot.member.state.is_present();
            if self.ring.contains(key) != (present && key != Key::LOCAL) {
                return None;
            }
            absent += usize::from(!present && key != Key::LOCAL);
            digest = digest.wrapping_add(self.digest_of(key));
        }
        self.digest = digest;
        let mourned = self.gone.iter().filter(|departure| self.counts(departure)).count();
        // Whoever is in the ring is in the table, since nobody else was counted.
        let present = self.table.len() - 1 - absent;
        (self.ring.len() == present && mourned == absent && self.len() <= self.max).then_some(())
    }

    // ---- looking ----

    pub(crate) fn local(&self) -> &Member {
        &self[Key::LOCAL]
    }

    /// Changes what the local node says of itself.
    pub(crate) fn update_local(&mut self, change: impl FnOnce(&mut Member)) {
        self.count_out(Key::LOCAL);
        change(&mut self.table.slot_mut(Key::LOCAL).member);
        self.count_in(Key::LOCAL);
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<Key> {
        self.table.find(id)
    }

    /// Whether a member of that name is present.
    pub(crate) fn is_present(&self, id: &NodeId) -> bool {
        self.find(id).is_some_and(|key| self[key].state.is_present())
    }

    /// The member at an address.
    pub(crate) fn find_addr(&self, addr: SocketAddr) -> Option<Key> {
        self.table.find_addr(addr)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Member> {
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
    pub(crate) fn is_told(&self, key: Key, receiver: Option<&NodeId>) -> bool {
        let slot = self.table.slot(key);
        !slot.hearsay && !slot.profile_behind || Some(&slot.member.id) == receiver
    }

    /// All of whom everybody is told in a sync.
    #[cfg(feature = "memberlist")]
    pub(crate) fn told(&self) -> impl Iterator<Item = &Member> {
        let told = self.table.iter().filter(|&(key, _)| self.is_told(key, None));
        told.map(|(_, slot)| &slot.member)
    }

    /// Whether there is something to say of a member: that it is alive says what it says of itself.
    pub(crate) fn is_telling(&self, key: Key) -> bool {
        let slot = self.table.slot(key);
        slot.member.state != State::Alive || !slot.profile_behind
    }

    /// How many are present, with the local node unless it left.
    pub(crate) fn present(&self) -> usize {
        self.ring.len() + usize::from(self.local().state.is_present())
    }

    /// How many others are present.
    pub(crate) fn others(&self) -> usize {
        self.ring.len()
    }

    /// How many are held in all.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How long a member takes to answer.
    pub(crate) fn rtt(&self, key: Key) -> Rtt {
        self[key].rtt
    }

    pub(crate) fn set_degraded(&mut self, key: Key, degraded: bool) {
        self.table.slot_mut(key).member.degraded = degraded;
    }

    pub(crate) fn rtt_mut(&mut self, key: Key) -> &mut Rtt {
        &mut self.table.slot_mut(key).member.rtt
    }

    // ---- digests ----

    /// What all who are present come down to: the same at every node that knows the same of them.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// What one member comes down to; nothing if it is not present.
    pub(crate) fn digest_of(&self, key: Key) -> u64 {
        let member = &self[key];
        if member.state.is_present() { self.digester.member(member) } else { 0 }
    }

    /// Where each member stands among all names, in that order.
    pub(crate) fn places(&self) -> Vec<(u64, Key)> {
        let place = |(key, slot): (Key, &Slot)| (self.digester.place(&slot.member.id), key);
        let mut places: Vec<_> = self.table.iter().map(place).collect();
        places.sort_unstable();
        places
    }

    /// Changes whenever a member is added or removed, and so [`places`](Self::places) do.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    fn count_in(&mut self, key: Key) {
        self.digest = self.digest.wrapping_add(self.digest_of(key));
    }

    fn count_out(&mut self, key: Key) {
        self.digest = self.digest.wrapping_sub(self.digest_of(key));
    }

    // ---- claims ----

    /// Takes a claim about a member other than the local one, if it takes precedence.
    ///
    /// Claims about a member are ordered by incarnation, then by state (SWIM §4.2): the higher
    /// wins, whatever the order in which they come. What a member says about itself in one
    /// incarnation is ordered too, so that the table is a join of all claims with profiles that it
    /// was given: commutative, associative, idempotent, monotone.
    pub(crate) fn apply(&mut self, now: Instant, claim: &Claim) -> Change {
        let Some(key) = self.find(&claim.id) else {
            return self.introduce(now, claim);
        };
        debug_assert_ne!(key, Key::LOCAL);
        if let Some(change) = self.dispute(now, key, claim) {
            return change;
        }
        self.count_out(key);
        let change = self.amend(now, key, claim);
        self.count_in(key);
        change
    }

    /// Where names do not move by themselves: what becomes of a claim that a member is alive at another
    /// address than it is known to be at, if it is one (memberlist's `aliveNode`).
    fn dispute(&mut self, now: Instant, key: Key, claim: &Claim) -> Option<Change> {
        let profile = claim.profile.as_ref().filter(|_| claim.state == State::Alive)?;
        let (known, other) = (&self[key], profile.addr);
        if self.rules.names_move() || known.addr() == other {
            return None;
        }
        #[cfg(feature = "memberlist")]
        if self.rules.frees_name(known.state, || self.gone_for(now, key)) {
            // In whatever incarnation: it is another node.
            self.forget(key);
            return Some(self.introduce(now, claim));
        }
        let _ = now;
        Some(Change::Disputed { key, other })
    }

    fn amend(&mut self, now: Instant, key: Key, claim: &Claim) -> Change {
        let known = &self[key];
        let before = known.state;
        if (claim.incarnation, claim.state) <= (known.incarnation, before) {
            return self.complement(key, claim);
        }
        let later = claim.incarnation > known.incarnation;
        let updated = match &claim.profile {
            Some(profile) if later || self.takes_precedence(key, profile) => {
                self.set_profile(key, profile)
            }
            _ => Updated::No,
        };
        let slot = self.table.slot_mut(key);
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
    fn complement(&mut self, key: Key, claim: &Claim) -> Change {
        let slot = self.table.slot(key);
        let known = (slot.member.incarnation, slot.member.state);
        if claim.incarnation < known.0 {
            return Change::Outdated(key);
        }
        let told = if claim.state < known.1 { Change::Outdated(key) } else { Change::Nothing };
        let Some(profile) = &claim.profile else { return told };
        if !self.takes_precedence(key, profile) {
            return told;
        }
        let (behind, other) = (slot.profile_behind, slot.member.addr());
        let updated = self.set_profile(key, profile);
        match updated {
            _ if !known.1.is_present() => told,
            Updated::Yes if !behind && profile.addr != other => Change::Conflict { key, other },
            Updated::Yes => Change::Updated(key),
            Updated::No => told,
        }
    }

    /// Whether what a member says about itself, in the incarnation that is known, replaces what is
    /// known of that.
    ///
    /// Where two nodes of one name were started in the same second, all must prefer the same one
    /// until one of the two raises its incarnation: the higher address.
    fn takes_precedence(&self, key: Key, profile: &Profile) -> bool {
        let slot = self.table.slot(key);
        let known = (slot.member.addr(), slot.member.meta.as_bytes());
        slot.profile_behind
            || self.rules.names_move() && (profile.addr, profile.meta.as_bytes()) > known
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
        member.dialect = profile.dialect;
        let key = self.table.add(member);
        self.changes += 1;
        if claim.state.is_present() {
            self.count_in(key);
            self.enter(key);
            Change::Joined(key)
        } else {
            self.table.slot_mut(key).hearsay = true;
            self.mourn(now, key);
            Change::Remembered(key)
        }
    }

    fn set_profile(&mut self, key: Key, profile: &Profile) -> Updated {
        let slot = self.table.slot_mut(key);
        slot.profile_behind = false;
        slot.member.dialect = profile.dialect;
        let moved = slot.member.addr() != profile.addr;
        let altered = slot.member.meta != profile.meta;
        if altered {
            slot.member.meta = profile.meta.clone();
        }
        if moved {
            // It is another way to it.
            slot.member.rtt = Rtt::default();
        }
        self.table.set_addr(key, profile.addr);
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
            let slot = self.table.get(departure.key)?;
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
        self.table.slot_mut(key).hearsay = false;
        self.table.index_addr(key);
    }

    fn depart(&mut self, now: Instant, key: Key) {
        self.ring.leave(key);
        self.set_degraded(key, false);
        self.mourn(now, key);
    }

    // ---- those that are gone ----

    fn mourn(&mut self, now: Instant, key: Key) {
        // It may begin anew: no departure is held for so long.
        self.departures = self.departures.checked_add(1).unwrap_or(1);
        let number = self.departures;
        self.table.slot_mut(key).departure = number;
        if self.gone.len() >= 2 * self.table.places() {
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
            self.forget(key);
        }
        true
    }

    /// Forgets one that is gone.
    fn forget(&mut self, key: Key) {
        debug_assert!(!self.ring.contains(key) && key != Key::LOCAL);
        self.table.remove(key);
        self.changes += 1;
    }

    /// For how long a member has been gone.
    #[cfg(feature = "memberlist")]
    fn gone_for(&self, now: Instant, key: Key) -> Duration {
        let latest = |departure: &&Departure| departure.key == key && self.counts(departure);
        self.gone.iter().find(latest).map_or(Duration::ZERO, |departure| now.since(departure.at))
    }

    /// Forgets all but the local node.
    pub(crate) fn forget_others(&mut self) {
        let (local, rng) = (self.local().clone(), self.rng.clone());
        *self = Self::alone(self.digester, local, self.rules, self.max, rng);
    }

    fn counts(&self, Departure { key, number, .. }: &Departure) -> bool {
        let slot = self.table.get(*key);
        slot.is_some_and(|slot| slot.departure == *number && !slot.member.state.is_present())
    }
}

impl core::ops::Index<Key> for Members {
    type Output = Member;

    fn index(&self, key: Key) -> &Member {
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
        self.ring.check();
        let mut digest = 0_u64;
        for (key, slot) in self.table.iter() {
            let present = key != Key::LOCAL && slot.member.state.is_present();
            assert_eq!(self.ring.contains(key), present, "the ring holds all who are present");
            digest = digest.wrapping_add(self.digest_of(key));
        }
        assert_eq!(digest, self.digest, "the digest is that of those who are present");
        let absent = self.iter().skip(1).filter(|member| !member.state.is_present()).count();
        let mourned = self.gone.iter().filter(|departure| self.counts(departure)).count();
        assert_eq!(mourned, absent, "whoever is gone will be forgotten, once");
        assert!(self.gone.len() <= 2 * self.table.places().max(1));
    }
}

#[cfg(test)]
mod tests;
