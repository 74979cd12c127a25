//! The wire format of a node: Tidings' or memberlist's.

#[cfg(feature = "encryption")]
use super::crypto_state::CryptoState;
use super::frame::{DecodeLimits, Frame};
#[cfg(feature = "memberlist")]
use super::memberlist;
use super::message::PeerStatus;
#[cfg(feature = "record")]
use super::tidings::MessageClock;
use super::writer::{Messages, Writer};
use super::{QUESTION, StreamBinding, tidings};
use crate::error::Refusal;
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::wire::message::Accuser;
use crate::wire::message::Broadcast;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

/// The wire format that a node speaks, with the envelope that binds its messages to its cluster.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Format {
    Tidings(tidings::Envelope),
    #[cfg(feature = "memberlist")]
    Memberlist(memberlist::Envelope),
}

impl Format {
    /// The envelope of our own format, for its features that memberlist's has not.
    pub(crate) fn tidings(&self) -> Option<&tidings::Envelope> {
        match self {
            Self::Tidings(envelope) => Some(envelope),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// The envelope of memberlist's format, for its features that our own has not.
    #[cfg(feature = "memberlist")]
    pub(crate) fn memberlist(&self) -> Option<&memberlist::Envelope> {
        match self {
            Self::Tidings(_) => None,
            Self::Memberlist(envelope) => Some(envelope),
        }
    }

    /// Whether messages are sent encrypted.
    pub(crate) fn seals(&self) -> bool {
        #[cfg(feature = "encryption")]
        return self.crypto().is_some_and(CryptoState::seals);
        #[cfg(not(feature = "encryption"))]
        false
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto(&self) -> Option<&CryptoState> {
        match self {
            Self::Tidings(envelope) => envelope.crypto(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.crypto(),
        }
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn crypto_mut(&mut self) -> Option<&mut CryptoState> {
        match self {
            Self::Tidings(envelope) => envelope.crypto_mut(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.crypto_mut(),
        }
    }

    /// Whether all that this node accepts was sent by somebody who has a key.
    pub(crate) fn is_authenticated(&self) -> bool {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto() {
            return !crypto.accepts_plaintext();
        }
        false
    }

    /// The accuser with this name, as messages of this format identify it.
    pub(crate) fn accuser(&self, name: &NodeId) -> Accuser {
        match self {
            Self::Tidings(_) => Accuser::Short(name.short()),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => Accuser::Named(name.clone()),
        }
    }

    // ---- journals and replays ----

    /// Notes about sealing and opening; `None` unless a journal is kept and the node has keys.
    #[cfg(feature = "record")]
    pub(crate) fn notes(&mut self) -> Option<&mut Vec<u8>> {
        #[cfg(feature = "encryption")]
        return self.crypto_mut()?.notes();
        #[cfg(not(feature = "encryption"))]
        None
    }

    /// Starts or stops the notes about sealing and opening.
    #[cfg(feature = "record")]
    pub(crate) fn set_note_taking(&mut self, enabled: bool) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto_mut() {
            crypto.set_note_taking(enabled);
        }
        let _ = enabled;
    }

    /// In a replay, sets the plaintext of the next sealed message; `None` if it did not open.
    #[cfg(feature = "record")]
    pub(crate) fn script(&mut self, opened: Option<&[u8]>) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto_mut() {
            crypto.script(opened);
        }
        let _ = opened;
    }

    /// Whether a datagram is sealed for our cluster. Then a journal records only its plaintext.
    pub(crate) fn is_sealed_for_us(&self, datagram: &[u8]) -> bool {
        match self {
            Self::Tidings(envelope) => envelope.is_sealed_for_us(datagram),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.is_sealed_for_us(datagram),
        }
    }

    /// The first bytes of every datagram for which [`Self::is_sealed_for_us`] is true.
    #[cfg(feature = "record")]
    pub(crate) fn sealed_prefix(&self) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => envelope.sealed_prefix().to_vec(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.sealed_prefix(),
        }
    }

    /// The first bytes of a datagram of ours: if it is sealed, the header before the sealed part.
    #[cfg(feature = "record")]
    pub(crate) fn head<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Tidings(_) => tidings::head(datagram),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.head(datagram),
        }
    }

    /// The encoded messages of a datagram, for a summary. `opened` is the plaintext of a received
    /// datagram that was sealed; without it, the datagram is plain or made by a replayed node.
    #[cfg(feature = "record")]
    pub(crate) fn messages_in(&self, datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(_) => tidings::messages_in(datagram, opened),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.messages_in(datagram, opened),
        }
    }

    /// Decodes a frame that a replayed node wrote.
    #[cfg(feature = "record")]
    pub(crate) fn frame_in(&self, bytes: &[u8]) -> Option<Frame> {
        match self {
            Self::Tidings(_) => tidings::frame_in(bytes),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.frame_in(bytes),
        }
    }

    // ---- datagrams ----

    /// Sets the current time, in seconds, on the wall clock: that of sealed messages.
    #[cfg(feature = "encryption")]
    pub(crate) fn set_time(&mut self, time: u64) {
        match self {
            Self::Tidings(envelope) => envelope.set_time(time),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {}
        }
    }

    /// The wall clock steps.
    pub(crate) fn on_clock_step(&mut self, before: u64, after: u64) {
        match self {
            #[cfg(feature = "encryption")]
            Self::Tidings(envelope) => {
                envelope.clock_mut().on_step(before, after);
                envelope.set_time(after);
            }
            #[cfg(not(feature = "encryption"))]
            Self::Tidings(_) => {}
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {}
        }
        let _ = (before, after);
    }

    /// The clock of sealed messages; that of a node in memberlist's format has no effect.
    #[cfg(feature = "record")]
    pub(crate) fn message_clock(&self) -> MessageClock {
        self.tidings().map_or_else(MessageClock::default, tidings::Envelope::clock)
    }

    #[cfg(feature = "record")]
    pub(crate) fn set_message_clock(&mut self, clock: MessageClock) {
        match self {
            Self::Tidings(envelope) => *envelope.clock_mut() = clock,
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {}
        }
    }

    /// The node has another address; our own format names it nowhere but in claims.
    pub(crate) fn set_addr(&mut self, addr: SocketAddr) {
        match self {
            Self::Tidings(_) => {}
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.addr = addr,
        }
        let _ = addr;
    }

    /// Begins a datagram of at most `limit` bytes in `buf`.
    pub(crate) fn begin<'a>(&self, buf: &'a mut Vec<u8>, limit: usize) -> Writer<'a> {
        match self {
            Self::Tidings(envelope) => {
                Writer::Tidings(tidings::Writer::begin(envelope, buf, limit))
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => {
                Writer::Memberlist(memberlist::Writer::begin(envelope, buf, limit))
            }
        }
    }

    /// Completes a datagram after its messages were appended: checksum or encryption.
    pub(crate) fn finish(&mut self, buf: &mut Vec<u8>) {
        match self {
            Self::Tidings(envelope) => envelope.finish(buf),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.finish(buf),
        }
    }

    /// Verifies and decrypts a datagram; returns its encoded messages, possibly in `scratch`.
    pub(crate) fn open<'a>(
        &mut self,
        datagram: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Reject> {
        match self {
            Self::Tidings(envelope) => envelope.open(datagram, scratch),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.open(datagram, scratch),
        }
    }

    /// Decodes the messages of an opened datagram.
    pub(crate) fn messages<'a>(&self, opened: &'a [u8], max_meta: usize) -> Messages<'a> {
        match self {
            Self::Tidings(_) => Messages::Tidings(tidings::messages(opened, max_meta)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {
                Messages::Memberlist(memberlist::Messages::new(opened, max_meta))
            }
        }
    }

    /// Length in bytes of the longest question whether a member is at an address: a bare ping.
    pub(crate) fn longest_question(&self) -> usize {
        match self {
            Self::Tidings(_) => QUESTION,
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.longest_question(),
        }
    }

    /// The longest message, in bytes, that fits into a datagram of at most `limit` bytes.
    pub(crate) fn room(&self, limit: usize) -> usize {
        match self {
            Self::Tidings(envelope) => limit - envelope.overhead(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.room(limit),
        }
    }

    /// The longest data, in bytes, of a user message from `from` that fits into `room`.
    pub(crate) fn max_user_message(&self, from: &NodeId, room: usize) -> usize {
        match self {
            Self::Tidings(_) => tidings::max_user_message(from, room),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => memberlist::max_user_message(room),
        }
    }

    /// Encoded length of a broadcast, in bytes.
    pub(crate) fn broadcast_len(&self, broadcast: &Broadcast) -> usize {
        match self {
            Self::Tidings(_) => tidings::broadcast_len(broadcast),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => memberlist::broadcast_len(broadcast),
        }
    }

    // ---- frames ----

    /// A request that tells the peer about one member. `to`: the peer's name, if it is known.
    pub(crate) fn updates(&self, to: Option<&NodeId>, member: &Member) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => tidings::frame::updates(envelope, to, member),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.push_pull(false, core::iter::once(member), &[]),
        }
    }

    /// A reliable message.
    pub(crate) fn message(&self, to: &NodeId, from: &NodeId, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => tidings::frame::message(envelope, to, from, data),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.message(data),
        }
    }

    /// A stream probe.
    pub(crate) fn ping(&self, target: &NodeId, token: u32) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => {
                let _ = token;
                tidings::frame::ping(envelope, target)
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.ping(target, token),
        }
    }

    /// The reply to a stream probe, with our own status.
    pub(crate) fn pong(&self, token: Option<u32>, status: PeerStatus) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => {
                let _ = token;
                tidings::frame::pong(envelope, status)
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.pong(token.unwrap_or_default()),
        }
    }

    /// A receipt; `None` in memberlist's format, which has none.
    pub(crate) fn receipt(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(envelope) => Some(tidings::frame::receipt(envelope)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// A refusal; `None` for most in memberlist's format: close the stream instead.
    pub(crate) fn refused(&self, refusal: Refusal) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(envelope) => Some(tidings::frame::refusal(envelope, refusal)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.refused(refusal),
        }
    }

    /// The error reply to an unreadable frame; `None`: drop the stream instead.
    pub(crate) fn complaint(&self, reject: Reject) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(_) => {
                let _ = reject;
                None
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.complaint(reject),
        }
    }

    /// The refusal of an intact frame of another cluster, in that cluster's envelope; `None` for
    /// other frames.
    pub(crate) fn send_away(&self, frame: &[u8]) -> Option<Bytes> {
        match self {
            Self::Tidings(envelope) => {
                let mut theirs = envelope.of_foreign_frame(frame)?;
                let refusal = tidings::frame::refusal(&theirs, Refusal::ForeignCluster);
                Some(theirs.finish_frame(refusal, &mut StreamBinding::default()))
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// Completes a frame after its body was appended: length, and checksum or encryption.
    pub(crate) fn finish_frame(&mut self, buf: Vec<u8>, binding: &mut StreamBinding) -> Bytes {
        match self {
            Self::Tidings(envelope) => envelope.finish_frame(buf, binding),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.finish_frame(buf, binding),
        }
    }

    /// Parses the bytes that a stream received so far; returns the frame if it is complete.
    ///
    /// # Errors
    ///
    /// As soon as the bytes cannot become a valid frame of at most `limit` bytes.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limit: usize,
        binding: &mut StreamBinding,
        limits: DecodeLimits,
    ) -> Result<Option<Frame>, Reject> {
        match self {
            Self::Tidings(envelope) => {
                tidings::frame::parse(bytes, envelope, limit, binding, limits)
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.parse(bytes, limit, binding, limits),
        }
    }
}
