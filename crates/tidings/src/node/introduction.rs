//! Introductions of newcomers: a node with a name that another one has, and this node itself.

use super::Node;
use crate::config::OnNameTaken;
use crate::error::{ExchangeError, Refusal};
use crate::membership::claim::Claim;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::sync::name_checks::{NameState, Newcomer, Waiting};
use crate::wire::frame::Introduction;
use core::net::SocketAddr;

impl Node {
    /// The way in which the node introduces itself to a seed or a lost member.
    ///
    /// A node that was a member before claims its name; one that was not asks for it.
    pub(super) fn introduction(&self) -> Introduction {
        let contests = self.config.on_name_taken == OnNameTaken::Contest;
        if contests || self.sync.is_member { Introduction::Record } else { Introduction::Newcomer }
    }

    /// Checks a node that introduces itself; the error is the refusal. A `newcomer` takes no name
    /// that a living node has.
    ///
    /// The holder of its name, if it is elsewhere, gets a ping over a stream, which a process that
    /// has ended refuses at once. The newcomer asks again for the outcome: a stream that waits
    /// would have to be answered while its driver may block in a read.
    pub(super) fn receive(&mut self, claim: &Claim, newcomer: bool) -> Result<(), Refusal> {
        let local = self.local();
        if claim.id == local.id {
            let same_life = claim.incarnation.generation == local.incarnation.generation;
            return match claim.addr() {
                Some(addr) if addr == local.addr() && same_life => Err(Refusal::SameNode),
                Some(addr) if addr != local.addr() && newcomer => Err(Refusal::NameTaken),
                _ => Ok(()),
            };
        }
        let Some(addr) = claim.addr().filter(|_| newcomer) else { return Ok(()) };
        let holder = self.members.find(&claim.id).filter(|&key| {
            let member = &self.members[key];
            let lives = member.state().is_present() && self.members.is_validated(key);
            lives && member.addr() != addr
        });
        let Some(holder) = holder.map(|key| &self.members[key]) else { return Ok(()) };
        let (holder, known) = (holder.addr(), Some(holder.incarnation().generation));
        let generation = Some(claim.incarnation.generation);
        let newcomer = Newcomer { id: claim.id.clone(), addr, generation };
        match self.sync.name_checks.state(self.now, &newcomer) {
            NameState::Taken => Err(Refusal::NameTaken),
            NameState::Checking => Err(Refusal::CheckingName),
            NameState::Free => Ok(()),
            NameState::Unknown => {
                let checks = self.begin_name_check((holder, known), newcomer, None);
                if checks { Err(Refusal::CheckingName) } else { Ok(()) }
            }
        }
    }

    /// In memberlist's format, whose nodes do not ask: a newcomer that finds its own name elsewhere
    /// in a seed's table asks there itself, before it becomes a member. Returns whether the stream
    /// to the seed waits for the answer.
    #[cfg(feature = "memberlist")]
    pub(super) fn asks_for_its_name(&mut self, id: StreamId, table: &[Claim]) -> bool {
        if self.introduction() != Introduction::Newcomer {
            return false;
        }
        let local = self.local();
        let of_name = |claim: &&Claim| claim.id == local.id && claim.state.is_present();
        let holder = table.iter().find(of_name).and_then(Claim::addr);
        let holder = holder.filter(|&addr| addr != local.addr() && self.config.allows(addr.ip()));
        let Some(holder) = holder else { return false };
        let newcomer = Newcomer { id: local.id.clone(), addr: holder, generation: None };
        let is_free = self.sync.name_checks.state(self.now, &newcomer) == NameState::Free;
        !is_free && self.begin_name_check((holder, None), newcomer, Some(id))
    }

    /// Pings the holder of a name over a stream; `false` if too much else is being checked.
    fn begin_name_check(
        &mut self,
        (holder, known): (SocketAddr, Option<u64>),
        newcomer: Newcomer,
        waiting: Option<StreamId>,
    ) -> bool {
        let streams = self.config.options.max_streams_out;
        if !self.sync.name_checks.has_room(streams) || !self.streams.exchanges.has_room_to_spare() {
            return false;
        }
        let ping = self.wire.ping(&newcomer.id, 0);
        let options = &self.config.options;
        // The newcomer still has time for its next attempt then.
        let ends = self.now + options.probe_interval.min(options.stream_timeout / 4);
        let number = self.sync.name_checks.begin(newcomer, known, waiting);
        let begun = self.open_until(holder, Purpose::NameCheck(number), Some(ping), ends);
        if !begun {
            self.sync.name_checks.end(number, false, self.now);
        }
        begun
    }

    /// The holder of a name has answered, or has not: ends the check, and the attempt of this node
    /// that waits for it.
    pub(super) fn on_name_checked(&mut self, number: u64, lives: bool) {
        // Until the newcomer has asked again, by a join or by its seeds.
        let options = &self.config.options;
        let until = self.now + options.stream_timeout.max(options.seed_retry * 2);
        let waiting = self.sync.name_checks.end(number, lives, until);
        let Some(Waiting { stream, closed }) = waiting else { return };
        let refusal = if lives { Refusal::NameTaken } else { Refusal::CheckingName };
        let refused = Err(ExchangeError::Refused(refusal));
        if closed { self.end(stream, refused) } else { self.resolve(stream, refused) }
    }
}
