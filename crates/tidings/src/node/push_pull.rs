//! memberlist's push/pull: two nodes exchange their whole tables over a stream.

use super::Node;
use super::sync::STREAM_CREDIT;
use super::update::{Proof, UpdateSource};
use crate::addr::canonical;
use crate::error::ExchangeError;
use crate::error::Refusal;
use crate::event::Event;
use crate::member::State;
use crate::membership::claim::{Claim, Life};
use crate::membership::table::MemberKey;
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::wire::frame::{Claims, PushPull};
use crate::wire::message::Accuser;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

impl Node {
    /// This node's table as a push/pull frame; `None` in Tidings' own format.
    pub(super) fn push_pull(&self, join: bool) -> Option<Vec<u8>> {
        let envelope = self.wire.memberlist()?;
        Some(envelope.push_pull(join, self.members.shared(), &self.sync.state))
    }

    /// Answers a push/pull.
    ///
    /// The reply is the table before the merge: a joining node needs no update about itself. A
    /// table that certainly does not fit into the memory for answers is not encoded.
    pub(super) fn serve_push_pull(&mut self, id: StreamId, theirs: PushPull) {
        if !self.local().state().is_present() {
            let left = self.wire.updates(None, self.local());
            return self.reply(id, left);
        }
        if theirs.join && self.are_all_outside(&theirs.claims) {
            self.stats.addresses_refused += theirs.claims.claims.len() as u64;
            return self.refuse(id, Refusal::AddressNotAllowed);
        }
        if self.members.present_count() * MIN_RECORD > self.streams.exchanges.room_for_answers(id) {
            return self.reject(id, Reject::Oversized);
        }
        let Some(ours) = self.push_pull(theirs.join) else { return };
        let peer = self.streams.exchanges.get(id).map(|exchange| canonical(exchange.peer).ip());
        self.reply(id, ours);
        // The stream proves the address of one record: its sender's, which is not named.
        let mut peer = peer;
        let proof = |claim: &Claim| {
            let is_peer = |peer: &mut IpAddr| claim.addr().is_some_and(|addr| addr.ip() == *peer);
            if peer.take_if(is_peer).is_some() { Proof::Ip } else { Proof::Told }
        };
        self.merge_push_pull(None, theirs, proof);
    }

    /// Handles the reply to a push/pull.
    ///
    /// If a member that is present has no protocol version in common with us, memberlist's nodes
    /// drop our table too, and only log it: then a join has failed.
    pub(super) fn handle_push_pull_reply(
        &mut self,
        id: StreamId,
        purpose: Purpose,
        peer: SocketAddr,
        theirs: PushPull,
    ) {
        let foreign = |claim: &Claim| claim.state.is_present() && !self.understands(claim);
        let joins = matches!(purpose, Purpose::Join(_) | Purpose::Seed);
        if joins && theirs.claims.claims.iter().any(foreign) {
            return self.resolve(id, Err(ExchangeError::NotAccepted(Refusal::Versions)));
        }
        if joins && self.are_all_outside(&theirs.claims) {
            let refusal = Refusal::AddressNotAllowed;
            return self.resolve(id, Err(ExchangeError::NotAccepted(refusal)));
        }
        let own = |claim: &Claim| claim.is_all_of(self.local());
        let Claims { claims, refused } = &theirs.claims;
        if *refused == 0 && claims.len() == 1 && claims.iter().all(own) {
            self.sync.met_itself = true;
            // Nobody else sends a table with this node alone in its present incarnation.
            let refusal = Refusal::SameNode;
            return self.resolve(id, Err(ExchangeError::Refused(refusal)));
        }
        if purpose != Purpose::Sync && self.asks_for_its_name(id, &theirs.claims.claims) {
            return;
        }
        let said = self.said_by(purpose, peer);
        let peer = canonical(peer);
        // Who answered is the one that is there; of several names none is known to be its own.
        let is_there = |claim: &Claim| claim.state.is_present() && claim.addr() == Some(peer);
        let there = theirs.claims.claims.iter().filter(|claim| is_there(claim)).count();
        let proof = |claim: &Claim| {
            if there == 1 && is_there(claim) { Proof::Answered } else { said }
        };
        self.merge_push_pull(Some(peer), theirs, proof);
        self.resolve(id, Ok(()));
    }

    /// Applies a peer's table, of whose records `proof` knows how sure their addresses are.
    ///
    /// All that is new here is gossiped, also by a newcomer, as memberlist's nodes do: there are no
    /// digests by which those who missed it would find out.
    fn merge_push_pull(
        &mut self,
        from: Option<SocketAddr>,
        theirs: PushPull,
        mut proof: impl FnMut(&Claim) -> Proof,
    ) {
        let PushPull { join, claims, state } = theirs;
        self.stats.syncs += 1;
        self.stats.members_refused += claims.refused as u64;
        let mut follow_up = None;
        let addrs = claims.claims.iter().filter_map(Claim::addr);
        let mut ips: Vec<_> = addrs.map(|addr| addr.ip()).collect();
        ips.sort_unstable();
        let alone_there = |addr: SocketAddr| {
            let first = ips.partition_point(|ip| *ip < addr.ip());
            ips.get(first + 1).is_none_or(|next| *next != addr.ip())
        };
        for claim in claims.claims {
            if !self.understands(&claim) {
                self.stats.members_refused += 1;
                continue;
            }
            let addr = claim.addr();
            let stated = proof(&claim);
            let proof = stated.max(self.told());
            let accuser = Accuser::Unknown;
            let source = UpdateSource { from, accuser, disseminate: true, hearsay: true, proof };
            let is_sender = stated > Proof::Told && addr.is_some_and(alone_there);
            if join && from.is_none() && is_sender {
                self.report_forgetful(&claim);
            }
            let id = claim.id.clone();
            follow_up = self.handle_update(source, claim).or(follow_up);
            if let (true, Some(addr)) = (proof > Proof::Told, addr) {
                self.validate_at(&id, addr);
            }
        }
        if let Some(follow_up) = follow_up {
            self.follow_up(follow_up, STREAM_CREDIT);
        }
        if !state.is_empty() {
            let key = from.and_then(|from| self.members.find_addr(from));
            let from = key.map(|key| self.members[key].id().clone());
            self.outputs.event(Event::SyncState { from, data: state, join });
        }
    }

    /// Reports the restart of a present member that joins through this node below the incarnation
    /// in which it is known: it has forgotten that one.
    fn report_forgetful(&mut self, claim: &Claim) {
        let key = self.members.find(&claim.id).filter(|&key| key != MemberKey::LOCAL);
        let Some(key) = key else { return };
        let known = &self.members[key];
        let forgot = claim.state == State::Alive && claim.incarnation < known.incarnation();
        if forgot && known.state().is_present() && claim.addr() == Some(known.addr()) {
            self.report_restart(key, Life::New { earlier: known.incarnation() });
        }
    }

    /// Whether a member's protocol versions and ours are compatible (memberlist's
    /// `verifyProtocol`).
    fn understands(&self, claim: &Claim) -> bool {
        let profile = claim.profile.as_ref();
        profile.is_none_or(|profile| profile.versions.agrees(self.local().versions))
    }
}

/// The least number of bytes that a record takes, whatever the member's name and metadata: the
/// names of the fields, and the address. If members are not shared their table has fewer, and a
/// request may be rejected although its answer would just fit.
const MIN_RECORD: usize = 60;
