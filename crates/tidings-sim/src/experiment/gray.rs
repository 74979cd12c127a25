//! Gray failures: lossy, flapping and starved members.

use super::format::violations_note;
use super::mass_failure_rules_off;
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::{Cut, Link};
use crate::report::{Axis, Chart, Section, Series, Table, bytes, count, seconds, significant};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("gray", HEADING, TEXT);
    let setups = setups();
    let mut violations = 0;

    let networks = [Fault::Egress, Fault::EgressDatagrams, Fault::FlipFlop];
    let mut table = Table::new(
        "Members behind faulty links. `Removed` is the time until all healthy members had \
         declared all faulty members failed, and `stable` the share of the time after that in \
         which they all held them as failed. `Failures` and `degraded` are events per faulty \
         member and observer; `false positives` are failures of healthy members.",
        &["fault", "", "removed", "stable", "failures", "degraded", "false positives", "bytes/s"],
    );
    let nodes = harness.pick(30, 1000);
    for fault in networks {
        let outcomes = harness.map("worlds with bad links", &setups, |(_, options)| {
            behind_bad_links(options, fault, nodes, harness.pick(80, 600), harness.seed())
        });
        for ((name, _), outcome) in setups.iter().zip(outcomes) {
            violations += outcome.violations;
            table.row([
                fault.name().to_owned(),
                (*name).to_owned(),
                outcome
                    .removed
                    .map_or_else(|| "never".into(), |removed| seconds(removed.as_secs_f64())),
                crate::report::percent(outcome.stable),
                significant(outcome.failures, 3),
                significant(outcome.degraded, 3),
                count(outcome.false_positives),
                bytes(outcome.bytes),
            ]);
        }
    }
    section.tables.push(table);
    section.notes.push(format!(
        "{nodes} members, of which 1% and at least one are faulty, for {} after 90 quiet seconds. \
         With 1,000 members Rapid's paper (Suresh et al., ATC 2018, section 7) found that \
         memberlist never removes all ten members whose links flip, and that it is undecided at \
         80% loss, where Rapid removes exactly those; in its crash test memberlist sends 640 \
         bytes/s on average.",
        seconds(harness.pick(80.0, 600.0)),
    ));

    violations += starved(harness, &setups, &mut section);
    section.notes.push(WEAKNESS.into());
    section.notes.push(violations_note(violations));
    section
}

/// SWIM and Lifeguard as in today's memberlist, Tidings, and Tidings with repeated probes and flap
/// damping.
fn setups() -> Vec<(&'static str, Options)> {
    let mut lifeguard = Options::lan();
    lifeguard.require_recent_ack = false;
    mass_failure_rules_off(&mut lifeguard);
    lifeguard.prompt_refutation = false;
    lifeguard.digest_checks = false;
    lifeguard.refusal_evidence = false;
    lifeguard.probe_timeout_min = lifeguard.probe_timeout;
    let mut swim = lifeguard.clone();
    swim.nacks = false;
    swim.buddy = false;
    swim.awareness_max = 1;
    swim.suspicion_max_mult = 1;
    let mut damped = Options::lan();
    (damped.repeat_probes, damped.flap_suppress) = (true, 1500);
    let tidings = Options::lan();
    vec![
        ("SWIM", swim),
        ("Lifeguard", lifeguard),
        ("Tidings", tidings),
        ("Tidings, damped", damped),
    ]
}

/// Fault of the faulty members' links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// 80 % of their outgoing datagrams are lost, and 80 % of their stream writes never arrive.
    Egress,
    /// 80 % of their outgoing datagrams are lost.
    EgressDatagrams,
    /// They receive nothing for 20 seconds, then everything for 20 seconds, and so on.
    FlipFlop,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Egress => "80% egress loss",
            Self::EgressDatagrams => "80% egress loss, datagrams only",
            Self::FlipFlop => "no ingress for 20 of 40 s",
        }
    }
}

struct Outcome {
    removed: Option<Duration>,
    stable: f64,
    failures: f64,
    degraded: f64,
    false_positives: u64,
    bytes: f64,
    violations: u64,
}

fn behind_bad_links(
    options: &Options,
    fault: Fault,
    nodes: usize,
    duration: u64,
    seed: u64,
) -> Outcome {
    let settings = Settings {
        options: options.clone(),
        trace: false,
        // Checks take memory for each pair of nodes.
        checks: nodes <= 200,
        ..Settings::default()
    };
    let mut world = World::formed(nodes, settings, seed);
    let faulty = SimRng::new(seed, 110).sample_sorted((nodes / 100).max(1), nodes);
    let healthy: Vec<_> = (0..nodes).filter(|node| !faulty.contains(node)).collect();
    world.run_for(QUIET);
    let (began, before) = (world.now(), traffic(&world));
    let lossy = Link {
        loss: 0.8,
        stream_stalls: if fault == Fault::Egress { 0.8 } else { 0.0 },
        ..Link::default()
    };
    if fault != Fault::FlipFlop {
        world.set_link_between(&faulty, &healthy, lossy);
    }
    let (mut removed, mut stable, mut samples) = (None, 0_u64, 0_u64);
    for second in 0..duration {
        if fault == Fault::FlipFlop && second % 20 == 0 {
            world.mend();
            if second % 40 == 0 {
                world.cut(&healthy, &faulty, Cut::All);
            }
        }
        world.run_for(Duration::from_secs(1));
        let all_removed = healthy.iter().all(|&node| world.present(node) == healthy.len());
        if all_removed && removed.is_none() {
            removed = Some(world.now().since(began));
        }
        if removed.is_some() {
            samples += 1;
            stable += u64::from(all_removed);
        }
    }
    let at_healthy_members =
        || world.log().iter().filter(|event| !faulty.contains(&event.observer));
    let about = |kind: EventKind, is_faulty: bool| {
        let events = at_healthy_members().filter(|event| {
            let about = event.subject.is_some_and(|about| faulty.contains(&about));
            event.kind == kind && about == is_faulty
        });
        events.count() as u64
    };
    let pairs = (faulty.len() * healthy.len()) as f64;
    Outcome {
        removed,
        stable: if samples == 0 { 0.0 } else { stable as f64 / samples as f64 },
        failures: about(EventKind::Failed, true) as f64 / pairs,
        degraded: about(EventKind::Degraded, true) as f64 / pairs,
        false_positives: about(EventKind::Failed, false),
        bytes: (traffic(&world) - before) as f64 / duration as f64 / nodes as f64,
        violations: world.violations().len() as u64,
    }
}

fn traffic(world: &World) -> u64 {
    world.tally().datagram_bytes + world.tally().stream_bytes
}

/// Members without CPU time to speak of (Lifeguard, Figure 1).
fn starved(harness: &Harness, setups: &[(&str, Options)], section: &mut Section) -> u64 {
    let sizes = harness.pick(&[4][..], &STARVED);
    let mut runs = Vec::new();
    for blocks in [true, false] {
        for (name, options) in setups {
            runs.extend(sizes.iter().map(|&starved| (blocks, *name, options, starved)));
        }
    }
    let seeds = harness.pick(1, 3);
    let results =
        harness.map("worlds of starved members", &runs, |&(blocks, _, options, starved)| {
            let runs: Vec<_> = (0..seeds)
                .map(|run| {
                    starve(options, starved, blocks, harness.pick(60, 300), harness.seed() + run)
                })
                .collect();
            let mean = |value: fn(&(u64, u64, u64)) -> u64| {
                runs.iter().map(|run| value(run) as f64).collect::<Sample>().mean()
            };
            (mean(|run| run.0), mean(|run| run.1), runs.iter().map(|run| run.2).sum::<u64>())
        });

    let mut columns = vec!["blocked".to_owned(), String::new()];
    columns.extend(sizes.iter().map(|starved| format!("{starved} starved")));
    let mut table = Table {
        caption:
            "False positives: members that were not starved, but declared failed; at all members \
             / at members that were not starved, of 100 members in five minutes"
                .into(),
        columns,
        rows: Vec::new(),
    };
    let mut series = Vec::new();
    for (setup, results) in runs.chunks(sizes.len()).zip(results.chunks(sizes.len())) {
        let (blocks, name, ..) = setup[0];
        let what = if blocks { "each loop" } else { "the process" };
        let mut row = vec![what.to_owned(), name.to_owned()];
        row.extend(results.iter().map(|(false_positives, at_healthy, _)| {
            format!("{} / {}", significant(*false_positives, 2), significant(*at_healthy, 2))
        }));
        table.row(row);
        if blocks {
            let points = sizes.iter().zip(results).map(|(&size, result)| (size as f64, result.0));
            series.push(Series::measured(name, points.collect()));
        }
    }
    let paper: Vec<_> = sizes.iter().map(|&size| published(size)).collect();
    let cell = |(all, at_healthy): (f64, f64)| format!("~{all} / ~{at_healthy}");
    for (name, which) in [("SWIM, Figure 1", 0), ("Lifeguard, Figure 1", 1)] {
        let mut row = vec!["paper".to_owned(), name.to_owned()];
        row.extend(paper.iter().map(|values| cell(values[which])));
        table.row(row);
        let points = sizes.iter().zip(&paper).map(|(&size, values)| (size as f64, values[which].0));
        series.push(Series::published(name, points.collect()));
    }
    section.tables.push(table);
    section.charts.push(Chart {
        name: "gray-starved".into(),
        caption: "False positives with starved members, where each loop blocks on its own".into(),
        x: Axis::log("starved members of 100"),
        y: Axis::log("false positives"),
        series,
    });
    section.notes.push(format!(
        "Starved members run for 0.1 s and stand still for 5 s on average, exponentially \
         distributed; means of {seeds} {}. The paper has 128 busy processes on a machine with one \
         processor, which this resembles in kind only; its figures are read off a plot, to within \
         about 20.",
        if seeds == 1 { "run" } else { "runs" }
    ));
    results.iter().map(|result| result.2).sum()
}

/// Number of false positives (members that were not starved), of those at members that were not
/// starved, and of violations.
fn starve(
    options: &Options,
    starved: usize,
    blocks: bool,
    duration: u64,
    seed: u64,
) -> (u64, u64, u64) {
    let settings = Settings { options: options.clone(), trace: false, ..Settings::default() };
    let mut world = World::formed(100, settings, seed);
    world.run_for(Duration::from_secs(15));
    let mut rng = SimRng::new(seed, 111);
    let nodes = rng.sample_sorted(starved, 100);
    let end = world.now() + Duration::from_secs(duration);
    // When each of them stops or resumes next, and whether it is stopped now.
    let mut toggles: Vec<_> =
        nodes.iter().map(|_| (world.now() + rng.uniform(MEAN_STOP), false)).collect();
    while let Some((at, (due, stopped))) =
        toggles.iter().copied().enumerate().min_by_key(|(at, (due, _))| (*due, *at))
    {
        if due > end {
            break;
        }
        world.run_for(due.since(world.now()));
        match (stopped, blocks) {
            (true, _) => world.resume(nodes[at]),
            (false, true) => world.block(nodes[at]),
            (false, false) => world.pause(nodes[at]),
        }
        let mean = if stopped { MEAN_RUN } else { MEAN_STOP };
        toggles[at] = (due + rng.exponential(mean), !stopped);
    }
    world.run_for(end.since(world.now().min(end)));
    nodes.iter().for_each(|&node| world.resume(node));
    world.run_for(Duration::from_secs(30));
    let false_positives = world.log().iter().filter(|event| {
        event.kind == EventKind::Failed
            && event.subject.is_some_and(|about| !nodes.contains(&about))
    });
    let at_healthy =
        false_positives.clone().filter(|event| !nodes.contains(&event.observer)).count() as u64;
    (false_positives.count() as u64, at_healthy, world.violations().len() as u64)
}

/// Lifeguard's Figure 1: SWIM and Lifeguard, each at all members and at those not starved.
fn published(starved: usize) -> [(f64, f64); 2] {
    let swim = match starved {
        1 => (10.0, 0.0),
        2 => (40.0, 0.0),
        4 => (365.0, 215.0),
        8 => (955.0, 325.0),
        16 => (1775.0, 365.0),
        _ => (3310.0, 610.0),
    };
    let lifeguard = match starved {
        16 => (95.0, 0.0),
        32 => (1270.0, 60.0),
        _ => (0.0, 0.0),
    };
    [swim, lifeguard]
}

const QUIET: Duration = Duration::from_secs(90);
const STARVED: [usize; 6] = [1, 2, 4, 8, 16, 32];
const MEAN_STOP: Duration = Duration::from_secs(5);
const MEAN_RUN: Duration = Duration::from_millis(100);

const HEADING: &str = "Gray failures: lossy, flapping and starved members";

const TEXT: &str = "The faults are members whose packets get lost in one direction, members that \
receive nothing for recurring periods, and members that get hardly any CPU time. Healthy members \
should not be declared failed; the faulty ones should be, or should not be, but should not flap.

SWIM and Lifeguard are Tidings without its additions to memberlist, and with α = 4, which is the \
default of both memberlist and Tidings.";

const WEAKNESS: &str = "A member that answers over streams while its datagrams get lost stays a \
member, and is reported as degraded; memberlist has the same rule. By default nothing dampens a \
flapping member: after each refutation it is alive again, and the prompt refutation that helps \
healthy members helps it too. A member that hears all others but is hardly heard suspects many \
healthy members, and among a thousand members some of those are declared failed by all. The \
options `repeat_probes` and `flap_suppress` are for such networks. Rapid asks several observers \
for one verdict.";
