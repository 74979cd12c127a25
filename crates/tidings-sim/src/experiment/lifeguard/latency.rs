//! Table V: how soon it is found that members have become slow.

use super::runs::{Anomaly, Cell, Latencies, threshold_run};
use super::{Setup, published};
use crate::experiment::format::violations_note;
use crate::harness::Harness;
use crate::report::{Section, Table, count, significant};
use crate::sample::Sample;

pub(in crate::experiment) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("lifeguard-latency", HEADING, TEXT);
    let mut setups = harness.pick(vec![Setup::swim(), Setup::lifeguard(5, 6)], Setup::published());
    if let Some(lifeguard) = setups.iter_mut().find(|setup| setup.name == "Lifeguard") {
        lifeguard.row = Some(4);
    }
    setups.extend(
        harness.pick(vec![2], vec![5, 4, 3, 2]).into_iter().map(|alpha| Setup::tidings(alpha, 6)),
    );
    let grid = grid(harness, harness.pick(1, 2));
    let results = measure(harness, &setups, &grid);

    let mut table = Table::new(
        "Seconds from when members are blocked until the first other one holds one to have failed, and \
         until all do that are not blocked. In brackets: Table V.",
        &["", "found", "first: median", "99%", "99.9%", "all: median", "99%", "99.9%"],
    );
    for (setup, result) in setups.iter().zip(&results) {
        let samples = [&result.first, &result.full].map(|values| values.iter().copied().collect());
        let values = samples
            .iter()
            .flat_map(|sample: &Sample| [0.5, 0.99, 0.999].map(|share| sample.quantile(share)));
        let mut cells = vec![setup.name.clone(), count(result.first.len() as u64)];
        cells.extend(values.enumerate().map(|(column, value)| match setup.row {
            Some(row) => format!("{value:.2} ({:.2})", published::LATENCY[row][column]),
            None => format!("{value:.2}"),
        }));
        table.row(cells);
    }
    section.tables.push(table);
    section.notes.push(format!(
        "{} runs for each row, of the paper's 540, with anomalies of 8, 16 and 33 seconds: shorter ones \
         are never found, in the paper neither. A member that goes on before it is found is not in the \
         samples, so that the longest times are cut off at {} s.",
        grid.len(),
        significant(grid.iter().map(|cell| cell.blocked).max().unwrap_or(0) as f64 / 1e3, 3),
    ));
    section.notes.push(violations_note(results.iter().map(|result| result.violations).sum()));
    section
}

/// With which the threshold is seen.
pub(super) fn grid(harness: &Harness, repetitions: u64) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &slow in harness.pick(&[4][..], &published::SLOW) {
        for &blocked in harness.pick(&[16_384][..], &[8192, 16_384, 32_768]) {
            for repetition in 0..repetitions {
                cells.push(Cell { slow, blocked, normal: 0, repetition });
            }
        }
    }
    cells
}

/// Runs all set-ups over a grid; the results are in the order of the set-ups.
pub(super) fn measure(harness: &Harness, setups: &[Setup], grid: &[Cell]) -> Vec<Latencies> {
    let pairs: Vec<_> =
        setups.iter().flat_map(|setup| grid.iter().map(move |&cell| (setup, cell))).collect();
    let results = harness.map("runs with one anomaly", &pairs, |(setup, cell)| {
        threshold_run(&setup.options, Anomaly::Loops, *cell, harness.seed())
    });
    results
        .chunks(grid.len())
        .map(|of_setup| of_setup.iter().fold(Latencies::default(), add))
        .collect()
}

fn add(mut sum: Latencies, other: &Latencies) -> Latencies {
    sum.first.extend(&other.first);
    sum.full.extend(&other.full);
    sum.violations += other.violations;
    sum
}

const HEADING: &str = "How soon slow members are found (Lifeguard, Table V)";

const TEXT: &str = "128 members are left alone for 15 seconds; then some of them are blocked, at one \
instant and for one time. The run ends when all hold all to be present again, or after two minutes. \
A blocked member is as one that crashed, if it is blocked for long enough.";
