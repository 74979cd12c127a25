//! Datagrams to send: built when they are polled, with the newest updates.

use super::Node;
use crate::detector::Detector;
use crate::gossip::queue::{Offer, transmit_limit};
use crate::incarnation::Incarnation;
use crate::member::State;
use crate::membership::Members;
use crate::membership::digest;
use crate::membership::table::MemberKey;
use crate::output::{Output, Payload, PendingDatagram, PendingOutput, Piggyback};
use crate::stream::exchange::Purpose;
use crate::timers::{FixedTimer, TimerKey};
use crate::wire::Writer;
use crate::wire::message::Broadcast;
use crate::wire::message::{PeerStatus, PingSender, sender_tag};
use crate::wire::tidings::frame;
use alloc::vec::Vec;
use core::net::SocketAddr;

impl Node {
    /// Gossips to a few members (SWIM §4.1).
    ///
    /// Without an update or a broadcast to send, this timer is not set.
    pub(super) fn gossip(&mut self) {
        self.ask_moved();
        if !self.gossip.is_pending() {
            return;
        }
        self.ask_newcomers();
        let options = &self.config.options;
        let since = self.now - options.gossip_to_the_dead;
        let mut picked = core::mem::take(&mut self.scratch.picked);
        let wide = self.detector.prefers_witnesses(&self.members, options);
        let count = if wide { (options.gossip_nodes / 2).max(1) } else { options.gossip_nodes };
        self.members.pick_for_gossip(
            &mut self.gossip.rng,
            count,
            since,
            &mut self.scratch.recent,
            &mut picked,
        );
        if wide {
            let more = options.gossip_nodes - count;
            self.detector.add_witnesses(&mut self.gossip.rng, &self.members, more, &mut picked);
        }
        self.gossip.next_at = self.now + options.gossip_interval;
        if !picked.is_empty() {
            // Without a receiver the gossip waits for the next join.
            self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.gossip.next_at);
        }
        for &key in &picked {
            let member = &self.members[key];
            // Gossip to failed members, who may be alive, must not use up the retransmissions that
            // are meant for the others.
            let piggyback =
                if member.state().is_present() { Piggyback::Counted } else { Piggyback::Uncounted };
            self.queue_datagram(PendingDatagram {
                to: member.addr(),
                payload: Payload::Gossip,
                about: None,
                piggyback,
            });
        }
        self.scratch.picked = picked;
    }

    pub(super) fn queue_datagram(&mut self, pending: PendingDatagram) {
        if !self.outputs.datagram(pending) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// The next output.
    pub(super) fn next_output<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Output<'b>> {
        loop {
            let (to, written) = match self.outputs.pop()? {
                PendingOutput::Event(event) => return Some(Output::Event(event)),
                PendingOutput::Stream { id, action } => return Some(Output::Stream { id, action }),
                PendingOutput::Datagram(pending) => {
                    (pending.to, self.encode_datagram(&pending, buf))
                }
                PendingOutput::Message { to, data } => {
                    let mut writer = self.begin_datagram(buf);
                    writer.user_message(self.members.local().id(), &data);
                    (to, writer.end())
                }
            };
            let Some(start) = written else { continue };
            self.gossip.datagrams_built += 1;
            if self.config.options.stream_only {
                self.send_by_stream(to, &buf[start..]);
                continue;
            }
            if let Some(journal) = &mut self.journal {
                journal.built(buf);
            }
            self.wire.finish(buf);
            self.stats.datagrams_out += 1;
            self.stats.bytes_out += buf.len() as u64;
            return Some(Output::Datagram { to, data: buf });
        }
    }

    fn begin_datagram<'b>(&self, buf: &'b mut Vec<u8>) -> Writer<'b> {
        self.wire.begin(buf, self.config.options.datagram_size)
    }

    /// Sends the content of a datagram over a stream of its own, in `stream_only` mode.
    fn send_by_stream(&mut self, to: SocketAddr, messages: &[u8]) {
        let Some(envelope) = self.wire.tidings() else { return };
        let receiver = self.members.find_addr(to).map(|key| self.members[key].id());
        let packet = frame::packet(envelope, receiver, self.local().id(), messages);
        if self.streams.exchanges.packets_to(to) >= MAX_PACKETS_TO {
            // Whoever accepts no streams takes none from others.
            self.stats.datagrams_dropped += 1;
        } else if !self.is_answering(to) {
            self.open_aside(to, Purpose::Packet, packet);
        } else if !self.open(to, Purpose::Packet, Some(packet)) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// Writes the messages of a datagram; returns their start in `buf`, or `None` if there are
    /// none.
    fn encode_datagram(&mut self, pending: &PendingDatagram, buf: &mut Vec<u8>) -> Option<usize> {
        let mut writer = self.begin_datagram(buf);
        self.write_payload(pending.payload, &mut writer)?;
        if let Some(about) = pending.about {
            write_update(
                &mut writer,
                &self.members,
                &self.detector,
                self.gossip.datagrams_built,
                about,
            );
        }
        match pending.piggyback {
            Piggyback::None { most } => {
                if writer.len() > most {
                    if let Payload::Validation { token } = pending.payload {
                        self.detector.cancel_validation(token);
                    }
                    return None;
                }
            }
            Piggyback::Uncounted => self.piggyback_updates(pending, &mut writer),
            Piggyback::Counted => self.fill_gossip(pending, &mut writer),
        }
        writer.end()
    }

    fn write_payload(&self, payload: Payload, writer: &mut Writer<'_>) -> Option<()> {
        match payload {
            Payload::Gossip => {}
            Payload::Ping { token, target } => {
                writer.ping(token, self.members.get(target)?.id(), self.ping_sender());
            }
            Payload::Validation { token } => {
                let target = self.detector.to_validate(token)?;
                // Without the tag: no updates are expected in return.
                writer.ping(token, target, PingSender { tag: 0, number: 0, ..self.ping_sender() });
            }
            Payload::Ack { token, of } => {
                writer.ack(token, of.unwrap_or_else(|| self.peer_status()))
            }
            Payload::Nack { token, refused } => writer.nack(token, refused),
            Payload::PingRequest { token, target, within, refused } => {
                let (tag, target) = (self.sender_tag(), self.members.get(target)?);
                writer.ping_request(token, tag, target, within, refused);
            }
        }
        Some(())
    }

    /// This node as the sender of a ping.
    fn ping_sender(&self) -> PingSender {
        let PeerStatus { incarnation, digest } = self.peer_status();
        PingSender { tag: self.sender_tag(), number: incarnation.number, digest }
    }

    fn sender_tag(&self) -> u32 {
        sender_tag(self.short_name, self.local().incarnation().generation)
    }

    /// This node's status, for an ack.
    pub(super) fn peer_status(&self) -> PeerStatus {
        let digest = digest::short(self.members.digest());
        PeerStatus { incarnation: self.local().incarnation(), digest }
    }

    /// This node's status without its incarnation.
    pub(super) fn bare_status(&self) -> PeerStatus {
        PeerStatus { incarnation: Incarnation::default(), ..self.peer_status() }
    }

    /// Fills a datagram of gossip with updates and broadcasts.
    ///
    /// If both are queued, each has half of the datagram, and the rest that the other leaves. A
    /// broadcast that takes more than half is sent in every other datagram.
    fn fill_gossip(&mut self, pending: &PendingDatagram, writer: &mut Writer<'_>) {
        let Some(first) = self.gossip.broadcasts.first() else {
            return self.piggyback_updates(pending, writer);
        };
        let half = writer.room() / 2;
        let broadcasts_first = self.gossip.datagrams_built % 2 == 0;
        if broadcasts_first && !self.gossip.queue.is_empty() {
            let share = half.max(self.wire.broadcast_len(first));
            let kept = writer.room().saturating_sub(share);
            writer.reserve(kept);
            self.piggyback_broadcasts(pending, writer);
            writer.release(kept);
            self.piggyback_updates(pending, writer);
        } else {
            let kept = half.min(self.gossip.broadcasts.bytes());
            writer.reserve(kept);
            self.piggyback_updates(pending, writer);
            writer.release(kept);
            self.piggyback_broadcasts(pending, writer);
        }
    }

    fn piggyback_updates(&mut self, pending: &PendingDatagram, writer: &mut Writer<'_>) {
        if self.gossip.queue.is_empty() {
            return;
        }
        let (members, detector, datagrams_built) =
            (&self.members, &self.detector, self.gossip.datagrams_built);
        let offer = |key| {
            let about_receiver = members.get(key).is_some_and(|member| {
                member.addr() == pending.to && member.state() == State::Alive
            });
            if about_receiver || pending.about == Some(key) {
                return Offer::Skip;
            }
            write_update(writer, members, detector, datagrams_built, key)
        };
        if pending.piggyback == Piggyback::Counted {
            let limit = self.transmit_limit();
            drop(self.gossip.queue.transmit(limit, offer));
        } else {
            self.gossip.queue.piggyback(offer);
        }
    }

    fn piggyback_broadcasts(&mut self, pending: &PendingDatagram, writer: &mut Writer<'_>) {
        let key = self.members.find_addr(pending.to);
        let receiver = key.map(|key| self.members[key].id());
        // Nothing but pings goes to members that somebody invented.
        let others = self.members.validated_others();
        let limit = self.variant.broadcast_limit(self.transmit_limit(), others);
        let room = writer.room();
        let wire = &self.wire;
        let mut moot = 0;
        let offer = |broadcast: &Broadcast| {
            if receiver == Some(&broadcast.id.origin) {
                // The origin counts as a receiver of its own broadcast: else this datagram would go
                // on to all others in the queue.
                moot += wire.broadcast_len(broadcast);
                return if moot <= room { Offer::Skip } else { Offer::NoRoom };
            }
            if writer.broadcast(broadcast) { Offer::Added } else { Offer::NoRoom }
        };
        self.gossip.broadcasts.transmit(limit, key, others, offer);
    }

    fn transmit_limit(&self) -> u32 {
        let options = &self.config.options;
        transmit_limit(options.retransmit_mult, self.members.present_count(), options.gossip_nodes)
    }
}

/// Writes the known update about a member, if the member is still in the table.
fn write_update(
    writer: &mut Writer<'_>,
    members: &Members,
    detector: &Detector,
    datagrams_built: u64,
    key: MemberKey,
) -> Offer {
    let Some(member) = members.get(key).filter(|_| members.has_something_to_gossip(key)) else {
        return Offer::Skip;
    };
    let accuser = detector.accuser(key, datagrams_built);
    if writer.update(member, accuser, detector.is_refused(key)) {
        Offer::Added
    } else {
        Offer::NoRoom
    }
}

/// Streams to one address that wait to be opened, in `stream_only` mode: with a few datagrams each
/// second, enough for one that takes a second.
const MAX_PACKETS_TO: usize = 8;
