//! Outputs of a node: datagrams to send, actions on streams, events for the application.

use crate::event::Event;
use crate::membership::table::MemberKey;
use crate::stream::{StreamAction, StreamId};
#[cfg(feature = "record")]
use crate::wire;
use crate::wire::message::PeerStatus;
use alloc::collections::VecDeque;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;
#[cfg(feature = "record")]
use serde::{Serialize, Serializer};

/// One output for a driver to carry out.
///
/// Exhaustive on purpose: a driver has to handle each new kind of output.
#[derive(Clone, Debug)]
pub enum Output<'b> {
    /// Send a datagram, which may be lost.
    Datagram {
        /// The receiver's address.
        to: SocketAddr,
        /// The content, in the buffer that the driver passed in.
        data: &'b [u8],
    },
    /// Act on a stream.
    Stream {
        /// The stream; [`StreamAction::Open`] introduces a new id.
        id: StreamId,
        /// The action.
        action: StreamAction,
    },
    /// Deliver an event to the application.
    Event(Event),
}

/// A queued datagram. It is built when it is polled, with the updates of that moment.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct PendingDatagram {
    pub(crate) to: SocketAddr,
    pub(crate) payload: Payload,
    /// A member whose update must be in the datagram.
    pub(crate) about: Option<MemberKey>,
    pub(crate) piggyback: Piggyback,
}

/// The updates that fill the rest of a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Piggyback {
    /// None, because the receiver may not be a member. A datagram of more than `most` bytes is not
    /// sent.
    None { most: usize },
    /// Updates that do not count against the retransmit limit.
    Uncounted,
    /// Updates that count against the retransmit limit.
    Counted,
}

/// The message for which a datagram is sent.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Payload {
    /// None: only updates and broadcasts.
    Gossip,
    Ping {
        token: u32,
        target: MemberKey,
    },
    /// A ping to validate an address.
    Validation {
        token: u32,
    },
    PingRequest {
        token: u32,
        target: MemberKey,
        within: Duration,
        /// Whether the target refused this node's connection.
        refused: bool,
    },
    Ack {
        token: u32,
        /// The target's status, if this is an ack that a relay forwards.
        of: Option<PeerStatus>,
    },
    Nack {
        token: u32,
        /// Whether the target refused this node's connection.
        refused: bool,
    },
}

#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum PendingOutput {
    Datagram(PendingDatagram),
    /// A message of the application, in a datagram of its own.
    Message {
        to: SocketAddr,
        data: Bytes,
    },
    Stream {
        id: StreamId,
        #[cfg_attr(feature = "record", serde(serialize_with = "clear_part"))]
        action: StreamAction,
    },
    Event(Event),
}

/// Serializes the clear part of a frame, and zeros for the sealed part, which a replay cannot read
/// because it has no keys.
#[cfg(feature = "record")]
fn clear_part<S: Serializer>(action: &StreamAction, serializer: S) -> Result<S::Ok, S::Error> {
    match action {
        StreamAction::Write(bytes) => {
            let mut frame = wire::in_clear(bytes).to_vec();
            frame.resize(bytes.len(), 0);
            StreamAction::Write(frame.into()).serialize(serializer)
        }
        action => action.serialize(serializer),
    }
}

/// The queue of a node's outputs, in order.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct OutputQueue {
    queue: VecDeque<PendingOutput>,
    #[cfg_attr(feature = "record", serde(skip))]
    datagrams: usize,
    max_datagrams: usize,
}

impl OutputQueue {
    pub(crate) fn new(max_datagrams: usize) -> Self {
        Self { queue: VecDeque::new(), datagrams: 0, max_datagrams }
    }

    /// Queues a datagram; `false` if `max_datagrams` are queued.
    #[must_use]
    pub(crate) fn datagram(&mut self, pending: PendingDatagram) -> bool {
        self.push(PendingOutput::Datagram(pending))
    }

    /// Queues a datagram with a message of the application; `false` if `max_datagrams` are queued.
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

    /// Releases the memory of a burst once its outputs are carried out; a quiet node needs no more
    /// than eight places.
    pub(crate) fn rest(&mut self) {
        self.queue.shrink_to(8);
    }

    /// Recounts the datagrams after deserialization.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) {
        let datagram = |pending: &&PendingOutput| {
            matches!(pending, PendingOutput::Datagram(_) | PendingOutput::Message { .. })
        };
        self.datagrams = self.queue.iter().filter(datagram).count();
    }

    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The outputs behind the first ones.
    #[cfg(debug_assertions)]
    pub(crate) fn after(&self, first: usize) -> impl Iterator<Item = &PendingOutput> {
        self.queue.range(first.min(self.queue.len())..)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
