//! Events: what a node reports to its application.

use crate::error::Failure;
use crate::member::{Member, NodeId};
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

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

/// The number of a command, until [`Event::Completed`](crate::Event::Completed) ends it, exactly
/// once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Ticket(pub(crate) u64);

/// Its number: tickets of a node are numbered from 0.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The outcome of a command that succeeded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Done {
    /// A join: a seed accepted the node, which now knows its members.
    Joined {
        /// The seed that answered first; our own address if there was no other.
        #[serde(with = "crate::addr")]
        seed: SocketAddr,
        /// The number of members now, this node included.
        members: usize,
    },
    /// A leave: other members know of it.
    Left {
        /// The number of members that confirmed it; 0 only if there was no other member.
        told: usize,
    },
    /// A reliable message: the member's node has received it.
    Delivered,
    /// A reliable message in memberlist's format, which has no receipts: it was written, and the
    /// stream was closed without an error. Whether the member has received it is not known.
    Written,
    /// A ping: the member answered.
    Pong {
        /// The round-trip time.
        rtt: Duration,
    },
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { seed, members: 1 } => {
                write!(f, "joined through {seed}; 1 member is present")
            }
            Self::Joined { seed, members } => {
                write!(f, "joined through {seed}; {members} members are present")
            }
            Self::Left { told: 1 } => f.write_str("left; 1 member confirmed it"),
            Self::Left { told } => write!(f, "left; {told} members confirmed it"),
            Self::Delivered => f.write_str("delivered"),
            Self::Written => f.write_str("written; the format has no receipts"),
            Self::Pong { rtt } => write!(f, "answered in {rtt:?}"),
        }
    }
}

/// Whether a node takes part in its cluster.
///
/// Exhaustive on purpose: there is nothing between and nothing after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It does.
    Running,
    /// It has said that it leaves, and waits until others have confirmed that.
    Leaving,
    /// It has left. Whoever takes it for present is told, and a join brings it back.
    Left,
}

/// Displays a number of bytes, such as "1 byte" or "2 bytes".
pub(crate) struct ByteCount(pub(crate) usize);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" })
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

    #[test]
    fn what_a_command_achieved_is_told_with_plurals_that_agree() {
        let seed = "10.0.0.1:7946".parse().unwrap();
        for (done, said) in [
            (
                Done::Joined { seed, members: 1 },
                "joined through 10.0.0.1:7946; 1 member is present",
            ),
            (
                Done::Joined { seed, members: 2 },
                "joined through 10.0.0.1:7946; 2 members are present",
            ),
            (Done::Left { told: 0 }, "left; 0 members confirmed it"),
            (Done::Left { told: 1 }, "left; 1 member confirmed it"),
            (Done::Delivered, "delivered"),
            (Done::Written, "written; the format has no receipts"),
            (Done::Pong { rtt: Duration::from_millis(3) }, "answered in 3ms"),
        ] {
            assert_eq!(done.to_string(), said);
        }
    }
}
