//! Invariant checks: compares all that the nodes report with the ground truth.

use crate::scenario::Wire;
use crate::world::{Settings, number};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Event, Incarnation, Instant, Member, Node, NodeId, Options, Output, Ticket};

/// The ground truth about all nodes, and the violations found so far.
#[derive(Debug)]
pub(crate) struct Checks {
    options: Options,
    /// Lifetime of a tombstone.
    tombstones: Duration,
    wire: Wire,
    nodes: Vec<GroundTruth>,
    violations: Vec<String>,
    violation_count: u64,
}

/// The ground truth about one node, and the events it has emitted.
#[derive(Debug, Default)]
struct GroundTruth {
    /// All addresses it has ever had.
    addrs: BTreeSet<SocketAddr>,
    /// All metadata it has ever announced.
    metas: BTreeSet<Vec<u8>>,
    /// The highest incarnation it has had, over all restarts.
    highest: Option<Incarnation>,
    /// Commands that have not completed since the last start.
    tickets: BTreeSet<Ticket>,
    /// Its view of the other members, reconstructed from its events; only looked up, never
    /// iterated.
    view: HashMap<usize, ObservedMember>,
    /// Whether it may know members without having emitted an event about them.
    view_unknown: bool,
    /// Broadcasts delivered since the last start; each at most once.
    delivered: BTreeSet<(NodeId, Vec<u8>)>,
}

/// The state of a member in an observer's view, reconstructed from the observer's events.
#[derive(Clone, Copy, Debug)]
struct ObservedMember {
    state: ObservedState,
    incarnation: Incarnation,
    since: Instant,
    /// It was reported as failed because it flaps, and may be back in the same incarnation.
    suppressed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ObservedState {
    Alive,
    Suspect,
    Failed,
    Left,
}

/// Numbers of outputs that a node gave for one input.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outputs {
    datagrams: usize,
    actions: usize,
    events: usize,
}

impl Outputs {
    pub(crate) fn count(&mut self, output: &Output<'_>) {
        match output {
            Output::Datagram { .. } => self.datagrams += 1,
            Output::Stream { .. } => self.actions += 1,
            Output::Event(_) => self.events += 1,
        }
    }
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

    // ---- the ground truth ----

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

    /// The node starts with a full view, for which it has emitted no events.
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

    // ---- actions of nodes ----

    pub(crate) fn datagram(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.datagram_size {
            self.record_violation(format!(
                "after {now:?}, n{node} sent a datagram of {len} bytes; datagram_size allows {}",
                self.options.datagram_size
            ));
        }
    }

    pub(crate) fn write(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.max_frame + MAX_ENVELOPE {
            self.record_violation(format!(
                "after {now:?}, n{node} wrote a frame of {len} bytes; max_frame allows {}",
                self.options.max_frame
            ));
        }
    }

    /// Checks what a datagram of `len` bytes caused at its receiver, by the bounds of
    /// docs/PROTOCOL.md, "Limits".
    pub(crate) fn caused(&mut self, now: Instant, observer: usize, len: usize, outputs: Outputs) {
        let messages = match self.wire {
            Wire::Tidings => len / SHORTEST_MESSAGE,
            Wire::Memberlist => MAX_MESSAGES,
        };
        let Outputs { datagrams, actions, events } = outputs;
        let (max_datagrams, max_events) = (REPLIES, 2 * messages + 2);
        if datagrams > max_datagrams || events > max_events || actions > MAX_ACTIONS {
            self.record_violation(format!(
                "after {now:?}, n{observer} gave {datagrams} datagrams, {events} events and \
                 {actions} actions on streams for one datagram of {len} bytes, which may cause \
                 {max_datagrams}, {max_events} and {MAX_ACTIONS}"
            ));
        }
    }

    /// Checks a node after all its outputs for one input were processed.
    pub(crate) fn drained(
        &mut self,
        now: Instant,
        observer: usize,
        node: &Node,
        outputs: Outputs,
        streams: usize,
    ) {
        let outputs = outputs.datagrams + outputs.actions + outputs.events;
        let local = node.local().incarnation();
        let truth = &mut self.nodes[observer];
        // After its wall clock was set back, a node starts below its highest incarnation until it
        // learns of that one.
        truth.highest = truth.highest.max(Some(local));
        let known = self.nodes.len();
        let Options { max_streams_in, max_streams_out, leave_peers, max_members, .. } =
            self.options;
        let max_streams = max_streams_in + max_streams_out + leave_peers;
        if streams > max_streams {
            self.record_violation(format!(
                "after {now:?}, n{observer} has {streams} streams; its options allow {max_streams}"
            ));
        }
        let max_outputs =
            self.options.max_queued_datagrams + 4 * max_streams + 8 * max_members.min(known) + 64;
        if outputs > max_outputs {
            self.record_violation(format!(
                "after {now:?}, n{observer} gave {outputs} outputs for one input; its options \
                 allow {max_outputs}"
            ));
        }
        if node.present_count() > known.min(max_members) {
            self.record_violation(format!(
                "after {now:?}, n{observer} holds {} members as present, of {known}",
                node.present_count()
            ));
        }
    }

    pub(crate) fn event(&mut self, now: Instant, observer: usize, event: &Event) {
        use ObservedState::{Alive, Failed, Left, Suspect};
        match event {
            Event::Joined(member) => self.check_transition(now, observer, member, "joined", Alive),
            Event::Updated(member) => {
                self.check_transition(now, observer, member, "updated", Alive)
            }
            Event::Restarted { member, earlier } => {
                self.check_restart(now, observer, member, *earlier);
            }
            Event::Suspected(member) => {
                self.check_transition(now, observer, member, "suspected", Suspect)
            }
            Event::Recovered(member) => {
                self.check_transition(now, observer, member, "recovered", Alive)
            }
            Event::Failed(member) => self.check_transition(now, observer, member, "failed", Failed),
            Event::Left(member) => self.check_transition(now, observer, member, "left", Left),
            Event::Degraded(member) | Event::Restored(member) => {
                self.check_claim(now, observer, member, "degraded");
            }
            Event::Completed { ticket, result } => {
                if !self.nodes[observer].tickets.remove(ticket) {
                    let what = format!("{ticket:?} completed with {result:?}, but is not pending");
                    self.record_violation(format!("after {now:?}, n{observer}: {what}"));
                }
                if matches!(result, Ok(tidings::Done::Left { .. })) {
                    // After a leave the node may or may not have forgotten the members.
                    self.nodes[observer].view.clear();
                    self.nodes[observer].view_unknown = true;
                }
            }
            Event::Message { from: Some(from), data, via: tidings::Via::Broadcast }
                if !self.nodes[observer].delivered.insert((from.clone(), data.to_vec())) =>
            {
                self.record_violation(format!(
                    "after {now:?}, n{observer} delivered a broadcast of {from} twice"
                ));
            }
            _ => {}
        }
    }

    /// Checks an event by which a node reports a state change of a member.
    fn check_transition(
        &mut self,
        now: Instant,
        observer: usize,
        member: &Member,
        what: &str,
        state: ObservedState,
    ) {
        use ObservedState::{Alive, Failed, Suspect};
        let Some(subject) = self.check_claim(now, observer, member, what) else { return };
        let incarnation = member.incarnation();
        let observed = self.nodes[observer].view.get(&subject).copied();
        let problem = match (observed, what) {
            (Some(observed), "joined") => self.check_rejoin(now, &observed, subject, incarnation),
            (Some(ObservedMember { state: Failed, .. }), "left") => None,
            (
                Some(ObservedMember { state: Suspect, .. }),
                "suspected" | "recovered" | "updated",
            ) => None,
            (Some(ObservedMember { state: Suspect | Alive, .. }), "failed" | "left") => None,
            (Some(ObservedMember { state: Alive, .. }), "updated" | "suspected") => None,
            // A member that was suspected a moment ago may have been cleared and be reported as
            // updated.
            (None, "joined") => None,
            (None, _) if self.nodes[observer].view_unknown => None,
            // A node that has just rejoined reports members that are already gone.
            (None, "left" | "failed") => None,
            (Some(observed), "left" | "failed")
                if self.may_have_forgotten(now, &observed, subject) =>
            {
                None
            }
            (observed, _) => Some(format!(
                "the observer held it as {:?}",
                observed.map(|observed| observed.state)
            )),
        };
        let backwards = observed.filter(|observed| {
            incarnation < observed.incarnation && !self.may_have_forgotten(now, observed, subject)
        });
        let backwards =
            backwards.map(|observed| format!("the observer held it in {:?}", observed.incarnation));
        if let Some(problem) = problem.or(backwards) {
            let id = member.id();
            self.record_violation(format!(
                "after {now:?}, n{observer} reported {id} {what} in {incarnation:?}: {problem}"
            ));
        }
        let state = match observed {
            Some(ObservedMember { state: Suspect, .. }) if what == "updated" => Suspect,
            _ => state,
        };
        // A tombstone's age counts from the first report, also if a leave is reported after the
        // failure.
        let since = match observed {
            Some(ObservedMember { state: Failed | ObservedState::Left, since, .. })
                if what == "left" =>
            {
                since
            }
            None if what == "left" => Instant::ZERO,
            _ => now,
        };
        let suppressed = member.is_suppressed();
        let observed = ObservedMember { state, incarnation, since, suppressed };
        self.nodes[observer].view.insert(subject, observed);
    }

    /// Checks an event by which a node reports that a present member was restarted.
    fn check_restart(
        &mut self,
        now: Instant,
        observer: usize,
        member: &Member,
        earlier: Incarnation,
    ) {
        let what = "restarted";
        let Some(subject) = self.check_claim(now, observer, member, what) else { return };
        let truth = &self.nodes[observer];
        let observed = truth.view.get(&subject).map(|observed| observed.state);
        let present = match observed {
            Some(state) => matches!(state, ObservedState::Alive | ObservedState::Suspect),
            None => truth.view_unknown,
        };
        let same_life = member.incarnation().generation <= earlier.generation;
        if !present || same_life && self.wire == Wire::Tidings {
            self.record_violation(format!(
                "after {now:?}, n{observer} reported {} restarted in {:?} after {earlier:?}: the \
                 observer held it as {observed:?}",
                member.id(),
                member.incarnation()
            ));
        }
    }

    /// Checks the return of a departed member; returns the problem, if any.
    fn check_rejoin(
        &self,
        now: Instant,
        observed: &ObservedMember,
        subject: usize,
        incarnation: Incarnation,
    ) -> Option<String> {
        match observed.state {
            ObservedState::Alive | ObservedState::Suspect => {
                Some(format!("the observer held it as {:?}", observed.state))
            }
            ObservedState::Failed | ObservedState::Left
                if observed.suppressed || self.may_have_forgotten(now, observed, subject) =>
            {
                None
            }
            ObservedState::Failed | ObservedState::Left => (incarnation <= observed.incarnation)
                .then(|| {
                    format!(
                        "the observer held it as {:?} in {:?}",
                        observed.state, observed.incarnation
                    )
                }),
        }
    }

    /// Whether a node's tombstone for a member may have expired. In memberlist's format a member
    /// that left is also forgotten as soon as its name appears at another address.
    fn may_have_forgotten(&self, now: Instant, observed: &ObservedMember, subject: usize) -> bool {
        let moved = self.nodes[subject].addrs.len() > 1;
        if self.wire == Wire::Memberlist && observed.state == ObservedState::Left && moved {
            return true;
        }
        let gone = matches!(observed.state, ObservedState::Failed | ObservedState::Left);
        // The node's own clock may run slightly fast.
        gone && now.since(observed.since) >= self.tombstones.mul_f64(0.9)
    }

    /// Checks that a reported claim about a member can be true; returns the member's number.
    fn check_claim(
        &mut self,
        now: Instant,
        observer: usize,
        member: &Member,
        what: &str,
    ) -> Option<usize> {
        let subject = number(member.id()).filter(|&subject| subject < self.nodes.len());
        let Some(subject) = subject else {
            self.record_violation(format!(
                "after {now:?}, n{observer} reported {} {what}, which does not exist",
                member.id()
            ));
            return None;
        };
        let truth = &self.nodes[subject];
        let incarnation = member.incarnation();
        let problem = if truth.highest.is_none_or(|highest| incarnation > highest) {
            Some(format!("in {incarnation:?}, but its highest is {:?}", truth.highest))
        } else if !truth.addrs.contains(&member.addr()) {
            Some(format!("at {}, where it never was", member.addr()))
        } else if !truth.metas.contains(&**member.meta()) {
            Some(format!("with metadata {:?}, which it never had", member.meta()))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.record_violation(format!(
                "after {now:?}, n{observer} reported n{subject} {what} {problem}"
            ));
        }
        Some(subject)
    }

    fn record_violation(&mut self, violation: String) {
        self.violation_count += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

/// Datagrams in reply to one: an ack, or a ping or nack for another member; and a correction, or a
/// ping to validate an address.
const REPLIES: usize = 2;
/// The shortest message that causes an output, in bytes: one of the application.
const SHORTEST_MESSAGE: usize = 4;
/// Largest number of messages in a datagram of memberlist's format.
const MAX_MESSAGES: usize = 255;
/// Actions on streams that one datagram causes: a sync is opened, and those messages that a node in
/// stream-only mode sends in place of datagrams.
const MAX_ACTIONS: usize = 8;
/// Allowance in bytes for the envelope of a frame, which `max_frame` does not count.
const MAX_ENVELOPE: usize = 1024;
/// Maximum number of violations kept; one is enough to fail a run.
const MAX_VIOLATIONS: usize = 32;

/// Upper bound on the time from the end of all faults until all views are equal, from the options.
///
/// A node that holds a live member as failed finds it again within two of the longest reconnect
/// intervals, plus jitter. Before that, a suspicion may have to expire at its maximum timeout, or a
/// stream may have to time out. Dissemination then takes its gossip and probe rounds.
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
