//! Address validation: what others only told of is asked at its address before it counts.

use super::Node;
use super::update::{Proof, UpdateSource};
use crate::detector::validation::Validation;
use crate::member::{NodeId, State};
use crate::membership::claim::Claim;
use crate::membership::table::MemberKey;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::stream::exchange::Purpose;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};
use crate::wire::message::Accuser;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

impl Node {
    /// Whether a member has answered this node from its address, or the cluster has keys; `false`
    /// if others have only told of it, or it is not known.
    ///
    /// Without keys anybody can claim that somebody is a member at any address. Such a member is
    /// asked once and probed in its turn, and nothing else is sent to it; it does not count in this
    /// node's health and in [`PartitionSuspected`](crate::Event::PartitionSuspected), and it gives
    /// way when the table is full. QUIC has the term (RFC 9000 §8).
    pub fn is_validated(&self, id: &NodeId) -> bool {
        self.members.find(id).is_some_and(|key| self.members.is_validated(key))
    }

    /// A member answered from its address.
    pub(super) fn on_answer(&mut self, key: MemberKey) {
        self.members.on_answer(key);
        if self.sync.reconnect.has_lost() {
            self.sync.reconnect.remove_lost(self.members[key].id());
        }
    }

    /// Whether a member has answered from an address, or the cluster has keys.
    pub(super) fn is_answering(&self, addr: SocketAddr) -> bool {
        let member = |key| self.members.is_validated(key);
        self.wire.is_authenticated() || self.members.find_addr(addr).is_some_and(member)
    }

    /// Whether no other member than this one has answered from an address, and is present.
    pub(super) fn is_free(&self, addr: SocketAddr, id: &NodeId) -> bool {
        let there = self.members.find_addr(addr);
        there.is_none_or(|key| self.members[key].id() == id) || !self.members.is_present_at(addr)
    }

    /// Asks at the address in a stranger's claim whether that member is there; only then the claim
    /// is applied. The question is no longer than the `len` bytes that the stranger sent.
    pub(super) fn validate_claim(&mut self, claim: Box<Claim>, len: usize) {
        let Some(addr) = claim.addr() else { return };
        let running = self.local().state().is_present() && addr != self.local().addr();
        // Of who is alive there a stranger need not tell.
        let known = self.members.find(&claim.id).filter(|&key| self.members.is_validated(key));
        let known = known.map(|key| &self.members[key]);
        if known.is_some_and(|known| known.addr() == addr && known.state() == State::Alive) {
            return;
        }
        if !running
            || !self.is_allowed(&claim)
            || claim.state != State::Alive
            || !self.is_plausible(&claim, None)
        {
            return;
        }
        self.ask_at(addr, &claim.id.clone(), Some(claim), len);
    }

    /// Asks members of whom others said that they have moved, several in one datagram: as many in a
    /// gossip round as get gossip.
    pub(super) fn ask_moved(&mut self) {
        let question = self.wire.longest_question();
        for _ in 0..self.config.options.gossip_nodes {
            let Some(claim) = self.detector.next_to_validate(question) else { break };
            self.validate_claim(claim, usize::MAX);
        }
        if self.detector.has_to_validate() {
            self.arm_question(self.now + self.config.options.gossip_interval);
        }
    }

    /// Sees to it that there is a gossip round for questions.
    pub(super) fn arm_question(&mut self, at: Instant) {
        let gossip = TimerKey::Fixed(FixedTimer::Gossip);
        if self.timers.at(gossip).is_none() {
            self.timers.set(gossip, at.max(self.gossip.next_at));
        }
    }

    /// Asks members that others have only told of whether they are there, each once: while there is
    /// news, so that they get it too, and in a gossip round as many as get gossip.
    pub(super) fn ask_newcomers(&mut self) {
        for _ in 0..self.config.options.gossip_nodes {
            let Some(key) = self.members.next_to_ask().filter(|_| self.detector.can_ask()) else {
                return;
            };
            let (addr, id) = (self.members[key].addr(), self.members[key].id().clone());
            // If so much is asked at its address, its turn to be probed comes.
            self.ask_at(addr, &id, None, usize::MAX);
            self.members.on_asked(key);
        }
    }

    /// Asks whether a member is at an address, unless that is asked already, or too much else.
    fn ask_at(&mut self, to: SocketAddr, id: &NodeId, claim: Option<Box<Claim>>, most: usize) {
        let (detector, cx) = self.detector();
        let Some(token) = detector.validate(&cx, to, id, claim) else { return };
        if self.config.options.stream_only {
            let ping = self.wire.ping(id, token);
            return self.open_aside(to, Purpose::Probe(token), ping);
        }
        let (payload, piggyback) = (Payload::Validation { token }, Piggyback::None { most });
        self.queue_datagram(PendingDatagram { to, payload, about: None, piggyback });
    }

    /// Opens a stream to an address from which nobody answered, in `stream_only` mode: for a probe
    /// interval, and only while half of the streams are free for those who do answer.
    pub(super) fn open_aside(&mut self, to: SocketAddr, purpose: Purpose, request: Vec<u8>) {
        let ends = self.now + self.config.options.probe_interval;
        if !self.streams.exchanges.has_room_to_spare()
            || !self.open_until(to, purpose, Some(request), ends)
        {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// The member at an address answered: it is validated, and a stranger's claim about it applied
    /// and told on.
    pub(super) fn on_validated(&mut self, validation: Validation) {
        let addr = validation.addr;
        let claimed = validation.claim.is_some();
        if let Some(claim) = validation.claim {
            let (accuser, hearsay) = (Accuser::Unknown, false);
            let from = Some(addr);
            let proof = Proof::Answered;
            let source = UpdateSource { from, accuser, disseminate: true, hearsay, proof };
            if let Some(follow_up) = self.handle_update(source, *claim) {
                self.follow_up(follow_up, usize::MAX);
            }
        }
        let key = self.members.find(&validation.id);
        let Some(key) = key.filter(|&key| self.members[key].addr() == addr) else { return };
        if self.members.validate(key) && claimed {
            self.disseminate(key);
        }
        self.on_answer(key);
    }
}
