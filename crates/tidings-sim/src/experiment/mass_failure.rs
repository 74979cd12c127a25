//! Mass failures, and members that reach few others: detection latency and false positives.

use super::format::{assert_no_violations, secs, seeds, with_interval};
use super::mass_failure_rules_off;
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::{Cut, Link};
use crate::report::{Section, Table, bytes, count, significant};
use crate::sample::Sample;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn mass_failure(harness: &Harness) -> Section {
    let mut section = Section::new("mass-failure", "Mass failures", MASS_TEXT);
    let cases = harness.pick(
        vec![(10, vec![2, 5]), (20, vec![3, 10])],
        vec![
            (10, vec![2, 5]),
            (20, vec![2, 3, 10]),
            (50, vec![2, 3, 25]),
            (100, vec![2, 20, 50]),
            (500, vec![5, 50, 250]),
            (1000, vec![10, 100, 500]),
        ],
    );
    let mut table = Table::new(
        "Time from the crashes until all survivors know of all, in seconds: medians with 95% \
         confidence intervals, and the slowest run",
        &[
            "members",
            "survivors",
            "runs",
            "one crash: median",
            "all: median",
            "slowest",
            "slowest by one crash",
            "survivors suspected",
            "bytes/s of a survivor",
        ],
    );
    for (nodes, survivors) in cases {
        let runs = harness.pick(6, if nodes < 500 { 40 } else { 10 });
        let seeds = seeds(harness, 1300 + nodes as u64, runs);
        let one = harness.map(&format!("one crash of {nodes}"), &seeds, |&seed| {
            crash(nodes, nodes - 1, Options::lan(), seed)
        });
        let one: Sample = one.iter().map(|run| run.took).collect();
        for left in survivors {
            let task = format!("{left} of {nodes} survive");
            let runs = harness.map(&task, &seeds, |&seed| crash(nodes, left, Options::lan(), seed));
            let took: Sample = runs.iter().map(|run| run.took).collect();
            let rates: Sample = runs.iter().map(|run| run.bytes).collect();
            table.row([
                count(nodes as u64),
                count(left as u64),
                runs.len().to_string(),
                with_interval(&one, Sample::median),
                with_interval(&took, Sample::median),
                significant(took.max(), 3),
                format!("{:.2}", took.max() / one.median()),
                count(runs.iter().map(|run| run.doubted).sum()),
                bytes(rates.mean()),
            ]);
        }
    }
    section.tables.push(table);
    section.tables.push(ablation(harness));
    section.notes = MASS_NOTES.map(String::from).to_vec();
    section
}

/// The rules for mass failures, each turned off alone, and all of them turned off.
fn ablation(harness: &Harness) -> Table {
    type Change = fn(&mut Options);
    let changes: [(&str, Change); 6] = [
        ("defaults", |_| {}),
        ("no recent relays", |options| options.recent_relays = false),
        ("no wide probes", |options| options.wide_probes = false),
        ("no recent gossip", |options| options.recent_gossip = false),
        ("no limit of confirmations", |options| options.limit_confirmations = false),
        ("none of them", mass_failure_rules_off),
    ];
    let cases = harness.pick(vec![(20, 2)], vec![(20, 2), (20, 3), (50, 3), (100, 20)]);
    let names: Vec<_> = cases.iter().map(|(nodes, left)| format!("{left} of {nodes}")).collect();
    let columns: Vec<_> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(
        "The contribution of each rule: median time in seconds, with 95% confidence intervals",
        &columns,
    );
    let seeds = seeds(harness, 1399, harness.pick(6, 30));
    for (name, change) in changes {
        let mut options = Options::lan();
        change(&mut options);
        let cells = cases.iter().map(|&(nodes, left)| {
            let task = format!("{left} of {nodes} survive, {name}");
            let runs =
                harness.map(&task, &seeds, |&seed| crash(nodes, left, options.clone(), seed));
            with_interval(&runs.iter().map(|run| run.took).collect(), Sample::median)
        });
        table.row([name.to_owned()].into_iter().chain(cells));
    }
    table
}

/// Results of a run in which members crash at once.
#[derive(Debug)]
struct Crash {
    /// Seconds until all survivors know of all.
    took: f64,
    /// Number of suspicions of survivors.
    doubted: u64,
    /// Bytes of datagrams that a survivor sent in a second.
    bytes: f64,
}

fn crash(nodes: usize, left: usize, options: Options, seed: u64) -> Crash {
    let mut world = formed(nodes, options, seed);
    world.run_for(10 * SECOND);
    world.clear_log();
    let before = world.tally().datagram_bytes;
    (left..nodes).for_each(|node| world.crash(node));
    let know = |world: &World| (0..left).all(|node| world.present(node) == left);
    let took = world.run_until(MAX_DURATION, know);
    assert_no_violations(&world, seed);
    let suspected = world.log().iter().filter(|event| event.kind == EventKind::Suspected);
    let doubted = suspected.filter(|event| event.subject.is_some_and(|node| node < left)).count();
    let sent = (world.tally().datagram_bytes - before) as f64;
    Crash {
        took: took.map_or(f64::INFINITY, secs),
        doubted: doubted as u64,
        bytes: sent / left as f64 / secs(took.unwrap_or(MAX_DURATION)),
    }
}

pub(super) fn half_attached(harness: &Harness) -> Section {
    let mut section = Section::new("half-attached", "A member that reaches two others", HALF_TEXT);
    type Change = fn(&mut Options);
    let variants: [(&str, Change); 4] = [
        ("defaults", |_| {}),
        ("no recent relays", |options| options.recent_relays = false),
        ("no suspicion by a verdict", |options| options.suspect_on_verdict = false),
        ("neither", |options| {
            options.recent_relays = false;
            options.suspect_on_verdict = false;
        }),
    ];
    let mut table = Table::new(
        "Healthy members that healthy members declared failed, in five minutes; in brackets 95% \
         confidence intervals of the means",
        &["members", "", "runs", "runs with any", "per run", "suspicions per run", "member failed"],
    );
    for nodes in harness.pick(vec![24], vec![6, 10, 16, 24, 50]) {
        for (name, change) in variants {
            let mut options = Options::lan();
            change(&mut options);
            let seeds = seeds(harness, 1400 + nodes as u64, harness.pick(5, 300));
            let task = format!("one of {nodes} reaches two, {name}");
            let runs = harness.map(&task, &seeds, |&seed| attached(nodes, options.clone(), seed));
            let failed: Sample = runs.iter().map(|run| run.failed as f64).collect();
            let suspected: Sample = runs.iter().map(|run| run.suspected as f64).collect();
            table.row([
                count(nodes as u64),
                name.into(),
                runs.len().to_string(),
                runs.iter().filter(|run| run.failed > 0).count().to_string(),
                with_interval(&failed, Sample::mean),
                with_interval(&suspected, Sample::mean),
                runs.iter().filter(|run| run.member_failed).count().to_string(),
            ]);
        }
    }
    section.tables.push(table);
    section.notes = HALF_NOTES.map(String::from).to_vec();
    section
}

/// Results of a run with a member that reaches two others.
#[derive(Debug)]
struct Attached {
    /// Failures of healthy members that healthy members reported.
    failed: usize,
    /// Suspicions of healthy members, at all members.
    suspected: usize,
    /// Whether the member itself was declared failed.
    member_failed: bool,
}

fn attached(nodes: usize, options: Options, seed: u64) -> Attached {
    let mut world = formed(nodes, options, seed);
    world.run_for(15 * SECOND);
    world.clear_log();
    let rest: Vec<_> = (3..nodes).collect();
    world.cut(&[0], &rest, Cut::All);
    world.cut(&rest, &[0], Cut::All);
    world.run_for(285 * SECOND);
    assert_no_violations(&world, seed);
    let of = |kind| world.log().iter().filter(move |event| event.kind == kind);
    let wrong =
        of(EventKind::Failed).filter(|event| event.observer != 0 && event.subject != Some(0));
    Attached {
        failed: wrong.count(),
        suspected: of(EventKind::Suspected).filter(|event| event.subject != Some(0)).count(),
        member_failed: of(EventKind::Failed).any(|event| event.subject == Some(0)),
    }
}

fn formed(nodes: usize, options: Options, seed: u64) -> World {
    let link = Link { delay: Duration::from_micros(500), ..Link::default() };
    let checks = nodes <= 100;
    World::formed(
        nodes,
        Settings { options, link, checks, trace: false, ..Settings::default() },
        seed,
    )
}

const SECOND: Duration = Duration::from_secs(1);
const MAX_DURATION: Duration = Duration::from_secs(600);

const MASS_TEXT: &str = "All but a few members crash at once. The survivors have to find each \
other, to learn that they are not the ones that are cut off, and to reach verdicts about all \
others. The one-way delay is 0.5 ms, without loss.";

const MASS_NOTES: [&str; 2] = [
    "The goal is twice the time of one crash in a cluster of the same size, in the slowest run.",
    "A single survivor is not in the table: it cannot tell a mass failure from its own isolation.",
];

const HALF_TEXT: &str = "One member reaches only two others, in both directions; the rest of the \
cluster is well. Its accusations reach the others through those two. The one-way delay is 0.5 ms.";

const HALF_NOTES: [&str; 1] =
    ["`member failed` counts the runs in which the member itself was declared failed by anybody, \
     which is not wrong: most members do not reach it."];
