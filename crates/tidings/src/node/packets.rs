//! Building datagrams, when they are polled and with the news of that moment.

use super::Node;
use crate::broadcast::Broadcast;
use crate::digest;
use crate::dissemination::{Offer, transmit_limit};
use crate::exchange::Purpose;
use crate::member::State;
use crate::members::{Key, Members};
use crate::output::{Draft, Fill, Intent, Lead, Output};
use crate::suspicion::Suspicions;
use crate::wire::Writer;
use crate::wire::message::Pulse;
use crate::wire::tidings::frame;
use alloc::vec::Vec;
use core::net::SocketAddr;

impl Node {
    pub(super) fn draft(&mut self, draft: Draft) {
        if !self.outbox.datagram(draft) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// The next thing to carry out.
    pub(super) fn next_output<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Output<'b>> {
        loop {
            let (to, written) = match self.outbox.pop()? {
                Intent::Event(event) => return Some(Output::Event(event)),
                Intent::Stream { id, action } => return Some(Output::Stream { id, action }),
                Intent::Datagram(draft) => (draft.to, self.write_draft(&draft, buf)),
                Intent::Message { to, data } => {
                    let mut writer = self.begin_datagram(buf);
                    writer.note(self.members.local().id(), &data);
                    (to, writer.end())
                }
            };
            let Some(start) = written else { continue };
            self.turn += 1;
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

    /// Sends what would be in a datagram over a stream of its own.
    fn send_by_stream(&mut self, to: SocketAddr, messages: &[u8]) {
        let Some(envelope) = self.wire.tidings() else { return };
        let packet = frame::packet(envelope, self.local().id(), messages);
        if !self.open(to, Purpose::Packet, Some(packet)) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// Writes the messages of a datagram; returns where they begin, or `None` if there is nothing to
    /// say after all.
    fn write_draft(&mut self, draft: &Draft, buf: &mut Vec<u8>) -> Option<usize> {
        let mut writer = self.begin_datagram(buf);
        self.write_lead(draft.lead, &mut writer)?;
        if let Some(about) = draft.about {
            write_update(&mut writer, &self.members, &self.suspicions, self.turn, about);
        }
        match draft.fill {
            Fill::Nothing => {}
            Fill::Ride => self.fill_with_news(draft, &mut writer),
            Fill::Tell => self.fill(draft, &mut writer),
        }
        writer.end()
    }

    fn write_lead(&self, lead: Lead, writer: &mut Writer<'_>) -> Option<()> {
        match lead {
            Lead::News => {}
            Lead::Ping { token, target } => {
                writer.ping(token, self.members.get(target)?.id(), self.pulse());
            }
            Lead::Ack { token, of } => writer.ack(token, of.unwrap_or_else(|| self.pulse())),
            Lead::Nack { token } => writer.nack(token),
            Lead::PingRequest { token, target, within } => {
                writer.ping_request(token, self.members.get(target)?, within);
            }
        }
        Some(())
    }

    /// What we say of ourselves with a sign of life.
    pub(super) fn pulse(&self) -> Pulse {
        let digest = digest::short(self.members.digest());
        Pulse { incarnation: self.local().incarnation(), digest }
    }

    /// Fills a datagram of gossip with news of members and with broadcasts.
    ///
    /// Each has half of it where both want it, and what the other leaves. A broadcast that takes more
    /// than that has its turn in every other datagram.
    fn fill(&mut self, draft: &Draft, writer: &mut Writer<'_>) {
        let Some(first) = self.broadcasts.first() else {
            return self.fill_with_news(draft, writer);
        };
        let half = writer.room() / 2;
        let broadcasts_first = self.turn % 2 == 0;
        if broadcasts_first && !self.dissemination.is_empty() {
            let share = half.max(self.wire.broadcast_len(first));
            let kept = writer.room().saturating_sub(share);
            writer.reserve(kept);
            self.fill_with_broadcasts(draft, writer);
            writer.release(kept);
            self.fill_with_news(draft, writer);
        } else {
            let kept = half.min(self.broadcasts.bytes());
            writer.reserve(kept);
            self.fill_with_news(draft, writer);
            writer.release(kept);
            self.fill_with_broadcasts(draft, writer);
        }
    }

    fn fill_with_news(&mut self, draft: &Draft, writer: &mut Writer<'_>) {
        if self.dissemination.is_empty() {
            return;
        }
        let (members, suspicions, turn) = (&self.members, &self.suspicions, self.turn);
        let offer = |key| {
            let about_receiver = members
                .get(key)
                .is_some_and(|member| member.addr() == draft.to && member.state() == State::Alive);
            if about_receiver || draft.about == Some(key) {
                return Offer::Moot;
            }
            write_update(writer, members, suspicions, turn, key)
        };
        if draft.fill == Fill::Tell {
            let limit = self.transmit_limit();
            drop(self.dissemination.tell(limit, offer));
        } else {
            self.dissemination.ride(offer);
        }
    }

    fn fill_with_broadcasts(&mut self, draft: &Draft, writer: &mut Writer<'_>) {
        let key = self.members.find_addr(draft.to);
        let receiver = key.map(|key| self.members[key].id());
        let others = self.members.others();
        let limit = self.rules.broadcast_limit(self.transmit_limit(), others);
        let room = writer.room();
        let wire = &self.wire;
        let mut moot = 0;
        let offer = |broadcast: &Broadcast| {
            if receiver == Some(&broadcast.id.origin) {
                // It has its turn as if it were sent: else all that wait would be told by this.
                moot += wire.broadcast_len(broadcast);
                return if moot <= room { Offer::Moot } else { Offer::NoRoom };
            }
            if writer.broadcast(broadcast) { Offer::Taken } else { Offer::NoRoom }
        };
        self.broadcasts.tell(limit, key, others, offer);
    }

    fn transmit_limit(&self) -> u32 {
        let options = &self.config.options;
        transmit_limit(options.retransmit_mult, self.members.present(), options.gossip_nodes)
    }
}

/// Writes what is known of a member, if it still is held.
fn write_update(
    writer: &mut Writer<'_>,
    members: &Members,
    suspicions: &Suspicions,
    turn: u64,
    key: Key,
) -> Offer {
    let Some(member) = members.get(key).filter(|_| members.is_telling(key)) else {
        return Offer::Moot;
    };
    let accuser = suspicions.accuser(key, turn);
    if writer.update(member, accuser) { Offer::Taken } else { Offer::NoRoom }
}
