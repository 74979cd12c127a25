//! Flap damping: members that keep being suspected or failing, and return, are suppressed.

use crate::config::options::Options;
use crate::member::NodeId;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// The penalties of members that flap, and which of them are suppressed (RFC 2439).
///
/// Each return adds to a member's penalty, which halves in each `flap_half_life`. Once it reaches
/// `flap_suppress`, and others do not flap as much (then it is the network), the member is
/// suppressed: at once if it had failed, which it could have refuted; after a trial, if it was only
/// suspected, because anybody can accuse anybody. A trial is a series of pings by this node. A
/// member that is suppressed gets one once its penalty is down at `flap_reuse`, and is back if it
/// answers.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Damping {
    penalties: BTreeMap<NodeId, Penalty>,
    trial: Option<Trial>,
    /// This node's own penalty, as others may have it.
    own: Penalty,
}

#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Penalty {
    /// In thousandths of a failure, at the time `at`.
    value: u32,
    at: Instant,
    /// Failures are part of it.
    failed: bool,
    standing: Standing,
}

/// What becomes of a member because of its penalty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
enum Standing {
    /// Nothing.
    #[default]
    Good,
    /// It gets a trial, from this time on.
    Questioned {
        from: Instant,
    },
    Suppressed,
}

/// The series of pings by which a member shows that it is steady.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Trial {
    id: NodeId,
    /// The ping that is not acked yet.
    token: Option<u32>,
    /// When it is given up.
    next: Instant,
    left: u32,
    lost: u32,
}

/// A return of a member, which counts as a flap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flap {
    /// It refuted a suspicion.
    Suspicion,
    /// It had failed, and is present again in the same life.
    Failure,
}

/// What is due for a member because of its penalty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Due {
    pub(crate) id: NodeId,
    pub(crate) action: Action,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Ping the member.
    Ping,
    /// It has not answered: it is suppressed from now on.
    Suppress,
    /// It has been steady: it is no longer suppressed.
    Release,
}

impl Damping {
    /// Adds a flap of a member to its penalty; `true` if the member is suppressed from now on.
    ///
    /// `others` is the number of other members present. A trial begins after `delay`, so that not
    /// all nodes ping the member at once.
    pub(crate) fn on_flap(
        &mut self,
        (now, delay): (Instant, Duration),
        options: &Options,
        id: &NodeId,
        flap: Flap,
        others: usize,
    ) -> bool {
        if options.flap_suppress == 0 {
            return false;
        }
        let half_life = options.flap_half_life;
        if self.penalties.len() >= MAX_PENALTIES && !self.penalties.contains_key(id) {
            let matters = |penalty: &Penalty| {
                penalty.standing != Standing::Good || penalty.at(now, half_life) > 0
            };
            self.penalties.retain(|_, penalty| matters(penalty));
            if self.penalties.len() >= MAX_PENALTIES {
                // So many flap that it is the network.
                return false;
            }
        }
        if flap == Flap::Suspicion && self.is_suppressed(id) {
            // Anybody can accuse it again: its trial decides.
            return false;
        }
        let penalty = self.penalties.entry(id.clone()).or_default();
        penalty.add(now, options, flap);
        let Penalty { value, standing, .. } = *penalty;
        let (next, at_least) = match flap {
            Flap::Failure => (Standing::Suppressed, options.flap_suppress),
            Flap::Suspicion => (Standing::Questioned { from: now + delay }, options.flap_reuse),
        };
        if value < at_least
            || standing == Standing::Suppressed
            || flap == Flap::Suspicion && standing != Standing::Good
            || !self.stands_out(now, options, id, flap, others)
        {
            return false;
        }
        self.set_standing(id, next);
        flap == Flap::Failure
    }

    fn set_standing(&mut self, id: &NodeId, standing: Standing) {
        if let Some(penalty) = self.penalties.get_mut(id) {
            penalty.standing = standing;
        }
    }

    /// Adds an accusation that the node itself had to refute to its own penalty; `true` if it is as
    /// high as that of a member that is suppressed, once until it is down again.
    pub(crate) fn on_accused(&mut self, now: Instant, options: &Options, flap: Flap) -> bool {
        if options.flap_suppress == 0 {
            return false;
        }
        if self.own.at(now, options.flap_half_life) <= options.flap_reuse {
            self.own.standing = Standing::Good;
        }
        self.own.add(now, options, flap);
        let is_new = self.own.standing == Standing::Good;
        let accused = is_new && self.own.value >= options.flap_suppress;
        if accused {
            self.own.standing = Standing::Suppressed;
        }
        accused
    }

    /// Whether a member flaps more than the others: its penalty is at least four times the mean of
    /// theirs. For a failure those of members that were only suspected do not count, because one
    /// node can accuse them all.
    pub(crate) fn stands_out(
        &self,
        now: Instant,
        options: &Options,
        id: &NodeId,
        flap: Flap,
        others: usize,
    ) -> bool {
        let Some(own) = self.penalties.get(id) else { return false };
        let half_life = options.flap_half_life;
        let value = |penalty: &Penalty| u64::from(penalty.at(now, half_life));
        let counts = |penalty: &&Penalty| flap == Flap::Suspicion || penalty.failed;
        let own = value(own);
        let all: u64 = self.penalties.values().filter(counts).map(value).sum();
        let rest = others.saturating_sub(1) as u64;
        own > 0 && own.saturating_mul(rest) >= all.saturating_sub(own).saturating_mul(STANDS_OUT)
    }

    /// Whether a member is suppressed.
    pub(crate) fn is_suppressed(&self, id: &NodeId) -> bool {
        self.penalties.get(id).is_some_and(|penalty| penalty.standing == Standing::Suppressed)
    }

    /// A member's penalty, in thousandths of a failure.
    pub(crate) fn penalty(&self, now: Instant, options: &Options, id: &NodeId) -> u32 {
        self.penalties.get(id).map_or(0, |penalty| penalty.at(now, options.flap_half_life))
    }

    /// Forgets a member's penalty, because it has been restarted.
    pub(crate) fn forget(&mut self, id: &NodeId) {
        self.trial.take_if(|trial| trial.id == *id);
        self.penalties.remove(id);
    }

    /// When something is due next; `None` if no member is suppressed or questioned.
    pub(crate) fn next(&self, options: &Options) -> Option<Instant> {
        let trial = self.trial.as_ref().map(|trial| trial.next);
        trial.or_else(|| self.penalties.values().filter_map(|one| one.due(options)).min())
    }

    /// Handles the time at which something is due; returns it, if anything is. `is_present` is
    /// whether a member is: one that is not needs no trial. Of the [`TRIAL`] pings `most_lost` may
    /// be lost.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        options: &Options,
        most_lost: u32,
        is_present: impl Fn(&NodeId) -> bool,
    ) -> Option<Due> {
        if let Some(mut trial) = self.trial.take_if(|trial| trial.next <= now) {
            trial.lost += u32::from(trial.token.take().is_some());
            if trial.lost > most_lost && trial.left <= TRIAL - MIN_TRIAL {
                return self.convict(now, options, trial.id);
            }
            if trial.left > 0 && is_present(&trial.id) {
                return Some(self.ping(now, options, trial));
            }
            return self.acquit(now, options, trial.id);
        }
        if self.trial.is_some() {
            return None;
        }
        // The one that has waited longest.
        let due = self.penalties.iter().filter_map(|(id, one)| Some((one.due(options)?, id)));
        let (_, id) = due.filter(|&(at, _)| at <= now).min()?;
        let id = id.clone();
        if !is_present(&id) {
            return self.acquit(now, options, id);
        }
        let trial = Trial { id, token: None, next: now, left: TRIAL, lost: 0 };
        Some(self.ping(now, options, trial))
    }

    /// A member did not answer its trial: it has the highest penalty, and is suppressed.
    fn convict(&mut self, now: Instant, options: &Options, id: NodeId) -> Option<Due> {
        let penalty = self.penalties.get_mut(&id)?;
        let known = penalty.standing == Standing::Suppressed;
        let value = options.flap_suppress.saturating_mul(MOST);
        *penalty = Penalty { value, at: now, standing: Standing::Suppressed, ..*penalty };
        (!known).then_some(Due { id, action: Action::Suppress })
    }

    /// A member answered its trial, or is not present any more.
    fn acquit(&mut self, now: Instant, options: &Options, id: NodeId) -> Option<Due> {
        let penalty = self.penalties.get_mut(&id)?;
        let suppressed = penalty.standing == Standing::Suppressed;
        let value = penalty.at(now, options.flap_half_life).min(options.flap_reuse);
        *penalty = Penalty { value, at: now, standing: Standing::Good, ..*penalty };
        suppressed.then_some(Due { id, action: Action::Release })
    }

    fn ping(&mut self, now: Instant, options: &Options, mut trial: Trial) -> Due {
        trial.next = now + options.probe_interval;
        trial.left -= 1;
        let id = self.trial.insert(trial).id.clone();
        Due { id, action: Action::Ping }
    }

    /// The token of the ping that [`on_timeout`](Self::on_timeout) asked for.
    pub(crate) fn on_pinged(&mut self, token: u32) {
        if let Some(trial) = &mut self.trial {
            trial.token = Some(token);
        }
    }

    /// Handles an ack; `true` if it answers a ping of a trial.
    pub(crate) fn on_ack(&mut self, token: u32) -> bool {
        let Some(trial) = &mut self.trial else { return false };
        trial.token.take_if(|sent| *sent == token).is_some()
    }

    /// Whether restored state is within its limits.
    #[cfg(any(debug_assertions, feature = "record"))]
    pub(crate) fn is_consistent(&self, options: &Options) -> bool {
        let most = options.flap_suppress.saturating_mul(MOST);
        self.penalties.len() <= MAX_PENALTIES
            && self.penalties.values().all(|penalty| penalty.value <= most)
            && self.trial.as_ref().is_none_or(|trial| {
                let standing = self.penalties.get(&trial.id).map(|penalty| penalty.standing);
                standing.is_some_and(|standing| standing != Standing::Good)
                    && trial.left < TRIAL
                    && trial.lost <= TRIAL
            })
    }
}

impl Penalty {
    fn add(&mut self, now: Instant, options: &Options, flap: Flap) {
        let added = match flap {
            Flap::Suspicion => SUSPICION,
            Flap::Failure => FAILURE,
        };
        let most = options.flap_suppress.saturating_mul(MOST);
        self.value = self.at(now, options.flap_half_life).saturating_add(added).min(most);
        self.at = now;
        self.failed = flap == Flap::Failure || self.failed && self.value > added;
    }

    /// Its value at a later time: it halves in each half-life, and falls evenly within one.
    fn at(&self, now: Instant, half_life: Duration) -> u32 {
        let (elapsed, half_life) = (now.since(self.at).as_nanos(), half_life.as_nanos());
        let halved = u32::try_from(elapsed / half_life).unwrap_or(u32::MAX);
        let value = u128::from(self.value.checked_shr(halved).unwrap_or(0));
        let fallen = value * (elapsed % half_life) / (2 * half_life);
        (value - fallen) as u32
    }

    /// When a trial is due.
    fn due(&self, options: &Options) -> Option<Instant> {
        match self.standing {
            Standing::Good => None,
            Standing::Questioned { from } => Some(from),
            Standing::Suppressed => Some(self.reaches(options.flap_reuse, options.flap_half_life)),
        }
    }

    /// When it will be down at `level`.
    fn reaches(&self, level: u32, half_life: Duration) -> Instant {
        let (mut at, mut value) = (self.at, self.value);
        while value / 2 >= level.max(1) {
            value /= 2;
            at += half_life;
        }
        let (above, half) = (value.saturating_sub(level), (value / 2).max(1));
        at + half_life * above / half + ROUNDING
    }
}

/// The penalty of a refuted suspicion.
const SUSPICION: u32 = 300;
/// The penalty of a failure.
const FAILURE: u32 = 1000;
/// The highest penalty, in `flap_suppress`.
const MOST: u32 = 4;
/// The most members with a penalty.
const MAX_PENALTIES: usize = 1024;
/// How many times the mean penalty of the others a member's is that stands out.
const STANDS_OUT: u64 = 4;
/// The pings of a trial, one in each probe interval.
pub(crate) const TRIAL: u32 = 8;
/// How many of them decide at least.
const MIN_TRIAL: u32 = 4;
/// So that the penalty is down at the level, and not just above it, when it is due.
const ROUNDING: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn id(n: u32) -> NodeId {
        NodeId::new(&format!("n{n}")).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn options() -> Options {
        Options {
            flap_suppress: 1500,
            flap_reuse: 500,
            flap_half_life: Duration::from_secs(60),
            ..Options::lan()
        }
    }

    fn due_now(action: Action) -> Option<Due> {
        Some(Due { id: id(1), action })
    }

    fn flap(damping: &mut Damping, now: u64, n: u32, flap: Flap) -> bool {
        damping.on_flap((at(now), Duration::ZERO), &options(), &id(n), flap, 9)
    }

    /// A member that is suppressed: it has failed twice at the start.
    fn suppressed() -> Damping {
        let mut damping = Damping::default();
        assert!(!flap(&mut damping, 0, 1, Flap::Failure));
        assert!(flap(&mut damping, 1, 1, Flap::Failure));
        damping
    }

    /// Runs a trial that begins at a time, of whose pings the `lost` first are lost; returns the
    /// last thing that was due.
    fn trial(damping: &mut Damping, begins: u64, lost: u32) -> Option<Due> {
        for second in 0..u64::from(TRIAL) {
            let due = damping.on_timeout(at(begins + second), &options(), 1, |_| true);
            if due != due_now(Action::Ping) {
                return due;
            }
            damping.on_pinged(second as u32);
            assert!(!damping.on_ack(99), "another token");
            if second >= u64::from(lost) {
                assert!(damping.on_ack(second as u32));
            }
        }
        damping.on_timeout(at(begins + u64::from(TRIAL)), &options(), 1, |_| true)
    }

    #[test]
    fn a_penalty_halves_in_each_half_life() {
        let mut damping = Damping::default();
        flap(&mut damping, 0, 1, Flap::Failure);
        let penalty = |damping: &Damping, now| damping.penalty(at(now), &options(), &id(1));
        let later = [0, 30, 60, 120, 6000].map(|now| penalty(&damping, now));
        assert_eq!(later, [1000, 750, 500, 250, 0]);
        flap(&mut damping, 60, 1, Flap::Suspicion);
        assert_eq!(penalty(&damping, 60), 800);
    }

    #[test]
    fn a_member_that_fails_twice_in_a_half_life_is_suppressed_and_one_that_does_so_rarely_is_not() {
        let mut damping = Damping::default();
        for (now, suppressed) in [(0, false), (300, false), (340, true), (350, false)] {
            let flap = flap(&mut damping, now, 1, Flap::Failure);
            assert_eq!(flap, suppressed, "at {now} s");
        }
        assert!(damping.is_suppressed(&id(1)));
    }

    #[test]
    fn if_many_members_flap_none_is_suppressed() {
        let mut damping = Damping::default();
        for now in 0..4 {
            for n in 0..6 {
                let suppressed = flap(&mut damping, now, n, Flap::Failure);
                assert!(!suppressed, "six of nine flap: that is the network");
            }
        }
    }

    #[test]
    fn a_member_that_is_only_accused_is_suppressed_if_it_does_not_answer_this_node() {
        for (lost, due) in [(1, None), (2, due_now(Action::Suppress))] {
            let mut damping = Damping::default();
            for now in 0..10 {
                assert!(!flap(&mut damping, now, 1, Flap::Suspicion), "anybody can accuse it");
            }
            assert_eq!(trial(&mut damping, 10, lost), due, "{lost} pings were lost");
            assert_eq!(damping.is_suppressed(&id(1)), due.is_some());
        }
    }

    #[test]
    fn a_member_is_back_once_its_penalty_is_low_and_it_has_answered() {
        let mut damping = suppressed();
        let due = damping.next(&options()).unwrap();
        assert!(due > at(110) && due < at(130), "{due:?}");
        assert_eq!(damping.on_timeout(at(109), &options(), 1, |_| true), None, "not yet");
        assert_eq!(trial(&mut damping, 130, 2), None, "two pings were lost");
        assert_eq!(damping.next(&options()), Some(at(134 + 220) + ROUNDING));
        assert_eq!(trial(&mut damping, 400, 1), due_now(Action::Release));
        assert_eq!((damping.next(&options()), damping.is_suppressed(&id(1))), (None, false));
    }

    #[test]
    fn a_member_that_stays_away_is_suppressed_no_longer_and_one_that_restarts_has_no_penalty() {
        let mut damping = suppressed();
        let due = damping.on_timeout(at(200), &options(), 1, |_| false);
        assert_eq!(due, due_now(Action::Release));
        let mut damping = suppressed();
        damping.forget(&id(1));
        assert_eq!((damping.is_suppressed(&id(1)), damping.next(&options())), (false, None));
        assert_eq!(damping.penalty(at(1), &options(), &id(1)), 0);
    }

    #[test]
    fn a_node_that_is_accused_again_and_again_knows_it_once() {
        let mut damping = Damping::default();
        let mut accused = |now| damping.on_accused(at(now), &options(), Flap::Failure);
        assert_eq!([0, 1, 2, 100].map(&mut accused), [false, true, false, false]);
        assert_eq!([900, 901].map(&mut accused), [false, true], "it was well in between");
    }
}
