//! Messages of the application, to one member or to all, and pings.

use super::Node;
use crate::error::Refusal;
use crate::error::{BroadcastError, Failure, SendError};
use crate::event::{Done, Ticket};
use crate::event::{Event, Via};
use crate::gossip::broadcast::Full;
use crate::gossip::broadcast_key::BroadcastKey;
use crate::gossip::dedup::Seen;
use crate::member::{NodeId, TooLong};
use crate::membership::table::MemberKey;
use crate::record::journal::Input;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::time::Instant;
use crate::wire::frame::ReliableMessage;
use crate::wire::message::{Broadcast, BroadcastId};
use crate::wire::tidings;
use alloc::borrow::Cow;
use bytes::Bytes;
use core::time::Duration;

impl Node {
    /// Sends a message to one member in a datagram, which may be lost, or arrive twice.
    ///
    /// # Errors
    ///
    /// If the node has left, if `to` is not present, or if the message is longer than a datagram
    /// holds: the error has the limit. Then nothing was sent.
    pub fn send(&mut self, now: Instant, to: &NodeId, data: Bytes) -> Result<(), SendError> {
        let input = Input::Send(Cow::Borrowed(to), &data);
        self.input(now, |_| input, |node| node.queue_message(to, data.clone()))
    }

    fn queue_message(&mut self, to: &NodeId, data: Bytes) -> Result<(), SendError> {
        let key = self.find_receiver(to)?;
        let max = self.max_datagram_message();
        TooLong::check("the message", data.len(), max, Some("datagram_size"))
            .map_err(SendError::TooLong)?;
        if key == MemberKey::LOCAL {
            self.deliver(Some(to.clone()), data, Via::Datagram);
        } else if !self.outputs.message(self.members[key].addr(), data) {
            return Err(SendError::Busy);
        }
        Ok(())
    }

    /// Sends a message to one member over a stream of its own, with a receipt.
    ///
    /// The ticket ends with [`Done::Delivered`] when the member's node has accepted the message, or
    /// with [`Failure::Undelivered`]: then it may have been accepted, and the receipt lost. It is
    /// delivered at most once.
    ///
    /// memberlist's format has no receipts: there the ticket ends with [`Done::Written`].
    ///
    /// # Errors
    ///
    /// If the node has left, if `to` is not present, if the message is longer than
    /// [`max_frame`](crate::Options::max_frame) less 900 bytes, or if
    /// [`max_streams_out`](crate::Options::max_streams_out) are open. Then nothing was sent.
    pub fn send_reliable(
        &mut self,
        now: Instant,
        to: &NodeId,
        data: Bytes,
    ) -> Result<Ticket, SendError> {
        let input = Input::SendReliable(Cow::Borrowed(to), &data);
        self.input(now, |_| input, |node| node.begin_message(to, data.clone()))
    }

    fn begin_message(&mut self, to: &NodeId, data: Bytes) -> Result<Ticket, SendError> {
        let key = self.find_receiver(to)?;
        let max = self.config.options.max_frame - tidings::frame::MESSAGE_OVERHEAD;
        TooLong::check("the message", data.len(), max, Some("max_frame"))
            .map_err(SendError::TooLong)?;
        if key != MemberKey::LOCAL && self.streams.exchanges.room_out() == 0 {
            return Err(SendError::Busy);
        }
        let ticket = self.streams.tickets.issue();
        if key == MemberKey::LOCAL {
            self.deliver(Some(to.clone()), data, Via::Reliable);
            self.emit_completed(ticket, Ok(Done::Delivered));
        } else {
            let request = self.wire.message(to, self.local().id(), &data);
            self.open(self.members[key].addr(), Purpose::Message(ticket), Some(request));
        }
        Ok(ticket)
    }

    /// Broadcasts a message to all members, by gossip.
    ///
    /// Delivery is probabilistic, at most once at each present member: each gets it several times,
    /// from different members, and none confirms it. Broadcasts have no order, and the node gets
    /// none of its own. The longer the queue of broadcasts, the more of them are missed.
    ///
    /// In memberlist's format members do not forward broadcasts: this node sends each member at
    /// least one copy, which takes longer the more there are. It arrives, maybe more than once, as
    /// a [message in a datagram](Self::send).
    ///
    /// # Errors
    ///
    /// If the node has left; if the message is longer than a datagram holds; or if
    /// [`max_broadcasts`](crate::Options::max_broadcasts) or
    /// [`max_broadcast_bytes`](crate::Options::max_broadcast_bytes) of this node's own are queued.
    /// Then nothing was queued.
    pub fn broadcast(&mut self, now: Instant, data: Bytes) -> Result<(), BroadcastError> {
        let input = Input::Broadcast { key: &[], data: &data };
        self.input(now, |_| input, |node| node.begin_broadcast(&[], data.clone()))
    }

    /// Broadcasts a message that replaces this node's earlier ones with the same key.
    ///
    /// An earlier one is dropped wherever it is still queued, here and at members that pass it on;
    /// members that got it already get the new one too. memberlist calls that `Invalidates`. Key
    /// and message share the datagram. Everything else is as with [`broadcast`](Self::broadcast).
    ///
    /// ```
    /// use tidings::{BroadcastError, BroadcastKey, Instant, Node};
    ///
    /// fn load_changed(node: &mut Node, now: Instant, load: u8) -> Result<(), BroadcastError> {
    ///     let key = BroadcastKey::new("load").expect("it is short");
    ///     node.broadcast_replacing(now, key, vec![load].into())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_replacing(
        &mut self,
        now: Instant,
        key: BroadcastKey,
        data: Bytes,
    ) -> Result<(), BroadcastError> {
        let key = key.as_bytes();
        let input = Input::Broadcast { key, data: &data };
        self.input(now, |_| input, |node| node.begin_broadcast(key, data.clone()))
    }

    fn begin_broadcast(&mut self, key: &[u8], data: Bytes) -> Result<(), BroadcastError> {
        let local = self.local();
        if !local.state().is_present() {
            return Err(BroadcastError::Left);
        }
        let id = BroadcastId {
            origin: local.id().clone(),
            generation: local.incarnation().generation,
            number: self.gossip.next_broadcast,
        };
        let len = data.len();
        let broadcast = Broadcast { id, key: Bytes::copy_from_slice(key), payload: data };
        let over = self.wire.broadcast_len(&broadcast).saturating_sub(self.room_in_datagram());
        // If not even an empty message fits, the key is too long.
        let key_max = key.len().saturating_sub(over.saturating_sub(len));
        TooLong::check("the broadcast key", key.len(), key_max, Some("datagram_size"))
            .and_then(|()| TooLong::check("the message", len, len - over, Some("datagram_size")))
            .map_err(BroadcastError::Message)?;
        // Without a receiver it counts as sent.
        if self.members.present_count() > 1 {
            let dropped = self.gossip.broadcasts.push_own(broadcast);
            self.stats.broadcasts_dropped += dropped.map_err(|Full| BroadcastError::Full)?;
            self.arm_gossip();
        }
        self.gossip.next_broadcast += 1;
        Ok(())
    }

    /// Pings a member; the ticket ends with [`Done::Pong`] and the round-trip time, or with
    /// [`Failure::PingTimedOut`] after [`probe_interval`](crate::Options::probe_interval).
    ///
    /// # Errors
    ///
    /// If the node has left, if `to` is not present, or if [`max_pings`](crate::Options::max_pings)
    /// are pending. Then nothing was sent.
    pub fn ping(&mut self, now: Instant, to: &NodeId) -> Result<Ticket, SendError> {
        self.input(now, |_| Input::Ping(Cow::Borrowed(to)), |node| node.begin_ping(to))
    }

    fn begin_ping(&mut self, to: &NodeId) -> Result<Ticket, SendError> {
        let key = self.find_receiver(to)?;
        let ticket = self.streams.tickets.issue();
        if key == MemberKey::LOCAL {
            self.emit_completed(ticket, Ok(Done::Pong { rtt: Duration::ZERO }));
            return Ok(ticket);
        }
        let (detector, mut cx) = self.detector();
        let token = detector.ping(&mut cx, ticket).ok_or(SendError::Busy)?;
        self.send_ping(key, token);
        Ok(ticket)
    }

    pub(super) fn on_user_ping_timeout(&mut self, token: u32) {
        if let Some(ticket) = self.detector.on_user_ping_timeout(token) {
            self.emit_completed(ticket, Err(Failure::PingTimedOut));
        }
    }

    fn find_receiver(&self, to: &NodeId) -> Result<MemberKey, SendError> {
        if !self.local().state().is_present() {
            return Err(SendError::Left);
        }
        let key = self.members.find(to).ok_or(SendError::Unknown)?;
        let state = self.members[key].state();
        if state.is_present() { Ok(key) } else { Err(SendError::Absent(state)) }
    }

    /// The maximum length of a message in a datagram.
    fn max_datagram_message(&self) -> usize {
        self.wire.max_user_message(self.local().id(), self.room_in_datagram())
    }

    fn room_in_datagram(&self) -> usize {
        self.wire.room(self.config.options.datagram_size)
    }

    pub(super) fn deliver(&mut self, from: Option<NodeId>, data: Bytes, via: Via) {
        self.stats.messages_in += 1;
        self.outputs.event(Event::Message { from, data, via });
    }

    /// Delivers a message that came over a stream, and sends a receipt.
    pub(super) fn handle_reliable(&mut self, id: StreamId, letter: ReliableMessage) {
        if !self.local().state().is_present() {
            return self.refuse(id, Refusal::NotRunning);
        }
        self.deliver(letter.from, letter.data, Via::Reliable);
        self.send_receipt(id);
    }

    /// Handles a forwarded broadcast: the first copy is delivered and forwarded.
    ///
    /// Broadcasts are accepted only from known members in their known generation, so that forged
    /// origins take no memory. A broadcast of a member that is not known yet comes again from other
    /// members.
    pub(super) fn handle_broadcast(&mut self, broadcast: Broadcast) {
        let BroadcastId { origin, generation, .. } = &broadcast.id;
        let local = self.local();
        if origin == local.id() || !local.state().is_present() {
            return;
        }
        let known = self.members.find(origin).map(|key| self.members[key].incarnation());
        if known.is_none_or(|known| known.generation != *generation) {
            self.stats.broadcasts_unknown_origin += 1;
            return;
        }
        if self.gossip.dedup.first_time(&broadcast.id) == Seen::Duplicate {
            self.stats.broadcasts_duplicate += 1;
            return;
        }
        self.deliver(Some(origin.clone()), broadcast.payload.clone(), Via::Broadcast);
        if self.wire.broadcast_len(&broadcast) > self.room_in_datagram() {
            // Its origin has a larger `datagram_size`: it would wait for ever in this queue.
            self.stats.broadcasts_dropped += 1;
            return;
        }
        self.stats.broadcasts_dropped += self.gossip.broadcasts.pass_on(broadcast);
        self.arm_gossip();
    }
}
