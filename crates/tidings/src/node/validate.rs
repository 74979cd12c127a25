//! Address validation: what others only told of is asked at its address before it counts.

use super::Node;
use super::update::UpdateSource;
use crate::detector::validation::Validation;
use crate::member::{NodeId, State};
use crate::membership::claim::Claim;
use crate::output::{Payload, PendingDatagram, Piggyback};
use crate::wire::message::Accuser;
use alloc::boxed::Box;
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

    /// Asks members that others have only told of whether they are there, each once: while there is
    /// news, so that they get it too, and in a gossip round as many as get gossip.
    pub(super) fn ask_newcomers(&mut self) {
        for _ in 0..self.config.options.gossip_nodes {
            let Some(key) = self.members.next_to_ask() else { return };
            let (addr, id) = (self.members[key].addr(), self.members[key].id().clone());
            if !self.ask_at(addr, &id, None, usize::MAX) {
                return;
            }
            self.members.on_asked(key);
        }
    }

    /// Asks whether a member is at an address; `false` if that is asked already, or too much else.
    fn ask_at(
        &mut self,
        to: SocketAddr,
        id: &NodeId,
        claim: Option<Box<Claim>>,
        most: usize,
    ) -> bool {
        let (detector, cx) = self.detector();
        let Some(token) = detector.validate(&cx, to, id, claim) else { return false };
        let (payload, piggyback) = (Payload::Validation { token }, Piggyback::None { most });
        self.queue_datagram(PendingDatagram { to, payload, about: None, piggyback });
        true
    }

    /// The member at an address answered: it is validated, and a stranger's claim about it applied
    /// and told on.
    pub(super) fn on_validated(&mut self, addr: SocketAddr, validation: Validation) {
        let claimed = validation.claim.is_some();
        if let Some(claim) = validation.claim {
            let (accuser, hearsay) = (Accuser::Unknown, false);
            let from = Some(addr);
            let source =
                UpdateSource { from, accuser, disseminate: true, hearsay, validated: true };
            if let Some(follow_up) = self.handle_update(source, *claim) {
                self.follow_up(follow_up, usize::MAX);
            }
        }
        let key = self.members.find(&validation.id);
        if let Some(key) = key.filter(|&key| self.members[key].addr() == addr)
            && self.members.validate(key)
            && claimed
        {
            self.disseminate(key);
        }
    }
}
