//! Address validation: pings to addresses of which others have told, before they count.

use crate::member::NodeId;
use crate::membership::claim::Claim;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

/// The addresses that are being validated, oldest first.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Validations {
    pending: VecDeque<Validation>,
    /// Claims of members that others have moved, to be validated later, oldest first.
    later: VecDeque<Box<Claim>>,
    /// Bytes of the datagrams with postponed claims, less those with which members were asked.
    credit: usize,
}

/// A ping to an address, whose ack validates it.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Validation {
    token: u32,
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) addr: SocketAddr,
    sent: Instant,
    /// The member's name.
    pub(crate) id: NodeId,
    /// A stranger's claim about the member at that address, to apply then; `None`: the member is
    /// in the table.
    pub(crate) claim: Option<Box<Claim>>,
}

impl Validations {
    /// Whether [`MAX_PENDING`] are pending.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    /// Begins a validation; `false` if one of this member at this address is pending, or
    /// [`MAX_PENDING`] in all, for a claim [`MAX_PENDING_CLAIMS`]. Of [`MAX_AT_ADDR`] at one
    /// address the first gives way to a claim.
    #[must_use]
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        lifetime: Duration,
        (token, addr): (u32, SocketAddr),
        id: &NodeId,
        claim: Option<Box<Claim>>,
    ) -> bool {
        while self.pending.front().is_some_and(|first| now.since(first.sent) > lifetime) {
            self.pending.pop_front();
        }
        let there = || self.pending.iter().filter(|one| one.addr == addr);
        let is_crowded = there().count() >= MAX_AT_ADDR;
        let most = if claim.is_some() { MAX_PENDING_CLAIMS } else { MAX_PENDING };
        if self.pending.len() >= most
            || there().any(|one| one.id == *id)
            || is_crowded && claim.is_none()
            || self.pending.iter().any(|one| one.token == token)
        {
            return false;
        }
        if is_crowded {
            let first = self.pending.iter().position(|one| one.addr == addr);
            first.and_then(|first| self.pending.remove(first));
        }
        self.pending.push_back(Validation { token, addr, sent: now, id: id.clone(), claim });
        true
    }

    /// Keeps a claim that a member has moved for [`next_later`](Self::next_later), in place of an
    /// earlier one about it; of too many the oldest is dropped, which syncs bring again. As many
    /// bytes as came with it may go to where members are said to be.
    pub(crate) fn postpone(&mut self, claim: Box<Claim>, bytes: usize) {
        self.credit = (self.credit + bytes).min(MAX_CREDIT);
        if let Some(earlier) = self.later.iter_mut().find(|earlier| earlier.id == claim.id) {
            if earlier.incarnation < claim.incarnation {
                *earlier = claim;
            }
            return;
        }
        if self.later.len() >= MAX_LATER {
            self.later.pop_front();
        }
        self.later.push_back(claim);
    }

    /// Takes the oldest claim that was postponed, if there is a place for it. A claim for whose
    /// question, of so many bytes, those that came do not suffice is dropped, with those after it.
    pub(crate) fn next_later(&mut self, question: usize) -> Option<Box<Claim>> {
        if self.pending.len() >= MAX_PENDING_CLAIMS {
            return None;
        }
        let claim = self.later.pop_front()?;
        match self.credit.checked_sub(question) {
            Some(left) => self.credit = left,
            None => {
                self.later.clear();
                return None;
            }
        }
        Some(claim)
    }

    /// Whether claims were postponed.
    pub(crate) fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    /// Handles an ack from an address; returns the validation that it completes.
    pub(crate) fn end(&mut self, token: u32, from: SocketAddr) -> Option<Validation> {
        let is_it = |one: &Validation| one.token == token && one.addr == from;
        let at = self.pending.iter().position(is_it)?;
        self.pending.remove(at)
    }

    /// Ends a validation whose ping is not sent.
    pub(crate) fn cancel(&mut self, token: u32) {
        self.pending.retain(|one| one.token != token);
    }

    /// The member that a pending validation is about.
    pub(crate) fn target(&self, token: u32) -> Option<&NodeId> {
        self.pending.iter().find(|one| one.token == token).map(|one| &one.id)
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
        self.later.clear();
        self.credit = 0;
    }

    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self) -> bool {
        self.pending.len() <= MAX_PENDING && self.later.len() <= MAX_LATER
    }
}

/// Validations pending at a time: more than honest newcomers need in a probe interval, and few
/// enough that a list is searched.
const MAX_PENDING: usize = 256;
/// Validations pending at which no claim is validated: the other places are for members.
const MAX_PENDING_CLAIMS: usize = MAX_PENDING / 2;
/// Of these for one address: an invented name does not keep the right one from being asked.
const MAX_AT_ADDR: usize = 4;
/// The largest number of bytes that count for questions.
const MAX_CREDIT: usize = 64 * MAX_LATER;
/// Claims that wait for their validation: as many members of a cluster as move at once.
const MAX_LATER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incarnation::Incarnation;
    use crate::member::State;
    use crate::wire::QUESTION;

    fn addr(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    fn at(port: u16) -> SocketAddr {
        ([10, 0, 1, 1], port).into()
    }

    #[test]
    fn an_address_is_validated_by_an_ack_from_it_with_the_token_once() {
        let (mut validations, id) = (Validations::default(), NodeId::new("x").unwrap());
        let second = Duration::from_secs(1);
        assert!(validations.begin(Instant::ZERO, second, (7, addr(1)), &id, None));
        assert!(
            !validations.begin(Instant::ZERO, second, (8, addr(1)), &id, None),
            "it is pending"
        );
        assert!(validations.end(7, addr(2)).is_none(), "from elsewhere");
        assert!(validations.end(8, addr(1)).is_none(), "another token");
        assert!(validations.end(7, addr(1)).is_some());
        assert!(validations.end(7, addr(1)).is_none());
    }

    #[test]
    fn invented_names_at_an_address_do_not_keep_the_right_one_from_being_asked() {
        let (mut validations, second) = (Validations::default(), Duration::from_secs(1));
        let id = |n: u32| NodeId::new(&alloc::format!("x{n}")).unwrap();
        let most = MAX_AT_ADDR as u32;
        for n in 0..most {
            assert!(validations.begin(Instant::ZERO, second, (n, addr(1)), &id(n), None));
        }
        assert!(!validations.begin(Instant::ZERO, second, (most, addr(1)), &id(most), None));
        let profile = None;
        let (incarnation, state) = (Incarnation::default(), State::Alive);
        let claim = Claim { id: id(most), incarnation, state, profile }.into();
        let claimed = Some(claim);
        assert!(validations.begin(Instant::ZERO, second, (most, addr(1)), &id(most), claimed));
        assert!(validations.end(0, addr(1)).is_none(), "the first gave way");
        assert!(validations.end(most, addr(1)).is_some());
    }

    #[test]
    fn of_claims_that_wait_the_latest_about_each_member_is_kept_and_not_too_many() {
        let mut validations = Validations::default();
        let claim = |n: usize, generation| {
            let id = NodeId::new(&alloc::format!("x{n}")).unwrap();
            let incarnation = Incarnation { generation, number: 0 };
            Box::new(Claim { id, incarnation, state: State::Alive, profile: None })
        };
        for n in 0..=MAX_LATER {
            validations.postpone(claim(n, 2), QUESTION);
        }
        validations.postpone(claim(1, 3), 0);
        validations.postpone(claim(1, 1), 0);
        let first = validations.next_later(QUESTION).unwrap();
        assert_eq!((first.id.as_str(), first.incarnation.generation), ("x1", 3));
        assert_eq!(
            (1..MAX_LATER).filter(|_| validations.next_later(QUESTION).is_some()).count(),
            63
        );
        assert!(validations.next_later(QUESTION).is_none());
        validations.postpone(claim(1, 1), 0);
        while validations.has_later() {
            validations.next_later(QUESTION);
        }
        validations.postpone(claim(2, 1), QUESTION - 1);
        assert!(
            validations.next_later(QUESTION).is_none(),
            "fewer bytes came than the question has"
        );
    }

    #[test]
    fn pending_ones_are_bounded_and_expire() {
        let (mut validations, id) = (Validations::default(), NodeId::new("x").unwrap());
        let second = Duration::from_secs(1);
        for n in 0..MAX_PENDING as u32 {
            assert!(validations.begin(Instant::ZERO, second, (n, at(n as u16)), &id, None));
        }
        let later = Instant::ZERO + second;
        assert!(!validations.begin(later, second, (999, addr(99)), &id, None));
        assert!(validations.begin(later + second, second, (999, addr(99)), &id, None));
        assert!(validations.end(1, at(1)).is_none(), "it has expired");
    }
}
