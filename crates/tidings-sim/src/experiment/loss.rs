//! False positives and detection latency under loss.

use super::format::{assert_no_violations, secs, seeds};
use super::mass_failure_rules_off;
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::Link;
use crate::report::{Axis, Chart, Section, Series, Table, seconds, significant};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::{Instant, Options};

pub(super) fn run(harness: &Harness) -> Section {
    let (nodes, minutes, worlds) = harness.pick((32, 1, 1), (128, 10, 1));
    let losses: &[u32] = harness.pick(&[0, 15, 30], &[0, 5, 10, 15, 20, 25, 30]);
    let mut section =
        Section::new("loss", "False positives and detection latency under loss", TEXT);
    let columns = [
        "options",
        "loss",
        "false suspicions",
        "false positives",
        "failure events",
        "crash: first detection",
        "crash: detected by all",
        "datagrams/s",
    ];
    let mut table = Table::new(
        format!(
            "{nodes} members for {minutes} min: rates per member-hour, medians of five \
        crashes"
        ),
        &columns,
    );
    let (mut suspicions, mut detection) = (Vec::new(), Vec::new());
    for (name, options) in variants() {
        let (mut suspicion_line, mut detection_line) = (Vec::new(), Vec::new());
        for &loss in losses {
            let seeds = seeds(harness, 600 + u64::from(loss), worlds);
            let task = format!("{loss} % loss, {name}");
            let runs =
                harness.map(&task, &seeds, |&seed| simulate(nodes, minutes, loss, &options, seed));
            let hours = (nodes * worlds) as f64 * f64::from(minutes) / 60.0;
            let rate = |part: fn(&Run) -> u64| runs.iter().map(part).sum::<u64>() as f64 / hours;
            let crashes = |part: fn(&Crash) -> Option<Duration>| -> Sample {
                let crashes = runs.iter().flat_map(|run| &run.crashes);
                crashes.map(|crash| part(crash).map_or(f64::INFINITY, secs)).collect()
            };
            let (first, all) = (crashes(|crash| crash.first), crashes(|crash| crash.all));
            table.row([
                name.into(),
                format!("{loss} %"),
                significant(rate(|run| run.suspicions), 3),
                significant(rate(|run| run.failures), 3),
                significant(rate(|run| run.failure_events), 3),
                seconds(first.median()),
                if all.median().is_finite() { seconds(all.median()) } else { "> 5 min".into() },
                significant(rate(|run| run.datagrams) / 3600.0, 3),
            ]);
            suspicion_line.push((f64::from(loss), rate(|run| run.suspicions)));
            detection_line.push((f64::from(loss), all.median()));
        }
        suspicions.push(Series::measured(name, suspicion_line));
        detection.push(Series::measured(name, detection_line));
    }
    section.tables.push(table);
    let chart = |name: &str, caption: &str, y, series| Chart {
        name: name.into(),
        caption: caption.into(),
        x: Axis::linear("loss (%)"),
        y,
        series,
    };
    let per_hour = Axis::linear("suspicions per member-hour");
    section.charts.push(chart("loss-suspicions", "False suspicions", per_hour, suspicions));
    let time = Axis::linear("seconds (median)");
    section.charts.push(chart(
        "loss-detection",
        "Time until all members have detected a crash",
        time,
        detection,
    ));
    section.notes = NOTES.map(String::from).to_vec();
    section
}

fn variants() -> [(&'static str, Options); 3] {
    let mut datagrams = Options::lan();
    datagrams.stream_probes = false;
    let mut swim = datagrams.clone();
    swim.nacks = false;
    swim.buddy = false;
    swim.awareness_max = 1;
    swim.suspicion_max_mult = 1;
    swim.require_recent_ack = false;
    mass_failure_rules_off(&mut swim);
    swim.prompt_refutation = false;
    swim.digest_checks = false;
    swim.refusal_evidence = false;
    [("default", Options::lan()), ("no stream probes", datagrams), ("SWIM only", swim)]
}

/// Results of one world.
#[derive(Debug, Default)]
struct Run {
    suspicions: u64,
    failures: u64,
    /// Failure events at all observers.
    failure_events: u64,
    datagrams: u64,
    crashes: Vec<Crash>,
}

/// Detection latency of a crash: until the first member declared it failed, and until no member
/// held it as present.
#[derive(Debug)]
struct Crash {
    first: Option<Duration>,
    all: Option<Duration>,
}

fn simulate(nodes: usize, minutes: u32, loss: u32, options: &Options, seed: u64) -> Run {
    let link = Link { loss: f64::from(loss) / 100.0, ..Link::default() };
    let settings = Settings { options: options.clone(), link, trace: false, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    let mut run = Run::default();
    let mut last = [vec![None; nodes], vec![None; nodes]];
    for _ in 0..minutes * 6 {
        world.run_for(10 * SECOND);
        for event in world.log() {
            let (latest, episodes) = match event.kind {
                EventKind::Suspected => (&mut last[0], &mut run.suspicions),
                EventKind::Failed => {
                    run.failure_events += 1;
                    (&mut last[1], &mut run.failures)
                }
                _ => continue,
            };
            let latest: &mut Option<Instant> =
                &mut latest[event.subject.expect("a failure has a subject")];
            // Reports by other members soon after belong to the same episode.
            *episodes += u64::from(latest.is_none_or(|latest| event.at.since(latest) > EPISODE));
            *latest = Some(event.at);
        }
        world.clear_log();
    }
    run.datagrams = world.tally().datagrams;
    let mut rng = SimRng::new(seed, 10);
    for node in rng.sample_sorted(5, nodes) {
        world.clear_log();
        world.power_off(node);
        let start = world.now();
        let name = crate::world::id(node);
        let holds = |world: &World, by: usize| {
            let member = world.node(by).and_then(|by| by.member(&name));
            world.is_member(by) && member.is_some_and(|member| member.state().is_present())
        };
        let mut all = None;
        while all.is_none() && world.now() < start + 300 * SECOND {
            world.run_for(SECOND / 10);
            all = (0..nodes).all(|by| !holds(&world, by)).then(|| world.now().since(start));
        }
        let failed = |event: &&crate::events::LoggedEvent| {
            event.kind == EventKind::Failed && event.subject == Some(node)
        };
        let first = world.log().iter().find(failed).map(|event| event.at.since(start));
        run.crashes.push(Crash { first, all });
        world.run_for(20 * SECOND);
    }
    assert_no_violations(&world, seed);
    run
}

const SECOND: Duration = Duration::from_secs(1);
const EPISODE: Duration = Duration::from_secs(5);

const TEXT: &str = "All members are healthy and each datagram is lost with the given probability. \
Each suspicion or failure of a live member counts once: events about the same member within 5 s \
of each other belong to the same one. \"Failure events\" are all failures that the applications \
of all members are told. Then five members are powered off, one after another, and we measure \
when the first of the other members declares each failed, and when all of them have.

\"SWIM only\" has a fixed suspicion timeout of `suspicion_mult` × log10(n) × `probe_interval` and \
three indirect pings. It has no local health, nacks, buddy system, recent-ack rule, prompt \
refutation, stream probes or digests on pings. Gossip and the anti-entropy sync every 30 s or \
more are as by default.";

const NOTES: [&str; 4] = [
    "Independent losses do little harm, with or without Lifeguard: three indirect pings reach \
     most live members, and a suspect receives the suspicion in many copies and refutes it in \
     many. Lifeguard's subject is slow members, which other sections measure.",
    "No comparable figures are published: SWIM's Fig 4 shows a group of 17 at 10 % loss (12 \
     remain with suspicion, 2 without it and without piggybacking), over minutes and without a \
     rate.",
    "Data lost on a stream is retransmitted and arrives late: a connection request one second \
     later, which is too late for a probe.",
    "Datagrams per second are per member.",
];
