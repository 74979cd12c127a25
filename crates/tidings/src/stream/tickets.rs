//! The commands that have not ended: joins with their seeds, and the leave.

use crate::addr::Dialled;
use crate::error::{ExchangeError, Failure, SeedFailure};
use crate::event::{Done, Ticket};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// How many seeds a join may have.
pub(crate) const MAX_SEEDS: usize = 1024;
/// How often a seed that breaks off is asked again.
const MAX_RETRIES: usize = 4;

/// The commands that have not ended.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tickets {
    next: u64,
    joins: BTreeMap<Ticket, Join>,
    retries: BTreeMap<u64, Retry>,
    next_retry: u64,
    leave: Option<Leave>,
}

/// A seed that is to be asked again.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Retry {
    pub(crate) ticket: Ticket,
    #[serde(with = "crate::addr")]
    pub(crate) seed: SocketAddr,
    /// How it broke off.
    pub(crate) error: ExchangeError,
}

/// A join whose seeds have not all been heard of.
#[derive(Debug, Deserialize, Serialize)]
struct Join {
    /// When it ends at the latest, if no more seeds are asked.
    deadline: Instant,
    /// The seeds that were not asked yet, the next one last.
    waiting: Vec<Dialled>,
    /// How many more times seeds that are overloaded may be asked.
    retries: usize,
    /// How many seeds may still take us in, those that wait included.
    open: usize,
    /// The seeds that broke off, and how.
    broken_off: BTreeMap<Dialled, ExchangeError>,
    failures: Vec<SeedFailure>,
}

/// A leave that not enough members have confirmed.
#[derive(Debug, Deserialize, Serialize)]
struct Leave {
    open: usize,
    needed: usize,
    told: usize,
    /// Whether any of those asked is known to be a member.
    members: bool,
    /// All who wait for it.
    tickets: Vec<Ticket>,
}

impl Tickets {
    pub(crate) fn issue(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    /// Begins a join of at least one seed, of which [`next_seed`](Self::next_seed) tells one after
    /// the other.
    pub(crate) fn begin_join(&mut self, ticket: Ticket, seeds: &[SocketAddr]) {
        let waiting: Vec<_> = seeds.iter().rev().copied().map(Dialled).collect();
        let (retries, open, broken_off) = (MAX_RETRIES * seeds.len(), seeds.len(), BTreeMap::new());
        let (deadline, failures) = (Instant::ZERO, Vec::new());
        self.joins.insert(ticket, Join { deadline, waiting, retries, open, broken_off, failures });
    }

    /// The next seed to be asked, if there is one, for an answer until `deadline`.
    pub(crate) fn next_seed(&mut self, deadline: Instant) -> Option<(Ticket, SocketAddr)> {
        self.joins.iter_mut().find_map(|(&ticket, join)| {
            let Dialled(seed) = join.waiting.pop()?;
            join.deadline = deadline;
            Some((ticket, seed))
        })
    }

    /// When a join ends at the latest; `None` if it has ended.
    pub(crate) fn join_deadline(&self, ticket: Ticket) -> Option<Instant> {
        self.joins.get(&ticket).map(|join| join.deadline)
    }

    /// A seed broke off, as one does that is asked by too many; returns the number under which it
    /// is to be asked again at `due`, if that is in time and was not done too often.
    pub(crate) fn retry(&mut self, retry: Retry, due: Instant) -> Option<u64> {
        let join = self.joins.get_mut(&retry.ticket)?;
        if join.retries == 0 || due >= join.deadline {
            return None;
        }
        join.retries -= 1;
        join.broken_off.insert(Dialled(retry.seed), retry.error);
        let number = self.next_retry;
        self.next_retry += 1;
        self.retries.insert(number, retry);
        Some(number)
    }

    /// Takes out whom to ask again; `None` if the join has ended.
    pub(crate) fn remove_retry(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(&number)?;
        self.joins.contains_key(&retry.ticket).then_some(retry)
    }

    /// A seed took us in; if that ends the join, returns those that have not answered so far.
    pub(crate) fn joined(&mut self, ticket: Ticket) -> Option<Vec<SocketAddr>> {
        let Join { failures, broken_off, .. } = self.joins.remove(&ticket)?;
        let silent = failures.iter().filter(|failure| failure.error.is_silence());
        let broken_off = broken_off.into_keys().map(|Dialled(seed)| seed);
        Some(silent.map(|failure| failure.seed).chain(broken_off).collect())
    }

    /// Whether a join has not ended.
    pub(crate) fn is_joining(&self, ticket: Ticket) -> bool {
        self.joins.contains_key(&ticket)
    }

    /// A seed did not take us in; returns the failure if it was the last one.
    ///
    /// For one that broke off, and then had no time to do it again, the reason is how it broke off.
    pub(crate) fn seed_failed(&mut self, ticket: Ticket, failure: SeedFailure) -> Option<Failure> {
        let join = self.joins.get_mut(&ticket)?;
        let SeedFailure { seed, error } = failure;
        let earlier =
            join.broken_off.get(&Dialled(seed)).filter(|_| error == ExchangeError::TimedOut);
        join.failures.push(SeedFailure { seed, error: *earlier.unwrap_or(&error) });
        join.open -= 1;
        if join.open > 0 {
            return None;
        }
        self.joins.remove(&ticket).map(|join| Failure::NoSeed(join.failures))
    }

    /// Ends all joins; returns them.
    pub(crate) fn abandon_joins(&mut self) -> Vec<Ticket> {
        core::mem::take(&mut self.joins).into_keys().collect()
    }

    /// Begins to leave by asking some peers to confirm, `members` of whom are known to be members;
    /// as many confirmations as half of those are enough.
    pub(crate) fn begin_leave(&mut self, ticket: Ticket, peers: usize, members: usize) {
        let needed = members.div_ceil(2).max(1);
        let (tickets, members) = ([ticket].into(), members > 0);
        self.leave = Some(Leave { open: peers, needed, told: 0, members, tickets });
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    /// Has one more ticket wait for the leave that runs; `false` if none does.
    pub(crate) fn await_leave(&mut self, ticket: Ticket) -> bool {
        self.leave.as_mut().map(|leave| leave.tickets.push(ticket)).is_some()
    }

    /// A member confirmed that we leave, or will not; returns who waits, and for what, if that
    /// settles it.
    ///
    /// `ticket` began the leave that this is about; an earlier one's streams may still be open.
    pub(crate) fn on_leave_confirmed(
        &mut self,
        ticket: Ticket,
        confirmed: bool,
    ) -> Option<(Vec<Ticket>, Result<Done, Failure>)> {
        let leave = self.leave.as_mut().filter(|leave| leave.tickets.first() == Some(&ticket))?;
        leave.open -= 1;
        leave.told += usize::from(confirmed);
        if leave.told < leave.needed && leave.open > 0 {
            return None;
        }
        let Leave { told, tickets, members, .. } = self.leave.take()?;
        let unconfirmed = members && told == 0;
        let result = if unconfirmed { Err(Failure::Unconfirmed) } else { Ok(Done::Left { told }) };
        Some((tickets, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_broke_off_failed_by_that_also_if_asking_again_takes_too_long() {
        let (mut tickets, seed) = (Tickets::default(), "10.0.0.1:1".parse().unwrap());
        let end = Instant::from_nanos(2);
        for (broke_off, said) in [(false, ExchangeError::TimedOut), (true, ExchangeError::NoAnswer)]
        {
            let ticket = tickets.issue();
            tickets.begin_join(ticket, &[seed]);
            assert_eq!(tickets.next_seed(end), Some((ticket, seed)));
            if broke_off {
                let retry = Retry { ticket, seed, error: ExchangeError::NoAnswer };
                assert!(tickets.retry(retry, Instant::from_nanos(1)).is_some());
            }
            let late = SeedFailure { seed, error: ExchangeError::TimedOut };
            let failure = tickets.seed_failed(ticket, late);
            assert_eq!(failure, Some(Failure::NoSeed([SeedFailure { seed, error: said }].into())));
        }
    }
}
