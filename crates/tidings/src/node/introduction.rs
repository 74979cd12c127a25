//! Introductions of newcomers: a node with a name that another one has, and this node itself.

use super::Node;
use crate::config::OnNameTaken;
use crate::error::{ExchangeError, Refusal};
use crate::membership::claim::Claim;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::sync::name_checks::{Checked, Newcomer};
use crate::wire::frame::Introduction;
use core::net::SocketAddr;

/// The reception of a node that introduces itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reception {
    /// It may become a member.
    Welcome,
    /// It gets this answer.
    Refused(Refusal),
    /// It waits, until it is known whether its name is free.
    Waits,
}

impl Node {
    /// The way in which the node introduces itself to a seed or a lost member.
    ///
    /// A node that was a member before claims its name; one that was not asks for it.
    pub(super) fn introduction(&self) -> Introduction {
        let contests = self.config.on_name_taken == OnNameTaken::Contest;
        if contests || self.sync.is_member { Introduction::Record } else { Introduction::Newcomer }
    }

    /// Receives a node that introduces itself on a stream; a `newcomer` takes no name that a living
    /// node has.
    ///
    /// The holder of its name, if it is elsewhere, gets a ping over a stream: a process that has
    /// ended refuses that at once.
    pub(super) fn receive(&mut self, id: StreamId, claim: &Claim, newcomer: bool) -> Reception {
        let local = self.local();
        if claim.id == local.id {
            let same_life = claim.incarnation.generation == local.incarnation.generation;
            return match claim.addr() {
                Some(addr) if addr == local.addr() && same_life => {
                    Reception::Refused(Refusal::SameNode)
                }
                Some(addr) if addr != local.addr() && newcomer => {
                    Reception::Refused(Refusal::NameTaken)
                }
                _ => Reception::Welcome,
            };
        }
        let Some(addr) = claim.addr().filter(|_| newcomer) else { return Reception::Welcome };
        let holder = self.members.find(&claim.id).filter(|&key| {
            let member = &self.members[key];
            let lives = member.state().is_present() && self.members.is_validated(key);
            lives && member.addr() != addr
        });
        let Some(holder) = holder.map(|key| self.members[key].addr()) else {
            return Reception::Welcome;
        };
        let newcomer = Newcomer { id: claim.id.clone(), addr };
        let waits = self.begin_name_check(id, holder, newcomer);
        if waits { Reception::Waits } else { Reception::Welcome }
    }

    /// In memberlist's format, whose nodes do not ask: a newcomer that finds its own name elsewhere
    /// in a seed's table asks there itself, before it becomes a member. Returns whether the stream
    /// waits for the answer.
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
        let newcomer = Newcomer { id: local.id.clone(), addr: holder };
        self.begin_name_check(id, holder, newcomer)
    }

    /// Pings the holder of a name over a stream of its own, while the stream `id` waits; `false` if
    /// the name was found free before, or too much else is being checked.
    fn begin_name_check(&mut self, id: StreamId, holder: SocketAddr, newcomer: Newcomer) -> bool {
        if self.sync.name_checks.is_free(self.now, &newcomer)
            || !self.sync.name_checks.has_room()
            || !self.streams.exchanges.has_room_to_spare()
        {
            return false;
        }
        let ping = self.wire.ping(&newcomer.id, 0);
        let options = &self.config.options;
        // The newcomer has its answer by then, and time for its next attempt.
        let ends = self.now + options.probe_interval.min(options.stream_timeout / 4);
        let begun = self.open_until(holder, Purpose::NameCheck(id), Some(ping), ends);
        if begun {
            self.sync.name_checks.begin(id, newcomer);
        }
        begun
    }

    /// Answers the newcomer that waits on a stream, or the join of this node that does, once the
    /// holder of the name has answered, or has not.
    pub(super) fn on_name_checked(&mut self, waiting: StreamId, lives: bool) {
        let until = self.now + self.config.options.stream_timeout;
        let checked = self.sync.name_checks.end(waiting, (!lives).then_some(until));
        let Some(Checked { closed }) = checked else { return };
        let refusal = if lives { Refusal::NameTaken } else { Refusal::NameFree };
        let ours = self.streams.exchanges.get(waiting).map(|one| one.purpose != Purpose::Inbound);
        let refused = Err(ExchangeError::Refused(refusal));
        match ours {
            Some(true) if closed => self.end(waiting, refused),
            Some(true) => self.resolve(waiting, refused),
            _ => self.refuse(waiting, refusal),
        }
    }
}
