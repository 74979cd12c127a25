//! Formats: the one in which a node speaks.

#[cfg(feature = "encryption")]
use super::crypto_state::CryptoState;
use super::frame::Frame;
#[cfg(feature = "memberlist")]
use super::memberlist;
use super::message::PeerStatus;
use super::writer::{Messages, Writer};
use super::{StreamBinding, tidings};
use crate::error::Refusal;
use crate::member::{Member, NodeId};
use crate::stats::Reject;
use crate::wire::message::Accuser;
use crate::wire::message::Broadcast;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The format in which a node speaks, with what binds what it says to its cluster.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Format {
    Tidings(tidings::Envelope),
    #[cfg(feature = "memberlist")]
    Memberlist(memberlist::Envelope),
}

impl Format {
    /// Our own format, for what only that has.
    pub(crate) fn tidings(&self) -> Option<&tidings::Envelope> {
        match self {
            Self::Tidings(envelope) => Some(envelope),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// memberlist's, for what only that has.
    #[cfg(feature = "memberlist")]
    pub(crate) fn memberlist(&self) -> Option<&memberlist::Envelope> {
        match self {
            Self::Tidings(_) => None,
            Self::Memberlist(envelope) => Some(envelope),
        }
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

    /// An accuser of such a name, as others tell of it.
    pub(crate) fn accuser(&self, name: &NodeId) -> Accuser {
        match self {
            Self::Tidings(_) => Accuser::Short(name.short()),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => Accuser::Named(name.clone()),
        }
    }

    // ---- journals and replays ----

    /// What is noted of sealing and opening; `None` unless a journal is kept and the node has keys.
    pub(crate) fn notes(&mut self) -> Option<&mut Vec<u8>> {
        #[cfg(feature = "encryption")]
        return self.crypto_mut()?.notes();
        #[cfg(not(feature = "encryption"))]
        None
    }

    /// Notes what comes of sealing and opening from now on, or does not.
    pub(crate) fn set_note_taking(&mut self, take: bool) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto_mut() {
            crypto.set_note_taking(take);
        }
        let _ = take;
    }

    /// What comes of opening what is sealed next, where there are no keys.
    pub(crate) fn script(&mut self, opened: Option<&[u8]>) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = self.crypto_mut() {
            crypto.script(opened);
        }
        let _ = opened;
    }

    /// Whether a datagram is sealed for our cluster, so that what is in it is all that matters.
    pub(crate) fn is_sealed_for_us(&self, datagram: &[u8]) -> bool {
        match self {
            Self::Tidings(envelope) => envelope.is_sealed_for_us(datagram),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.is_sealed_for_us(datagram),
        }
    }

    /// The beginning of every datagram that is.
    pub(crate) fn sealed_prefix(&self) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => envelope.sealed_prefix().to_vec(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.sealed_prefix(),
        }
    }

    /// The first bytes of a datagram: what was added when it was sealed, if it is.
    pub(crate) fn head<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Tidings(_) => tidings::head(datagram),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.head(datagram),
        }
    }

    /// The messages of a datagram that we got, which was opened to this if it was sealed, or that a
    /// replayed node made.
    pub(crate) fn messages_in(&self, datagram: &[u8], opened: Option<&[u8]>) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(_) => tidings::messages_in(datagram, opened),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.messages_in(datagram, opened),
        }
    }

    /// The frame that a replayed node writes.
    pub(crate) fn frame_in(&self, bytes: &[u8]) -> Option<Frame> {
        match self {
            Self::Tidings(_) => tidings::frame_in(bytes),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.frame_in(bytes),
        }
    }

    // ---- datagrams ----

    /// Tells what time it is, in seconds, on the clock from which generations are taken.
    pub(crate) fn set_time(&mut self, time: u64) {
        match self {
            Self::Tidings(envelope) => envelope.set_time(time),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {}
        }
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

    /// Closes a datagram, now that its messages are there.
    pub(crate) fn finish(&mut self, buf: &mut Vec<u8>) {
        match self {
            Self::Tidings(envelope) => envelope.finish(buf),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.finish(buf),
        }
    }

    /// Opens a datagram; returns its messages, which may be in `scratch`.
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

    /// Reads the messages of a datagram that was opened.
    pub(crate) fn messages<'a>(&self, opened: &'a [u8], max_meta: usize) -> Messages<'a> {
        match self {
            Self::Tidings(_) => Messages::Tidings(tidings::messages(opened, max_meta)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => {
                Messages::Memberlist(memberlist::Messages::new(opened, max_meta))
            }
        }
    }

    /// The most that one message may take in a datagram of at most `limit` bytes.
    pub(crate) fn room(&self, limit: usize) -> usize {
        match self {
            Self::Tidings(envelope) => limit - envelope.overhead(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.room(limit),
        }
    }

    /// The longest data of a note from such a sender that fits into `room`.
    pub(crate) fn max_user_message(&self, from: &NodeId, room: usize) -> usize {
        match self {
            Self::Tidings(_) => tidings::max_user_message(from, room),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => memberlist::max_user_message(room),
        }
    }

    /// How many bytes a broadcast takes.
    pub(crate) fn broadcast_len(&self, broadcast: &Broadcast) -> usize {
        match self {
            Self::Tidings(_) => tidings::broadcast_len(broadcast),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => memberlist::broadcast_len(broadcast),
        }
    }

    // ---- frames ----

    /// "Take note of this member."
    pub(crate) fn updates(&self, member: &Member) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => tidings::frame::updates(envelope, member),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.push_pull(false, core::iter::once(member), &[]),
        }
    }

    /// "This is for you."
    pub(crate) fn message(&self, to: &NodeId, from: &NodeId, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Tidings(envelope) => tidings::frame::message(envelope, to, from, data),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.message(data),
        }
    }

    /// "Are you there?"
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

    /// "I am", and this is what we say of ourselves.
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

    /// "I have it"; `None` where nobody expects to be told that.
    pub(crate) fn receipt(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(envelope) => Some(tidings::frame::receipt(envelope)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// "No"; `None` where the stream is closed without a word instead.
    pub(crate) fn refused(&self, refusal: Refusal) -> Option<Vec<u8>> {
        match self {
            Self::Tidings(envelope) => Some(tidings::frame::refused(envelope, refusal)),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// "I cannot read that"; `None` where the stream is dropped without a word instead.
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

    /// What is answered to whoever took us for one of another cluster, in the envelope of that one.
    pub(crate) fn send_away(&self, frame: &[u8]) -> Option<Bytes> {
        match self {
            Self::Tidings(envelope) => {
                let mut theirs = envelope.of_foreign_frame(frame)?;
                let refused = tidings::frame::refused(&theirs, Refusal::ForeignCluster);
                Some(theirs.finish_frame(refused, &mut StreamBinding::default()))
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(_) => None,
        }
    }

    /// Closes a frame, now that its body is there.
    pub(crate) fn finish_frame(&mut self, buf: Vec<u8>, binding: &mut StreamBinding) -> Bytes {
        match self {
            Self::Tidings(envelope) => envelope.finish_frame(buf, binding),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.finish_frame(buf, binding),
        }
    }

    /// Looks at what a stream brought so far, at most `limit` bytes of it; returns the frame if it is
    /// complete.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limit: usize,
        binding: &mut StreamBinding,
        max_meta: usize,
    ) -> Result<Option<Frame>, Reject> {
        match self {
            Self::Tidings(envelope) => {
                tidings::frame::parse(bytes, envelope, limit, binding, max_meta)
            }
            #[cfg(feature = "memberlist")]
            Self::Memberlist(envelope) => envelope.parse(bytes, limit, binding, max_meta),
        }
    }
}
