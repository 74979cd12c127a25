//! Runs: a scenario lived through, and what came of it.

use crate::check::settling_time;
use crate::dice::Dice;
use crate::incident::{self, Incident};
use crate::link::{Cut, Link};
use crate::mischief::Mischief;
use crate::scenario::{Action, Between, Joining, Scenario, Start, Step, Who};
use crate::seen::Tally;
use crate::world::{Mood, Settings, World, id};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tidings::{Instant, Options, State};
use tidings_record::{Limits, RecordError};

/// What came of a scenario with a seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// Stands for the whole history: the same scenario and seed give the same one.
    pub hash: u64,
    /// What happened, counted.
    pub tally: Tally,
    /// Members that stopped or left, and who noticed when.
    pub incidents: Vec<Incident>,
    /// How long it took after the calm began until all agreed, if they had to.
    pub agreed_after: Option<Duration>,
    /// Virtual time in all.
    pub lasted: Duration,
    /// What was wrong, if anything was.
    pub failure: Option<Failure>,
}

/// What must not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nodes did what none may ever do.
    Broken(Vec<String>),
    /// Nodes did not come to the same view in the calm.
    Disagreement(String),
    /// A command never ended.
    NeverEnded(String),
    /// Something was left open.
    Leak(String),
    /// Things happened to the nodes, and they noticed nothing: the run shows nothing.
    Idle,
}

impl Failure {
    /// What kind of failure it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Broken(_) => "broken",
            Self::Disagreement(_) => "disagreement",
            Self::NeverEnded(_) => "never ended",
            Self::Leak(_) => "leak",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(what) => write!(f, "what may never be: {}", what.join("\n    ")),
            Self::Disagreement(what) => write!(f, "no agreement in the calm: {what}"),
            Self::NeverEnded(what) => write!(f, "a command never ended: {what}"),
            Self::Leak(what) => write!(f, "something was left open: {what}"),
            Self::Idle => f.write_str("things happened to the nodes, and they noticed nothing"),
        }
    }
}

impl Scenario {
    /// Lives through it; the same seed gives the same run.
    ///
    /// # Panics
    ///
    /// If its options are not valid, which those of one that was read are.
    pub fn run(&self, seed: u64) -> Run {
        self.run_with(seed, Mischief::None)
    }

    /// The same, with one node recorded to a file as a real one's flight recorder writes it: of its
    /// last life what a ring of 64 MiB holds.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn run_recorded(&self, seed: u64, node: usize, path: &Path) -> Result<Run, RecordError> {
        let mut player = Player::new(self, seed, Mischief::None);
        player.world.record(node, path, Limits::default());
        player.begin();
        let agreed = player.play();
        player.world.finish_recording()?;
        Ok(player.end(agreed))
    }

    /// The same with something wrong that the checks must find.
    #[doc(hidden)]
    pub fn run_with(&self, seed: u64, mischief: Mischief) -> Run {
        let mut player = Player::new(self, seed, mischief);
        player.begin();
        let agreed = player.play();
        player.end(agreed)
    }
}

/// Lives through a scenario.
struct Player<'a> {
    scenario: &'a Scenario,
    options: Options,
    world: World,
    /// What is drawn when steps are due.
    dice: Dice,
    /// How many things were said, so that nothing is said twice.
    said: usize,
    /// When and how members stopped or left.
    gone: Vec<(Instant, usize, &'static str)>,
}

impl<'a> Player<'a> {
    fn new(scenario: &'a Scenario, seed: u64, mischief: Mischief) -> Self {
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
        world.set_mischief(mischief);
        let mut dice = Dice::new(seed, 4);
        for node in 0..scenario.nodes {
            world.add();
            let drift = dice.below(2 * scenario.drift_ppm as usize + 1) as i32;
            let ahead = dice.within(Duration::from_secs(1000));
            world.set_clock(node, ahead, drift - scenario.drift_ppm as i32, 0);
            if mischief == Mischief::ForgetsTheDead {
                let tombstone_timeout = Duration::from_secs(1);
                let mut forgetful = options.clone();
                forgetful.tombstone_timeout = tombstone_timeout;
                world.set_options(node, forgetful);
            }
        }
        Self { scenario, options, world, dice, said: 0, gone: Vec::new() }
    }

    fn begin(&mut self) {
        let all = 0..self.scenario.nodes;
        match self.scenario.start {
            Start::Formed => self.world.form(),
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

    /// Lives through the steps, and then the calm; returns how long it took in that until all agreed,
    /// or about what they did not.
    fn play(&mut self) -> Result<Option<Duration>, String> {
        let end = Instant::ZERO + self.scenario.duration;
        while self.world.step(end) {
            for step in self.world.take_due() {
                let Step { action, .. } = self.scenario.steps[step].get_ref();
                self.act(action);
            }
        }
        self.world.run_for(end.since(self.world.now()));
        if !self.scenario.calm {
            return Ok(None);
        }
        self.calm();
        let (start, limit) = (self.world.now(), self.limit());
        while let Some(disagreement) = disagreement(&self.world) {
            if self.world.now().since(start) > limit {
                return Err(format!("not within {limit:.0?}: {disagreement}"));
            }
            self.world.run_for(EACH);
        }
        let agreed = self.world.now().since(start);
        self.world.run_for(self.options.stream_timeout + LASTING);
        match disagreement(&self.world) {
            Some(disagreement) => Err(format!("it did not last: {disagreement}")),
            None => Ok(Some(agreed)),
        }
    }

    fn limit(&self) -> Duration {
        settling_time(&self.options, self.scenario.nodes)
    }

    /// Ends all that is bad, and has everybody be there who is not.
    fn calm(&mut self) {
        let world = &mut self.world;
        world.mend();
        world.set_link(Link { delay: self.scenario.link.delay, ..Link::default() });
        let all: Vec<_> = (0..world.len()).collect();
        for &node in &all {
            world.set_cpu(node, Duration::ZERO);
            world.resume(node);
        }
        world.run_for(self.options.stream_timeout);
        for &node in &all {
            if !world.is_member(node) {
                world.set_wall_clock(node, 0);
                world.start(node);
            } else if !world.is_without_company(node) {
                continue;
            }
            let from = self.dice.below(all.len());
            let seeds = (0..all.len()).map(|at| (from + at) % all.len());
            let seeds: Vec<_> = seeds.filter(|&seed| seed != node).take(MAX_SEEDS).collect();
            if !seeds.is_empty() {
                world.join(node, &seeds);
            }
        }
        // Nodes that moved while nobody was there who heard of it cannot find each other.
        for stranger in strangers(world) {
            world.join(stranger, &[0]);
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Crash(who) => self.stop(who, "crashes", World::crash),
            Action::PowerOff(who) => self.stop(who, "goes off", World::power_off),
            Action::Leave(who) => self.stop(who, "leaves", |world, node| {
                world.leave(node);
            }),
            Action::Start(joining) => self.start(joining, World::start),
            Action::Move(joining) => self.start(joining, World::start_elsewhere),
            Action::Join(joining) => self.start(joining, |_, _| {}),
            Action::Pause(who) => self.each(who, World::pause),
            Action::Stall(who) => self.each(who, World::stall),
            Action::Resume(who) => self.each(who, World::resume),
            Action::Cpu(cpu) => self.each(&cpu.nodes, |world, node| world.set_cpu(node, cpu.each)),
            Action::Clock(clock) => {
                self.each(&clock.nodes, |world, node| world.set_wall_clock(node, clock.ahead));
            }
            Action::Isolate(who) => {
                let nodes = self.who(who);
                self.world.isolate(&nodes);
            }
            Action::Cut(Between { from, to, what, .. }) => {
                let (from, to) = (self.who(from), self.who(to));
                self.world.cut(&from, &to, what.unwrap_or(Cut::All));
            }
            Action::Mend(_) => self.world.mend(),
            Action::Link(link) => self.world.set_link(link.clone()),
            Action::Ways(Between { from, to, link, .. }) => {
                let (from, to) = (self.who(from), self.who(to));
                self.world.set_link_between(&from, &to, link.clone().unwrap_or_default());
            }
            Action::Meta(text) => {
                self.each(&text.nodes, |world, node| world.set_meta(node, &text.text));
            }
            Action::Broadcast(text) => {
                for node in self.who(&text.nodes) {
                    self.said += 1;
                    self.world.broadcast(node, &format!("{} {}", text.text, self.said));
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

    fn each(&mut self, who: &Who, act: impl Fn(&mut World, usize)) {
        for node in self.who(who) {
            act(&mut self.world, node);
        }
    }

    fn stop(&mut self, who: &Who, what: &'static str, act: impl Fn(&mut World, usize)) {
        for node in self.who(who) {
            if self.world.is_member(node) {
                self.gone.push((self.world.now(), node, what));
            }
            act(&mut self.world, node);
        }
    }

    fn start(&mut self, joining: &Joining, start: impl Fn(&mut World, usize)) {
        for node in self.who(&joining.nodes) {
            start(&mut self.world, node);
            let seeds = self.who(&joining.seeds);
            if !seeds.is_empty() && self.world.mood(node) == Mood::Up {
                self.world.join(node, &seeds[..seeds.len().min(MAX_SEEDS)]);
            }
        }
    }

    fn who(&mut self, who: &Who) -> Vec<usize> {
        match who {
            Who::These(these) => these.clone(),
            Who::Range(first, end) => (*first..*end).collect(),
            Who::All => (0..self.world.len()).collect(),
            Who::Random(count) => self.dice.some(*count, self.world.len()),
        }
    }

    fn end(self, agreed: Result<Option<Duration>, String>) -> Run {
        let world = &self.world;
        let streams = world.streams();
        let most_streams = 4 * world.len() + 16;
        let unended = world.unended();
        let failure = if !world.violations().is_empty() {
            Some(Failure::Broken(world.violations().to_vec()))
        } else if let Err(disagreement) = &agreed {
            Some(Failure::Disagreement(disagreement.clone()))
        } else if self.scenario.calm && !unended.is_empty() {
            Some(Failure::NeverEnded(format!("{unended:?}")))
        } else if self.scenario.calm && streams > most_streams {
            Some(Failure::Leak(format!("{streams} streams between {} nodes", world.len())))
        } else if !self.scenario.steps.is_empty() && !world.tally().shows_something() {
            Some(Failure::Idle)
        } else {
            None
        };
        Run {
            hash: world.trace().hash(),
            tally: world.tally().clone(),
            incidents: incident::noticed(world, &self.gone),
            agreed_after: agreed.ok().flatten(),
            lasted: world.now().since(Instant::ZERO),
            failure,
        }
    }
}

/// About what the members of a world do not agree, if there is anything.
///
/// They agree if each that runs holds all others that run to be alive, as these hold themselves, and
/// nobody else to be present.
pub fn disagreement(world: &World) -> Option<String> {
    let members: Vec<_> = (0..world.len()).filter(|&node| world.is_member(node)).collect();
    let nodes = || members.iter().filter_map(|&here| Some((here, world.node(here)?)));
    for (here, node) in nodes() {
        if node.present_count() != members.len() {
            let (present, of) = (node.present_count(), members.len());
            let held =
                |state: State| node.all_members().filter(|member| member.state() == state).count();
            let suspects = held(State::Suspect);
            return Some(format!(
                "n{here} holds {present} of {of} to be present ({suspects} of them suspect)"
            ));
        }
    }
    for (here, node) in nodes() {
        for (other, them) in nodes() {
            let local = them.local();
            let member = node.member(&id(other));
            if member.is_none_or(|member| {
                member.state() != State::Alive
                    || member.incarnation() != local.incarnation()
                    || member.addr() != local.addr()
                    || member.meta() != local.meta()
            }) {
                return Some(format!("n{here} holds n{other} as {member:?}, which is {local:?}"));
            }
        }
    }
    None
}

/// One of each lot of nodes that cannot come to know `n0`, since nobody of them knows where anybody of
/// the others is.
fn strangers(world: &World) -> Vec<usize> {
    let at = |node: usize| world.node(node).map(|node| node.local().addr());
    let who: BTreeMap<_, _> = (0..world.len()).filter_map(|node| Some((at(node)?, node))).collect();
    let mut lots: Vec<_> = (0..world.len()).collect();
    for here in 0..world.len() {
        let known = world.node(here).into_iter().flat_map(|node| node.all_members());
        for other in known.filter_map(|member| who.get(&member.addr())) {
            let (mine, theirs) = (lots[here], lots[*other]);
            lots.iter_mut().filter(|lot| **lot == theirs).for_each(|lot| *lot = mine);
        }
    }
    let firsts: BTreeMap<_, _> = (0..world.len()).rev().map(|node| (lots[node], node)).collect();
    firsts.into_values().filter(|&first| lots[first] != lots[0]).collect()
}

/// How often it is seen whether all agree.
const EACH: Duration = Duration::from_millis(200);
/// How long an agreement has to last.
const LASTING: Duration = Duration::from_secs(60);
/// Through how many others one joins at most.
const MAX_SEEDS: usize = 10;
