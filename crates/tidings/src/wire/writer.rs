//! Encoding and decoding the messages of datagrams, in the format that the node speaks.

#[cfg(feature = "memberlist")]
use super::memberlist;
use super::message::{Message, PeerStatus, PingSender};
use super::tidings;
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::wire::message::Accuser;
use crate::wire::message::Broadcast;
use core::time::Duration;

/// Encoder of one datagram, to which messages are appended.
///
/// A message that would exceed the datagram's limit is removed again.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one exists at a time, and none is stored")]
pub(crate) enum Writer<'a> {
    Tidings(tidings::Writer<'a>),
    #[cfg(feature = "memberlist")]
    Memberlist(memberlist::Writer<'a>),
}

impl Writer<'_> {
    pub(crate) fn ping(&mut self, token: u32, target: &NodeId, sender: PingSender) {
        match self {
            Self::Tidings(writer) => writer.ping(token, target, sender),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.ping(token, target),
        }
    }

    pub(crate) fn ping_request(
        &mut self,
        token: u32,
        sender: u32,
        target: &Member,
        within: Duration,
        refused: bool,
    ) {
        match self {
            Self::Tidings(writer) => {
                writer.ping_request(token, sender, target.id(), within, refused)
            }
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

    pub(crate) fn nack(&mut self, token: u32, refused: bool) {
        match self {
            Self::Tidings(writer) => writer.nack(token, refused),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.nack(token),
        }
    }

    /// Appends an update with a member's current record; `false` if there is no room.
    ///
    /// `refused`: it is a suspicion because the member refuses connections.
    pub(crate) fn update(&mut self, member: &Member, accuser: &Accuser, refused: bool) -> bool {
        match self {
            Self::Tidings(writer) => writer.update(member, accuser, refused),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.update(member, accuser),
        }
    }

    /// Appends a message of our application; the caller checked that it fits.
    pub(crate) fn user_message(&mut self, from: &NodeId, data: &[u8]) {
        match self {
            Self::Tidings(writer) => writer.user_message(from, data),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.user_message(data),
        }
    }

    /// Appends a broadcast; `false` if there is no room.
    pub(crate) fn broadcast(&mut self, broadcast: &Broadcast) -> bool {
        match self {
            Self::Tidings(writer) => writer.broadcast(broadcast),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.broadcast(broadcast),
        }
    }

    /// Length of the datagram so far, completed, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Tidings(writer) => writer.len(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.len(),
        }
    }

    /// Room that is left, in bytes.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Tidings(writer) => writer.room(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.room(),
        }
    }

    /// Keeps bytes free for later messages, until [`Self::release`].
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

    /// Ends the messages; returns the offset of the first, or `None` if there are none.
    pub(crate) fn end(self) -> Option<usize> {
        match self {
            Self::Tidings(writer) => (!writer.is_empty()).then(|| writer.start()),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(writer) => writer.end(),
        }
    }
}

/// Iterator over the messages of a datagram, in order.
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
