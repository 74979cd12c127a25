//! Incidents: members that stopped or left, and who noticed when.

use crate::events::{EventKind, LoggedEvent};
use crate::world::World;
use std::fmt;
use std::time::Duration;
use tidings::Instant;

/// A member that stopped or left, and how long it took others to notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detection {
    /// When it happened.
    pub at: Instant,
    /// To which node.
    pub node: usize,
    /// What, as a verb.
    pub cause: &'static str,
    /// How long it took until somebody suspected it.
    pub suspected: Option<Duration>,
    /// How long it took until the first one held it to be gone.
    pub first: Option<Duration>,
    /// How long it took until the last one did that did.
    pub last: Option<Duration>,
    /// How many did.
    pub observers: usize,
}

/// What nodes told of members that stopped or left, until these came back.
pub(crate) fn measure(
    world: &World,
    departures: &[(Instant, usize, &'static str)],
) -> Vec<Detection> {
    let detection = |&(at, node, cause): &(Instant, usize, &'static str)| {
        let about = |event: &&LoggedEvent| {
            event.subject == Some(node) && event.at >= at && event.observer != node
        };
        let log = world.log().iter().filter(about);
        let log = log.take_while(|event| event.kind != EventKind::Joined);
        let times = |wanted: &'static [EventKind]| {
            let event = log.clone().filter(|event| wanted.contains(&event.kind));
            event.map(|event| event.at.since(at))
        };
        let known = times(&[EventKind::Failed, EventKind::Left]);
        Detection {
            at,
            node,
            cause,
            suspected: times(&[EventKind::Suspected]).next(),
            first: known.clone().next(),
            last: known.clone().last(),
            observers: known.count(),
        }
    };
    departures.iter().map(detection).collect()
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, node, cause, suspected, first, last, observers } = self;
        write!(f, "{:9.3} s  n{node} {cause}: ", at.as_nanos() as f64 / 1e9)?;
        if let Some(suspected) = suspected {
            write!(f, "suspected after {:.3} s, ", suspected.as_secs_f64())?;
        }
        match (first, last) {
            (Some(first), Some(last)) => {
                let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
                write!(
                    f,
                    "first detected after {first:.3} s, by the last of {observers} after {last:.3} s"
                )
            }
            _ => f.write_str("no node detected it before it came back"),
        }
    }
}
