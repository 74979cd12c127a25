//! Those that are gone: for how long they are remembered.

use super::{MemberKey, Members, Tombstone};
use crate::time::Instant;
#[cfg(feature = "memberlist")]
use core::time::Duration;

impl Members {
    pub(super) fn add_tombstone(&mut self, now: Instant, key: MemberKey) {
        // It may begin anew: no departure is held for so long.
        self.departures = self.departures.checked_add(1).unwrap_or(1);
        let number = self.departures;
        self.table.slot_mut(key).departure = number;
        if self.tombstones.len() >= 2 * self.table.slot_count() {
            // Members that came back and failed again left entries behind.
            let mut tombstones = core::mem::take(&mut self.tombstones);
            tombstones.retain(|departure| self.counts(departure));
            self.tombstones = tombstones;
        }
        self.tombstones.push_back(Tombstone { at: now, key, number });
    }

    /// When the one that is gone longest was found to be so.
    pub(crate) fn oldest_tombstone(&mut self) -> Option<Instant> {
        while let Some(departure) = self.tombstones.front() {
            if self.counts(departure) {
                return Some(departure.at);
            }
            self.tombstones.pop_front();
        }
        None
    }

    /// Forgets those that failed or left up to `then`.
    pub(crate) fn reap(&mut self, then: Instant) {
        while self.oldest_tombstone().is_some_and(|at| at <= then) {
            self.forget_oldest();
        }
    }

    /// Makes room by forgetting whoever is gone longest; `false` if nobody is.
    pub(super) fn forget_oldest(&mut self) -> bool {
        if self.oldest_tombstone().is_none() {
            return false;
        }
        if let Some(Tombstone { key, .. }) = self.tombstones.pop_front() {
            self.forget(key);
        }
        true
    }

    /// Forgets one that is gone.
    pub(super) fn forget(&mut self, key: MemberKey) {
        debug_assert!(!self.probe_order.contains(key) && key != MemberKey::LOCAL);
        self.table.remove(key);
        self.changes += 1;
    }

    /// For how long a member has been gone.
    #[cfg(feature = "memberlist")]
    pub(super) fn gone_for(&self, now: Instant, key: MemberKey) -> Duration {
        let latest = |departure: &&Tombstone| departure.key == key && self.counts(departure);
        self.tombstones
            .iter()
            .find(latest)
            .map_or(Duration::ZERO, |departure| now.since(departure.at))
    }

    /// Forgets all but the local node.
    pub(crate) fn forget_others(&mut self) {
        let (local, rng) = (self.local().clone(), self.rng.clone());
        *self = Self::alone(self.digester, local, self.variant, self.max, rng);
    }

    pub(super) fn counts(&self, Tombstone { key, number, .. }: &Tombstone) -> bool {
        let slot = self.table.get(*key);
        slot.is_some_and(|slot| slot.departure == *number && !slot.member.state.is_present())
    }
}
