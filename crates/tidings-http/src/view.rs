//! A node as the pages show it: all that they need, copied in one look.

use crate::log::{Change, Entry, EventKind, EventLog};
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tidings::{ClusterName, Instant, Member, NodeId, Phase, State, Stats, Wire};
use tidings_driver::{DriverState, Observer};

/// A node at one moment.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) at: SystemTime,
    pub(crate) cluster: ClusterName,
    pub(crate) name: NodeId,
    pub(crate) addr: SocketAddr,
    /// The wire format: `tidings` or `memberlist`.
    pub(crate) wire: &'static str,
    pub(crate) phase: Phase,
    pub(crate) ready: bool,
    /// By how much the driver is late with the node's timers.
    pub(crate) overdue: Duration,
    pub(crate) health: u32,
    /// One more than the worst health score.
    pub(crate) health_limit: u32,
    pub(crate) probe_loss: f32,
    pub(crate) digest: u64,
    pub(crate) counts: Counts,
    /// The members that are shown: those that are not well first, then by name.
    pub(crate) members: Vec<Shown>,
    /// How many members there are beside those that are shown.
    pub(crate) left_out: usize,
    /// The round-trip times of the members that are shown and present, sorted.
    pub(crate) rtts: Vec<Duration>,
    pub(crate) stats: Stats,
    /// The latest events, the newest first.
    pub(crate) recent: Vec<Entry>,
    pub(crate) events: Vec<(EventKind, u64)>,
}

/// The number of members in each condition; each is in one of them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) alive: usize,
    pub(crate) suspect: usize,
    pub(crate) failed: usize,
    pub(crate) left: usize,
    pub(crate) suppressed: usize,
    /// Of those that are present, the ones that answer streams only.
    pub(crate) degraded: usize,
}

/// A member that is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) member: Member,
    pub(crate) is_local: bool,
    pub(crate) rtt: Option<Duration>,
    pub(crate) change: Option<Change>,
}

impl View {
    /// Looks at a node; `None` once it has stopped.
    pub(crate) fn take(node: &Observer, log: &EventLog, max_members: usize) -> Option<Self> {
        let mut view = node.look(|state, now| Self::copy(state, now, max_members))?;
        view.members.sort_by(|a, b| {
            let rank = |shown: &Shown| (Reverse(trouble(&shown.member)), !shown.is_local);
            rank(a).cmp(&rank(b)).then_with(|| a.member.id().cmp(b.member.id()))
        });
        let changes = log.changes(view.members.iter().map(|shown| shown.member.id()));
        for (shown, change) in view.members.iter_mut().zip(changes) {
            shown.change = change;
        }
        let present = view.members.iter().filter(|shown| shown.member.is_present());
        view.rtts = present.filter_map(|shown| shown.rtt).collect();
        view.rtts.sort_unstable();
        (view.recent, view.events) = (log.recent(), log.counts());
        Some(view)
    }

    /// Copies what is needed while the node waits.
    fn copy(state: &DriverState, now: Instant, max_members: usize) -> Self {
        let (node, config) = (state.node(), state.node().config());
        let mut counts = Counts::default();
        node.all_members().for_each(|member| counts.add(member));
        let is_well = |member: &&Member| trouble(member) == 0;
        let not_well = node.all_members().filter(|member| !is_well(member));
        let members: Vec<_> = not_well
            .chain(node.all_members().filter(is_well))
            .take(max_members)
            .map(|member| Shown {
                is_local: member.id() == node.local().id(),
                rtt: node.rtt(member.id()),
                member: member.clone(),
                change: None,
            })
            .collect();
        Self {
            at: SystemTime::now(),
            cluster: config.cluster().clone(),
            name: node.local().id().clone(),
            addr: node.local().addr(),
            wire: match config.wire() {
                Wire::Tidings => "tidings",
                _ => "memberlist",
            },
            phase: node.phase(),
            ready: state.is_ready(),
            overdue: now.since(state.due()),
            health: node.health(),
            health_limit: config.options().awareness_max,
            probe_loss: node.probe_loss(),
            digest: node.digest(),
            left_out: counts.total() - members.len(),
            counts,
            members,
            rtts: Vec::new(),
            stats: node.stats().clone(),
            recent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The round-trip time that this share of the members has at most; `None` without one.
    pub(crate) fn rtt_quantile(&self, share: f64) -> Option<Duration> {
        let last = self.rtts.len().checked_sub(1)?;
        self.rtts.get((last as f64 * share).round() as usize).copied()
    }

    /// The reason why the node is not healthy, for `/healthz`.
    pub(crate) fn unhealthy(&self) -> Option<String> {
        (self.overdue > MAX_OVERDUE)
            .then(|| format!("the node's timers are {:.1} s overdue", self.overdue.as_secs_f64()))
    }

    /// The reason why the node is not ready, for `/readyz`.
    pub(crate) fn unready(&self) -> Option<String> {
        match self.phase {
            Phase::Leaving => Some("the node is leaving its cluster".into()),
            Phase::Left => Some("the node has left its cluster".into()),
            Phase::Running if !self.ready => {
                Some("the node has not settled among the members that its seeds know".into())
            }
            Phase::Running => self.unhealthy(),
        }
    }
}

impl Counts {
    fn add(&mut self, member: &Member) {
        *match member.state() {
            _ if member.is_suppressed() => &mut self.suppressed,
            State::Alive => &mut self.alive,
            State::Suspect => &mut self.suspect,
            State::Failed => &mut self.failed,
            State::Left => &mut self.left,
        } += 1;
        self.degraded += usize::from(member.is_degraded());
    }

    pub(crate) fn present(&self) -> usize {
        self.alive + self.suspect
    }

    pub(crate) fn total(&self) -> usize {
        self.present() + self.failed + self.left + self.suppressed
    }
}

impl Shown {
    /// The member's state as the pages name it.
    pub(crate) fn state(&self) -> &'static str {
        match self.member.state() {
            _ if self.member.is_suppressed() => "suppressed",
            State::Alive => "alive",
            State::Suspect => "suspect",
            State::Failed => "failed",
            State::Left => "left",
        }
    }
}

/// How much a member needs attention; 0 for one that is well.
fn trouble(member: &Member) -> u8 {
    match member.state() {
        _ if member.is_suppressed() => 4,
        State::Failed => 5,
        State::Suspect => 3,
        State::Alive if member.is_degraded() => 2,
        State::Left => 1,
        State::Alive => 0,
    }
}

/// The lateness of a node's timers from which its driver counts as stuck.
const MAX_OVERDUE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use tidings::Event;
    use tidings_std::{Events, Tidings};

    fn node(name: &str) -> (Tidings, Events) {
        tidings_std::builder("test").name(name).bind("127.0.0.1:0").start().unwrap()
    }

    #[test]
    fn those_that_are_not_well_are_shown_first_and_all_are_counted() {
        let nodes = ["a", "b", "c", "d"].map(node);
        let a = &nodes[0].0;
        for (other, _) in &nodes[1..] {
            other.join([a.addr()]).unwrap();
        }
        nodes[3].0.leave().unwrap();
        // Events end the wait, and come after the change.
        let limit = Duration::from_secs(20);
        while !matches!(nodes[0].1.recv_timeout(limit).expect("d leaves"), Event::Left(_)) {}
        let view = View::take(&a.observer(), &EventLog::default(), 2).unwrap();
        let shown: Vec<_> =
            view.members.iter().map(|shown| (shown.member.id().as_str(), shown.state())).collect();
        assert_eq!(shown, [("d", "left"), ("a", "alive")]);
        assert_eq!((view.counts.alive, view.counts.left, view.left_out), (3, 1, 2));
    }
}
