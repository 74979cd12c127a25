//! memberlist's push/pull: two nodes exchange their whole tables over a stream.

use super::Node;
use super::update::UpdateSource;
use crate::addr::canonical;
use crate::error::ExchangeError;
use crate::error::Refusal;
use crate::event::Event;
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::wire::frame::PushPull;
use crate::wire::message::Accuser;
use alloc::vec::Vec;
use core::net::SocketAddr;

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
            let left = self.wire.updates(self.local());
            return self.reply(id, left);
        }
        if self.members.present_count() * MIN_RECORD > self.streams.exchanges.room_for_answers() {
            return self.reject(id, Reject::Oversized);
        }
        let Some(ours) = self.push_pull(theirs.join) else { return };
        self.reply(id, ours);
        self.merge_push_pull(None, true, theirs);
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
        if matches!(purpose, Purpose::Join(_)) && theirs.claims.claims.iter().any(foreign) {
            return self.resolve(id, Err(ExchangeError::NotAccepted(Refusal::Versions)));
        }
        // A node that knew no other member has no receiver for gossip.
        let disseminate = self.members.present_count() > 1;
        self.merge_push_pull(Some(canonical(peer)), disseminate, theirs);
        self.resolve(id, Ok(()));
    }

    fn merge_push_pull(&mut self, from: Option<SocketAddr>, disseminate: bool, theirs: PushPull) {
        let PushPull { join, claims, state } = theirs;
        self.stats.syncs += 1;
        self.stats.members_refused += claims.refused as u64;
        for claim in claims.claims {
            if !self.understands(&claim) {
                self.stats.members_refused += 1;
                continue;
            }
            let source =
                UpdateSource { from, accuser: Accuser::Unknown, disseminate, hearsay: true };
            if let Some(correction) = self.handle_update(source, claim) {
                self.send_correction(correction);
            }
        }
        if !state.is_empty() {
            let key = from.and_then(|from| self.members.find_addr(from));
            let from = key.map(|key| self.members[key].id().clone());
            self.outputs.event(Event::SyncState { from, data: state, join });
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
