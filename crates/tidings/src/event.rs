//! Events: the reports of a node to its application.

use crate::error::{ExchangeError, Failure};
use crate::incarnation::Incarnation;
use crate::member::{Member, NodeId};
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// A report of a node to its application, after the change: queries already return the new state.
///
/// `Display` is one line for people: "db-7 (10.0.0.7:7946) joined".
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Event {
    /// A member is present that was unknown, had failed, or had left.
    ///
    /// A node that joins again after a leave has forgotten all members, and reports each anew.
    Joined(Member),
    /// A member has new metadata, or a new address.
    Updated(Member),
    /// A present member was restarted, and has not failed in this node's eyes: its process has lost
    /// what it knew, and connections to it are broken.
    ///
    /// [`Event::Updated`] follows if the new life has other metadata or another address. A member
    /// that somebody slandered with a later generation takes the one after it, which looks the
    /// same. memberlist's format has no generations: there only the node through which the member
    /// joins again reports it, if the member was known above the incarnation in which it joins.
    Restarted {
        /// The member in its new life.
        member: Member,
        /// The last incarnation of its earlier life that this node knew.
        earlier: Incarnation,
    },
    /// A member did not answer a probe; it still counts as present, and can refute the suspicion.
    ///
    /// Can repeat for the same member, with a higher incarnation.
    Suspected(Member),
    /// A suspect refuted the suspicion: it is alive.
    Recovered(Member),
    /// A suspect did not refute the suspicion in time; or the member flaps, and is
    /// [suppressed](Member::is_suppressed).
    ///
    /// Until a suppressed member is present again, which is [`Event::Joined`], there are no events
    /// about it but [`Event::Left`].
    Failed(Member),
    /// A member announced its leave. Can follow [`Event::Failed`].
    Left(Member),
    /// Two addresses claim the same name.
    ///
    /// The node with the higher incarnation holds the name. If it is this node's own name and the
    /// other node holds it, this node is no member until the holder fails or leaves.
    Conflict {
        /// The name that both claim.
        id: NodeId,
        /// The address that holds the name, as this node knows it; its own if it is its own name.
        addr: SocketAddr,
        /// The other address that claims the name.
        other: SocketAddr,
    },
    /// Data that the application of another node attaches to each sync.
    ///
    /// Can come from a node that is not a member here yet.
    SyncState {
        /// The node that sent the data; `None` in memberlist's format, which does not name it.
        from: Option<NodeId>,
        /// The data, as set by [`set_sync_state`](crate::Node::set_sync_state).
        data: Bytes,
        /// Whether the sync is a join of either of the two nodes.
        join: bool,
    },
    /// A message for the application.
    Message {
        /// The member that sent it; `None` if that is unknown, as over a stream in memberlist's
        /// format.
        from: Option<NodeId>,
        /// The message.
        data: Bytes,
        /// The way in which it was sent.
        via: Via,
    },
    /// A member answers over streams only: it is alive, but datagrams do not get through in one or
    /// both directions.
    Degraded(Member),
    /// A member that was degraded answers datagrams again.
    Restored(Member),
    /// A member answers datagrams, and streams to it do not open: a firewall drops TCP, say.
    /// Joins, syncs and reliable messages between the two fail.
    ///
    /// After two attempts in a row, each with an answer by datagram after it.
    StreamsBlocked(Member),
    /// Streams to a member for which they were blocked open again.
    StreamsRestored(Member),
    /// A datagram of so many bytes does not fit into the way to an address, as the system says:
    /// lower [`datagram_size`](crate::Options::datagram_size).
    ///
    /// Once for each length that is less than the ones before.
    DatagramTooLong {
        /// Destination address.
        #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
        to: SocketAddr,
        /// Length in bytes.
        len: usize,
    },
    /// Members hear this node and do not reach it at its address, or its answers get lost.
    ///
    /// It is not reached if no ping arrives, while members that answer its own pings accuse it, or
    /// do not know it where these come from. Then its address is not the one at which others reach
    /// it, which [`Node::set_addr`](crate::Node::set_addr) sets, or a firewall drops what is sent
    /// there. Once until a ping arrives.
    ///
    /// With [`flap_suppress`](crate::Options::flap_suppress), also if members accuse it again and
    /// again although pings arrive, by which they may suppress it: its answers get lost.
    Unreachable {
        /// The address of this node, as it tells others.
        addr: SocketAddr,
    },
    /// A quarter of the members, and at least three, failed in quick succession: the network may be
    /// partitioned.
    ///
    /// The node tries to reconnect to them, as to all members that fail.
    PartitionSuspected {
        /// The number of members that have failed so far.
        lost: usize,
        /// The number of members that are present, this node included.
        present: usize,
    },
    /// A seed did not answer, or refused: once for each reason, until it answers or the reason is
    /// another one.
    ///
    /// The node goes on trying it, after a refusal that is final as rarely as
    /// [`seed_retry_max`](crate::Options::seed_retry_max) says.
    SeedFailed {
        /// The seed's address, as it was given to [`set_seeds`](crate::Node::set_seeds).
        #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
        seed: SocketAddr,
        /// The reason.
        error: ExchangeError,
    },
    /// The node has settled in its cluster, or is the first of it; once in the life of a node that
    /// was given seeds. See [`is_ready`](crate::Node::is_ready).
    Ready {
        /// The number of members that are present, this node included.
        members: usize,
    },
    /// A command has ended.
    Completed {
        /// The ticket that the command returned.
        ticket: Ticket,
        /// The outcome.
        result: Result<Done, Failure>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name(from: &Option<NodeId>) -> &dyn fmt::Display {
            from.as_ref().map_or(&"an unnamed member", |name| name)
        }
        match self {
            Self::Joined(member) => write!(f, "{member} joined"),
            Self::Updated(member) => write!(f, "{member} has new metadata or a new address"),
            Self::Restarted { member, .. } => write!(f, "{member} was restarted"),
            Self::Suspected(member) => write!(f, "{member} is suspected: it answers no probe"),
            Self::Recovered(member) => write!(f, "{member} is alive: it refuted the suspicion"),
            Self::Failed(member) if member.is_suppressed() => {
                write!(f, "{member} flaps, and counts as failed until it has been steady")
            }
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
            Self::StreamsBlocked(member) => {
                write!(f, "{member} answers datagrams, but streams to it do not open")
            }
            Self::StreamsRestored(member) => write!(f, "streams to {member} open again"),
            Self::DatagramTooLong { to, len } => write!(
                f,
                "a datagram of {} does not fit into the way to {to}; lower datagram_size",
                ByteCount(*len)
            ),
            Self::Unreachable { addr } => write!(
                f,
                "other members hear this node and do not reach it at {addr}, or lose its answers; \
                 advertise the address at which they reach it, and check firewalls"
            ),
            Self::PartitionSuspected { lost, present } => {
                write!(f, "the network may be partitioned: {lost} failed, {present} present")
            }
            Self::SeedFailed { seed, error } => write!(f, "seed {seed}: {error}"),
            Self::Ready { members: 1 } => f.write_str("ready; this node is the first member"),
            Self::Ready { members } => write!(f, "ready; {members} members are present"),
            Self::Completed { ticket, result: Ok(done) } => write!(f, "command {ticket}: {done}"),
            Self::Completed { ticket, result: Err(failure) } => {
                write!(f, "command {ticket} failed: {failure}")
            }
        }
    }
}

/// The way in which a message was sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Via {
    /// By [`send`](crate::Node::send): can arrive twice.
    Datagram,
    /// By [`send_reliable`](crate::Node::send_reliable): arrives at most once.
    Reliable,
    /// By [`broadcast`](crate::Node::broadcast), to all members: arrives at most once.
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

/// The number of a command; exactly one [`Event::Completed`] carries it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Ticket(pub(crate) u64);

/// The ticket's number; a node numbers its tickets from 0.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The outcome of a command that succeeded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Done {
    /// A join whose seeds are all this node itself: it is the first of its cluster.
    First,
    /// A join: a seed accepted the node, which now knows its members.
    Joined {
        /// The seed that answered first.
        #[cfg_attr(feature = "serde", serde(with = "crate::addr"))]
        seed: SocketAddr,
        /// The number of members now, this node included.
        members: usize,
    },
    /// A leave: other members know of it, or there is no other member.
    Left {
        /// The number of members that confirmed it; 0 only if there was no other member.
        confirmed: usize,
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
            Self::First => f.write_str("no seed but this node itself; it is the first member"),
            Self::Joined { seed, members: 1 } => {
                write!(f, "joined through {seed}; 1 member is present")
            }
            Self::Joined { seed, members } => {
                write!(f, "joined through {seed}; {members} members are present")
            }
            Self::Left { confirmed: 1 } => f.write_str("left; 1 member confirmed it"),
            Self::Left { confirmed } => write!(f, "left; {confirmed} members confirmed it"),
            Self::Delivered => f.write_str("delivered"),
            Self::Written => f.write_str("written; the format has no receipts"),
            Self::Pong { rtt } => write!(f, "answered in {rtt:?}"),
        }
    }
}

/// The phase of a node's membership: whether it takes part in its cluster.
///
/// Exhaustive on purpose: there are no other phases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The node takes part.
    Running,
    /// The node has announced its leave, and waits for members to confirm it.
    Leaving,
    /// The node has left. It corrects members that take it for present; a join brings it back.
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
    use crate::member::Meta;
    use alloc::string::ToString;

    #[test]
    fn each_event_is_one_line_for_people() {
        let id = NodeId::new("db-7").unwrap();
        let (addr, other) = ("10.0.0.7:7946".parse().unwrap(), "10.0.0.8:7946".parse().unwrap());
        let member = Member::new(id.clone(), addr, Incarnation::default(), Meta::EMPTY);
        let joined = Done::Joined { seed: other, members: 5 };
        let message = |data: &'static str, via| Event::Message {
            from: Some(id.clone()),
            data: data.into(),
            via,
        };
        let ticket = crate::stream::tickets::Tickets::default().issue();
        for (event, text) in [
            (Event::Joined(member.clone()), "db-7 (10.0.0.7:7946) joined"),
            (
                Event::Updated(member.clone()),
                "db-7 (10.0.0.7:7946) has new metadata or a new address",
            ),
            (
                Event::Restarted { member: member.clone(), earlier: Incarnation::default() },
                "db-7 (10.0.0.7:7946) was restarted",
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
                Event::Conflict { id: id.clone(), addr, other },
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
                Event::SeedFailed { seed: other, error: ExchangeError::ConnectionReset },
                "seed 10.0.0.8:7946: the connection was broken",
            ),
            (Event::Ready { members: 1 }, "ready; this node is the first member"),
            (Event::Ready { members: 5 }, "ready; 5 members are present"),
            (
                Event::Completed { ticket, result: Ok(joined) },
                "command 0: joined through 10.0.0.8:7946; 5 members are present",
            ),
            (
                Event::Completed { ticket, result: Err(Failure::Cancelled) },
                &["command 0 failed: ", &Failure::Cancelled.to_string()].concat(),
            ),
        ] {
            assert_eq!(event.to_string(), text);
        }
    }

    #[test]
    fn outcomes_of_commands_have_plurals_that_agree() {
        let seed = "10.0.0.1:7946".parse().unwrap();
        for (done, text) in [
            (Done::First, "no seed but this node itself; it is the first member"),
            (
                Done::Joined { seed, members: 1 },
                "joined through 10.0.0.1:7946; 1 member is present",
            ),
            (
                Done::Joined { seed, members: 2 },
                "joined through 10.0.0.1:7946; 2 members are present",
            ),
            (Done::Left { confirmed: 0 }, "left; 0 members confirmed it"),
            (Done::Left { confirmed: 1 }, "left; 1 member confirmed it"),
            (Done::Delivered, "delivered"),
            (Done::Written, "written; the format has no receipts"),
            (Done::Pong { rtt: Duration::from_millis(3) }, "answered in 3ms"),
        ] {
            assert_eq!(done.to_string(), text);
        }
    }
}
