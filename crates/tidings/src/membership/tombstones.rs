//! Tombstones: records of members that failed or left, and their expiry.

use super::{MemberKey, Members, Tombstone};
use crate::time::Instant;
#[cfg(feature = "memberlist")]
use core::time::Duration;

impl Members {
    pub(super) fn add_tombstone(&mut self, now: Instant, key: MemberKey) {
        // Numbers may wrap around: no tombstone is kept for 2^32 others.
        self.last_tombstone = self.last_tombstone.checked_add(1).unwrap_or(1);
        let number = self.last_tombstone;
        self.table.slot_mut(key).tombstone = number;
        if self.tombstones.len() >= 2 * self.table.slot_count() {
            // Members that returned and failed again left outdated tombstones.
            let mut tombstones = core::mem::take(&mut self.tombstones);
            tombstones.retain(|tombstone| self.is_current(tombstone));
            self.tombstones = tombstones;
        }
        self.tombstones.push_back(Tombstone { at: now, key, number });
    }

    /// The time of the oldest tombstone; drops outdated ones before it.
    pub(crate) fn oldest_tombstone(&mut self) -> Option<Instant> {
        while let Some(tombstone) = self.tombstones.front() {
            if self.is_current(tombstone) {
                return Some(tombstone.at);
            }
            self.tombstones.pop_front();
        }
        None
    }

    /// Forgets the members that failed or left at `then` or before.
    pub(crate) fn reap(&mut self, then: Instant) {
        while self.oldest_tombstone().is_some_and(|at| at <= then) {
            self.forget_oldest();
        }
    }

    /// Forgets the member that has been gone longest, to make room; `false` if there is none.
    pub(super) fn forget_oldest(&mut self) -> bool {
        if self.oldest_tombstone().is_none() {
            return false;
        }
        if let Some(Tombstone { key, .. }) = self.tombstones.pop_front() {
            self.forget(key);
        }
        true
    }

    /// Removes a departed member from the table.
    pub(super) fn forget(&mut self, key: MemberKey) {
        debug_assert!(!self.rings.contains(key) && key != MemberKey::LOCAL);
        self.remove_from_digest(key);
        self.table.remove(key);
    }

    /// The time since a member failed or left.
    #[cfg(feature = "memberlist")]
    pub(super) fn time_since_departure(&self, now: Instant, key: MemberKey) -> Duration {
        // In the order of their numbers, unless these wrapped around in between.
        let first = self.tombstones.front().map_or(0, |tombstone| tombstone.number);
        let age = |number: u32| number.wrapping_sub(first);
        let wanted = age(self.table.slot(key).tombstone);
        let at = self.tombstones.binary_search_by_key(&wanted, |tombstone| age(tombstone.number));
        let found = at.ok().map(|at| &self.tombstones[at]);
        let latest = found.filter(|tombstone| tombstone.key == key && self.is_current(tombstone));
        latest.map_or(Duration::ZERO, |tombstone| now.since(tombstone.at))
    }

    /// Forgets all but the local node.
    pub(crate) fn forget_others(&mut self) {
        let (local, rng) = (self.local().clone(), self.rng.clone());
        *self = Self::alone(self.digester, local, self.variant, self.max, rng);
    }

    /// Whether a tombstone is its member's latest, and the member has not returned.
    pub(super) fn is_current(&self, Tombstone { key, number, .. }: &Tombstone) -> bool {
        let slot = self.table.get(*key);
        slot.is_some_and(|slot| slot.tombstone == *number && !slot.member.state.is_present())
    }
}
