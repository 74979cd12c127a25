//! What a node answers: datagrams to send, streams to handle, events to tell.

use crate::event::Event;
use crate::membership::table::MemberKey;
use crate::stream::{StreamAction, StreamId};
use crate::wire;
use crate::wire::message::PeerStatus;
use alloc::collections::VecDeque;
use bytes::Bytes;
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
