//! Running a scenario, and the result.

use crate::check::convergence_bound;
use crate::detection::{self, Detection};
use crate::events::Tally;
use crate::injected_bug::InjectedBug;
use crate::link::{Cut, Link};
use crate::scenario::{Action, Between, Joining, NodeSelector, Scenario, Seeding, Start};
use crate::sim_rng::SimRng;
use crate::world::{HostState, Settings, World, id};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tidings::{Instant, Options, State};
use tidings_record::{Limits, RecordError};

/// Result of running a scenario with a seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// Hash of the whole history; equal for the same scenario and seed.
    pub hash: u64,
    /// Counters of everything that happened.
    pub tally: Tally,
    /// Crashes and leaves, with their detection latencies.
    pub detections: Vec<Detection>,
    /// Time from the start of the recovery phase until all views agreed; `None` without a recovery
    /// phase, or if they did not converge.
    pub converged_after: Option<Duration>,
    /// Virtual duration, including the recovery phase.
    pub duration: Duration,
    /// Why the run failed, if it did.
    pub failure: Option<Failure>,
}

/// Reason why a run failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nodes violated invariants; one message for each violation.
    Violation(Vec<String>),
    /// The views of the nodes did not converge in the recovery phase.
    NotConverged(String),
    /// Commands did not complete.
    CommandPending(String),
    /// More streams are open than the nodes can have in use.
    StreamLeak(String),
    /// No node reported any change, so that the run proves nothing.
    NothingObserved,
}

impl Failure {
    /// A short name for the kind of failure.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Violation(_) => "violation",
            Self::NotConverged(_) => "not converged",
            Self::CommandPending(_) => "command pending",
            Self::StreamLeak(_) => "stream leak",
            Self::NothingObserved => "nothing observed",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(what) => write!(f, "a node broke a rule: {}", what.join("\n    ")),
            Self::NotConverged(what) => write!(f, "the nodes did not converge: {what}"),
            Self::CommandPending(what) => write!(f, "commands never completed: {what}"),
            Self::StreamLeak(what) => write!(f, "streams leaked: {what}"),
            Self::NothingObserved => {
                f.write_str("no node reported anything, so the run proves nothing")
            }
        }
    }
}

impl Scenario {
    /// Runs the scenario; the same seed gives the same run.
    ///
    /// # Panics
    ///
    /// If the options are invalid, which parsing a scenario rules out.
    pub fn run(&self, seed: u64) -> Run {
        self.run_with(seed, InjectedBug::None)
    }

    /// Runs the scenario and records one node to a file, in the format of the flight recorder of a
    /// live node: the last 64 MiB since the node's last start.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn run_recorded(&self, seed: u64, node: usize, path: &Path) -> Result<Run, RecordError> {
        let mut runner = ScenarioRunner::new(self, seed, InjectedBug::None);
        runner.world.record(node, path, Limits::default());
        runner.start_cluster();
        let converged = runner.run_steps();
        runner.world.finish_recording()?;
        Ok(runner.finish(converged))
    }

    /// Runs the scenario with an injected bug, which the checks must find.
    #[doc(hidden)]
    pub fn run_with(&self, seed: u64, bug: InjectedBug) -> Run {
        let mut runner = ScenarioRunner::new(self, seed, bug);
        runner.start_cluster();
        let converged = runner.run_steps();
        runner.finish(converged)
    }
}

/// State of a running scenario.
struct ScenarioRunner<'a> {
    scenario: &'a Scenario,
    options: Options,
    world: World,
    /// Random choices that are made when steps are due.
    rng: SimRng,
    /// Number of broadcasts sent, which makes each text unique.
    broadcasts: usize,
    /// Time, node and cause of each crash and leave.
    departures: Vec<(Instant, usize, &'static str)>,
    /// Nodes that get their seeds at a time of their own, in the order of their steps' numbers.
    seeking: Vec<(usize, Vec<SocketAddr>)>,
}

impl<'a> ScenarioRunner<'a> {
    fn new(scenario: &'a Scenario, seed: u64, bug: InjectedBug) -> Self {
        let options = scenario.options().expect("the options of a scenario are valid");
        let settings = Settings {
            options: options.clone(),
            encryption: scenario.encryption,
            wire: scenario.wire,
            link: scenario.link.clone(),
            timer_slack: scenario.timer_slack,
            ..Settings::default()
        };
        let mut world = World::new(settings, seed);
        world.inject_bug(bug);
        let mut rng = SimRng::new(seed, 4);
        for node in 0..scenario.nodes {
            world.add();
            let drift = rng.below(2 * scenario.drift_ppm as usize + 1) as i32;
            let ahead = rng.uniform(Duration::from_secs(1000));
            world.set_clock(node, ahead, drift - scenario.drift_ppm as i32, 0);
            if bug == InjectedBug::ForgetsTombstones {
                let tombstone_timeout = Duration::from_secs(1);
                let mut short_memory = options.clone();
                short_memory.tombstone_timeout = tombstone_timeout;
                world.set_options(node, short_memory);
            }
        }
        let (departures, seeking) = (Vec::new(), Vec::new());
        Self { scenario, options, world, rng, broadcasts: 0, departures, seeking }
    }

    fn start_cluster(&mut self) {
        let all = 0..self.scenario.nodes;
        match self.scenario.start {
            Start::Formed => self.world.form(),
            Start::Down => {}
            Start::Alone => all.for_each(|node| self.world.start(node)),
            Start::Storm => {
                all.clone().for_each(|node| self.world.start(node));
                for node in all.skip(1) {
                    self.world.join(node, &[0]);
                }
            }
            Start::Join => {
                let apart = Duration::from_secs(1) / self.scenario.nodes as u32;
                for node in all {
                    self.world.start(node);
                    if node > 0 {
                        self.world.join(node, &[0]);
                    }
                    self.world.run_for(apart);
                }
            }
        }
        for (number, step) in self.scenario.steps.iter().enumerate() {
            self.world.schedule(Instant::ZERO + step.get_ref().at, number);
        }
    }

    /// Runs the steps and the recovery phase; returns the time to convergence in that, or how the
    /// views differ.
    fn run_steps(&mut self) -> Result<Option<Duration>, String> {
        let end = Instant::ZERO + self.scenario.duration;
        while self.world.step(end) {
            for step in self.world.take_due_steps() {
                match self.scenario.steps.get(step) {
                    Some(step) => self.apply(&step.get_ref().action),
                    None => self.seek(step - self.scenario.steps.len()),
                }
            }
        }
        self.world.run_for(end.since(self.world.now()));
        let limit = if self.scenario.recovery {
            self.recover();
            self.limit()
        } else {
            self.scenario.converges_within
        };
        if limit.is_zero() {
            return Ok(None);
        }
        let start = self.world.now();
        while let Some(divergence) = divergence(&self.world) {
            if self.world.now().since(start) > limit {
                return Err(format!("not within {limit:.0?}: {divergence}"));
            }
            self.world.run_for(POLL_INTERVAL);
        }
        let converged = self.world.now().since(start);
        self.world.run_for(self.options.stream_timeout + STABLE_FOR);
        match divergence(&self.world) {
            Some(divergence) => Err(format!("they diverged again: {divergence}")),
            None => Ok(Some(converged)),
        }
    }

    fn limit(&self) -> Duration {
        convergence_bound(&self.options, self.scenario.nodes)
    }

    /// Ends all faults, restarts the nodes that are down and repeats joins that never succeeded.
    fn recover(&mut self) {
        let world = &mut self.world;
        world.mend();
        world.set_link(Link { delay: self.scenario.link.delay, ..Link::default() });
        let all: Vec<_> = (0..world.len()).collect();
        for &node in &all {
            world.set_cpu(node, Duration::ZERO);
            world.set_wall_clock(node, 0);
            world.resume(node);
        }
        world.run_for(self.options.stream_timeout);
        for &node in &all {
            if !world.is_member(node) {
                world.start(node);
            } else if !world.is_join_incomplete(node) {
                continue;
            }
            let from = self.rng.below(all.len());
            let seeds = (0..all.len()).map(|at| (from + at) % all.len());
            let seeds: Vec<_> = seeds.filter(|&seed| seed != node).take(MAX_SEEDS).collect();
            if !seeds.is_empty() {
                world.join(node, &seeds);
            }
        }
        // Nodes that changed their address while no other node could learn of it cannot find each
        // other.
        for node in disconnected_groups(world) {
            world.join(node, &[0]);
        }
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Crash(nodes) => self.stop(nodes, "crashed", World::crash),
            Action::PowerOff(nodes) => self.stop(nodes, "lost power", World::power_off),
            Action::TakePort(nodes) => self.stop(nodes, "lost its port", World::take_port),
            Action::Leave(nodes) => self.stop(nodes, "left", |world, node| {
                world.leave(node);
            }),
            Action::Start(joining) => self.start(joining, World::start),
            Action::Move(joining) => self.start(joining, World::start_elsewhere),
            Action::Join(joining) => self.start(joining, |_, _| {}),
            Action::Seeds(seeding) => self.give_seeds(seeding),
            Action::Pause(nodes) => self.for_each(nodes, World::pause),
            Action::Stall(nodes) => self.for_each(nodes, World::stall),
            Action::Resume(nodes) => self.for_each(nodes, World::resume),
            Action::Cpu(cpu) => {
                self.for_each(&cpu.nodes, |world, node| world.set_cpu(node, cpu.each))
            }
            Action::Clock(clock) => {
                self.for_each(&clock.nodes, |world, node| world.set_wall_clock(node, clock.ahead));
            }
            Action::Isolate(nodes) => {
                let nodes = self.select(nodes);
                self.world.isolate(&nodes);
            }
            Action::Cut(Between { from, to, what, .. }) => {
                let (from, to) = (self.select(from), self.select(to));
                self.world.cut(&from, &to, what.unwrap_or(Cut::All));
            }
            Action::Reject(Between { from, to, what, .. }) => {
                let (from, to) = (self.select(from), self.select(to));
                self.world.reject(&from, &to, what.unwrap_or(Cut::All));
            }
            Action::Mend(_) => self.world.mend(),
            Action::Link(link) => self.world.set_link(link.clone()),
            Action::LinkBetween(Between { from, to, link, .. }) => {
                let (from, to) = (self.select(from), self.select(to));
                self.world.set_link_between(&from, &to, link.clone().unwrap_or_default());
            }
            Action::Meta(text) => {
                self.for_each(&text.nodes, |world, node| world.set_meta(node, &text.text));
            }
            Action::Broadcast(text) => {
                for node in self.select(&text.nodes) {
                    self.broadcasts += 1;
                    self.world.broadcast(node, &format!("{} {}", text.text, self.broadcasts));
                }
            }
            Action::Send(message) => {
                self.world.send_reliable(message.from, message.to, &message.text);
            }
            Action::Ping(pair) => {
                self.world.ping(pair.from, pair.to);
            }
        }
    }

    fn for_each(&mut self, nodes: &NodeSelector, act: impl Fn(&mut World, usize)) {
        for node in self.select(nodes) {
            act(&mut self.world, node);
        }
    }

    fn stop(&mut self, nodes: &NodeSelector, what: &'static str, act: impl Fn(&mut World, usize)) {
        for node in self.select(nodes) {
            if self.world.is_member(node) {
                self.departures.push((self.world.now(), node, what));
            }
            act(&mut self.world, node);
        }
    }

    fn start(&mut self, joining: &Joining, start: impl Fn(&mut World, usize)) {
        for node in self.select(&joining.nodes) {
            start(&mut self.world, node);
            let seeds = self.select(&joining.seeds);
            if !seeds.is_empty() && self.world.host_state(node) == HostState::Up {
                self.world.join(node, &seeds[..seeds.len().min(MAX_SEEDS)]);
            }
        }
    }

    fn give_seeds(&mut self, seeding: &Seeding) {
        for node in self.select(&seeding.nodes) {
            let seeds = self.select(&seeding.seeds).into_iter();
            let seeds = seeds.map(|seed| self.world.address(seed));
            let dead = (0..seeding.dead).map(|n| ([192, 0, 2, n as u8], 7946).into());
            let seeds = seeds.chain(dead).collect();
            self.seeking.push((node, seeds));
            let number = self.seeking.len() - 1;
            if seeding.over.is_zero() {
                self.seek(number);
            } else {
                let at = self.world.now() + self.rng.uniform(seeding.over);
                self.world.schedule(at, self.scenario.steps.len() + number);
            }
        }
    }

    /// Gives a node its seeds, and starts it if it is down.
    fn seek(&mut self, number: usize) {
        let (node, seeds) = &self.seeking[number];
        if self.world.host_state(*node) != HostState::Up {
            self.world.start(*node);
        }
        self.world.set_seeds(*node, seeds);
    }

    fn select(&mut self, selector: &NodeSelector) -> Vec<usize> {
        match selector {
            NodeSelector::List(list) => list.clone(),
            NodeSelector::Range(first, end) => (*first..*end).collect(),
            NodeSelector::All => (0..self.world.len()).collect(),
            NodeSelector::Random(count) => self.rng.sample_sorted(*count, self.world.len()),
        }
    }

    fn finish(self, converged: Result<Option<Duration>, String>) -> Run {
        let world = &self.world;
        let streams = world.streams();
        let most_streams = 4 * world.len() + 16;
        let pending_commands = world.pending_commands();
        let failure = if !world.violations().is_empty() {
            Some(Failure::Violation(world.violations().to_vec()))
        } else if let Err(divergence) = &converged {
            Some(Failure::NotConverged(divergence.clone()))
        } else if self.scenario.recovery && !pending_commands.is_empty() {
            Some(Failure::CommandPending(format!("{pending_commands:?}")))
        } else if self.scenario.recovery && streams > most_streams {
            Some(Failure::StreamLeak(format!("{streams} streams between {} nodes", world.len())))
        } else if !self.scenario.steps.is_empty()
            && self.scenario.converges_within.is_zero()
            && !world.tally().any_observation()
        {
            Some(Failure::NothingObserved)
        } else {
            None
        };
        Run {
            hash: world.trace().hash(),
            tally: world.tally().clone(),
            detections: detection::measure(world, &self.departures),
            converged_after: converged.ok().flatten(),
            duration: world.now().since(Instant::ZERO),
            failure,
        }
    }
}

/// The first difference between the views of a world's members, or `None` if they agree.
///
/// They agree if each running member holds exactly the running members as present, and each of them
/// as alive with its own incarnation, address and metadata.
pub fn divergence(world: &World) -> Option<String> {
    let members: Vec<_> = (0..world.len()).filter(|&node| world.is_member(node)).collect();
    let nodes = || members.iter().filter_map(|&observer| Some((observer, world.node(observer)?)));
    for (observer, node) in nodes() {
        if node.present_count() != members.len() {
            let (present, of) = (node.present_count(), members.len());
            let held =
                |state: State| node.all_members().filter(|member| member.state() == state).count();
            let suspects = held(State::Suspect);
            return Some(format!(
                "n{observer} holds {present} of {of} members as present ({suspects} as suspect)"
            ));
        }
    }
    for (observer, node) in nodes() {
        for (other, them) in nodes() {
            let local = them.local();
            let member = node.member(&id(other));
            if member.is_none_or(|member| {
                member.state() != State::Alive
                    || member.incarnation() != local.incarnation()
                    || member.addr() != local.addr()
                    || member.meta() != local.meta()
            }) {
                return Some(format!(
                    "n{observer} holds n{other} as {member:?}; n{other} itself is {local:?}"
                ));
            }
        }
    }
    None
}

/// One node of each group that is not connected to `n0`, because no member of the group and no
/// other node know each other's present addresses.
fn disconnected_groups(world: &World) -> Vec<usize> {
    let at = |node: usize| world.node(node).map(|node| node.local().addr());
    let nodes: BTreeMap<_, _> =
        (0..world.len()).filter_map(|node| Some((at(node)?, node))).collect();
    let mut groups: Vec<_> = (0..world.len()).collect();
    for here in 0..world.len() {
        let known = world.node(here).into_iter().flat_map(|node| node.all_members());
        for other in known.filter_map(|member| nodes.get(&member.addr())) {
            let (mine, theirs) = (groups[here], groups[*other]);
            groups.iter_mut().filter(|group| **group == theirs).for_each(|group| *group = mine);
        }
    }
    let firsts: BTreeMap<_, _> = (0..world.len()).rev().map(|node| (groups[node], node)).collect();
    firsts.into_values().filter(|&first| groups[first] != groups[0]).collect()
}

/// Interval between two checks for convergence.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time for which the views must stay equal after convergence.
const STABLE_FOR: Duration = Duration::from_secs(60);
/// Maximum number of seeds of one join.
const MAX_SEEDS: usize = 10;
