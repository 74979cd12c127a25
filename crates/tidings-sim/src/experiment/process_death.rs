//! The death of a process on a machine that lives, and what looks like it.

use super::format::{assert_no_violations, secs, seeds, with_interval};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::Cut;
use crate::report::{Section, Table, count};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("process-death", HEADING, TEXT);
    let columns = [
        "members",
        "event",
        "evidence",
        "runs",
        "first verdict (s)",
        "all know (s)",
        "90 % (s)",
        "wrong verdicts",
        "runs with one",
    ];
    let mut table = Table::new(
        "Time from the event to the first verdict and until all members know, mean with its 95 % \
         confidence interval; and failures of members whose process lives, as events at all \
         members",
        &columns,
    );
    for (nodes, runs) in harness.pick([(100, 8), (1000, 1)], [(100, 200), (1000, 40)]) {
        for &case in Case::ALL.iter().filter(|case| nodes < 1000 || case.is_quick()) {
            for evidence in [true, false] {
                let seeds = seeds(harness, 1300 + nodes as u64, runs);
                let task = format!("{} among {nodes}", case.name());
                let outcomes =
                    harness.map(&task, &seeds, |&seed| simulate(case, evidence, nodes, seed));
                let times = |part: fn(&Outcome) -> Option<Duration>| -> Sample {
                    outcomes.iter().filter_map(part).map(secs).collect()
                };
                let all = times(|outcome| outcome.all);
                let wrong = outcomes.iter().map(|outcome| outcome.wrong);
                table.row([
                    nodes.to_string(),
                    case.name(),
                    if evidence { "on" } else { "off" }.into(),
                    runs.to_string(),
                    with_interval(&times(|outcome| outcome.first), Sample::mean),
                    with_interval(&all, Sample::mean),
                    with_interval(&all, |sample| sample.quantile(0.9)),
                    count(wrong.clone().sum()),
                    wrong.filter(|&wrong| wrong > 0).count().to_string(),
                ]);
            }
        }
    }
    section.tables.push(table);
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// What happens to one member, or between members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Case {
    Death,
    PowerLoss,
    PortTaken,
    Restart,
    /// A firewall refuses connections to one member, and lets datagrams pass.
    RejectStreams,
    /// A firewall refuses all between one member and this percentage of the others, for a minute.
    RejectSome(usize),
    /// A firewall refuses all that is sent to one member, for a minute; what it sends passes.
    RejectInbound,
    /// A firewall refuses all between one member and all others, for so many seconds.
    RejectAll(u64),
    /// A firewall refuses all between two halves, for so many seconds.
    RejectHalves(u64),
    /// A firewall refuses all between all members, for a minute.
    RejectCluster,
}

impl Case {
    const ALL: &[Self] = &[
        Self::Death,
        Self::PowerLoss,
        Self::PortTaken,
        Self::Restart,
        Self::RejectStreams,
        Self::RejectSome(50),
        Self::RejectSome(90),
        Self::RejectHalves(4),
        Self::RejectCluster,
        Self::RejectInbound,
        Self::RejectAll(60),
        Self::RejectAll(3),
    ];

    fn name(self) -> String {
        match self {
            Self::Death => "process death".into(),
            Self::PowerLoss => "power loss".into(),
            Self::PortTaken => "port taken by another program".into(),
            Self::Restart => "restart within 300 ms".into(),
            Self::RejectStreams => "REJECT of TCP to one member, 60 s".into(),
            Self::RejectSome(share) => format!("REJECT between one member and {share} %, 60 s"),
            Self::RejectInbound => "REJECT to one member, 60 s".into(),
            Self::RejectAll(seconds) => format!("REJECT to and from one member, {seconds} s"),
            Self::RejectHalves(seconds) => format!("REJECT between two halves, {seconds} s"),
            Self::RejectCluster => "REJECT between all members, 60 s".into(),
        }
    }

    /// Whether it takes no more than a second to simulate among a thousand members.
    fn is_quick(self) -> bool {
        matches!(self, Self::Death | Self::PowerLoss | Self::Restart | Self::RejectAll(3))
    }

    /// How long it lasts, if the process lives.
    fn lasts(self) -> Option<Duration> {
        match self {
            Self::Death | Self::PowerLoss | Self::PortTaken => None,
            Self::RejectAll(seconds) | Self::RejectHalves(seconds) => {
                Some(Duration::from_secs(seconds))
            }
            Self::Restart => Some(RESTART),
            _ => Some(Duration::from_secs(60)),
        }
    }
}

struct Outcome {
    first: Option<Duration>,
    all: Option<Duration>,
    wrong: u64,
}

fn simulate(case: Case, evidence: bool, nodes: usize, seed: u64) -> Outcome {
    let mut options = Options::lan();
    options.refusal_evidence = evidence;
    let checks = nodes <= 200;
    let settings = Settings { options, trace: false, checks, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    let mut rng = SimRng::new(seed, 130);
    world.run_for(WARM_UP + rng.uniform(Duration::from_secs(8)));
    world.clear_log();
    let node = rng.below(nodes);
    let others: Vec<_> = (0..nodes).filter(|&other| other != node).collect();
    let start = world.now();
    begin(&mut world, case, &mut rng, node, &others);
    let known = |world: &World| others.iter().all(|&other| world.present(other) == nodes - 1);
    let all = match case.lasts() {
        None => world.run_until(Duration::from_secs(120), known),
        Some(lasts) => {
            world.run_for(lasts);
            world.mend();
            if case == Case::Restart {
                world.start(node);
                let seeds = rng.sample_sorted(3, others.len());
                world.join(node, &seeds.iter().map(|&seed| others[seed]).collect::<Vec<_>>());
            }
            world.run_for(Duration::from_secs(30));
            None
        }
    };
    assert_no_violations(&world, seed);
    let failed = || world.log().iter().filter(|event| event.kind == EventKind::Failed);
    let dead = |event: &&crate::events::LoggedEvent| {
        event.subject == Some(node)
            && (case.lasts().is_none() || case == Case::Restart && event.at <= start + RESTART)
    };
    let first = failed().find(|event| event.subject == Some(node));
    let first = first.map(|event| event.at.since(start));
    let wrong = failed().filter(|event| !dead(event)).count() as u64;
    Outcome { first: first.filter(|_| case.lasts().is_none()), all, wrong }
}

fn begin(world: &mut World, case: Case, rng: &mut SimRng, node: usize, others: &[usize]) {
    let all: Vec<_> = (0..=others.len()).collect();
    let mut both = |one: &[usize], other: &[usize]| {
        world.reject(one, other, Cut::All);
        world.reject(other, one, Cut::All);
    };
    match case {
        Case::Death | Case::Restart => world.crash(node),
        Case::PowerLoss => world.power_off(node),
        Case::PortTaken => world.take_port(node),
        Case::RejectStreams => world.reject(others, &[node], Cut::Streams),
        Case::RejectInbound => world.reject(others, &[node], Cut::All),
        Case::RejectSome(share) => {
            let some = rng.sample_sorted(others.len() * share / 100, others.len());
            let some: Vec<_> = some.into_iter().map(|at| others[at]).collect();
            both(&[node], &some);
        }
        Case::RejectAll(_) => both(&[node], others),
        Case::RejectHalves(_) => {
            let (one, other) = all.split_at(all.len() / 2);
            both(one, other);
        }
        Case::RejectCluster => world.reject(&all, &all, Cut::All),
    }
}

/// So long each node measures round-trip times before.
const WARM_UP: Duration = Duration::from_secs(120);
const RESTART: Duration = Duration::from_millis(300);

const HEADING: &str = "The death of a process on a machine that lives";

const TEXT: &str = "A machine whose process died refuses connections, and so does a firewall with \
a REJECT rule before a process that lives. With `refusal_evidence` a refusal that twelve other \
members confirm twice is a verdict. Here one process dies, and all that looks like it happens to \
processes that live. Delays are 0.2 ms, without loss.";

const NOTES: [&str; 2] = [
    "The first ping to a dead member comes after (n-1)/n probe intervals on average, and after 4.5 \
     in the worst percent (see *first-detection*): no evidence that begins with a probe is \
     faster.",
    "A member that a firewall separates from all others in both directions, and refuses, looks to \
     them as if its process had died. Without the evidence it is declared failed too if that lasts \
     longer than a suspicion.",
];
