//! Datagrams: what comes in by them, and what is answered.

use super::Node;
use super::claims::{Heard, Tell};
use crate::command::Done;
use crate::digest;
use crate::exchange::Purpose;
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::members::Key;
use crate::output::{Draft, Fill, Lead, Via};
use crate::ping::Pinged;
use crate::relay::Asked;
use crate::stats::Reject;
use crate::stream::{Refusal, StreamId};
use crate::suspicion::Accuser;
use crate::timers::{Single, Slot};
use crate::wire::frame::StreamPing;
use crate::wire::message::{Ack, Message, Note, Ping, PingRequest, Pulse};
use core::net::SocketAddr;

impl Node {
    pub(super) fn take_datagram(&mut self, from: SocketAddr, data: &[u8]) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        if let Err(reject) = self.take_messages(from, data) {
            self.stats.rejected_datagrams.count(reject);
        }
    }

    fn take_messages(&mut self, from: SocketAddr, data: &[u8]) -> Result<(), Reject> {
        if data.len() > self.config.options.max_datagram {
            return Err(Reject::Oversized);
        }
        let mut scratch = core::mem::take(&mut self.opened);
        let taken = match self.wire.open(data, &mut scratch) {
            Ok(messages) => self.take_opened(from, messages),
            Err(reject) => Err(reject),
        };
        self.opened = scratch;
        taken
    }

    /// Takes what would have been in a datagram, of a node that sends none.
    ///
    /// It is answered where the member of that name is; who is no member gets what a stranger gets.
    pub(super) fn take_packet(&mut self, peer: SocketAddr, from: &NodeId, messages: &[u8]) {
        let key = self.members.find(from).filter(|&key| key != Key::LOCAL);
        let from = key.map_or(peer, |key| self.members[key].addr());
        if let Err(reject) = self.take_opened(from, messages) {
            self.stats.rejected_streams.count(reject);
        }
    }

    fn take_opened(&mut self, from: SocketAddr, messages: &[u8]) -> Result<(), Reject> {
        let mut answers = Answers::default();
        for message in self.wire.messages(messages, self.config.options.max_meta) {
            match message? {
                Message::Ping(ping) if answers.ping.is_none() => answers.ping = Some(ping),
                Message::PingRequest(request) if answers.request.is_none() => {
                    answers.request = Some(request);
                }
                Message::Ping(_) | Message::PingRequest(_) => return Err(Reject::Unexpected),
                Message::Ack(ack) => self.take_ack(from, ack),
                Message::Nack { token } => {
                    self.stats.stray_acks += u64::from(!self.probe.nacked(token, from));
                }
                Message::Update(update) => {
                    // Before the first claim is taken: nobody makes itself a member on the way.
                    if answers.from_member.is_none() {
                        answers.from_member = Some(self.members.find_addr(from).is_some());
                    }
                    let heard = Heard {
                        from: Some(from),
                        accuser: update.accuser,
                        spread: true,
                        hearsay: false,
                    };
                    let tell = self.hear(heard, update.claim);
                    // To speak for ourselves matters most.
                    let ours = tell.filter(|tell| tell.about == Key::LOCAL);
                    answers.tell = ours.or(answers.tell).or(tell);
                }
                Message::Note(Note { from: name, data }) if self.local().state().is_present() => {
                    let at =
                        || self.members.find_addr(from).map(|key| self.members[key].id().clone());
                    let name = name.or_else(at);
                    self.deliver(name, data, Via::Datagram);
                }
                Message::Note(_) => {}
                Message::Broadcast(broadcast) => self.take_broadcast(broadcast),
                Message::Refused => self.stats.members_refused += 1,
                Message::Unknown => self.stats.unknown_messages += 1,
                #[cfg(feature = "memberlist")]
                Message::Unreadable(reject) => self.stats.rejected_datagrams.count(reject),
            }
        }
        if let Some(ping) = answers.ping {
            self.take_ping(from, ping);
        }
        if let Some(request) = &answers.request {
            self.take_ping_request(from, request);
        }
        if let (Some(tell), Some(true)) = (answers.tell, answers.from_member) {
            self.tell(tell);
        }
        Ok(())
    }

    /// Answers a ping that is meant for us.
    ///
    /// A member gets news with it, first of all that it is held to have failed, if it is. A stranger
    /// gets the bare answer, which is no larger than what it sent. A node that has left gives no sign
    /// of life: it tells members that it left, and lets strangers find out.
    fn take_ping(&mut self, from: SocketAddr, ping: Ping) {
        let Ping { token, target, pulse, reply_to } = ping;
        let from = self.reply_address(from, reply_to);
        if target.is_some_and(|target| target != self.local().id().short()) {
            self.stats.misdirected_pings += 1;
            return;
        }
        let member = self.members.find_addr(from);
        if !self.local().state().is_present() {
            if member.is_some() {
                self.tell(Tell { to: from, about: Key::LOCAL });
            }
            return;
        }
        if let (Some(key), Some(Pulse { incarnation, digest })) = (member, pulse) {
            // An address may have passed on to another node: it is the same if its life is.
            if incarnation.generation == self.members[key].incarnation().generation {
                self.hear_of_itself(key, incarnation);
            }
            self.compare_digest(key, digest);
        }
        let about = member.filter(|&key| self.members[key].state() > State::Alive);
        // Our own incarnation may be longer than the stranger's.
        let bare = Pulse { incarnation: Incarnation::default(), ..self.pulse() };
        let (fill, of) = match member {
            Some(_) => (Fill::Ride, None),
            None => (Fill::Nothing, Some(bare)),
        };
        self.draft(Draft { to: from, lead: Lead::Ack { token, of }, about, fill });
    }

    /// Where an answer goes: to where its receiver says, if that is the host from which it asks, or if a
    /// member is there, and else to where it asks from. Nobody has us answer to strangers.
    fn reply_address(&self, from: SocketAddr, says: Option<SocketAddr>) -> SocketAddr {
        let fits = |at: &SocketAddr| at.ip() == from.ip() || self.members.find_addr(*at).is_some();
        says.filter(fits).unwrap_or(from)
    }

    /// Takes from a sign of life in which incarnation a suspect is: one that has contradicted since
    /// lives, although what it said has not come.
    ///
    /// That is not told on: what it says of itself in that incarnation is not known.
    fn hear_of_itself(&mut self, key: Key, incarnation: Incarnation) {
        let member = &self.members[key];
        let contradicted = incarnation > member.incarnation() && member.state() == State::Suspect;
        if !self.config.options.prompt_refutation || !contradicted {
            return;
        }
        let claim = self.bare(key, incarnation, State::Alive);
        self.hear(
            Heard { from: None, accuser: Accuser::Unknown, spread: false, hearsay: false },
            claim,
        );
    }

    /// Compares what a member's membership comes down to with ours; if they have not been the same
    /// for a while, finds out what differs.
    pub(super) fn compare_digest(&mut self, key: Key, theirs: u32) {
        let options = &self.config.options;
        if !options.digest_checks {
            return;
        }
        let same = theirs == digest::short(self.members.digest());
        let (settle, longest) = (options.probe_interval, options.sync_interval);
        if self.agreement.heard(self.now, same, settle, longest)
            && self.open(self.members[key].addr(), Purpose::Sync, None)
        {
            self.stats.syncs_by_digest += 1;
        }
    }

    /// Answers a ping over a stream, if it is meant for us.
    pub(super) fn serve_ping(&mut self, id: StreamId, ping: StreamPing) {
        let local = self.local();
        if ping.target.is_some_and(|target| target != *local.id()) {
            return self.refuse(id, Refusal::NotMe);
        }
        if !local.state().is_present() {
            return self.refuse(id, Refusal::NotRunning);
        }
        let pong = self.wire.pong(ping.token, self.pulse());
        self.reply(id, pong);
    }

    /// The target of our probe answered over a stream.
    pub(super) fn take_pong(&mut self, token: u32, pulse: Option<Pulse>) {
        if let Some(key) = self.probe.answered_by_stream(token) {
            self.hear_answer(key, pulse);
            self.probe_answered(key, pulse);
        }
    }

    /// The target of our probe answered, and this is what it said of itself.
    fn probe_answered(&mut self, key: Key, pulse: Option<Pulse>) {
        self.heard_somebody();
        if let Some(Pulse { incarnation, digest }) = pulse {
            self.hear_of_itself(key, incarnation);
            self.compare_digest(key, digest);
        }
    }

    /// Pings one member for another.
    fn take_ping_request(&mut self, from: SocketAddr, request: &PingRequest) {
        let from = self.reply_address(from, request.reply_to);
        let target = self.members.find(&request.target).filter(|&key| key != Key::LOCAL);
        // One that is somewhere else for us would answer for where it is not.
        let there = |key: &Key| request.at.is_none_or(|at| at == self.members[*key].addr());
        let target = target.filter(there);
        let asker = self.members.find_addr(from).filter(|_| self.local().state().is_present());
        if asker.is_none() {
            self.stats.refused_relays += 1;
            return;
        }
        let Some(target) = target else { return self.refuse_relay(from, request) };
        let options = &self.config.options;
        // Whoever does not say for how long it waits has asked us at its own probe's timeout.
        let rest = || options.probe_interval - options.probe_timeout;
        let within = request.within.unwrap_or_else(rest);
        let within = within.min(options.probe_interval * options.awareness_max);
        let nack = options.nacks && request.nack;
        let asked = Asked { by: from, token: request.token, until: self.now + within, nack };
        let token = self.probe_rng.u32();
        if !self.relay.begin(token, asked) {
            return self.refuse_relay(from, request);
        }
        // A nack has to arrive while the asker still waits (Lifeguard §IV-A).
        let wait = if nack { within * 4 / 5 } else { within };
        self.timers.set(Slot::Relay(token), self.now + wait);
        self.send_ping(target, token);
    }

    /// Does not ping for a member, and says so at once: it is not the asker's fault.
    fn refuse_relay(&mut self, to: SocketAddr, request: &PingRequest) {
        self.stats.refused_relays += 1;
        if self.config.options.nacks && request.nack {
            let token = request.token;
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

    fn take_ack(&mut self, from: SocketAddr, ack: Ack) {
        let Ack { token, pulse } = ack;
        if let Some((key, sent)) = self.probe.acked(token) {
            self.timers.clear(Slot::Single(Single::ProbeTimeout));
            if self.members[key].addr() == from {
                self.members.rtt_mut(key).measure(self.now.since(sent));
                self.hear_answer(key, pulse);
            }
            return self.probe_answered(key, pulse);
        }
        if let Some(Pinged { ticket, sent }) = self.pings.end(token) {
            self.timers.clear(Slot::Ping(token));
            let rtt = self.now.since(sent);
            return self.completed(ticket, Ok(Done::Pong { rtt }));
        }
        let Some(Asked { by, token, .. }) = self.end_relay(token) else {
            self.stats.stray_acks += 1;
            return;
        };
        let lead = Lead::Ack { token, of: pulse };
        self.draft(Draft { to: by, lead, about: None, fill: Fill::Ride });
    }

    fn end_relay(&mut self, token: u32) -> Option<Asked> {
        self.timers.clear(Slot::Relay(token));
        self.relay.end(token)
    }

    /// Pings a member; a suspect is told so with it, and can contradict at once.
    pub(super) fn send_ping(&mut self, target: Key, token: u32) {
        let member = &self.members[target];
        let lead = Lead::Ping { token, target };
        let tell = self.config.options.buddy && member.state() > State::Alive;
        let about = tell.then_some(target);
        self.draft(Draft { to: member.addr(), lead, about, fill: Fill::Ride });
    }
}

/// What a datagram asks of us: one answer of each kind at most, however often it asks.
#[derive(Debug, Default)]
struct Answers {
    ping: Option<Ping>,
    request: Option<PingRequest>,
    /// Whether the sender was a member when the first claim was read; `None` if none was.
    from_member: Option<bool>,
    /// Who is to be told better.
    tell: Option<Tell>,
}
