//! Refused connections: evidence that a process died on a machine that lives.

use super::{Context, Detector};
use crate::detector::suspicion::log10_thousandths;
use crate::membership::table::MemberKey;
use crate::timers::{FixedTimer, TimerKey, Timers};
use alloc::vec::Vec;
use core::net::SocketAddr;

/// The check of a member whose address refused a connection; at most one at a time.
///
/// A machine whose process died refuses at once, and so does a firewall before a process that
/// lives: one refusal is weak evidence. A check asks several other members whether they are refused
/// too. Two checks that all of them confirm, with time to refute in between, are a verdict.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Refusals {
    check: Option<Check>,
}

#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Check {
    target: MemberKey,
    /// Of this node's ping, its connection and its requests. Each attempt has its own; `None`
    /// before the first.
    token: Option<u32>,
    stage: Stage,
    /// Attempts of this stage that were not confirmed.
    failed: u8,
    /// Whether this node's own connection was refused.
    refused: bool,
    /// The relays that have not answered.
    asked: Vec<SocketAddr>,
    /// The relays that were refused too.
    confirmed: Vec<SocketAddr>,
    /// Whether a relay could not say that it was refused.
    doubtful: bool,
}

/// What a check is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Stage {
    /// This node was refused, and asks others next.
    Refused,
    /// To suspect the member.
    Suspicion,
    /// The member was suspected, and can refute.
    Waiting,
    /// To declare the member failed.
    Verdict,
}

/// An attempt to confirm a refusal: this node and others ping the target, and connect to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) target: MemberKey,
    pub(crate) token: u32,
}

impl Refusals {
    /// Begins the first check of a member that refused this node's connection; `false` if there is
    /// another check, which ends: members that refuse at the same time are behind a firewall, or
    /// many failed.
    pub(crate) fn begin(&mut self, target: MemberKey) -> bool {
        if let Some(check) = &self.check {
            if check.target != target {
                self.check = None;
            }
            return false;
        }
        let (asked, confirmed) = (Vec::new(), Vec::new());
        self.check = Some(Check {
            target,
            token: None,
            stage: Stage::Refused,
            failed: 0,
            refused: false,
            asked,
            confirmed,
            doubtful: false,
        });
        true
    }

    /// Records the relays that are asked.
    pub(crate) fn ask(&mut self, relays: impl Iterator<Item = SocketAddr>) {
        if let Some(check) = &mut self.check {
            check.asked.extend(relays.take(RELAYS));
        }
    }

    /// This node's own connection of a check was refused; `false` if the token is not its.
    pub(crate) fn refused(&mut self, token: u32) -> bool {
        let check = self.check.as_mut().filter(|check| check.token == Some(token));
        check.map(|check| check.refused = true).is_some()
    }

    /// Handles the nack of a relay; `false` if it was not asked, or answered before.
    pub(crate) fn nacked(&mut self, token: u32, from: SocketAddr, refused: bool) -> bool {
        let Some(check) = self.check.as_mut().filter(|check| check.token == Some(token)) else {
            return false;
        };
        let Some(at) = check.asked.iter().position(|&asked| asked == from) else { return false };
        check.asked.swap_remove(at);
        if refused {
            check.confirmed.push(from);
        }
        check.doubtful |= !refused;
        true
    }

    /// Handles an ack, over a datagram or a stream, direct or through a relay: the member lives.
    pub(crate) fn acked(&mut self, token: u32) -> Option<MemberKey> {
        let check = self.check.take_if(|check| check.token == Some(token))?;
        Some(check.target)
    }

    /// Ends the check of a member.
    pub(crate) fn end(&mut self, target: MemberKey) -> bool {
        self.check.take_if(|check| check.target == target).is_some()
    }

    /// Ends the check, whoever it is of.
    pub(crate) fn clear(&mut self) {
        self.check = None;
    }

    /// The check that is confirmed: this node was refused, and all relays that it asked, on at
    /// least two other machines than `local`.
    ///
    /// On one machine each relay counts: between its processes is no firewall that sees a
    /// difference.
    pub(crate) fn confirmed(
        &self,
        local: SocketAddr,
        addr: impl Fn(MemberKey) -> SocketAddr,
    ) -> Option<(MemberKey, Stage)> {
        let asks = |check: &&Check| matches!(check.stage, Stage::Suspicion | Stage::Verdict);
        let check = self.check.as_ref().filter(asks)?;
        if !check.refused || check.doubtful || !check.asked.is_empty() {
            return None;
        }
        let one_machine = addr(check.target).ip() == local.ip();
        let first = check.confirmed.iter().find(|one| one_machine || one.ip() != local.ip())?;
        let is_other = |one: &&SocketAddr| {
            let differs = if one_machine { *one != first } else { one.ip() != first.ip() };
            differs && (one_machine || one.ip() != local.ip())
        };
        check.confirmed.iter().find(is_other)?;
        Some((check.target, check.stage))
    }

    /// The suspicion was announced: the member has until the next attempt to refute.
    pub(crate) fn wait(&mut self) {
        if let Some(check) = &mut self.check {
            (check.stage, check.failed, check.refused) = (Stage::Waiting, 0, false);
        }
    }

    /// The time of the stage is over: begins the next attempt, with this token, or ends the check.
    pub(crate) fn next_attempt(&mut self, token: u32) -> Option<Attempt> {
        let check = self.check.as_mut()?;
        match check.stage {
            Stage::Refused => check.stage = Stage::Suspicion,
            Stage::Waiting => check.stage = Stage::Verdict,
            Stage::Suspicion | Stage::Verdict => check.failed += 1,
        }
        if check.failed >= ATTEMPTS {
            self.check = None;
            return None;
        }
        check.token = Some(token);
        check.refused = false;
        check.asked.clear();
        check.confirmed.clear();
        check.doubtful = false;
        Some(Attempt { target: check.target, token })
    }

    /// Whether a restored check is within its limits, and of a known member.
    #[cfg(feature = "record")]
    pub(crate) fn is_consistent(&self, known: impl Fn(MemberKey) -> bool) -> bool {
        self.check.as_ref().is_none_or(|check| {
            let relays = check.asked.len().saturating_add(check.confirmed.len());
            known(check.target) && relays <= RELAYS && check.failed < ATTEMPTS
        })
    }

    /// Whether there is a check, which has a timer.
    pub(crate) fn is_active(&self) -> bool {
        self.check.is_some()
    }
}

/// The most members asked in a check. All of them have to be refused: if a share `f` of the members
/// is behind the firewall with this node, none of them objects with probability `f^12`.
pub(crate) const RELAYS: usize = 12;
/// Attempts at each of the two checks, because a request or a nack may be lost.
const ATTEMPTS: u8 = 3;

impl Detector {
    /// The target of a probe or a check refused this node's connection. After a probe the check
    /// begins, with its timer, so that one input does not cause all of its datagrams.
    pub(crate) fn on_refused(&mut self, cx: &mut Context<'_>, token: u32) {
        if self.refusals.refused(token) {
            return;
        }
        let Some(target) = self.probe.target(token) else { return };
        if self.refusals.begin(target) {
            cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), cx.now);
        } else if !self.refusals.is_active() {
            cx.timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        }
    }

    /// The member of a confirmed check, which is to be suspected or declared failed.
    ///
    /// Only a node that is well and hears others goes by refusals, and only while no other member
    /// is suspected for them, and few for other reasons: else a firewall is between, or many have
    /// failed.
    pub(crate) fn judge_refused(
        &mut self,
        cx: &mut Context<'_>,
        local: SocketAddr,
    ) -> Option<(MemberKey, Stage)> {
        let members = cx.members;
        let (target, stage) = self.refusals.confirmed(local, |key| members[key].addr())?;
        let well = self.health.score() == 0 && self.lease.is_valid(cx.now);
        let few = members.size() / MEMBERS_PER_SUSPECT;
        let suspects = self.suspicions.others_than(target);
        if !well || suspects > few || self.suspicions.any_refused_but(target) {
            return None;
        }
        if stage == Stage::Suspicion {
            self.refusals.wait();
            let rounds = log10_thousandths(members.size()).max(2000);
            let wait = cx.options.gossip_interval.saturating_mul(rounds) / 1000;
            cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), cx.now + wait);
        }
        Some((target, stage))
    }

    /// The time of a check's stage is over: begins the next attempt, whose relays are picked into
    /// `relays`, or ends the check.
    pub(crate) fn on_refusal_timeout(
        &mut self,
        cx: &mut Context<'_>,
        relays: &mut Vec<MemberKey>,
    ) -> Option<Attempt> {
        let token = self.rng.u32();
        let attempt = self.refusals.next_attempt(token)?;
        let Context { now, members, options, .. } = *cx;
        members.pick(&mut self.rng, RELAYS, Some(attempt.target), relays);
        self.refusals.ask(relays.iter().map(|&relay| members[relay].addr()));
        cx.timers.set(TimerKey::Fixed(FixedTimer::Refusal), now + options.probe_timeout);
        Some(attempt)
    }

    /// Marks the suspicion of a member as one for refused connections; `true` if that is new.
    pub(crate) fn mark_refused(&mut self, key: MemberKey) -> bool {
        self.suspicions.mark_refused(key)
    }

    /// Whether a member is suspected for refused connections.
    pub(crate) fn is_refused(&self, key: MemberKey) -> bool {
        self.suspicions.is_refused(key)
    }

    pub(super) fn end_check(&mut self, timers: &mut Timers, target: MemberKey) {
        if self.refusals.end(target) {
            timers.clear(TimerKey::Fixed(FixedTimer::Refusal));
        }
    }
}

/// With one more suspect for each so many members, refused connections still count.
const MEMBERS_PER_SUSPECT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: MemberKey = MemberKey::for_test(1);

    fn addr(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 7946).into()
    }

    /// A first check for which these were asked.
    fn asked(relays: &[SocketAddr]) -> Refusals {
        let mut refusals = Refusals::default();
        assert!(refusals.begin(TARGET));
        assert_eq!(refusals.next_attempt(7), Some(Attempt { target: TARGET, token: 7 }));
        refusals.ask(relays.iter().copied());
        assert!(refusals.refused(7));
        refusals
    }

    fn confirmed(refusals: &Refusals) -> Option<Stage> {
        refusals.confirmed(addr(100), |_| addr(1)).map(|(_, stage)| stage)
    }

    #[test]
    fn it_is_confirmed_once_all_relays_on_two_other_machines_were_refused_too() {
        let mut refusals = asked(&[addr(2), addr(3), addr(4)]);
        assert!(refusals.nacked(7, addr(2), true) && refusals.nacked(7, addr(3), true));
        assert!(!refusals.nacked(7, addr(3), true), "again");
        assert!(!refusals.nacked(8, addr(4), true), "another token");
        assert!(!refusals.nacked(7, addr(5), true), "it was not asked");
        assert_eq!(confirmed(&refusals), None, "one has not answered");
        assert!(refusals.nacked(7, addr(4), true));
        assert_eq!(confirmed(&refusals), Some(Stage::Suspicion));

        let mut refusals = asked(&[addr(2), addr(3), addr(4)]);
        for (relay, refused) in [(addr(2), true), (addr(3), true), (addr(4), false)] {
            assert!(refusals.nacked(7, relay, refused));
        }
        assert_eq!(confirmed(&refusals), None, "one was not refused");
    }

    #[test]
    fn relays_on_one_machine_count_once_unless_all_are_on_it() {
        let port = |host: u8, port: u16| SocketAddr::from(([10, 0, 0, host], port));
        let mut refusals = asked(&[port(2, 1), port(2, 2), port(100, 3)]);
        for relay in [port(2, 1), port(2, 2), port(100, 3)] {
            assert!(refusals.nacked(7, relay, true));
        }
        assert_eq!(confirmed(&refusals), None, "one other machine, and this one");
        let local = |_| port(100, 9);
        assert!(refusals.confirmed(addr(100), local).is_some(), "the target is on this one");
    }

    #[test]
    fn a_verdict_takes_another_check_and_an_ack_of_either_ends_it() {
        let mut refusals = asked(&[addr(2), addr(3)]);
        assert!(refusals.nacked(7, addr(2), true) && refusals.nacked(7, addr(3), true));
        refusals.wait();
        assert_eq!(confirmed(&refusals), None, "it can refute");
        assert!(refusals.next_attempt(8).is_some());
        refusals.ask([addr(4), addr(5)].into_iter());
        assert!(refusals.nacked(8, addr(4), true) && refusals.nacked(8, addr(5), true));
        assert_eq!(confirmed(&refusals), None, "this node was refused before, and not again");
        assert!(!refusals.refused(7) && refusals.refused(8));
        assert_eq!(confirmed(&refusals), Some(Stage::Verdict));
        assert_eq!(refusals.acked(7), None);
        assert_eq!(refusals.acked(8), Some(TARGET));
        assert_eq!(confirmed(&refusals), None);
    }

    #[test]
    fn an_attempt_is_repeated_twice_and_a_second_member_that_refuses_ends_the_check() {
        let mut refusals = asked(&[addr(2)]);
        assert!(refusals.next_attempt(8).is_some() && refusals.next_attempt(9).is_some());
        assert_eq!(refusals.next_attempt(10), None);
        assert!(refusals.begin(TARGET), "it has ended");
        assert!(!refusals.begin(TARGET), "it is under way");
        assert!(!refusals.begin(MemberKey::for_test(2)));
        assert!(refusals.begin(TARGET), "it has ended");
    }
}
