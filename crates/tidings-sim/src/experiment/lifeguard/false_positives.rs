//! Table IV, Figures 2 and 3: how many members are wrongly held to have failed.

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
    let room = Settings::default().socket_buffer;
    let results = measure(harness, &setups, Anomaly::Loops, &grid, room);
    let sums: Vec<_> = results.iter().map(|result| total(result)).collect();
    section.tables.push(table_iv(&setups, &sums));
    section.charts.push(chart(&setups, &grid, &results));
    section.notes.push(format!(
        "{} runs for each row, {} virtual hours of {MEMBERS} nodes. They are the part of the paper's grid \
         of 432 in which most false failures are, about three quarters by a model of memberlist: D of \
         8 to 33 s, I of 1 to 256 ms. Shorter anomalies end before a suspicion does, and in longer \
         intervals the contradiction arrives. All of them take one core about ten minutes.",
        grid.len(),
        significant(sums[0].seconds / 3600.0, 2),
    ));

    let others = harness.pick(vec![Setup::swim()], few());
    let grid = harness.pick(vec![cell(4, 16_384, 64)], coarse_grid());
    let mut table = Table::new(
        "The same set-ups, with other meanings of an anomaly: false failures in each run, and those at \
         members that were not slow",
        &[
            "",
            "loops blocked",
            "of them at_healthy",
            "process stopped",
            "of them at_healthy",
            "only sends blocked",
            "of them at_healthy",
            "loops blocked, no room",
            "of them at_healthy",
        ],
    );
    let kinds = [
        (Anomaly::Loops, room),
        (Anomaly::Process, room),
        (Anomaly::Sends, room),
        (Anomaly::Loops, room / 4),
    ];
    let columns = kinds.map(|(anomaly, room)| measure(harness, &others, anomaly, &grid, room));
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
        "The second table is of {} runs for each cell. `No room` is a socket that takes {} datagrams and \
         drops the rest, instead of {room}.",
        grid.len(),
        room / 4,
    ));
    section.notes.push(LIMITS.into());
    section.notes.push(violations_note(violations));
    section
}

/// Those that have an order.
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

/// Those that the second table has.
fn few() -> Vec<Setup> {
    let mut setups = sample_of(&Setup::published(), &["SWIM", "LHA-Suspicion", "Lifeguard"]);
    setups.extend([5, 4].map(|alpha| Setup::tidings(alpha, 6)));
    setups
}

fn sample_of(setups: &[Setup], names: &[&str]) -> Vec<Setup> {
    setups.iter().filter(|setup| names.contains(&setup.name.as_str())).cloned().collect()
}

/// The part of the paper's grid that has nearly all false failures.
fn heavy_grid() -> Vec<Cell> {
    grid(&published::SLOW, &[8192, 16_384, 32_768], &[1, 16, 64, 256])
}

/// A sample of that.
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

/// Runs all set-ups over a grid; the outcomes are in the order of both.
pub(super) fn measure(
    harness: &Harness,
    setups: &[Setup],
    anomaly: Anomaly,
    grid: &[Cell],
    room: usize,
) -> Vec<Vec<Outcome>> {
    let pairs: Vec<_> =
        setups.iter().flat_map(|setup| grid.iter().map(move |&cell| (setup, cell))).collect();
    let outcomes = harness.map("runs with anomalies at intervals", &pairs, |(setup, cell)| {
        interval_run(&setup.options, anomaly, *cell, harness.seed(), room)
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
        "False failures in one pass over the grid where each loop of a slow member is blocked, with \
         α = 5 and β = 6 if nothing else is said. `Elsewhere` are those told by members that were not \
         slow. The last four columns are Table IV, of which a tenth is one pass over its whole grid.",
        &[
            "",
            "events",
            "of SWIM",
            "at_healthy",
            "per run",
            "paper: events",
            "paper: of SWIM",
            "paper: at_healthy",
            "paper: at_healthy, of SWIM",
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
        caption: "False failures in one pass over the grid, by how many members are slow at threshold_run"
            .into(),
        x: Axis::linear("slow members"),
        y: Axis::log("false failures"),
        series,
    }
}

const HEADING: &str = "False failures where members are slow (Lifeguard, Table IV)";

const TEXT: &str = "128 members are left alone for 15 seconds. Then some of them, all at the same \
instants, are blocked for D, go on for I, and so on until two minutes have passed and the anomaly ends. \
A false failure is an event at any member that says that a member failed which was never slow (Lifeguard, \
Dadgar et al. 2018, section V). Timers of a blocked member run, and what it would send or has received \
waits; of what it would send each loop has one thing in its hands. It takes what has waited at 15 µs each.

The baseline is Tidings with all of Lifeguard's components and all additions switched off, with α = 5, as \
the paper's is. The components and additions are switched on one by one, for the same members in the same \
runs. What is not an option stays: a suspect contradicts to its accuser directly, is told by the answers to \
its own pings, and outdated news is answered. So the baseline is not memberlist, and a little better than it.";

const LIMITS: &str = "How a slow member is modelled decides much. `Loops blocked` is closest to the \
paper's: the ping that cannot be sent is the last one until the anomaly ends, its target is accused then, \
and suspicions that ran out are verdicts before the contradictions that wait in the socket are read. \
Tidings' own loop is one: where it blocks, all of it does, and it reads before it looks at the clock, \
which is `process stopped`. With `only sends blocked` the node's time goes on although it can say nothing, \
so that it begins and loses a probe in each round: harder than the paper's anomaly, and false failures \
there are heard by everybody.";
