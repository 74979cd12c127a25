//! Received datagrams, and the replies to them.

use super::Node;
use super::update::{FollowUp, UpdateSource};
use crate::addr::canonical;
use crate::detector::AckedPing;
use crate::error::Refusal;
use crate::event::Done;
use crate::event::Via;
use crate::incarnation::Incarnation;
use crate::member::{NodeId, State};
use crate::membership::claim::Claim;
use crate::membership::digest;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::wire::frame::StreamPing;
use crate::wire::message::Accuser;
use crate::wire::message::{Ack, Message, PeerStatus, Ping, PingRequest, Update, UserMessage};
use crate::wire::message::{PingSender, sender_tag, target_tag};
use alloc::boxed::Box;
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
        if !self.config.allows(from.ip()) {
            return Err(Reject::AddressNotAllowed);
        }
        if data.len() > self.config.options.max_datagram {
            return Err(Reject::Oversized);
        }
        let mut scratch = core::mem::take(&mut self.scratch.opened);
        let taken = match self.wire.open(data, &mut scratch) {
            Ok(messages) => self.dispatch_messages(from, messages, data.len()),
            Err(reject) => Err(reject),
        };
        self.scratch.opened = scratch;
        taken
    }

    /// Handles the content of a datagram that a `stream_only` node sent over a stream.
    ///
    /// Replies go to the known address of the member with that name; a sender that is no member, or
    /// without keys one at another IP address than the member's, gets what a stranger gets.
    pub(super) fn process_stream_datagram(
        &mut self,
        peer: SocketAddr,
        from: &NodeId,
        messages: &[u8],
    ) {
        let peer = canonical(peer);
        let proven = |addr: SocketAddr| self.wire.is_authenticated() || addr.ip() == peer.ip();
        let key = self.members.find(from).filter(|&key| key != MemberKey::LOCAL);
        let addr = key.map(|key| self.members[key].addr()).filter(|&addr| proven(addr));
        let from = addr.unwrap_or(peer);
        if let Err(reject) = self.dispatch_messages(from, messages, messages.len()) {
            self.stats.rejected_streams.count(reject);
        }
    }

    /// Handles the messages of a datagram of `len` bytes.
    fn dispatch_messages(
        &mut self,
        from: SocketAddr,
        messages: &[u8],
        len: usize,
    ) -> Result<(), Reject> {
        // Those of one question belong to the one that is asked at once.
        let bytes = len.saturating_sub(self.wire.longest_question());
        let mut replies = Replies { bytes, ..Replies::default() };
        for message in self.wire.messages(messages, self.config.options.max_meta) {
            let message = message?;
            if message.is_payload() && core::mem::replace(&mut replies.has_payload, true) {
                return Err(Reject::Unexpected);
            }
            match message {
                Message::Ping(ping) => replies.ping = Some(ping),
                Message::PingRequest(request) => replies.request = Some(request),
                Message::Ack(ack) => self.handle_ack(from, ack),
                Message::Nack { token, refused } => {
                    let (detector, mut cx) = self.detector();
                    let known = detector.on_nack(&mut cx, token, from, refused);
                    self.stats.stray_acks += u64::from(!known);
                    if known && refused {
                        self.judge_refused();
                    }
                }
                Message::Update(update) => {
                    self.handle_datagram_update(from, update, &mut replies);
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
                Message::Broadcast(broadcast) => {
                    if self.is_answering(from) {
                        self.handle_broadcast(broadcast);
                    } else {
                        // All members would pass on what one stranger sent.
                        self.stats.broadcasts_unknown_origin += 1;
                    }
                }
                Message::RefusedMember => self.stats.members_refused += 1,
                Message::Unknown => self.stats.unknown_messages += 1,
                #[cfg(feature = "memberlist")]
                Message::Unreadable(reject) => self.stats.rejected_datagrams.count(reject),
            }
        }
        let pinged = replies.ping.is_some();
        if let Some(ping) = replies.ping {
            self.handle_ping(from, ping, len);
        }
        if let Some(request) = &replies.request {
            self.handle_ping_request(from, request);
        }
        let Some(follow_up) = replies.follow_up else { return Ok(()) };
        match replies.sender.flatten() {
            Some(sender) if self.members.is_validated(sender) => self.follow_up(follow_up, len),
            None if !self.wire.is_authenticated() => {
                self.stats.claims_by_strangers += 1;
                // To both together a stranger gets no more than it sent.
                if !pinged {
                    self.follow_up(follow_up, len);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_datagram_update(&mut self, from: SocketAddr, update: Update, replies: &mut Replies) {
        let Update { claim, accuser, refused } = update;
        // Looked up before the first claim: a datagram cannot make its own sender a member.
        let sender = || self.members.find_addr(from);
        let sender = *replies.sender.get_or_insert_with(sender);
        let about_us = claim.id == *self.local().id();
        let stranger = sender.is_none() && !self.wire.is_authenticated();
        if stranger && !about_us {
            return replies.offer(from, claim);
        }
        let proof = self.told();
        let source =
            UpdateSource { from: Some(from), accuser, disseminate: true, hearsay: false, proof };
        let refused = refused.then(|| (claim.id.clone(), claim.incarnation));
        let follow_up = self.handle_update(source, claim);
        let refused = refused.and_then(|(id, at)| self.on_refused_claim(&id, at));
        let follow_up = follow_up.or(refused);
        // A claim about this node has precedence.
        if follow_up.is_none() || stranger {
            return;
        }
        let other = if about_us || replies.follow_up.is_none() {
            core::mem::replace(&mut replies.follow_up, follow_up)
        } else {
            follow_up
        };
        if let (Some(FollowUp::Validate(claim)), Some(sender)) = (other, sender) {
            if self.members.is_validated(sender) {
                let bytes = core::mem::take(&mut replies.bytes);
                self.detector.validate_later(claim, bytes);
                self.arm_question(self.now);
            }
        }
    }

    /// Answers a ping to this node, in a datagram of `len` bytes.
    ///
    /// The ack to a member has piggybacked gossip, first of all its own suspicion or failure, if
    /// there is one. A stranger gets a bare ack, which is no longer than its ping; so does a ping
    /// from a member's address that another node sent, or that member in another generation. A node
    /// that has left sends no ack: it sends members the update that it left, and strangers nothing.
    fn handle_ping(&mut self, from: SocketAddr, ping: Ping, len: usize) {
        let Ping { token, target, sender, reply_to } = ping;
        let from = self.reply_address(from, reply_to);
        if target.is_some_and(|target| target != target_tag(token, self.name_hash)) {
            self.stats.misdirected_pings += 1;
            return;
        }
        let member = self
            .members
            .find_addr(from)
            .filter(|&key| self.is_sender(key, sender.map(|sender| sender.tag)));
        if !self.local().state().is_present() {
            if member.is_some() {
                self.follow_up(FollowUp::Correct { to: from, about: MemberKey::LOCAL }, len);
            }
            return;
        }
        self.on_reached();
        // One that never answered gets what a stranger gets.
        let member = member.filter(|&key| self.members.is_validated(key));
        if let (Some(key), Some(PingSender { number, digest, .. })) = (member, sender) {
            let Incarnation { generation, .. } = self.members[key].incarnation();
            self.apply_peer_incarnation(key, Incarnation { generation, number });
            self.compare_digest(key, digest);
            if self.detector.is_unheard() && self.members[key].state().is_present() {
                self.detector.on_pinged(key);
            }
        }
        let about = member.filter(|&key| self.members[key].state() > State::Alive);
        // An ack with our own incarnation could be longer than the ping.
        let (piggyback, of) = match member {
            Some(_) => (Piggyback::Uncounted, None),
            None => (Piggyback::None { most: len }, Some(self.bare_status())),
        };
        self.queue_datagram(PendingDatagram {
            to: from,
            payload: Payload::Ack { token, of },
            about,
            piggyback,
        });
    }

    /// Whether a ping or a request with this tag is from a member, in the generation in which that
    /// is known; always in a format without tags.
    fn is_sender(&self, key: MemberKey, tag: Option<u32>) -> bool {
        tag.is_none_or(|tag| {
            let member = &self.members[key];
            tag == sender_tag(member.id().short(), member.incarnation().generation)
        })
    }

    /// The address for a reply: the one that the request names, if it has the request's IP or a
    /// member has answered from it; else the source address. So nobody can direct replies at
    /// strangers.
    fn reply_address(&self, from: SocketAddr, says: Option<SocketAddr>) -> SocketAddr {
        let member = |at| self.members.find_addr(at);
        let answers = |at| member(at).is_some_and(|key| self.members.is_validated(key));
        let fits = |&at: &SocketAddr| at.ip() == from.ip() || answers(at);
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
        self.handle_update(UpdateSource::own(Accuser::Unknown, false), claim);
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

    /// Answers a ping over a stream.
    pub(super) fn serve_ping(&mut self, id: StreamId, ping: &StreamPing) {
        if !self.local().state().is_present() {
            return self.refuse(id, Refusal::NotRunning);
        }
        let pong = self.wire.pong(ping.token, self.peer_status());
        self.reply(id, pong);
    }

    /// Handles the ack of a peer over a stream to it: that of the probe's target, or, in
    /// `stream_only` mode, of a member that was asked whether it is there.
    pub(super) fn handle_stream_pong(
        &mut self,
        peer: SocketAddr,
        token: u32,
        status: Option<PeerStatus>,
    ) {
        if let Some(validation) = self.detector.on_validated(token, canonical(peer)) {
            return self.on_validated(validation);
        }
        if let Some(key) = self.detector.on_stream_ack(&mut self.timers, token) {
            if self.members[key].addr() == canonical(peer) {
                self.on_answer(key);
                self.apply_acked_incarnation(key, status);
            }
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
    fn handle_ping_request(&mut self, from: SocketAddr, request: &PingRequest) {
        let from = self.reply_address(from, request.reply_to);
        let target = self.members.find(&request.target).filter(|&key| key != MemberKey::LOCAL);
        // A member at another address here would answer for an address where it is not.
        let there = |key: &MemberKey| request.at.is_none_or(|at| at == self.members[*key].addr());
        let target = target.filter(there);
        // One that never answered may be a third party: no answer is directed there.
        let answers = |&key: &MemberKey| {
            self.members.is_validated(key) && self.members[key].state().is_present()
        };
        let asker = self.members.find_addr(from).filter(answers);
        let asker = asker.filter(|_| self.local().state().is_present());
        let Some(asker) = asker.filter(|&key| self.is_sender(key, request.sender)) else {
            self.stats.indirect_pings_refused += 1;
            return;
        };
        self.detector.on_pinged(asker);
        // The address of one that never answered may be a third party's.
        let target = target.filter(|&key| self.members.is_validated(key));
        let Some(target) = target else { return self.refuse_indirect_ping(from, request) };
        let (detector, mut cx) = self.detector();
        let token =
            detector.forward_ping(&mut cx, from, request.token, request.within, request.nack);
        let Some(token) = token else { return self.refuse_indirect_ping(from, request) };
        self.send_ping(target, token);
        if request.refused {
            self.connect_for_asker(target, token);
        }
    }

    /// Refuses an indirect ping, with an immediate nack: the asker is not at fault.
    fn refuse_indirect_ping(&mut self, to: SocketAddr, request: &PingRequest) {
        self.stats.indirect_pings_refused += 1;
        if self.config.options.nacks && request.nack {
            let token = request.token;
            self.queue_datagram(PendingDatagram {
                to,
                payload: Payload::Nack { token, refused: false },
                about: None,
                piggyback: Piggyback::None { most: usize::MAX },
            });
        }
    }

    /// An indirect ping was not acked so far: sends a nack to its asker, or ends it.
    pub(super) fn on_indirect_ping_timeout(&mut self, token: u32) {
        let nack = self.detector.on_indirect_ping_timeout(&mut self.timers, token);
        let Some((asker, token)) = nack else { return };
        self.queue_datagram(PendingDatagram {
            to: asker,
            payload: Payload::Nack { token, refused: false },
            about: None,
            piggyback: Piggyback::Uncounted,
        });
    }

    pub(super) fn handle_ack(&mut self, from: SocketAddr, ack: Ack) {
        let Ack { token, status } = ack;
        if let Some(validation) = self.detector.on_validated(token, from) {
            return self.on_validated(validation);
        }
        if self.damping.on_ack(token) {
            return;
        }
        let (detector, mut cx) = self.detector();
        match detector.on_ack(&mut cx, token) {
            AckedPing::Probe { target, rtt } => {
                if self.members[target].addr() == from {
                    self.on_acked_as(status);
                    self.on_answer_by_datagram(target);
                    self.on_answer(target);
                    self.members.rtt_mut(target).measure(rtt);
                    self.apply_acked_incarnation(target, status);
                }
                // A relay alone may have lied for one that never answered.
                if self.members.is_validated(target) {
                    self.on_target_alive(target, status);
                }
            }
            AckedPing::User { ticket, rtt } => self.emit_completed(ticket, Ok(Done::Pong { rtt })),
            AckedPing::Search => {}
            AckedPing::Check { target } => {
                if self.members[target].addr() == from {
                    self.apply_acked_incarnation(target, status);
                }
                self.on_target_alive(target, status);
            }
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
    /// (Lifeguard's buddy system, §IV-C); that of a member that never answered carries nothing.
    pub(super) fn send_ping(&mut self, target: MemberKey, token: u32) {
        let member = &self.members[target];
        let payload = Payload::Ping { token, target };
        if !self.members.is_validated(target) {
            let piggyback = Piggyback::None { most: usize::MAX };
            let to = member.addr();
            return self.queue_datagram(PendingDatagram { to, payload, about: None, piggyback });
        }
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

/// The replies that one datagram causes: at most two, whatever is in it.
#[derive(Debug, Default)]
struct Replies {
    /// Bytes of the datagram that may go to where members are said to be.
    bytes: usize,
    /// It has had a message of which no node sends two together.
    has_payload: bool,
    ping: Option<Ping>,
    request: Option<PingRequest>,
    /// The sender, if it was a member before the first claim; `None` if there was no claim.
    sender: Option<Option<MemberKey>>,
    /// What one of its claims asks for; of a stranger's, to validate the first, or the first about
    /// itself.
    follow_up: Option<FollowUp>,
}

impl Replies {
    /// Takes a claim of the stranger at `from`.
    fn offer(&mut self, from: SocketAddr, claim: Claim) {
        let by_itself = |claim: &Claim| claim.addr() == Some(from);
        let is_better = match &self.follow_up {
            Some(FollowUp::Validate(first)) => !by_itself(first) && by_itself(&claim),
            _ => true,
        };
        if is_better {
            self.follow_up = Some(FollowUp::Validate(Box::new(claim)));
        }
    }
}
