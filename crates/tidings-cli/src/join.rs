//! Joins of an agent, at its start and by command.

use crate::report::Outcome;
use crate::runtime::Node;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{Event, ExchangeError, JoinError, Refusal, Target};

/// A join that failed.
#[derive(Debug)]
pub(crate) struct NotJoined {
    pub(crate) text: String,
    /// Whether another node that lives has this node's name.
    pub(crate) name_taken: bool,
}

/// Joins the seeds of `--join`; while none of them answers, retries for this time.
pub(crate) fn retry(node: &Node, seeds: &[Target], time: Duration) -> Result<Outcome, NotJoined> {
    let end = Instant::now() + time;
    // Nobody sends: the receiver waits for the whole of each pause.
    let (_sender, never) = channel::<()>();
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = join(node, seeds);
        let left = end.saturating_duration_since(Instant::now());
        let ends = outcome.as_ref().err().is_none_or(|error| error.name_taken);
        if ends || left.is_zero() {
            return outcome;
        }
        _ = never.recv_timeout(jittered(pause).min(left));
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Joins each seed separately, all at once, to count the seeds that answer.
pub(crate) fn join(node: &Node, seeds: &[Target]) -> Result<Outcome, NotJoined> {
    let joined: Vec<_> = thread::scope(|scope| {
        let joins = seeds.iter().map(|seed| scope.spawn(|| node.join(vec![seed.clone()])));
        let joins: Vec<_> = joins.collect();
        joins.into_iter().filter_map(|join| join.join().ok()).collect()
    });
    if let Some(&members) = joined.iter().flatten().max() {
        let answered = joined.iter().flatten().count();
        return Ok(Outcome::Joined { seeds: answered, of: seeds.len(), members });
    }
    let errors = || joined.iter().filter_map(|join| join.as_ref().err());
    let text = errors().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(NotJoined { text, name_taken: errors().any(refuses_name) })
}

/// Whether a join failed because another node that lives has this node's name.
fn refuses_name(error: &JoinError) -> bool {
    matches!(error, JoinError::NameTaken { .. })
}

/// Whether an event says that a seed refused the node because another one has its name.
pub(crate) fn is_name_taken(event: &Event) -> bool {
    let taken = ExchangeError::Refused(Refusal::NameTaken);
    matches!(event, Event::SeedFailed { error, .. } if *error == taken)
}

/// A pause give or take a quarter, so that agents that start together do not ask together.
fn jittered(pause: Duration) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    pause.mul_f64(0.75 + random / 2.0)
}

/// The pause before the first retry; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
