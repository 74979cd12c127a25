//! Failure detection measured: crashes and leaves, and how soon the other nodes reported them.

use crate::events::{EventKind, LoggedEvent};
use crate::world::World;
use std::fmt;
use std::time::Duration;
use tidings::Instant;

/// A crash or leave of one member, and how long the other nodes took to detect it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detection {
    /// Virtual time of the crash or leave.
    pub at: Instant,
    /// Number of the node that crashed or left.
    pub node: usize,
    /// Cause, as a verb: `crashed`, `lost power` or `left`.
    pub cause: &'static str,
    /// Time until the first suspicion by any node.
    pub suspected: Option<Duration>,
    /// Detection latency of the first node: time until it reported the member as failed or left.
    pub first: Option<Duration>,
    /// Detection latency of the last node that reported it.
    pub last: Option<Duration>,
    /// Number of nodes that reported it.
    pub observers: usize,
}

/// Measures the detection of each departure, up to the moment when the member rejoined.
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
                let nodes = if *observers == 1 { "node" } else { "nodes" };
                write!(f, "detected after {first:.3} s, by {observers} {nodes} after {last:.3} s")
            }
            _ => f.write_str("not detected before it came back or the run ended"),
        }
    }
}
