//! Where datagrams are written, and what is read of them, in the format that a node speaks.

#[cfg(feature = "memberlist")]
use super::memberlist;
use super::message::{Message, PeerStatus};
use super::tidings;
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::wire::message::Accuser;
use crate::wire::message::Broadcast;
use core::time::Duration;

/// Where a datagram is being written.
///
/// Messages are appended; one that would make the datagram too large is taken back.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and none is kept")]
pub(crate) enum Writer<'a> {
    Tidings(tidings::Writer<'a>),
    #[cfg(feature = "memberlist")]
    Memberlist(memberlist::Writer<'a>),
}

impl Writer<'_> {
    pub(crate) fn ping(&mut self, token: u32, target: &NodeId, status: PeerStatus) {
        match self {
            Self::Tidings(writer) => writer.ping(token, target, status),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.ping(token, target),
        }
    }

    pub(crate) fn ping_request(&mut self, token: u32, target: &Member, within: Duration) {
        match self {
            Self::Tidings(writer) => writer.ping_request(token, target.id(), within),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.ping_request(token, target),
        }
    }

    pub(crate) fn ack(&mut self, token: u32, status: PeerStatus) {
        match self {
            Self::Tidings(writer) => writer.ack(token, status),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.ack(token),
        }
    }

    pub(crate) fn nack(&mut self, token: u32) {
        match self {
            Self::Tidings(writer) => writer.nack(token),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.nack(token),
        }
    }

    /// News about a member as it is known here; `false` if there is no room for it.
    pub(crate) fn update(&mut self, member: &Member, accuser: &Accuser) -> bool {
        match self {
            Self::Tidings(writer) => writer.update(member, accuser),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.update(member, accuser),
        }
    }

    /// A message of our application's; it was seen to fit.
    pub(crate) fn user_message(&mut self, from: &NodeId, data: &[u8]) {
        match self {
            Self::Tidings(writer) => writer.user_message(from, data),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.user_message(data),
        }
    }

    /// A broadcast; `false` if there is no room for it.
    pub(crate) fn broadcast(&mut self, broadcast: &Broadcast) -> bool {
        match self {
            Self::Tidings(writer) => writer.broadcast(broadcast),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.broadcast(broadcast),
        }
    }

    /// How many bytes may still be written.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Tidings(writer) => writer.room(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.room(),
        }
    }

    /// Keeps so many bytes free for what comes later, or gives them back.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        match self {
            Self::Tidings(writer) => writer.reserve(bytes),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.reserve(bytes),
        }
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        match self {
            Self::Tidings(writer) => writer.release(bytes),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.release(bytes),
        }
    }

    /// Ends the messages; returns where they begin, or `None` if there are none.
    pub(crate) fn end(self) -> Option<usize> {
        match self {
            Self::Tidings(writer) => (!writer.is_empty()).then(|| writer.start()),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.end(),
        }
    }
}

/// The messages of a datagram, in order.
#[derive(Clone, Debug)]
pub(crate) enum Messages<'a> {
    Tidings(tidings::Messages<'a>),
    #[cfg(feature = "memberlist")]
    Memberlist(memberlist::Messages<'a>),
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Tidings(messages) => messages.next(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(messages) => messages.next(),
        }
    }
}
