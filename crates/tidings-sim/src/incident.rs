//! Incidents: members that stopped or left, and who noticed when.

use crate::seen::{Kind, Seen};
use crate::world::World;
use std::fmt;
use std::time::Duration;
use tidings::Instant;

/// A member that stopped or left, and how long it took others to notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incident {
    /// When it happened.
    pub at: Instant,
    /// To which node.
    pub node: usize,
    /// What, as a verb.
    pub what: &'static str,
    /// How long it took until somebody suspected it.
    pub suspected: Option<Duration>,
    /// How long it took until the first one held it to be gone.
    pub first: Option<Duration>,
    /// How long it took until the last one did that did.
    pub last: Option<Duration>,
    /// How many did.
    pub by: usize,
}

/// What nodes told of members that stopped or left, until these came back.
pub(crate) fn noticed(world: &World, gone: &[(Instant, usize, &'static str)]) -> Vec<Incident> {
    let incident = |&(at, node, what): &(Instant, usize, &'static str)| {
        let about = |seen: &&Seen| seen.about == Some(node) && seen.at >= at && seen.by != node;
        let log = world.log().iter().filter(about);
        let log = log.take_while(|seen| seen.kind != Kind::Joined);
        let times = |wanted: &'static [Kind]| {
            let seen = log.clone().filter(|seen| wanted.contains(&seen.kind));
            seen.map(|seen| seen.at.since(at))
        };
        let known = times(&[Kind::Failed, Kind::Left]);
        Incident {
            at,
            node,
            what,
            suspected: times(&[Kind::Suspected]).next(),
            first: known.clone().next(),
            last: known.clone().last(),
            by: known.count(),
        }
    };
    gone.iter().map(incident).collect()
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, node, what, suspected, first, last, by } = self;
        write!(f, "{:9.3} s  n{node} {what}: ", at.as_nanos() as f64 / 1e9)?;
        if let Some(suspected) = suspected {
            write!(f, "suspected after {:.3} s, ", suspected.as_secs_f64())?;
        }
        match (first, last) {
            (Some(first), Some(last)) => {
                let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
                write!(f, "known to one after {first:.3} s, to the last of {by} after {last:.3} s")
            }
            _ => f.write_str("nobody held it to be gone before it was back"),
        }
    }
}
