//! Commands that have not ended: joins with their seeds, and the leave.

use crate::addr::Dialled;
use crate::error::{ExchangeError, Failure, Refusal, SeedFailure};
use crate::event::{Done, Ticket};
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The number of retries per seed, counted over the whole join.
const MAX_RETRIES: usize = 4;

/// The commands that have not ended.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Tickets {
    next: u64,
    joins: BTreeMap<Ticket, Join>,
    retries: BTreeMap<u64, Retry>,
    next_retry: u64,
    leave: Option<Leave>,
}

/// A retry of a seed that reset or closed the stream without an answer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Retry {
    pub(crate) ticket: Ticket,
    #[cfg_attr(feature = "record", serde(with = "crate::addr"))]
    pub(crate) seed: SocketAddr,
    /// The error of the last attempt.
    pub(crate) error: ExchangeError,
}

/// A join that no seed has accepted yet.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Join {
    /// The end of the join, if no more seeds are asked.
    deadline: Instant,
    /// The seeds that were not asked yet; the next one is the last.
    waiting: Vec<Dialled>,
    /// The number of retries left.
    retries: usize,
    /// The number of seeds that may still accept the node, those in `waiting` included.
    open: usize,
    /// The seeds that were retried, with their last error.
    retried: BTreeMap<Dialled, ExchangeError>,
    failures: Vec<SeedFailure>,
}

/// A leave that waits for confirmations.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Leave {
    /// The number of peers that may still confirm it.
    open: usize,
    /// The number of confirmations that complete it.
    needed: usize,
    confirmed: usize,
    /// Whether any of the peers is a member.
    has_members: bool,
    /// The tickets that end with it; the first one started it.
    tickets: Vec<Ticket>,
}

impl Tickets {
    /// Checks the counts after deserialization; `None` if one is out of range.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&self) -> Option<()> {
        let joins = self.joins.values().all(|join| join.open > 0);
        let leave = self.leave.as_ref().is_none_or(|leave| {
            leave.open > 0 && u64::try_from(leave.confirmed).is_ok_and(|count| count <= MAX_COUNT)
        });
        (self.next.max(self.next_retry) <= MAX_COUNT && joins && leave).then_some(())
    }

    pub(crate) fn issue(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    /// Starts a join with at least one seed; [`next_seed`](Self::next_seed) returns one after the
    /// other.
    pub(crate) fn begin_join(&mut self, ticket: Ticket, seeds: &[SocketAddr]) {
        let waiting: Vec<_> = seeds.iter().rev().copied().map(Dialled).collect();
        let (retries, open, retried) = (MAX_RETRIES * seeds.len(), seeds.len(), BTreeMap::new());
        let (deadline, failures) = (Instant::ZERO, Vec::new());
        self.joins.insert(ticket, Join { deadline, waiting, retries, open, retried, failures });
    }

    /// The next seed to ask, with `deadline` for its answer; `None` if all were asked.
    pub(crate) fn next_seed(&mut self, deadline: Instant) -> Option<(Ticket, SocketAddr)> {
        self.joins.iter_mut().find_map(|(&ticket, join)| {
            let Dialled(seed) = join.waiting.pop()?;
            join.deadline = deadline;
            Some((ticket, seed))
        })
    }

    /// The deadline of a join; `None` if it has ended.
    pub(crate) fn join_deadline(&self, ticket: Ticket) -> Option<Instant> {
        self.joins.get(&ticket).map(|join| join.deadline)
    }

    /// Schedules a retry at `due`; returns its number, or `None` if `due` is too late or no retries
    /// are left.
    ///
    /// A seed with `max_streams_in` open streams resets further ones, and is worth a retry. One
    /// that is still checking this node's name has to be asked as often as it takes.
    pub(crate) fn retry(&mut self, retry: Retry, due: Instant) -> Option<u64> {
        let join = self.joins.get_mut(&retry.ticket)?;
        let checking = retry.error == ExchangeError::Refused(Refusal::CheckingName);
        if due >= join.deadline || join.retries == 0 && !checking {
            return None;
        }
        join.retries -= usize::from(!checking);
        join.retried.insert(Dialled(retry.seed), retry.error);
        let number = self.next_retry;
        self.next_retry += 1;
        self.retries.insert(number, retry);
        Some(number)
    }

    /// Removes and returns a retry; `None` if the join has ended.
    pub(crate) fn remove_retry(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(&number)?;
        self.joins.contains_key(&retry.ticket).then_some(retry)
    }

    /// Ends a join that a seed accepted; returns the seeds without an answer so far, or `None` if
    /// the join has ended before.
    pub(crate) fn joined(&mut self, ticket: Ticket) -> Option<Vec<SocketAddr>> {
        let Join { failures, retried, .. } = self.joins.remove(&ticket)?;
        let silent = failures.iter().filter(|failure| failure.error.is_silence());
        let retried = retried.into_keys().map(|Dialled(seed)| seed);
        Some(silent.map(|failure| failure.seed).chain(retried).collect())
    }

    /// Whether the join of this ticket has not ended.
    pub(crate) fn is_joining(&self, ticket: Ticket) -> bool {
        self.joins.contains_key(&ticket)
    }

    /// Records that a seed did not accept the node; returns the reasons of all if it was the last
    /// one, which ends the join.
    ///
    /// If a retry timed out, the reason is the error of the attempt before.
    pub(crate) fn seed_failed(
        &mut self,
        ticket: Ticket,
        failure: SeedFailure,
    ) -> Option<Vec<SeedFailure>> {
        let join = self.joins.get_mut(&ticket)?;
        let SeedFailure { seed, error } = failure;
        let earlier = join.retried.get(&Dialled(seed)).filter(|_| error == ExchangeError::TimedOut);
        join.failures.push(SeedFailure { seed, error: *earlier.unwrap_or(&error) });
        join.open -= 1;
        if join.open > 0 {
            return None;
        }
        self.joins.remove(&ticket).map(|join| join.failures)
    }

    /// Ends all joins; returns their tickets.
    pub(crate) fn abandon_joins(&mut self) -> Vec<Ticket> {
        core::mem::take(&mut self.joins).into_keys().collect()
    }

    /// Starts a leave that is announced to `peers` nodes, of which `members` are members; half as
    /// many confirmations as `members`, rounded up and at least one, complete it.
    pub(crate) fn begin_leave(&mut self, ticket: Ticket, peers: usize, members: usize) {
        let needed = members.div_ceil(2).max(1);
        let (tickets, has_members) = ([ticket].into(), members > 0);
        self.leave = Some(Leave { open: peers, needed, confirmed: 0, has_members, tickets });
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    /// The number of tickets that end with the leave that runs.
    #[cfg(debug_assertions)]
    pub(crate) fn leaves(&self) -> usize {
        self.leave.as_ref().map_or(0, |leave| leave.tickets.len())
    }

    /// Adds a ticket to the leave that runs; `false` if none does.
    pub(crate) fn await_leave(&mut self, ticket: Ticket) -> bool {
        self.leave.as_mut().map(|leave| leave.tickets.push(ticket)).is_some()
    }

    /// Records that a peer confirmed the leave, or cannot any more; if that ends the leave, returns
    /// its tickets and its outcome.
    ///
    /// `ticket` is the one that started the leave, because streams of an earlier one may still be
    /// open.
    pub(crate) fn on_leave_confirmed(
        &mut self,
        ticket: Ticket,
        confirmed: bool,
    ) -> Option<(Vec<Ticket>, Result<Done, Failure>)> {
        let leave = self.leave.as_mut().filter(|leave| leave.tickets.first() == Some(&ticket))?;
        leave.open -= 1;
        leave.confirmed += usize::from(confirmed);
        if leave.confirmed < leave.needed && leave.open > 0 {
            return None;
        }
        let Leave { confirmed, tickets, has_members, .. } = self.leave.take()?;
        let unconfirmed = has_members && confirmed == 0;
        let result =
            if unconfirmed { Err(Failure::Unconfirmed) } else { Ok(Done::Left { confirmed }) };
        Some((tickets, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_whose_retry_times_out_failed_for_the_reason_before_the_retry() {
        let (mut tickets, seed) = (Tickets::default(), "10.0.0.1:1".parse().unwrap());
        let end = Instant::from_nanos(2);
        for (retried, error) in [(false, ExchangeError::TimedOut), (true, ExchangeError::NoAnswer)]
        {
            let ticket = tickets.issue();
            tickets.begin_join(ticket, &[seed]);
            assert_eq!(tickets.next_seed(end), Some((ticket, seed)));
            if retried {
                let retry = Retry { ticket, seed, error: ExchangeError::NoAnswer };
                assert!(tickets.retry(retry, Instant::from_nanos(1)).is_some());
            }
            let timed_out = SeedFailure { seed, error: ExchangeError::TimedOut };
            let failure = tickets.seed_failed(ticket, timed_out);
            assert_eq!(failure, Some([SeedFailure { seed, error }].into()));
        }
    }
}
