//! Datagrams: what comes in by them, and how they are built.

use super::Node;
use super::claims::Heard;
use crate::dissemination::{Offer, transmit_limit};
use crate::member::State;
use crate::members::{Key, Members};
use crate::output::{Draft, Fill, Lead};
use crate::relay::Asked;
use crate::stats::Reject;
use crate::suspicion::Suspicions;
use crate::timers::Slot;
use crate::wire::datagram::{self, Ack, Message, Nack, Ping, PingRequest, Writer};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

impl Node {
    pub(super) fn take_datagram(&mut self, from: SocketAddr, data: &[u8]) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        if let Err(reject) = self.take_messages(from, data) {
            self.stats.rejected_datagrams.count(reject);
        }
    }

    fn take_messages(&mut self, from: SocketAddr, data: &[u8]) -> Result<(), Reject> {
        let options = &self.config.options;
        if data.len() > options.max_datagram {
            return Err(Reject::Oversized);
        }
        let mut answers = Answers::default();
        for message in datagram::open(data, &self.binding, options.max_meta)? {
            match message? {
                Message::Ping(ping) if answers.ping.is_none() => answers.ping = Some(ping),
                Message::PingRequest(request) if answers.request.is_none() => {
                    answers.request = Some(request);
                }
                Message::Ping(_) | Message::PingRequest(_) => return Err(Reject::Unexpected),
                Message::Ack(ack) => self.take_ack(ack),
                Message::Nack(Nack { token }) => {
                    self.stats.stray_acks += u64::from(!self.probe.nacked(token, from));
                }
                Message::Update(update) => {
                    // Before the first claim is taken: nobody makes itself a member on the way.
                    if answers.from_member.is_none() {
                        answers.from_member = Some(self.members.find_addr(from).is_some());
                    }
                    let heard = Heard { from: Some(from), accuser: update.accuser, spread: true };
                    answers.speak_to = self.hear(heard, update.claim).or(answers.speak_to);
                }
                Message::Refused => self.stats.members_refused += 1,
                Message::Unknown => self.stats.unknown_messages += 1,
            }
        }
        if let Some(ping) = answers.ping {
            self.take_ping(from, ping);
        }
        if let Some(request) = &answers.request {
            self.take_ping_request(from, request);
        }
        if let (Some(to), Some(true)) = (answers.speak_to, answers.from_member) {
            self.tell_of_us(to);
        }
        Ok(())
    }

    /// Answers a ping that is meant for us.
    ///
    /// A member gets news with it, first of all that it is held to have failed, if it is. A
    /// stranger gets the bare answer, which is no larger than what it sent. A node that has left
    /// gives no sign of life: it tells members that it left, and lets strangers find out.
    fn take_ping(&mut self, from: SocketAddr, Ping { token, target }: Ping) {
        if target != self.local().id().short() {
            self.stats.misdirected_pings += 1;
            return;
        }
        let member = self.members.find_addr(from);
        if !self.local().state().is_present() {
            if member.is_some() {
                self.tell_of_us(from);
            }
            return;
        }
        let about = member.filter(|&key| self.members[key].state() > State::Alive);
        let fill = if member.is_some() { Fill::Ride } else { Fill::Nothing };
        self.draft(Draft { to: from, lead: Lead::Ack { token }, about, fill });
    }

    /// Pings one member for another.
    fn take_ping_request(&mut self, from: SocketAddr, request: &PingRequest) {
        let target = self.members.find(&request.target).filter(|&key| key != Key::LOCAL);
        let asker = self.members.find_addr(from).filter(|_| self.local().state().is_present());
        if asker.is_none() {
            self.stats.refused_relays += 1;
            return;
        }
        let Some(target) = target else { return self.refuse_relay(from, request.token) };
        let options = &self.config.options;
        let within = Duration::from_millis(request.within_ms.into());
        let within = within.min(options.probe_interval * options.awareness_max);
        let nack = options.nacks;
        let asked = Asked { by: from, token: request.token, until: self.now + within, nack };
        let token = self.probe_rng.u32();
        if !self.relay.begin(token, asked) {
            return self.refuse_relay(from, request.token);
        }
        // A nack has to arrive while the asker still waits (Lifeguard §IV-A).
        let wait = if nack { within * 4 / 5 } else { within };
        self.timers.set(Slot::Relay(token), self.now + wait);
        self.ping(target, token);
    }

    /// Does not ping for a member, and says so at once: it is not the asker's fault.
    fn refuse_relay(&mut self, to: SocketAddr, token: u32) {
        self.stats.refused_relays += 1;
        if self.config.options.nacks {
            self.draft(Draft { to, lead: Lead::Nack { token }, about: None, fill: Fill::Nothing });
        }
    }

    /// Most of the time for a ping that we made for another is over, or all of it.
    pub(super) fn relay_unanswered(&mut self, token: u32) {
        let Some(Asked { by, token: theirs, until, .. }) = self.relay.unanswered(token) else {
            self.relay.end(token);
            return;
        };
        self.timers.set(Slot::Relay(token), until);
        self.draft(Draft {
            to: by,
            lead: Lead::Nack { token: theirs },
            about: None,
            fill: Fill::Ride,
        });
    }

    fn take_ack(&mut self, Ack { token }: Ack) {
        if self.probe.acked(token) {
            return;
        }
        let Some(Asked { by, token, .. }) = self.end_relay(token) else {
            self.stats.stray_acks += 1;
            return;
        };
        self.draft(Draft { to: by, lead: Lead::Ack { token }, about: None, fill: Fill::Ride });
    }

    fn end_relay(&mut self, token: u32) -> Option<Asked> {
        self.timers.clear(Slot::Relay(token));
        self.relay.end(token)
    }

    /// Pings a member; a suspect is told so with it, and can contradict at once.
    pub(super) fn ping(&mut self, target: Key, token: u32) {
        let member = &self.members[target];
        let lead = Lead::Ping { token, target: member.id().short() };
        let tell = self.config.options.buddy && member.state() > State::Alive;
        let about = tell.then_some(target);
        self.draft(Draft { to: member.addr(), lead, about, fill: Fill::Ride });
    }

    pub(super) fn draft(&mut self, draft: Draft) {
        if !self.outbox.datagram(draft) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// Builds a datagram; `false` if there is nothing to say after all.
    pub(super) fn write_datagram(&mut self, draft: &Draft, buf: &mut Vec<u8>) -> bool {
        let mut writer = Writer::begin(buf, self.config.options.datagram_size);
        match draft.lead {
            Lead::News => {}
            Lead::Ping { token, target } => writer.ping(Ping { token, target }),
            Lead::Ack { token } => writer.ack(Ack { token }),
            Lead::Nack { token } => writer.nack(Nack { token }),
            Lead::PingRequest { token, target, within_ms } => {
                let Some(member) = self.members.get(target) else {
                    return false;
                };
                let target = member.id().clone();
                writer.ping_request(&PingRequest { token, within_ms, target });
            }
        }
        let (members, suspicions) = (&self.members, &self.suspicions);
        let turn = self.stats.datagrams_out;
        if let Some(about) = draft.about {
            write_update(&mut writer, members, suspicions, turn, about);
        }
        if draft.fill != Fill::Nothing && !self.dissemination.is_empty() {
            let offer = |key| {
                let about_receiver = members.get(key).is_some_and(|member| {
                    member.addr() == draft.to && member.state() == State::Alive
                });
                if about_receiver || draft.about == Some(key) {
                    return Offer::Moot;
                }
                write_update(&mut writer, members, suspicions, turn, key)
            };
            if draft.fill == Fill::Tell {
                let options = &self.config.options;
                let (mult, fanout) = (options.retransmit_mult, options.gossip_nodes);
                let limit = transmit_limit(mult, members.present(), fanout);
                self.dissemination.tell(limit, offer);
            } else {
                self.dissemination.ride(offer);
            }
        }
        if writer.is_empty() {
            return false;
        }
        writer.finish(&self.binding);
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += buf.len() as u64;
        true
    }
}

/// What a datagram asks of us: one answer of each kind at most, however often it asks.
#[derive(Debug, Default)]
struct Answers {
    ping: Option<Ping>,
    request: Option<PingRequest>,
    /// Whether the sender was a member when the first claim was read; `None` if none was.
    from_member: Option<bool>,
    /// Who was wrong about us.
    speak_to: Option<SocketAddr>,
}

/// Writes what is known of a member, if it still is held.
fn write_update(
    writer: &mut Writer<'_>,
    members: &Members,
    suspicions: &Suspicions,
    turn: u64,
    key: Key,
) -> Offer {
    let Some(member) = members.get(key) else {
        return Offer::Moot;
    };
    let accuser = suspicions.accuser(key, turn);
    if writer.update(member, accuser) { Offer::Taken } else { Offer::NoRoom }
}
