//! Flap damping: what the node reports and sends because members keep failing and returning.

use super::Node;
use crate::event::Event;
use crate::member::State;
use crate::membership::claim::Life;
use crate::membership::damping::{Action, Due, Flap, TRIAL};
use crate::membership::table::MemberKey;
use crate::timers::{FixedTimer, TimerKey};

impl Node {
    /// A member has returned after a suspicion or a failure: it is suppressed if it flaps.
    ///
    /// A restart is no flap. In memberlist's format, which does not tell a restart from a return,
    /// no failure is one.
    pub(super) fn on_returned(&mut self, key: MemberKey, flap: Flap, life: Life) {
        if self.config.options.flap_suppress == 0 {
            return;
        }
        if life != Life::Same {
            return self.forget_flaps(key);
        }
        let is_certain = flap == Flap::Suspicion || self.variant.has_generations();
        if !is_certain || !self.members.is_validated(key) {
            return;
        }
        let (others, options) = (self.members.validated_others(), &self.config.options);
        let at = (self.now, self.detector.trial_delay(options));
        if self.damping.on_flap(at, options, self.members[key].id(), flap, others) {
            self.suppress(key);
        }
        self.arm_damping();
    }

    /// A member has been restarted, or has left: its flaps no longer count.
    pub(super) fn forget_flaps(&mut self, key: MemberKey) {
        self.damping.forget(self.members[key].id());
        self.members.set_suppressed(key, false);
        self.arm_damping();
    }

    fn suppress(&mut self, key: MemberKey) {
        self.stats.members_suppressed += 1;
        self.members.set_suppressed(key, true);
    }

    /// The next ping of a trial is due, or its end.
    pub(super) fn on_damping_timeout(&mut self) {
        let (members, options) = (&self.members, &self.config.options);
        let most_lost = self.detector.losses_by_chance(TRIAL);
        let is_present = |id: &_| members.is_present(id);
        let due = self.damping.on_timeout(self.now, options, most_lost, is_present);
        self.arm_damping();
        let Some(Due { id, action }) = due else { return };
        let Some(key) = self.members.find(&id) else { return };
        let present = self.members[key].state().is_present();
        match action {
            Action::Ping => {
                let token = self.detector.trial_token();
                self.damping.on_pinged(token);
                self.send_ping(key, token);
            }
            Action::Suppress => {
                self.suppress(key);
                if present {
                    self.outputs.event(Event::Failed(self.members[key].clone()));
                }
            }
            Action::Release => {
                self.members.set_suppressed(key, false);
                if present {
                    self.event(Event::Joined, key);
                }
                if self.members[key].state() == State::Suspect {
                    self.event(Event::Suspected, key);
                }
            }
        }
    }

    fn arm_damping(&mut self) {
        let timer = TimerKey::Fixed(FixedTimer::Damping);
        match self.damping.next(&self.config.options) {
            Some(at) => self.timers.set(timer, at),
            None => self.timers.clear(timer),
        }
    }

    /// This node had to refute an accusation by a member.
    pub(super) fn on_accused(&mut self, flap: Flap) {
        if self.damping.on_accused(self.now, &self.config.options, flap) {
            let addr = self.local().addr();
            self.outputs.event(Event::Unreachable { addr });
        }
    }
}
