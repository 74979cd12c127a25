//! Merging claims into the membership table: which claim wins, and the resulting change.

use super::{MemberKey, Members};
use crate::member::{Member, State};
use crate::membership::claim::{Change, Claim, Life, Profile, Updated};
use crate::rtt::Rtt;
use crate::time::Instant;

impl Members {
    /// Applies a claim about another member, if it wins over the table's record.
    ///
    /// Claims about a member are ordered by incarnation, then by state (SWIM §4.2); the higher one
    /// wins, in whatever order they arrive. Profiles of one incarnation are ordered too. The table
    /// is therefore a join of all claims with profiles that were applied: commutative, associative,
    /// idempotent, monotone.
    ///
    /// `validated` is whether the address in the claim is known to be the member's.
    pub(crate) fn apply(&mut self, now: Instant, claim: &Claim, validated: bool) -> Change {
        let Some(key) = self.find(&claim.id) else {
            return self.insert(now, claim, validated);
        };
        debug_assert_ne!(key, MemberKey::LOCAL);
        if let Some(change) = self.check_address(now, key, claim, validated) {
            return change;
        }
        let before = self[key].addr();
        self.remove_from_digest(key);
        let change = self.update(now, key, claim, validated);
        self.add_to_digest(key);
        if self[key].addr() != before {
            self.set_validated(key, validated);
        }
        change
    }

    /// Whether a claim has another address than that from which the member has answered, and counts
    /// if it is accepted.
    pub(crate) fn is_elsewhere(&self, now: Instant, claim: &Claim) -> bool {
        let (Some(profile), Some(key)) = (&claim.profile, self.find(&claim.id)) else {
            return false;
        };
        let known = &self[key];
        if !self.is_validated(key) || known.addr() == profile.addr {
            return false;
        }
        if !self.variant.names_move() {
            return claim.state != State::Alive || self.is_name_free(now, key);
        }
        claim.state != State::Alive
            || claim.incarnation > known.incarnation
            || claim.incarnation == known.incarnation && self.profile_wins(key, profile)
    }

    /// Whether another node can take a member's name, in the variant where names do not move.
    fn is_name_free(&self, now: Instant, key: MemberKey) -> bool {
        #[cfg(feature = "memberlist")]
        return self.variant.frees_name(self[key].state, || self.time_since_departure(now, key));
        #[cfg(not(feature = "memberlist"))]
        {
            let _ = (now, key);
            false
        }
    }

    /// Handles a claim that a member is alive at another address, in the variant where a name does
    /// not move to a new address by itself (memberlist's `aliveNode`); `None` for other claims.
    fn check_address(
        &mut self,
        now: Instant,
        key: MemberKey,
        claim: &Claim,
        validated: bool,
    ) -> Option<Change> {
        let profile = claim.profile.as_ref().filter(|_| claim.state == State::Alive)?;
        let (known, other) = (&self[key], profile.addr);
        if self.variant.names_move() || known.addr() == other {
            return None;
        }
        if self.is_name_free(now, key) {
            // Its incarnation does not matter: it is another node.
            self.forget(key);
            return Some(self.insert(now, claim, validated));
        }
        Some(Change::Disputed { key, other })
    }

    /// Applies a claim about a known member.
    fn update(&mut self, now: Instant, key: MemberKey, claim: &Claim, validated: bool) -> Change {
        let known = &self[key];
        let before = known.state;
        if (claim.incarnation, claim.state) <= (known.incarnation, before) {
            return self.update_profile(key, claim);
        }
        let later = claim.incarnation > known.incarnation;
        let same_life = claim.incarnation.generation == known.incarnation.generation;
        let earlier = known.incarnation;
        let life = if same_life { Life::Same } else { Life::New { earlier } };
        let updated = match &claim.profile {
            Some(profile) if later || self.profile_wins(key, profile) => {
                self.set_profile(key, profile)
            }
            _ => Updated::No,
        };
        let slot = self.table.slot_mut(key);
        slot.profile_behind |= later && claim.profile.is_none();
        slot.member.incarnation = claim.incarnation;
        slot.member.state = claim.state;
        match (before.is_present(), claim.state.is_present()) {
            (false, true) => self.on_present(key, validated),
            (true, false) => self.on_departed(now, key),
            _ => {}
        }
        match (before, claim.state) {
            (State::Left, State::Alive | State::Suspect) => Change::Joined(key),
            (State::Failed, State::Alive | State::Suspect) => Change::Returned(key, life),
            (State::Suspect, State::Alive) => Change::Recovered(key, updated, life),
            (State::Alive, State::Alive) if updated == Updated::Yes => Change::Updated(key, life),
            (State::Alive, State::Alive) => Change::Refreshed(key, life),
            (State::Alive | State::Suspect, State::Suspect) => Change::Suspected(key, life),
            (State::Alive | State::Suspect, State::Failed) => Change::Failed(key),
            (State::Failed | State::Left, State::Failed) | (State::Left, State::Left) => {
                Change::Tombstoned(key)
            }
            (_, State::Left) => Change::Left(key),
        }
    }

    /// Applies the profile of a claim that does not win, if the table lacks the profile of the
    /// known incarnation, or if the profile decides a name conflict.
    fn update_profile(&mut self, key: MemberKey, claim: &Claim) -> Change {
        let slot = self.table.slot(key);
        let known = (slot.member.incarnation, slot.member.state);
        if claim.incarnation < known.0 {
            return Change::Stale(key);
        }
        let unchanged = if claim.state < known.1 { Change::Stale(key) } else { Change::Unchanged };
        let Some(profile) = &claim.profile else { return unchanged };
        if !self.profile_wins(key, profile) {
            return unchanged;
        }
        let (behind, other) = (slot.profile_behind, slot.member.addr());
        let updated = self.set_profile(key, profile);
        match updated {
            _ if !known.1.is_present() => unchanged,
            Updated::Yes if !behind && profile.addr != other => Change::Conflict { key, other },
            Updated::Yes => Change::Updated(key, Life::Same),
            Updated::No => unchanged,
        }
    }

    /// Whether a profile of the known incarnation replaces the known profile.
    ///
    /// If two nodes of one name start in the same second, all members must prefer the same one
    /// until one of the two raises its incarnation: the one with the higher address.
    fn profile_wins(&self, key: MemberKey, profile: &Profile) -> bool {
        let slot = self.table.slot(key);
        let known = (slot.member.addr(), slot.member.meta.as_bytes());
        slot.profile_behind
            || self.variant.names_move() && (profile.addr, profile.meta.as_bytes()) > known
    }

    /// Adds an unknown member, if the claim has its profile.
    fn insert(&mut self, now: Instant, claim: &Claim, validated: bool) -> Change {
        let Some(profile) = &claim.profile else {
            return Change::Unknown;
        };
        if self.len() >= self.max && !self.forget_oldest() {
            return Change::Full;
        }
        let mut member =
            Member::new(claim.id.clone(), profile.addr, claim.incarnation, profile.meta.clone());
        member.state = claim.state;
        member.versions = profile.versions;
        let key = self.table.add(member, validated);
        if claim.state.is_present() {
            self.add_to_digest(key);
            self.on_present(key, validated);
            Change::Joined(key)
        } else {
            self.table.slot_mut(key).hearsay = true;
            self.add_tombstone(now, key);
            Change::Tombstoned(key)
        }
    }

    fn set_profile(&mut self, key: MemberKey, profile: &Profile) -> Updated {
        let slot = self.table.slot_mut(key);
        slot.profile_behind = false;
        slot.member.versions = profile.versions;
        let moved = slot.member.addr() != profile.addr;
        let altered = slot.member.meta != profile.meta;
        if altered {
            slot.member.meta = profile.meta.clone();
        }
        if moved {
            // Round trips to the old address do not apply.
            slot.member.rtt = Rtt::default();
        }
        self.table.set_addr(key, profile.addr);
        if moved || altered { Updated::Yes } else { Updated::No }
    }
}
