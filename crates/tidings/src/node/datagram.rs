//! Received datagrams, and the replies to them.

use super::Node;
use super::update::{Correction, UpdateSource};
use crate::detector::AckedPing;
use crate::error::Refusal;
use crate::event::Done;
use crate::event::Via;
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::membership::digest;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::wire::frame::StreamPing;
use crate::wire::message::Accuser;
use crate::wire::message::{Ack, Message, PeerStatus, Ping, PingRequest, UserMessage};
use core::net::SocketAddr;

impl Node {
    pub(super) fn process_datagram(&mut self, from: SocketAddr, data: &[u8]) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        if let Err(reject) = self.open_datagram(from, data) {
            self.stats.rejected_datagrams.count(reject);
        }
    }

    fn open_datagram(&mut self, from: SocketAddr, data: &[u8]) -> Result<(), Reject> {
        if data.len() > self.config.options.max_datagram {
            return Err(Reject::Oversized);
        }
        let mut scratch = core::mem::take(&mut self.scratch.opened);
        let taken = match self.wire.open(data, &mut scratch) {
            Ok(messages) => self.dispatch_messages(from, messages),
            Err(reject) => Err(reject),
        };
        self.scratch.opened = scratch;
        taken
    }

    /// Handles the content of a datagram that a `stream_only` node sent over a stream.
    ///
    /// Replies go to the known address of the member with that name; a sender that is no member
    /// gets what a stranger gets.
    pub(super) fn process_stream_datagram(
        &mut self,
        peer: SocketAddr,
        from: &NodeId,
        messages: &[u8],
    ) {
        let key = self.members.find(from).filter(|&key| key != MemberKey::LOCAL);
        let from = key.map_or(peer, |key| self.members[key].addr());
        if let Err(reject) = self.dispatch_messages(from, messages) {
            self.stats.rejected_streams.count(reject);
        }
    }

    fn dispatch_messages(&mut self, from: SocketAddr, messages: &[u8]) -> Result<(), Reject> {
        let mut replies = Replies::default();
        for message in self.wire.messages(messages, self.config.options.max_meta) {
            match message? {
                Message::Ping(ping) if replies.ping.is_none() => replies.ping = Some(ping),
                Message::PingRequest(request) if replies.request.is_none() => {
                    replies.request = Some(request);
                }
                Message::Ping(_) | Message::PingRequest(_) => return Err(Reject::Unexpected),
                Message::Ack(ack) => self.handle_ack(from, ack),
                Message::Nack { token } => {
                    self.stats.stray_acks += u64::from(!self.detector.on_nack(token, from));
                }
                Message::Update(update) => {
                    // Checked before the first claim: a datagram cannot make its own sender a
                    // member.
                    if replies.from_member.is_none() {
                        replies.from_member = Some(self.members.find_addr(from).is_some());
                    }
                    let source = UpdateSource {
                        from: Some(from),
                        accuser: update.accuser,
                        disseminate: true,
                        hearsay: false,
                    };
                    let correction = self.handle_update(source, update.claim);
                    // A claim about this node has precedence.
                    let ours = correction.filter(|correction| correction.about == MemberKey::LOCAL);
                    replies.correction = ours.or(replies.correction).or(correction);
                }
                Message::User(UserMessage { from: name, data })
                    if self.local().state().is_present() =>
                {
                    let at =
                        || self.members.find_addr(from).map(|key| self.members[key].id().clone());
                    let name = name.or_else(at);
                    self.deliver(name, data, Via::Datagram);
                }
                Message::User(_) => {}
                Message::Broadcast(broadcast) => self.handle_broadcast(broadcast),
                Message::RefusedMember => self.stats.members_refused += 1,
                Message::Unknown => self.stats.unknown_messages += 1,
                #[cfg(feature = "memberlist")]
                Message::Unreadable(reject) => self.stats.rejected_datagrams.count(reject),
            }
        }
        let stranger = replies.from_member == Some(false);
        if let Some(ping) = replies.ping {
            self.handle_ping(from, ping, stranger);
        }
        if let Some(request) = &replies.request {
            self.handle_ping_request(from, request, stranger);
        }
        if let (Some(correction), Some(true)) = (replies.correction, replies.from_member) {
            self.send_correction(correction);
        }
        Ok(())
    }

    /// Answers a ping to this node.
    ///
    /// The ack to a member has piggybacked gossip, first of all its own suspicion or failure, if
    /// there is one. A stranger gets a bare ack, which is no longer than its ping. A node that has
    /// left sends no ack: it sends members the update that it left, and strangers nothing. A sender
    /// is a `stranger` too if only claims in its own datagram made it a member.
    fn handle_ping(&mut self, from: SocketAddr, ping: Ping, stranger: bool) {
        let Ping { token, target, status, reply_to } = ping;
        let from = self.reply_address(from, reply_to, stranger);
        if target.is_some_and(|target| target != self.local().id().short()) {
            self.stats.misdirected_pings += 1;
            return;
        }
        let member = self.members.find_addr(from).filter(|_| !stranger);
        if !self.local().state().is_present() {
            if member.is_some() {
                self.send_correction(Correction { to: from, about: MemberKey::LOCAL });
            }
            return;
        }
        if let (Some(key), Some(PeerStatus { incarnation, digest })) = (member, status) {
            // Another node may have this address now: it is the same one only in the same
            // generation.
            if incarnation.generation == self.members[key].incarnation().generation {
                self.apply_peer_incarnation(key, incarnation);
            }
            self.compare_digest(key, digest);
        }
        let about = member.filter(|&key| self.members[key].state() > State::Alive);
        // An ack with our own incarnation could be longer than the ping.
        let bare = PeerStatus { incarnation: Incarnation::default(), ..self.peer_status() };
        let (piggyback, of) = match member {
            Some(_) => (Piggyback::Uncounted, None),
            None => (Piggyback::None, Some(bare)),
        };
        self.queue_datagram(PendingDatagram {
            to: from,
            payload: Payload::Ack { token, of },
            about,
            piggyback,
        });
    }

    /// The address for a reply: the one that the request names, if it has the request's IP or is a
    /// member's and no stranger asks; else the source address. So nobody can direct replies at
    /// strangers.
    fn reply_address(
        &self,
        from: SocketAddr,
        says: Option<SocketAddr>,
        stranger: bool,
    ) -> SocketAddr {
        let member = |at: &SocketAddr| !stranger && self.members.find_addr(*at).is_some();
        let fits = |at: &SocketAddr| at.ip() == from.ip() || member(at);
        says.filter(fits).unwrap_or(from)
    }

    /// Applies the incarnation in a ping or an ack: a suspect in a later incarnation has refuted,
    /// although its update has not arrived.
    ///
    /// This is not gossiped, because the metadata of that incarnation is not known.
    fn apply_peer_incarnation(&mut self, key: MemberKey, incarnation: Incarnation) {
        let member = &self.members[key];
        let contradicted = incarnation > member.incarnation() && member.state() == State::Suspect;
        if !self.config.options.prompt_refutation || !contradicted {
            return;
        }
        let claim = self.claim_without_profile(key, incarnation, State::Alive);
        self.handle_update(
            UpdateSource {
                from: None,
                accuser: Accuser::Unknown,
                disseminate: false,
                hearsay: false,
            },
            claim,
        );
    }

    /// Compares a member's digest with ours, and starts a sync if they have differed for a while.
    pub(super) fn compare_digest(&mut self, key: MemberKey, theirs: u32) {
        let options = &self.config.options;
        if !options.digest_checks {
            return;
        }
        let same = theirs == digest::short(self.members.digest());
        let (settle, longest) = (options.probe_interval, options.sync_interval);
        if self.sync.trigger.on_digest(self.now, same, settle, longest)
            && self.open(self.members[key].addr(), Purpose::Sync, None)
        {
            self.stats.syncs_by_digest += 1;
        }
    }

    /// Answers a ping over a stream, if this node is its target.
    pub(super) fn serve_ping(&mut self, id: StreamId, ping: StreamPing) {
        let local = self.local();
        if ping.target.is_some_and(|target| target != *local.id()) {
            return self.refuse(id, Refusal::NotMe);
        }
        if !local.state().is_present() {
            return self.refuse(id, Refusal::NotRunning);
        }
        let pong = self.wire.pong(ping.token, self.peer_status());
        self.reply(id, pong);
    }

    /// Handles the ack of the probe's target over a stream.
    pub(super) fn handle_stream_pong(&mut self, token: u32, status: Option<PeerStatus>) {
        if let Some(key) = self.detector.on_stream_ack(token) {
            self.apply_acked_incarnation(key, status);
            self.on_target_alive(key, status);
        }
    }

    /// Renews the lease, and applies the status in an ack of the probe's target.
    fn on_target_alive(&mut self, key: MemberKey, status: Option<PeerStatus>) {
        let (detector, mut cx) = self.detector();
        detector.renew_lease(&mut cx);
        if let Some(PeerStatus { incarnation, digest }) = status {
            self.apply_peer_incarnation(key, incarnation);
            self.compare_digest(key, digest);
        }
    }

    /// Handles a request for an indirect ping.
    fn handle_ping_request(&mut self, from: SocketAddr, request: &PingRequest, stranger: bool) {
        let from = self.reply_address(from, request.reply_to, stranger);
        let target = self.members.find(&request.target).filter(|&key| key != MemberKey::LOCAL);
        // A member at another address here would answer for an address where it is not.
        let there = |key: &MemberKey| request.at.is_none_or(|at| at == self.members[*key].addr());
        let target = target.filter(there);
        let asker = self.members.find_addr(from).filter(|_| !stranger);
        if asker.is_none() || !self.local().state().is_present() {
            self.stats.indirect_pings_refused += 1;
            return;
        }
        let Some(target) = target else { return self.refuse_indirect_ping(from, request) };
        let (detector, mut cx) = self.detector();
        let token =
            detector.forward_ping(&mut cx, from, request.token, request.within, request.nack);
        let Some(token) = token else { return self.refuse_indirect_ping(from, request) };
        self.send_ping(target, token);
    }

    /// Refuses an indirect ping, with an immediate nack: the asker is not at fault.
    fn refuse_indirect_ping(&mut self, to: SocketAddr, request: &PingRequest) {
        self.stats.indirect_pings_refused += 1;
        if self.config.options.nacks && request.nack {
            let token = request.token;
            self.queue_datagram(PendingDatagram {
                to,
                payload: Payload::Nack { token },
                about: None,
                piggyback: Piggyback::None,
            });
        }
    }

    /// An indirect ping was not acked so far: sends a nack to its asker, or ends it.
    pub(super) fn on_indirect_ping_timeout(&mut self, token: u32) {
        let nack = self.detector.on_indirect_ping_timeout(&mut self.timers, token);
        let Some((asker, token)) = nack else { return };
        self.queue_datagram(PendingDatagram {
            to: asker,
            payload: Payload::Nack { token },
            about: None,
            piggyback: Piggyback::Uncounted,
        });
    }

    fn handle_ack(&mut self, from: SocketAddr, ack: Ack) {
        let Ack { token, status } = ack;
        let (detector, mut cx) = self.detector();
        match detector.on_ack(&mut cx, token) {
            AckedPing::Probe { target, rtt } => {
                if self.members[target].addr() == from {
                    self.members.rtt_mut(target).measure(rtt);
                    self.apply_acked_incarnation(target, status);
                }
                self.on_target_alive(target, status);
            }
            AckedPing::User { ticket, rtt } => self.emit_completed(ticket, Ok(Done::Pong { rtt })),
            AckedPing::Forwarded { asker, token } => self.queue_datagram(PendingDatagram {
                to: asker,
                payload: Payload::Ack { token, of: status },
                about: None,
                piggyback: Piggyback::Uncounted,
            }),
            AckedPing::Stray => self.stats.stray_acks += 1,
        }
    }

    /// Pings a member. The ping of a suspect carries the suspicion, so that it can refute at once
    /// (Lifeguard's buddy system, §IV-C).
    pub(super) fn send_ping(&mut self, target: MemberKey, token: u32) {
        let member = &self.members[target];
        let payload = Payload::Ping { token, target };
        let correction = self.config.options.buddy && member.state() > State::Alive;
        let about = correction.then_some(target);
        self.queue_datagram(PendingDatagram {
            to: member.addr(),
            payload,
            about,
            piggyback: Piggyback::Uncounted,
        });
    }
}

/// The requests in one datagram: at most one reply of each kind, however many there are.
#[derive(Debug, Default)]
struct Replies {
    ping: Option<Ping>,
    request: Option<PingRequest>,
    /// Whether the sender was a member before the first claim; `None` if there was no claim.
    from_member: Option<bool>,
    /// The correction to send.
    correction: Option<Correction>,
}
