//! Allowed networks: nothing comes from, and nothing goes to, an address outside of them.

use super::Node;
use crate::error::Refusal;
use crate::membership::claim::Claim;
use crate::stats::Reject;
use crate::stream::StreamId;
#[cfg(feature = "memberlist")]
use crate::wire::frame::Claims;
use core::net::SocketAddr;

impl Node {
    /// Whether the address in a claim, if it has one, is in the allowed networks; counts a claim
    /// whose address is not.
    ///
    /// Asked before anything is sent, opened or gossiped because of the claim.
    pub(super) fn is_allowed(&mut self, claim: &Claim) -> bool {
        let allowed = self.allows_address(claim);
        self.stats.addresses_refused += u64::from(!allowed);
        allowed
    }

    fn allows_address(&self, claim: &Claim) -> bool {
        claim.addr().is_none_or(|addr| self.config.allows(addr.ip()))
    }

    /// Refuses the request on a stream from an address outside; `false` if the stream is from
    /// within.
    pub(super) fn refuse_source(&mut self, id: StreamId, peer: SocketAddr) -> bool {
        if self.config.allows(peer.ip()) {
            return false;
        }
        self.stats.rejected_streams.count(Reject::AddressNotAllowed);
        self.streams.exchanges.stop_reading(id);
        self.refuse(id, Refusal::AddressNotAllowed);
        true
    }

    /// Whether a table has present members, and all of them are outside: its sender is one of them.
    /// A push/pull does not say which.
    #[cfg(feature = "memberlist")]
    pub(super) fn are_all_outside(&self, Claims { claims, .. }: &Claims) -> bool {
        let mut present = claims.iter().filter(|claim| claim.state.is_present()).peekable();
        present.peek().is_some() && present.all(|claim| !self.allows_address(claim))
    }
}
