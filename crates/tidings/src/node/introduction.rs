//! Introductions of newcomers: a node with a name that another one has, and this node itself.

use super::Node;
use crate::config::OnNameTaken;
use crate::error::Refusal;
use crate::membership::claim::Claim;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::sync::name_checks::Newcomer;
use crate::wire::frame::Introduction;

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
        let newcomer = Newcomer { id: claim.id.clone(), addr };
        let Some(holder) = holder.filter(|_| !self.sync.name_checks.is_free(self.now, &newcomer))
        else {
            return Reception::Welcome;
        };
        if !self.sync.name_checks.has_room() || !self.streams.exchanges.has_room_to_spare() {
            return Reception::Welcome;
        }
        let (to, ping) = (self.members[holder].addr(), self.wire.ping(&claim.id, 0));
        let options = &self.config.options;
        // The newcomer has asked by then, and still has time for its next attempt.
        let ends = self.now + options.probe_interval.min(options.stream_timeout / 4);
        if !self.open_until(to, Purpose::NameCheck(id), Some(ping), ends) {
            return Reception::Welcome;
        }
        self.sync.name_checks.begin(id, newcomer);
        Reception::Waits
    }

    /// Answers the newcomer that waits on a stream, once the holder of its name has answered, or
    /// has not.
    pub(super) fn on_name_checked(&mut self, newcomer: StreamId, lives: bool) {
        let until = self.now + self.config.options.stream_timeout;
        if self.sync.name_checks.end(newcomer, (!lives).then_some(until)) {
            self.refuse(newcomer, if lives { Refusal::NameTaken } else { Refusal::NameFree });
        }
    }
}
