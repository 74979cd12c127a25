//! Precedence: which claim about a member is taken, and what that changes.

use super::{MemberKey, Members};
use crate::member::{Member, State};
use crate::membership::claim::{Change, Claim, Profile, Updated};
use crate::rtt::Rtt;
use crate::time::Instant;

impl Members {
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
        debug_assert_ne!(key, MemberKey::LOCAL);
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
    fn dispute(&mut self, now: Instant, key: MemberKey, claim: &Claim) -> Option<Change> {
        let profile = claim.profile.as_ref().filter(|_| claim.state == State::Alive)?;
        let (known, other) = (&self[key], profile.addr);
        if self.variant.names_move() || known.addr() == other {
            return None;
        }
        #[cfg(feature = "memberlist")]
        if self.variant.frees_name(known.state, || self.gone_for(now, key)) {
            // In whatever incarnation: it is another node.
            self.forget(key);
            return Some(self.introduce(now, claim));
        }
        let _ = now;
        Some(Change::Disputed { key, other })
    }

    fn amend(&mut self, now: Instant, key: MemberKey, claim: &Claim) -> Change {
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
            (State::Alive, State::Alive) => Change::Refreshed(key),
            (State::Alive | State::Suspect, State::Suspect) => Change::Suspected(key),
            (State::Alive | State::Suspect, State::Failed) => Change::Failed(key),
            (State::Failed | State::Left, State::Failed) | (State::Left, State::Left) => {
                Change::Tombstoned(key)
            }
            (_, State::Left) => Change::Left(key),
        }
    }

    /// Takes from a claim that does not take precedence what the member says about itself, if that
    /// is what we lack, or if it settles a conflict.
    fn complement(&mut self, key: MemberKey, claim: &Claim) -> Change {
        let slot = self.table.slot(key);
        let known = (slot.member.incarnation, slot.member.state);
        if claim.incarnation < known.0 {
            return Change::Stale(key);
        }
        let told = if claim.state < known.1 { Change::Stale(key) } else { Change::Unchanged };
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
    fn takes_precedence(&self, key: MemberKey, profile: &Profile) -> bool {
        let slot = self.table.slot(key);
        let known = (slot.member.addr(), slot.member.meta.as_bytes());
        slot.profile_behind
            || self.variant.names_move() && (profile.addr, profile.meta.as_bytes()) > known
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
        member.versions = profile.versions;
        let key = self.table.add(member);
        self.changes += 1;
        if claim.state.is_present() {
            self.count_in(key);
            self.enter(key);
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
            // It is another way to it.
            slot.member.rtt = Rtt::default();
        }
        self.table.set_addr(key, profile.addr);
        if moved || altered { Updated::Yes } else { Updated::No }
    }
}
