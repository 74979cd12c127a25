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
    truths: Vec<Truth>,
    violations: Vec<String>,
    violated: u64,
}

/// What is true of a node, and what it has said so far.
#[derive(Debug, Default)]
struct Truth {
    /// Where it ever was.
    addrs: BTreeSet<SocketAddr>,
    /// What it ever told as its metadata.
    metas: BTreeSet<Vec<u8>>,
    /// The highest incarnation that it ever had, over all its lives.
    highest: Option<Incarnation>,
    /// The commands that have not ended in this life.
    tickets: BTreeSet<Ticket>,
    /// What it holds of the others, by what it told; only ever looked up.
    holds: HashMap<usize, Held>,
    /// It may know members of whom it has not told, or told before it left.
    vague: bool,
    /// How often each broadcast came: at most once in a life.
    heard: BTreeSet<(NodeId, Vec<u8>)>,
}

/// In which state a node holds another one, by the events that it told.
#[derive(Clone, Copy, Debug)]
struct Held {
    state: Story,
    incarnation: Incarnation,
    since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Story {
    Alive,
    Suspect,
    Failed,
    Left,
}

impl Checks {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (options, wire) = (settings.options.clone(), settings.wire);
        let (truths, violations, violated) = (Vec::new(), Vec::new(), 0);
        Self { options, tombstones: settings.forgets_after(), wire, truths, violations, violated }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn unended(&self) -> impl Iterator<Item = (usize, Ticket)> {
        let truths = self.truths.iter().enumerate();
        truths.flat_map(|(node, truth)| truth.tickets.iter().map(move |&ticket| (node, ticket)))
    }

    // ---- what is true ----

    pub(crate) fn add(&mut self) {
        self.truths.push(Truth::default());
    }

    pub(crate) fn started(&mut self, node: usize, local: &Member) {
        let truth = &mut self.truths[node];
        truth.addrs.insert(local.addr());
        truth.metas.insert(local.meta().to_vec());
        truth.highest = truth.highest.max(Some(local.incarnation()));
        truth.tickets.clear();
        truth.holds.clear();
        truth.heard.clear();
        truth.vague = false;
    }

    /// The node knows everybody, without having told so.
    pub(crate) fn formed(&mut self, node: usize) {
        self.truths[node].vague = true;
    }

    pub(crate) fn stopped(&mut self, node: usize) {
        let truth = &mut self.truths[node];
        truth.tickets.clear();
        truth.holds.clear();
        truth.vague = false;
    }

    pub(crate) fn meta_set(&mut self, node: usize, meta: &[u8]) {
        self.truths[node].metas.insert(meta.to_vec());
    }

    pub(crate) fn ticket_issued(&mut self, node: usize, ticket: Ticket) {
        if !self.truths[node].tickets.insert(ticket) {
            self.violate(format!("n{node} issued {ticket:?} twice"));
        }
    }

    // ---- what nodes do ----

    pub(crate) fn datagram(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.datagram_size {
            self.violate(format!("{now:?}: n{node} sent a datagram of {len} bytes"));
        }
    }

    pub(crate) fn write(&mut self, now: Instant, node: usize, len: usize) {
        if len > self.options.max_frame + MAX_ENVELOPE {
            self.violate(format!("{now:?}: n{node} wrote a frame of {len} bytes"));
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
        let truth = &mut self.truths[here];
        // A node whose clock was set back begins below what it had, until it learns of that.
        truth.highest = truth.highest.max(Some(local));
        let known = self.truths.len();
        let Options { max_streams_in, max_streams_out, leave_peers, max_members, .. } =
            self.options;
        let most_streams = max_streams_in + max_streams_out + leave_peers;
        if streams > most_streams {
            self.violate(format!("{now:?}: n{here} has {streams} streams, of {most_streams}"));
        }
        let most_outputs =
            self.options.max_queued_datagrams + 4 * most_streams + 8 * max_members.min(known) + 64;
        if outputs > most_outputs {
            self.violate(format!("{now:?}: n{here} gave {outputs} outputs for one input"));
        }
        if node.present_count() > known.min(max_members) {
            self.violate(format!("{now:?}: n{here} knows {} of {known}", node.present_count()));
        }
    }

    pub(crate) fn event(&mut self, now: Instant, here: usize, event: &Event) {
        use Story::{Alive, Failed, Left, Suspect};
        match event {
            Event::Joined(member) => self.tell(now, here, member, "joined", Alive),
            Event::Updated(member) => self.tell(now, here, member, "updated", Alive),
            Event::Suspected(member) => self.tell(now, here, member, "suspected", Suspect),
            Event::Recovered(member) => self.tell(now, here, member, "recovered", Alive),
            Event::Failed(member) => self.tell(now, here, member, "failed", Failed),
            Event::Left(member) => self.tell(now, here, member, "left", Left),
            Event::Degraded(member) | Event::Restored(member) => {
                self.check_claim(now, here, member, "degraded");
            }
            Event::Completed { ticket, result } => {
                if !self.truths[here].tickets.remove(ticket) {
                    let what = format!("{ticket:?} ended with {result:?}, and is not under way");
                    self.violate(format!("{now:?}: n{here}: {what}"));
                }
                if matches!(result, Ok(tidings::Done::Left { .. })) {
                    // Whoever comes back after leaving may have forgotten everybody, or nobody.
                    self.truths[here].holds.clear();
                    self.truths[here].vague = true;
                }
            }
            Event::Message { from: Some(from), data, via: tidings::Via::Broadcast }
                if !self.truths[here].heard.insert((from.clone(), data.to_vec())) =>
            {
                self.violate(format!("{now:?}: n{here} delivered a broadcast of {from} twice"));
            }
            _ => {}
        }
    }

    /// A node told that another one is in another state.
    fn tell(&mut self, now: Instant, here: usize, member: &Member, what: &str, state: Story) {
        use Story::{Alive, Failed, Suspect};
        let Some(about) = self.check_claim(now, here, member, what) else { return };
        let incarnation = member.incarnation();
        let held = self.truths[here].holds.get(&about).copied();
        let problem = match (held, what) {
            (Some(held), "joined") => self.check_return(now, &held, about, incarnation),
            (Some(Held { state: Failed, .. }), "left") => None,
            (Some(Held { state: Suspect, .. }), "suspected" | "recovered" | "updated") => None,
            (Some(Held { state: Suspect | Alive, .. }), "failed" | "left") => None,
            (Some(Held { state: Alive, .. }), "updated" | "suspected") => None,
            // Whoever was just accused may have been acquitted and be told of as updated.
            (None, "joined") => None,
            (None, _) if self.truths[here].vague => None,
            // Those who are gone are told of by a node that has just come back.
            (None, "left" | "failed") => None,
            (Some(held), "left" | "failed") if self.forgot(now, &held, about) => None,
            (held, _) => Some(format!("it held it as {:?}", held.map(|held| held.state))),
        };
        let backwards =
            held.filter(|held| incarnation < held.incarnation && !self.forgot(now, held, about));
        let backwards = backwards.map(|held| format!("it held it in {:?}", held.incarnation));
        if let Some(problem) = problem.or(backwards) {
            let id = member.id();
            self.violate(format!(
                "{now:?}: n{here} told that {id} {what} in {incarnation:?}: {problem}"
            ));
        }
        let state = match held {
            Some(Held { state: Suspect, .. }) if what == "updated" => Suspect,
            _ => state,
        };
        // Whoever was gone already is not gone since now, also if it is heard only now that it left.
        let since = match held {
            Some(Held { state: Failed | Story::Left, since, .. }) if what == "left" => since,
            None if what == "left" => Instant::ZERO,
            _ => now,
        };
        let held = Held { state, incarnation, since };
        self.truths[here].holds.insert(about, held);
    }

    /// Why a member that was gone must not be back.
    fn check_return(
        &self,
        now: Instant,
        held: &Held,
        about: usize,
        incarnation: Incarnation,
    ) -> Option<String> {
        match held.state {
            Story::Alive | Story::Suspect => Some(format!("it held it as {:?}", held.state)),
            Story::Failed | Story::Left if self.forgot(now, held, about) => None,
            Story::Failed | Story::Left => (incarnation <= held.incarnation)
                .then(|| format!("it was {:?} in {:?}", held.state, held.incarnation)),
        }
    }

    /// Whether a node may have forgotten a member that was gone: with memberlist also one that left, as
    /// soon as it hears of that name at another address.
    fn forgot(&self, now: Instant, held: &Held, about: usize) -> bool {
        let moved = self.truths[about].addrs.len() > 1;
        if self.wire == Wire::Memberlist && held.state == Story::Left && moved {
            return true;
        }
        let gone = matches!(held.state, Story::Failed | Story::Left);
        // Its own clock may be a little fast.
        gone && now.since(held.since) >= self.tombstones.mul_f64(0.9)
    }

    /// Whether what a node says of a member can be true; returns which one it is.
    fn check_claim(
        &mut self,
        now: Instant,
        here: usize,
        member: &Member,
        what: &str,
    ) -> Option<usize> {
        let about = number(member.id()).filter(|&about| about < self.truths.len());
        let Some(about) = about else {
            self.violate(format!("{now:?}: n{here} told that {} {what}: a phantom", member.id()));
            return None;
        };
        let truth = &self.truths[about];
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
            self.violate(format!("{now:?}: n{here} told that n{about} {what} in {problem}"));
        }
        Some(about)
    }

    fn violate(&mut self, violation: String) {
        self.violated += 1;
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
pub fn settling_time(options: &Options, nodes: usize) -> Duration {
    let members = nodes.max(10) as f64;
    let round = options.probe_interval * options.awareness_max;
    let suspicion = options
        .probe_interval
        .mul_f64(members.log10() * f64::from(options.suspicion_mult * options.suspicion_max_mult));
    let search = options.reconnect_interval_max * 3;
    let probes = round * (2 * nodes.min(50)) as u32;
    search + suspicion * 2 + options.stream_timeout * 2 + probes
}
