//! Checks: what no node may ever do, whatever happens to it.

use crate::scenario::Wire;
use crate::world::{Settings, number};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Event, Incarnation, Instant, Member, Node, NodeId, Options, Ticket};

/// What is known to be true, and what nodes said that does not agree with it.
#[derive(Debug)]
pub(crate) struct Checks {
    options: Options,
    /// For how long a node remembers those who failed or left.
    tombstones: Duration,
    wire: Wire,
    nodes: Vec<GroundTruth>,
    violations: Vec<String>,
    violation_count: u64,
}

/// What is true of a node, and what it has said so far.
#[derive(Debug, Default)]
struct GroundTruth {
    /// Where it ever was.
    addrs: BTreeSet<SocketAddr>,
    /// What it ever told as its metadata.
    metas: BTreeSet<Vec<u8>>,
    /// The highest incarnation that it ever had, over all its lives.
    highest: Option<Incarnation>,
    /// The commands that have not ended in this life.
    tickets: BTreeSet<Ticket>,
    /// What it holds of the others, by what it told; only ever looked up.
    view: HashMap<usize, ObservedMember>,
    /// It may know members of whom it has not told, or told before it left.
    view_unknown: bool,
    /// How often each broadcast came: at most once in a life.
    delivered: BTreeSet<(NodeId, Vec<u8>)>,
}

/// In which state a node holds another one, by the events that it told.
#[derive(Clone, Copy, Debug)]
struct ObservedMember {
    state: ObservedState,
    incarnation: Incarnation,
    since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ObservedState {
    Alive,
    Suspect,
    Failed,
    Left,
}

impl Checks {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (options, wire) = (settings.options.clone(), settings.wire);
        let (nodes, violations, violation_count) = (Vec::new(), Vec::new(), 0);
        Self {
            options,
            tombstones: settings.forgets_after(),
            wire,
            nodes,
            violations,
            violation_count,
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn pending_commands(&self) -> impl Iterator<Item = (usize, Ticket)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(|(node, truth)| truth.tickets.iter().map(move |&ticket| (node, ticket)))
    }

    // ---- what is true ----

    pub(crate) fn add(&mut self) {
        self.nodes.push(GroundTruth::default());
    }

    pub(crate) fn started(&mut self, node: usize, local: &Member) {
        let truth = &mut self.nodes[node];
        truth.addrs.insert(local.addr());
        truth.metas.insert(local.meta().to_vec());
        truth.highest = truth.highest.max(Some(local.incarnation()));
        truth.tickets.clear();
        truth.view.clear();
        truth.delivered.clear();
        truth.view_unknown = false;
    }

    /// The node knows everybody, without having told so.
    pub(crate) fn formed(&mut self, node: usize) {
        self.nodes[node].view_unknown = true;
    }

    pub(crate) fn stopped(&mut self, node: usize) {
        let truth = &mut self.nodes[node];
        truth.tickets.clear();
        truth.view.clear();
        truth.view_unknown = false;
    }

    pub(crate) fn meta_set(&mut self, node: usize, meta: &[u8]) {
        self.nodes[node].metas.insert(meta.to_vec());
    }

    pub(crate) fn ticket_issued(&mut self, node: usize, ticket: Ticket) {
        if !self.nodes[node].tickets.insert(ticket) {
            self.record_violation(format!("n{node} issued {ticket:?} twice"));
        }
    }

    // ---- what nodes do ----

    pub(crate) fn datagram(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.datagram_size {
            self.record_violation(format!("{now:?}: n{node} sent a datagram of {len} bytes"));
        }
    }

    pub(crate) fn write(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.max_frame + MAX_ENVELOPE {
            self.record_violation(format!("{now:?}: n{node} wrote a frame of {len} bytes"));
        }
    }

    /// All that a node wanted done was done.
    pub(crate) fn drained(
        &mut self,
        now: Instant,
        here: usize,
        node: &Node,
        outputs: usize,
        streams: usize,
    ) {
        let local = node.local().incarnation();
        let truth = &mut self.nodes[here];
        // A node whose clock was set back begins below what it had, until it learns of that.
        truth.highest = truth.highest.max(Some(local));
        let known = self.nodes.len();
        let Options { max_streams_in, max_streams_out, leave_peers, max_members, .. } =
            self.options;
        let max_streams = max_streams_in + max_streams_out + leave_peers;
        if streams > max_streams {
            self.record_violation(format!(
                "{now:?}: n{here} has {streams} streams, of {max_streams}"
            ));
        }
        let max_outputs =
            self.options.max_queued_datagrams + 4 * max_streams + 8 * max_members.min(known) + 64;
        if outputs > max_outputs {
            self.record_violation(format!("{now:?}: n{here} gave {outputs} outputs for one input"));
        }
        if node.present_count() > known.min(max_members) {
            self.record_violation(format!(
                "{now:?}: n{here} knows {} of {known}",
                node.present_count()
            ));
        }
    }

    pub(crate) fn event(&mut self, now: Instant, here: usize, event: &Event) {
        use ObservedState::{Alive, Failed, Left, Suspect};
        match event {
            Event::Joined(member) => self.check_transition(now, here, member, "joined", Alive),
            Event::Updated(member) => self.check_transition(now, here, member, "updated", Alive),
            Event::Suspected(member) => {
                self.check_transition(now, here, member, "suspected", Suspect)
            }
            Event::Recovered(member) => {
                self.check_transition(now, here, member, "recovered", Alive)
            }
            Event::Failed(member) => self.check_transition(now, here, member, "failed", Failed),
            Event::Left(member) => self.check_transition(now, here, member, "left", Left),
            Event::Degraded(member) | Event::Restored(member) => {
                self.check_claim(now, here, member, "degraded");
            }
            Event::Completed { ticket, result } => {
                if !self.nodes[here].tickets.remove(ticket) {
                    let what = format!("{ticket:?} ended with {result:?}, and is not under way");
                    self.record_violation(format!("{now:?}: n{here}: {what}"));
                }
                if matches!(result, Ok(tidings::Done::Left { .. })) {
                    // Whoever comes back after leaving may have forgotten everybody, or nobody.
                    self.nodes[here].view.clear();
                    self.nodes[here].view_unknown = true;
                }
            }
            Event::Message { from: Some(from), data, via: tidings::Via::Broadcast }
                if !self.nodes[here].delivered.insert((from.clone(), data.to_vec())) =>
            {
                self.record_violation(format!(
                    "{now:?}: n{here} delivered a broadcast of {from} twice"
                ));
            }
            _ => {}
        }
    }

    /// A node told that another one is in another state.
    fn check_transition(
        &mut self,
        now: Instant,
        here: usize,
        member: &Member,
        what: &str,
        state: ObservedState,
    ) {
        use ObservedState::{Alive, Failed, Suspect};
        let Some(about) = self.check_claim(now, here, member, what) else { return };
        let incarnation = member.incarnation();
        let observed = self.nodes[here].view.get(&about).copied();
        let problem = match (observed, what) {
            (Some(observed), "joined") => self.check_rejoin(now, &observed, about, incarnation),
            (Some(ObservedMember { state: Failed, .. }), "left") => None,
            (
                Some(ObservedMember { state: Suspect, .. }),
                "suspected" | "recovered" | "updated",
            ) => None,
            (Some(ObservedMember { state: Suspect | Alive, .. }), "failed" | "left") => None,
            (Some(ObservedMember { state: Alive, .. }), "updated" | "suspected") => None,
            // Whoever was just accused may have been acquitted and be told of as updated.
            (None, "joined") => None,
            (None, _) if self.nodes[here].view_unknown => None,
            // Those who are gone are told of by a node that has just come back.
            (None, "left" | "failed") => None,
            (Some(observed), "left" | "failed")
                if self.may_have_forgotten(now, &observed, about) =>
            {
                None
            }
            (observed, _) => {
                Some(format!("it observed it as {:?}", observed.map(|observed| observed.state)))
            }
        };
        let backwards = observed.filter(|observed| {
            incarnation < observed.incarnation && !self.may_have_forgotten(now, observed, about)
        });
        let backwards =
            backwards.map(|observed| format!("it observed it in {:?}", observed.incarnation));
        if let Some(problem) = problem.or(backwards) {
            let id = member.id();
            self.record_violation(format!(
                "{now:?}: n{here} told that {id} {what} in {incarnation:?}: {problem}"
            ));
        }
        let state = match observed {
            Some(ObservedMember { state: Suspect, .. }) if what == "updated" => Suspect,
            _ => state,
        };
        // Whoever was gone already is not gone since now, also if it is heard only now that it left.
        let since = match observed {
            Some(ObservedMember { state: Failed | ObservedState::Left, since, .. })
                if what == "left" =>
            {
                since
            }
            None if what == "left" => Instant::ZERO,
            _ => now,
        };
        let observed = ObservedMember { state, incarnation, since };
        self.nodes[here].view.insert(about, observed);
    }

    /// Why a member that was gone must not be back.
    fn check_rejoin(
        &self,
        now: Instant,
        observed: &ObservedMember,
        about: usize,
        incarnation: Incarnation,
    ) -> Option<String> {
        match observed.state {
            ObservedState::Alive | ObservedState::Suspect => {
                Some(format!("it observed it as {:?}", observed.state))
            }
            ObservedState::Failed | ObservedState::Left
                if self.may_have_forgotten(now, observed, about) =>
            {
                None
            }
            ObservedState::Failed | ObservedState::Left => (incarnation <= observed.incarnation)
                .then(|| format!("it was {:?} in {:?}", observed.state, observed.incarnation)),
        }
    }

    /// Whether a node may have forgotten a member that was gone: with memberlist also one that left, as
    /// soon as it hears of that name at another address.
    fn may_have_forgotten(&self, now: Instant, observed: &ObservedMember, about: usize) -> bool {
        let moved = self.nodes[about].addrs.len() > 1;
        if self.wire == Wire::Memberlist && observed.state == ObservedState::Left && moved {
            return true;
        }
        let gone = matches!(observed.state, ObservedState::Failed | ObservedState::Left);
        // Its own clock may be a little fast.
        gone && now.since(observed.since) >= self.tombstones.mul_f64(0.9)
    }

    /// Whether what a node says of a member can be true; returns which one it is.
    fn check_claim(
        &mut self,
        now: Instant,
        here: usize,
        member: &Member,
        what: &str,
    ) -> Option<usize> {
        let about = number(member.id()).filter(|&about| about < self.nodes.len());
        let Some(about) = about else {
            self.record_violation(format!(
                "{now:?}: n{here} told that {} {what}: a phantom",
                member.id()
            ));
            return None;
        };
        let truth = &self.nodes[about];
        let incarnation = member.incarnation();
        let problem = if truth.highest.is_none_or(|highest| incarnation > highest) {
            Some(format!("{incarnation:?}, and its highest is {:?}", truth.highest))
        } else if !truth.addrs.contains(&member.addr()) {
            Some(format!("at {}, where it never was", member.addr()))
        } else if !truth.metas.contains(&**member.meta()) {
            Some(format!("with metadata {:?}, which it never had", member.meta()))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.record_violation(format!(
                "{now:?}: n{here} told that n{about} {what} in {problem}"
            ));
        }
        Some(about)
    }

    fn record_violation(&mut self, violation: String) {
        self.violation_count += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

/// What a frame may have beside what `max_frame` counts.
const MAX_ENVELOPE: usize = 1024;
/// How many violations are told; one is enough to fail.
const MAX_VIOLATIONS: usize = 32;

/// How long it may take after a calm until all views are equal, from the options.
///
/// Whoever holds a live member to have failed finds it again within two of the longest search
/// intervals, give or take the jitter; before that a suspicion may have to run out at its longest, or
/// a stream to time out; and news takes its rounds.
pub fn convergence_bound(options: &Options, nodes: usize) -> Duration {
    let members = nodes.max(10) as f64;
    let round = options.probe_interval * options.awareness_max;
    let suspicion = options
        .probe_interval
        .mul_f64(members.log10() * f64::from(options.suspicion_mult * options.suspicion_max_mult));
    let search = options.reconnect_interval_max * 3;
    let probes = round * (2 * nodes.min(50)) as u32;
    search + suspicion * 2 + options.stream_timeout * 2 + probes
}
