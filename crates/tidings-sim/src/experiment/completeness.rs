//! Time-bounded completeness: whether every member probes every other within SWIM's bound.

use super::format::{assert_no_violations, seeds};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table, count};
use crate::sim_rng::SimRng;
use crate::world::{Settings, World, id};
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("completeness", "Time-bounded completeness of probing", TEXT);
    let columns = [
        "members",
        "joiners",
        "traversals",
        "longest gap (own periods)",
        "bound",
        "probed the crashed member",
        "bound violations",
        "result",
    ];
    let mut table =
        Table::new("Gaps between two probes of the same member by the same node", &columns);
    for (nodes, joiners) in [(8, 0), (8, 8), (32, 0), (32, 32), (64, 0), (64, 64)] {
        let (runs, traversals) = harness.pick((1, 6), (4, 12_800 / nodes as u32));
        let seeds = seeds(harness, 200 + nodes as u64 + joiners as u64, runs);
        let task = format!("{nodes} members and {joiners} joiners");
        let runs = harness.map(&task, &seeds, |&seed| traverse(nodes, joiners, traversals, seed));
        let all = runs.into_iter().reduce(Gaps::merge).expect("there is at least one run");
        table.row([
            nodes.to_string(),
            joiners.to_string(),
            count(all.traversals),
            all.lengths.len().saturating_sub(1).to_string(),
            all.bound.to_string(),
            format!("{} of {}", all.dead_probed, all.survivors),
            all.violations.to_string(),
            if all.violations == 0 { "as predicted".into() } else { "bound violated".into() },
        ]);
        if (nodes, joiners) == (32, 0) {
            section.charts.push(chart(&all));
        }
    }
    section.tables.push(table);
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// Gaps between two probes of a member by the same node, in periods of that node.
#[derive(Debug)]
struct Gaps {
    bound: u64,
    traversals: u64,
    /// Number of gaps of each length.
    lengths: Vec<u64>,
    violations: u64,
    survivors: u64,
    dead_probed: u64,
}

impl Gaps {
    fn record(&mut self, gap: u64) {
        let at = gap as usize;
        if self.lengths.len() <= at {
            self.lengths.resize(at + 1, 0);
        }
        self.lengths[at] += 1;
        self.violations += u64::from(gap > self.bound);
    }

    fn merge(mut self, other: Self) -> Self {
        self.lengths.resize(self.lengths.len().max(other.lengths.len()), 0);
        other.lengths.iter().enumerate().for_each(|(at, more)| self.lengths[at] += more);
        Self {
            bound: self.bound,
            lengths: self.lengths,
            traversals: self.traversals + other.traversals,
            violations: self.violations + other.violations,
            survivors: self.survivors + other.survivors,
            dead_probed: self.dead_probed + other.dead_probed,
        }
    }
}

/// Tracks the last probe of each member by each node, in periods of the node.
struct ProbeObserver {
    rounds: Vec<u64>,
    /// By node and target: the round of the last probe, or the one in which the node learned of the
    /// target.
    last: Vec<Vec<Option<u64>>>,
    gaps: Gaps,
}

impl ProbeObserver {
    /// Processes the logged probes and joins, in order.
    fn update(&mut self, world: &mut World) {
        let mut joins =
            world.log().iter().filter(|event| event.kind == EventKind::Joined).peekable();
        for probe in world.probes() {
            while let Some(join) = joins.next_if(|join| join.at <= probe.at) {
                self.learn(join.observer, join.subject);
            }
            let round = self.rounds[probe.prober] + 1;
            self.rounds[probe.prober] = round;
            if let Some(last) = self.last[probe.prober][probe.target].replace(round) {
                self.gaps.record(round - last);
            }
        }
        joins.for_each(|join| self.learn(join.observer, join.subject));
        world.clear_log();
        world.clear_probes();
    }

    fn learn(&mut self, by: usize, about: Option<usize>) {
        if let Some(about) = about {
            self.last[by][about] = Some(self.rounds[by]);
        }
    }
}

fn traverse(nodes: usize, joiners: usize, traversals: u32, seed: u64) -> Gaps {
    // The crashed member stays suspected for as long as possible, so that all members probe it.
    let mut options = Options::lan();
    (options.suspicion_mult, options.suspicion_max_mult) = (64, 64);
    let period = options.probe_interval;
    let settings = Settings { options, trace: false, probes: true, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    let mut rng = SimRng::new(seed, 10);
    let all = nodes + joiners;
    let gaps = Gaps {
        bound: 2 * (all as u64 - 1) - 1,
        traversals: 0,
        lengths: Vec::new(),
        violations: 0,
        survivors: 0,
        dead_probed: 0,
    };
    let last = (0..all)
        .map(|by| (0..all).map(|of| (by != of && by < nodes && of < nodes).then_some(0)).collect());
    let mut observer = ProbeObserver { rounds: vec![0; all], last: last.collect(), gaps };

    // The joiners join one by one, over two traversals.
    for _ in 0..joiners {
        world.run_for(rng.uniform(4 * nodes as u32 * period / joiners as u32));
        let joiner = world.add();
        world.start(joiner);
        world.join(joiner, &[rng.below(nodes)]);
        observer.update(&mut world);
    }
    for _ in 0..traversals {
        world.run_for(all as u32 * period);
        observer.update(&mut world);
    }
    observer.gaps.traversals = observer.rounds.iter().map(|rounds| rounds / (all as u64 - 1)).sum();

    let dead = rng.below(nodes);
    world.crash(dead);
    let crashed = observer.rounds.clone();
    let periods = |world: &World| {
        (0..all)
            .filter(|&by| by != dead)
            .map(|by| world.node(by).map_or(0, |node| node.stats().probes))
            .min()
    };
    let enough = periods(&world).unwrap_or(0) + observer.gaps.bound + 1;
    world.run_until(40 * all as u32 * period, |world| periods(world) >= Some(enough));
    observer.update(&mut world);
    for by in (0..all).filter(|&by| by != dead) {
        let probed = observer.last[by][dead].is_some_and(|round| round > crashed[by]);
        observer.gaps.survivors += 1;
        observer.gaps.dead_probed += u64::from(probed);
        for of in (0..all).filter(|&of| of != by) {
            // Members that the node still holds as present and has not probed since.
            let knows = world.node(by).and_then(|node| node.member(&id(of)));
            if let (Some(last), true) =
                (observer.last[by][of], knows.is_some_and(|member| member.state().is_present()))
            {
                let open = observer.rounds[by] - last;
                observer.gaps.violations += u64::from(open > observer.gaps.bound);
            }
        }
    }
    assert_no_violations(&world, seed);
    observer.gaps
}

fn chart(gaps: &Gaps) -> Chart {
    let total = gaps.lengths.iter().sum::<u64>() as f64;
    let m = gaps.bound.div_ceil(2) as f64;
    let ours =
        (1..).zip(&gaps.lengths[1..]).map(|(gap, &count)| (f64::from(gap), count as f64 / total));
    // Two positions in two independent uniform shuffles.
    let theory = (1..=gaps.bound).map(|gap| (gap as f64, (m - (gap as f64 - m).abs()) / (m * m)));
    Chart {
        name: "completeness".into(),
        caption: "Gaps between two probes of the same member, among 32 members".into(),
        x: Axis::linear("own periods between two probes"),
        y: Axis::linear("share of the gaps"),
        series: vec![
            Series::measured("Tidings", ours.collect()),
            Series::theory("two independent shuffles", theory.collect()),
        ],
    }
}

const TEXT: &str = "SWIM §4.3 (Das et al., 2002) bounds the time until every survivor has itself \
probed a crashed member. A node probes round-robin through a list that is shuffled after each \
traversal, so it selects the same target again within 2n-1 of its own periods, where n is the \
length of the list: the number of other members. We record every ping of every node, count for \
each pair the node's own rounds between two pings, and compare each gap with the bound, including \
the gaps that are still open at the end. Joiners join one by one during the first traversals, at \
random moments, and the bound is that of the final size. At the end a member crashes and stays \
suspected for as long as the options allow, so that the other members can probe it.";

const NOTES: [&str; 2] = [
    "`suspicion_mult` and `suspicion_max_mult` are 64 here. With the defaults, all members \
     declare a crashed member failed long before each of them has probed it, which is the purpose \
     of dissemination. With 128 members even these values are not enough for all: the members \
     that did not probe the crashed one learned of its failure before that, within their bound.",
    "A node's own periods grow with its local health multiplier: while the node is degraded, its \
     bound is longer in seconds, but not in periods.",
];
