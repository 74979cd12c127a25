//! Table IV, Figures 2 and 3: false positives caused by slow members.

use super::runs::{Anomaly, Cell, Outcome, interval_run};
use super::{MEMBERS, Setup, published};
use crate::experiment::format::violations_note;
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table, count, percent, significant};
use crate::world::Settings;

pub(in crate::experiment) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("lifeguard-false-positives", HEADING, TEXT);

    let setups = harness.pick(ordered(), all());
    let grid = harness.pick(vec![cell(4, 16_384, 64)], heavy_grid());
    let buffer_size = Settings::default().socket_buffer;
    let results = measure(harness, &setups, Anomaly::Loops, &grid, buffer_size);
    let sums: Vec<_> = results.iter().map(|result| total(result)).collect();
    section.tables.push(table_iv(&setups, &sums));
    section.charts.push(chart(&setups, &grid, &results));
    section.notes.push(format!(
        "{} runs for each row, {} virtual hours of {MEMBERS} nodes. They are the part of the \
         paper's grid of 432 with most false positives, about three quarters according to a model \
         of memberlist: D of 8 to 33 s, I of 1 to 256 ms. Shorter anomalies end before a \
         suspicion expires, and in longer intervals the refutation arrives. All runs together \
         take one core about ten minutes.",
        grid.len(),
        significant(sums[0].seconds / 3600.0, 2),
    ));

    let others = harness.pick(vec![Setup::swim()], few());
    let grid = harness.pick(vec![cell(4, 16_384, 64)], coarse_grid());
    let mut table = Table::new(
        "The same configurations under other models of an anomaly: false positives (FP) per run, \
         and those at healthy members (FP-)",
        &[
            "",
            "loops blocked: FP",
            "FP-",
            "process stopped: FP",
            "FP-",
            "only sends blocked: FP",
            "FP-",
            "loops blocked, small buffer: FP",
            "FP-",
        ],
    );
    let kinds = [
        (Anomaly::Loops, buffer_size),
        (Anomaly::Process, buffer_size),
        (Anomaly::Sends, buffer_size),
        (Anomaly::Loops, buffer_size / 4),
    ];
    let columns =
        kinds.map(|(anomaly, buffer_size)| measure(harness, &others, anomaly, &grid, buffer_size));
    let mut violations: u64 = sums.iter().map(|sum| sum.violations).sum();
    for (row, setup) in others.iter().enumerate() {
        let mut cells = vec![setup.name.clone()];
        for column in &columns {
            let sum = total(&column[row]);
            violations += sum.violations;
            cells.push(significant(per_run(sum.false_positives, &sum), 3));
            cells.push(significant(per_run(sum.at_healthy, &sum), 3));
        }
        table.row(cells);
    }
    section.tables.push(table);
    section.notes.push(format!(
        "The second table has {} runs for each cell. `Small buffer` is a receive buffer of {} \
         datagrams instead of {buffer_size}; further ones are dropped.",
        grid.len(),
        buffer_size / 4,
    ));
    section.notes.push(LIMITS.into());
    section.notes.push(violations_note(violations));
    section
}

/// Configurations whose results have a known order.
fn ordered() -> Vec<Setup> {
    let mut setups = sample_of(&Setup::published(), &["SWIM", "LHA-Suspicion", "Lifeguard"]);
    setups.push(Setup::tidings(5, 6));
    setups
}

fn all() -> Vec<Setup> {
    let mut setups = Setup::published();
    setups.extend(Setup::additions());
    setups.extend([5, 4, 3, 2].map(|alpha| Setup::tidings(alpha, 6)));
    setups
}

/// Configurations of the second table.
fn few() -> Vec<Setup> {
    let mut setups = sample_of(&Setup::published(), &["SWIM", "LHA-Suspicion", "Lifeguard"]);
    setups.extend([5, 4].map(|alpha| Setup::tidings(alpha, 6)));
    setups
}

fn sample_of(setups: &[Setup], names: &[&str]) -> Vec<Setup> {
    setups.iter().filter(|setup| names.contains(&setup.name.as_str())).cloned().collect()
}

/// The part of the paper's grid with nearly all false positives.
fn heavy_grid() -> Vec<Cell> {
    grid(&published::SLOW, &[8192, 16_384, 32_768], &[1, 16, 64, 256])
}

/// A sample of the heavy grid.
pub(super) fn coarse_grid() -> Vec<Cell> {
    grid(&[4, 16, 32], &[8192, 16_384, 32_768], &[1, 64])
}

fn grid(slow: &[usize], blocked: &[u64], normal: &[u64]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &slow in slow {
        for &blocked in blocked {
            cells.extend(normal.iter().map(|&normal| cell(slow, blocked, normal)));
        }
    }
    cells
}

pub(super) fn cell(slow: usize, blocked: u64, normal: u64) -> Cell {
    Cell { slow, blocked, normal, repetition: 0 }
}

/// Runs all configurations over a grid; the outcomes are in the order of both.
pub(super) fn measure(
    harness: &Harness,
    setups: &[Setup],
    anomaly: Anomaly,
    grid: &[Cell],
    buffer_size: usize,
) -> Vec<Vec<Outcome>> {
    let pairs: Vec<_> =
        setups.iter().flat_map(|setup| grid.iter().map(move |&cell| (setup, cell))).collect();
    let outcomes = harness.map("runs with anomalies at intervals", &pairs, |(setup, cell)| {
        interval_run(&setup.options, anomaly, *cell, harness.seed(), buffer_size)
    });
    outcomes.chunks(grid.len()).map(<[Outcome]>::to_vec).collect()
}

pub(super) fn total(outcomes: &[Outcome]) -> Outcome {
    outcomes.iter().fold(Outcome::default(), Outcome::add)
}

fn per_run(events: u64, sum: &Outcome) -> f64 {
    events as f64 / sum.runs as f64
}

fn table_iv(setups: &[Setup], sums: &[Outcome]) -> Table {
    let mut table = Table::new(
        "False positives in one pass over the grid where each loop of a slow member is blocked, \
         with α = 5 and β = 6 unless stated otherwise. `FP` are all of them, `FP-` those at \
         healthy members. The last four columns are Table IV, divided by ten, because the paper \
         makes ten passes over its whole grid.",
        &[
            "",
            "FP",
            "FP, of SWIM",
            "FP-",
            "FP per run",
            "paper: FP",
            "paper: FP, of SWIM",
            "paper: FP-",
            "paper: FP-, of SWIM",
        ],
    );
    for (setup, sum) in setups.iter().zip(sums) {
        let mut cells = vec![
            setup.name.clone(),
            count(sum.false_positives),
            percent(sum.false_positives as f64 / sums[0].false_positives as f64),
            count(sum.at_healthy),
            significant(per_run(sum.false_positives, sum), 3),
        ];
        if let Some(row) = setup.row {
            let ((false_positives, at_healthy), (of, elsewhere_of)) =
                (published::FALSE[row], published::FALSE[0]);
            cells.extend([
                count(false_positives / published::PASSES),
                percent(false_positives as f64 / of as f64),
                significant(at_healthy as f64 / published::PASSES as f64, 2),
                percent(at_healthy as f64 / elsewhere_of as f64),
            ]);
        }
        table.row(cells);
    }
    table
}

fn chart(setups: &[Setup], grid: &[Cell], results: &[Vec<Outcome>]) -> Chart {
    let mut sizes: Vec<_> = grid.iter().map(|cell| cell.slow).collect();
    sizes.dedup();
    let mut series: Vec<_> = setups
        .iter()
        .zip(results)
        .filter(|(setup, _)| setup.row.is_some() || setup.name.starts_with("Tidings"))
        .map(|(setup, outcomes)| {
            let point = |&size: &usize| {
                let of_size = grid.iter().zip(outcomes).filter(|(cell, _)| cell.slow == size);
                let of_size: Vec<_> = of_size.map(|(_, outcome)| *outcome).collect();
                let sum = total(&of_size);
                (size as f64, sum.false_positives as f64)
            };
            Series::measured(&setup.name, sizes.iter().map(point).collect())
        })
        .collect();
    for (name, row) in [("SWIM, Fig. 2", 0), ("Lifeguard, Fig. 2", 1)] {
        let points = published::SLOW.iter().zip(published::BY_SLOW[row]);
        let points =
            points.map(|(&size, events)| (size as f64, events as f64 / published::PASSES as f64));
        series.push(Series::published(name, points.collect()));
    }
    Chart {
        name: "lifeguard-false-positives".into(),
        caption: "False positives in one pass over the grid, by number of slow members".into(),
        x: Axis::linear("slow members"),
        y: Axis::log("false positives"),
        series,
    }
}

const HEADING: &str = "False positives with slow members (Lifeguard, Table IV)";

const TEXT: &str = "128 members run undisturbed for 15 seconds. Then some of them, all at the \
same instants, are blocked for D, run for I, and so on until two minutes have passed and the \
anomaly ends. A false positive is an event at any member which reports the failure of a member \
that was never slow (Lifeguard, Dadgar et al. 2018, section V). The timers of a blocked member \
run, but its sends and receives wait; each loop holds one blocked send. Afterwards the member \
reads its buffered input at 15 µs each.

The baseline is Tidings with all of Lifeguard's components and all additions switched off, with α \
= 5, as in the paper. The components and additions are switched on one by one, for the same slow \
members in the same runs. Behaviour without an option stays: a suspect also refutes directly to \
its accuser, learns of its suspicion from the acks of its own pings, and stale updates are \
answered. So the baseline is not memberlist, and slightly better.";

const LIMITS: &str = "The model of a slow member has a large influence. `Loops blocked` is \
closest to the paper's: the ping that cannot be sent is the last one until the anomaly ends, its \
target is suspected then, and suspicions that have expired become verdicts before the refutations \
buffered in the socket are read. Tidings has a single loop: if it blocks, everything does, and it \
reads its socket before it handles timers, which is `process stopped`. With `only sends blocked` \
the node's timers run although it can send nothing, so that a probe begins and fails in each \
round: harder than the paper's anomaly, and all members hear of the false positives.";
