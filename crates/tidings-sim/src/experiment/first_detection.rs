//! Detection latency: the first probe of a crashed member, and the first suspicion.

use super::format::{assert_no_violations, compare_sample, secs, seeds, with_interval};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let sizes = harness.pick(
        vec![(8, 1500, 1), (32, 500, 1), (128, 40, 1)],
        vec![(8, 10_000, 1), (32, 10_000, 1), (55, 10_000, 1), (128, 5000, 1), (1000, 10, 60)],
    );
    let mut section = Section::new("first-detection", "Detection latency after a crash", TEXT);
    let columns = [
        "members",
        "crashes",
        "time to",
        "mean",
        "theory",
        "99 %",
        "theory",
        "mean against \
        theory",
    ];
    let mut table = Table::new(
        "Probe periods from a crash at a random moment (95 % confidence \
    interval)",
        &columns,
    );
    let (mut to_probe, mut to_suspicion, mut theory) = (Vec::new(), Vec::new(), Vec::new());
    for (nodes, worlds, crashes) in sizes {
        let seeds = seeds(harness, 100 + nodes as u64, worlds);
        let task = format!("crashes among {nodes}");
        let found = harness.map(&task, &seeds, |&seed| crash_one_by_one(nodes, crashes, seed));
        let found: Vec<_> = found.into_iter().flatten().collect();
        for (what, later, sample, line) in [
            ("first probe", 0.0, sample(&found, |found| found.0), &mut to_probe),
            ("first suspicion", 1.0, sample(&found, |found| found.1), &mut to_suspicion),
        ] {
            let (mean, p99) = random_phases(nodes);
            let (mean, p99) = (mean + later, p99 + later);
            table.row([
                nodes.to_string(),
                sample.len().to_string(),
                what.into(),
                with_interval(&sample, Sample::mean),
                format!("{mean:.3}"),
                with_interval(&sample, |sample| sample.quantile(0.99)),
                format!("{p99:.2}"),
                compare_sample(&sample, Sample::mean, mean, "as predicted"),
            ]);
            line.push((nodes as f64, sample.mean()));
        }
        theory.push((nodes as f64, random_phases(nodes).0));
    }
    section.tables.push(table);
    let line = |height| vec![(theory[0].0, height), (theory[theory.len() - 1].0, height)];
    section.charts.push(Chart {
        name: "first-detection".into(),
        caption: "Mean detection latency of a crash".into(),
        x: Axis::log("members"),
        y: Axis::linear("periods"),
        series: vec![
            Series::measured("Tidings, first ping", to_probe),
            Series::measured("Tidings, first suspicion", to_suspicion),
            Series::theory("theory, first ping", theory.clone()),
            Series::theory("SWIM §3.1: e/(e-1)", line(SWIM)),
            Series::theory("even rotation: 0.5", line(0.5)),
            Series::published("SWIM, Fig 3a", SWIM_FIG_3A.to_vec()),
        ],
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// Crashes members of a cluster one by one, each after all views have dropped the one before;
/// returns the periods until each was pinged and suspected.
fn crash_one_by_one(nodes: usize, crashes: usize, seed: u64) -> Vec<(f64, f64)> {
    let settings = Settings { trace: false, probes: true, ..Settings::default() };
    let period = Options::lan().probe_interval;
    let mut world = World::formed(nodes, settings, seed);
    let mut rng = SimRng::new(seed, 10);
    let mut found = Vec::new();
    for node in rng.sample_sorted(crashes, nodes) {
        let traversal = (nodes - 1).min(8) as u32;
        world.run_for(5 * period + rng.uniform(traversal * period));
        world.clear_probes();
        world.clear_log();
        world.crash(node);
        let crashed = world.now();
        let suspected =
            |world: &World| world.log().iter().any(|event| event.kind == EventKind::Suspected);
        world
            .run_until(Duration::from_secs(300), suspected)
            .expect("the crashed member is probed within 300 s");
        let probed = world.probes().iter().find(|probe| probe.target == node).map(|probe| probe.at);
        let suspected = world.log().iter().find(|event| event.kind == EventKind::Suspected);
        let periods = |at| secs(tidings::Instant::since(at, crashed)) / secs(period);
        // No ping is logged if one was in flight at the moment of the crash.
        let probed = probed.map_or(0.0, periods);
        found.push((probed, periods(suspected.expect("the run ended with it").at)));
        if crashes > 1 {
            let left = nodes - found.len();
            let forgotten = |world: &World| {
                (0..nodes).all(|node| !world.is_member(node) || world.present(node) == left)
            };
            world
                .run_until(Duration::from_secs(120), forgotten)
                .expect("the crash is detected within 120 s");
        }
    }
    assert_no_violations(&world, seed);
    found
}

fn sample(found: &[(f64, f64)], part: impl Fn(&(f64, f64)) -> f64) -> Sample {
    found.iter().map(part).collect()
}

/// Mean and 99th percentile of the periods until the first ping to a crashed member, in theory.
///
/// Each of `m` other members pings it once in its next `m` periods, at a uniformly distributed
/// time; the first of `m` such times is later than `t` with probability `(1 - t/m)^m`.
fn random_phases(nodes: usize) -> (f64, f64) {
    let m = (nodes - 1) as f64;
    (m / (m + 1.0), m * (1.0 - libm::pow(0.01, 1.0 / m)))
}

const SWIM: f64 = 1.581_976_7;

/// At the middle of each interval of sizes; each is the mean of few crashes.
const SWIM_FIG_3A: [(f64, f64); 7] = [
    (10.0, 1.11),
    (14.5, 3.26),
    (19.0, 1.98),
    (23.5, 1.25),
    (28.0, 2.05),
    (32.0, 1.39),
    (37.0, 1.17),
];

const TEXT: &str = "In a cluster with full views and without loss, one member crashes at a random \
moment. We measure the time until any member first pings it, and until the first suspicion, which \
is one probe interval later, when the probe round ends. A period is `probe_interval`, one second.

SWIM §3.1 (Das et al., 2002) counts whole periods, in each of which every member picks a target \
at random: it takes e/(e-1) = 1.582 periods until a member picks the crashed one, including the \
period of the pick. A crash in the middle of a period is then pinged after about 1.08 periods and \
detected after 2.08. Members of Tidings probe round-robin through a shuffled list (SWIM §4.3), \
each with its own phase: theory gives (n-1)/n periods until the first ping, and 4.5 at the 99th \
percentile.";

const NOTES: [&str; 3] = [
    "The theory treats the members' lists as independent, and each member's next n-1 probes as \
     uniformly distributed.",
    "No schedule with one ping per member and period can be faster than 0.50 periods on average, \
     and 0.99 at the 99th percentile: that is a rotation in which the pings to each member are \
     evenly spaced. Compared with that, random phases, both SWIM's and Tidings', are twice as \
     slow on average, and 4.5 times as slow at the 99th percentile.",
    "The points of SWIM's Fig 3a are read off the plot. They are means over few crashes on real \
     machines, and scatter accordingly.",
];
