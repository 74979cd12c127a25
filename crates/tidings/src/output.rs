//! What a node answers: datagrams to send, streams to handle, events to tell.

use crate::member::{Member, NodeId};
use crate::membership::table::MemberKey;
use crate::stream::tickets::{Done, Failure, Ticket};
use crate::stream::{StreamAction, StreamId};
use crate::wire;
use crate::wire::message::PeerStatus;
use alloc::collections::VecDeque;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize, Serializer};

/// One thing for a driver to carry out.
///
/// Exhaustive on purpose: a new duty of drivers must not compile away.
#[derive(Clone, Debug)]
pub enum Output<'b> {
    /// Send a datagram; losing it is allowed.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// What, in the buffer that was handed in.
        data: &'b [u8],
    },
    /// Do something with a stream.
    Stream {
        /// Which one; after [`StreamAction::Open`] the driver knows it by this name.
        id: StreamId,
        /// What to do.
        action: StreamAction,
    },
    /// Tell the application.
    Event(Event),
}

/// Something that happened, told after the change: the queries already show it.
///
/// `Display` is one line for people: "db-7 (10.0.0.7:7946) joined".
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Event {
    /// A member is there that was not, or that had failed or left, or that was forgotten when this
    /// node joined again after leaving.
    Joined(Member),
    /// A member has new metadata, or a new address.
    Updated(Member),
    /// A member did not answer a probe; it still counts, and may contradict.
    ///
    /// May come again for the same member with a higher incarnation.
    Suspected(Member),
    /// A suspect contradicted: it is alive.
    Recovered(Member),
    /// A suspect did not contradict in time.
    Failed(Member),
    /// A member said that it leaves. May follow [`Event::Failed`].
    Left(Member),
    /// Two nodes claim one name, from two addresses.
    ///
    /// Where it is our own name, the node with the higher incarnation holds it, and the other one
    /// is a member to nobody until the holder fails or leaves.
    Conflict {
        /// The name.
        id: NodeId,
        /// The address that we hold the name to belong to; ours, if it is our own name.
        addr: SocketAddr,
        /// The other address.
        other: SocketAddr,
    },
    /// What another member's application tells at every sync.
    ///
    /// May come from a node that is not a member here yet.
    SyncState {
        /// The member; `None` where the format does not tell who it is, as memberlist's does.
        from: Option<NodeId>,
        /// What it set by [`set_sync_state`](crate::Node::set_sync_state).
        data: Bytes,
        /// Whether one of the two has just joined the other.
        join: bool,
    },
    /// A message for the application.
    Message {
        /// Which member's application it is from; `None` where that is not known, as over a stream in
        /// memberlist's format.
        from: Option<NodeId>,
        /// What it says.
        data: Bytes,
        /// How it came.
        via: Via,
    },
    /// A member answers streams and no datagrams: it is alive, but it hears no news and its own is not
    /// heard.
    Degraded(Member),
    /// A member that was degraded answers datagrams again.
    Restored(Member),
    /// Many members failed one soon after the other: rather than all of them, the network may have.
    ///
    /// They are looked for, as all that fail are.
    PartitionSuspected {
        /// How many have failed so far.
        lost: usize,
        /// How many are still present, this node included.
        present: usize,
    },
    /// A command has ended.
    Completed {
        /// What the command returned.
        ticket: Ticket,
        /// How it ended.
        result: Result<Done, Failure>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name(from: &Option<NodeId>) -> &str {
            from.as_ref().map_or("an unnamed member", NodeId::as_str)
        }
        match self {
            Self::Joined(member) => write!(f, "{member} joined"),
            Self::Updated(member) => write!(f, "{member} has new metadata or a new address"),
            Self::Suspected(member) => write!(f, "{member} is suspected: it answers no probe"),
            Self::Recovered(member) => write!(f, "{member} is alive: it refuted the suspicion"),
            Self::Failed(member) => {
                write!(f, "{member} failed: it did not refute the suspicion in time")
            }
            Self::Left(member) => write!(f, "{member} left"),
            Self::Conflict { id, addr, other } => {
                write!(f, "two nodes claim the name {id}: {addr}, which holds it, and {other}")
            }
            Self::SyncState { from, data, join } => {
                let at = if *join { ", at a join" } else { "" };
                write!(f, "sync state from {}: {}{at}", name(from), ByteCount(data.len()))
            }
            Self::Message { from, data, via } => {
                write!(f, "message from {} ({via}): {}", name(from), ByteCount(data.len()))
            }
            Self::Degraded(member) => {
                write!(f, "{member} is degraded: it answers streams and no datagrams")
            }
            Self::Restored(member) => write!(f, "{member} answers datagrams again"),
            Self::PartitionSuspected { lost, present } => {
                write!(f, "the network may be partitioned: {lost} failed, {present} present")
            }
            Self::Completed { ticket, result: Ok(done) } => write!(f, "command {ticket}: {done}"),
            Self::Completed { ticket, result: Err(failure) } => {
                write!(f, "command {ticket} failed: {failure}")
            }
        }
    }
}

struct ByteCount(usize);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" })
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Via {
    /// By [`send`](crate::Node::send): it may come twice.
    Datagram,
    /// By [`send_reliable`](crate::Node::send_reliable).
    Reliable,
    /// By [`broadcast`](crate::Node::broadcast): all members get it.
    Broadcast,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Datagram => "datagram",
            Self::Reliable => "reliable",
            Self::Broadcast => "broadcast",
        })
    }
}

/// A datagram that is to be built when it is polled, with the news of that moment.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct PendingDatagram {
    pub(crate) to: SocketAddr,
    pub(crate) payload: Payload,
    /// A member of whom the receiver must be told.
    pub(crate) about: Option<MemberKey>,
    pub(crate) piggyback: Piggyback,
}

/// With what the room that is left in a datagram is filled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Piggyback {
    /// With nothing: it may go to a stranger.
    None,
    /// With news that rides along and is not counted.
    Uncounted,
    /// With news, which counts as told.
    Counted,
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Payload {
    /// Only for the news.
    Gossip,
    Ping {
        token: u32,
        target: MemberKey,
    },
    PingRequest {
        token: u32,
        target: MemberKey,
        within: Duration,
    },
    Ack {
        token: u32,
        /// What somebody else said of itself, if the ack is passed on for it.
        of: Option<PeerStatus>,
    },
    Nack {
        token: u32,
    },
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum PendingOutput {
    Datagram(PendingDatagram),
    /// A message of the application's in a datagram of its own.
    Message {
        to: SocketAddr,
        data: Bytes,
    },
    Stream {
        id: StreamId,
        #[serde(serialize_with = "in_clear")]
        action: StreamAction,
    },
    Event(Event),
}

/// Writes zeros for what is sealed: it says nothing without keys, and a replay has none.
fn in_clear<S: Serializer>(action: &StreamAction, serializer: S) -> Result<S::Ok, S::Error> {
    match action {
        StreamAction::Write(bytes) => {
            let mut frame = wire::in_clear(bytes).to_vec();
            frame.resize(bytes.len(), 0);
            StreamAction::Write(frame.into()).serialize(serializer)
        }
        action => action.serialize(serializer),
    }
}

/// The one queue of all that a node wants done, in order.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OutputQueue {
    queue: VecDeque<PendingOutput>,
    #[serde(skip)]
    datagrams: usize,
    max_datagrams: usize,
}

impl OutputQueue {
    pub(crate) fn new(max_datagrams: usize) -> Self {
        Self { queue: VecDeque::new(), datagrams: 0, max_datagrams }
    }

    /// Queues a datagram; `false` if too many wait already.
    #[must_use]
    pub(crate) fn datagram(&mut self, pending: PendingDatagram) -> bool {
        self.push(PendingOutput::Datagram(pending))
    }

    /// Queues a datagram with a message of the application's; `false` if too many wait already.
    #[must_use]
    pub(crate) fn message(&mut self, to: SocketAddr, data: Bytes) -> bool {
        self.push(PendingOutput::Message { to, data })
    }

    fn push(&mut self, datagram: PendingOutput) -> bool {
        if self.datagrams >= self.max_datagrams {
            return false;
        }
        self.datagrams += 1;
        self.queue.push_back(datagram);
        true
    }

    pub(crate) fn stream(&mut self, id: StreamId, action: StreamAction) {
        self.queue.push_back(PendingOutput::Stream { id, action });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.queue.push_back(PendingOutput::Event(event));
    }

    pub(crate) fn pop(&mut self) -> Option<PendingOutput> {
        let pending = self.queue.pop_front()?;
        self.datagrams -= usize::from(matches!(
            pending,
            PendingOutput::Datagram(_) | PendingOutput::Message { .. }
        ));
        Some(pending)
    }

    /// Gives back what a burst took, once that is carried out; a quiet node needs no more than this.
    pub(crate) fn rest(&mut self) {
        self.queue.shrink_to(8);
    }

    /// Counts the datagrams of a checkpoint.
    pub(crate) fn restore(&mut self) {
        let datagram = |pending: &&PendingOutput| {
            matches!(pending, PendingOutput::Datagram(_) | PendingOutput::Message { .. })
        };
        self.datagrams = self.queue.iter().filter(datagram).count();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incarnation::Incarnation;
    use crate::member::Meta;
    use alloc::string::ToString;

    #[test]
    fn each_event_is_one_line_for_people() {
        let id = NodeId::new("db-7").unwrap();
        let (here, there) = ("10.0.0.7:7946".parse().unwrap(), "10.0.0.8:7946".parse().unwrap());
        let member = Member::new(id.clone(), here, Incarnation::default(), Meta::EMPTY);
        let joined = Done::Joined { seed: there, members: 5 };
        let message = |data: &'static str, via| Event::Message {
            from: Some(id.clone()),
            data: data.into(),
            via,
        };
        let ticket = crate::stream::tickets::Tickets::default().issue();
        for (event, said) in [
            (Event::Joined(member.clone()), "db-7 (10.0.0.7:7946) joined"),
            (
                Event::Updated(member.clone()),
                "db-7 (10.0.0.7:7946) has new metadata or a new address",
            ),
            (
                Event::Suspected(member.clone()),
                "db-7 (10.0.0.7:7946) is suspected: it answers no probe",
            ),
            (
                Event::Recovered(member.clone()),
                "db-7 (10.0.0.7:7946) is alive: it refuted the suspicion",
            ),
            (
                Event::Failed(member.clone()),
                "db-7 (10.0.0.7:7946) failed: it did not refute the suspicion in time",
            ),
            (Event::Left(member.clone()), "db-7 (10.0.0.7:7946) left"),
            (
                Event::Conflict { id: id.clone(), addr: here, other: there },
                "two nodes claim the name db-7: 10.0.0.7:7946, which holds it, and 10.0.0.8:7946",
            ),
            (
                Event::SyncState { from: None, data: "state".into(), join: true },
                "sync state from an unnamed member: 5 bytes, at a join",
            ),
            (message("x", Via::Datagram), "message from db-7 (datagram): 1 byte"),
            (message("hello", Via::Reliable), "message from db-7 (reliable): 5 bytes"),
            (message("", Via::Broadcast), "message from db-7 (broadcast): 0 bytes"),
            (
                Event::Degraded(member.clone()),
                "db-7 (10.0.0.7:7946) is degraded: it answers streams and no datagrams",
            ),
            (Event::Restored(member), "db-7 (10.0.0.7:7946) answers datagrams again"),
            (
                Event::PartitionSuspected { lost: 5, present: 3 },
                "the network may be partitioned: 5 failed, 3 present",
            ),
            (
                Event::Completed { ticket, result: Ok(joined) },
                "command 0: joined through 10.0.0.8:7946; 5 members are present",
            ),
            (
                Event::Completed { ticket, result: Err(Failure::Cancelled) },
                &["command 0 failed: ", &Failure::Cancelled.to_string()].concat(),
            ),
        ] {
            assert_eq!(event.to_string(), said);
        }
    }
}
