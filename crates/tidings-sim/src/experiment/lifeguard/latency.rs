//! Table V: detection latency for slow members.

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
        "Seconds from the beginning of an anomaly until the first other member declares a blocked \
         one failed (first detection), and until all members that are not blocked do (full \
         dissemination). In brackets: Table V.",
        &[
            "",
            "detections",
            "first detection: median",
            "99%",
            "99.9%",
            "full dissemination: \
        median",
            "99%",
            "99.9%",
        ],
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
        "{} runs for each row, of the paper's 540, with anomalies of 8, 16 and 33 seconds: \
         shorter ones are never detected, in the paper neither. A member that resumes before it \
         is detected is not in the samples, so that the longest times are cut off at {} s.",
        grid.len(),
        significant(grid.iter().map(|cell| cell.blocked).max().unwrap_or(0) as f64 / 1e3, 3),
    ));
    section.notes.push(violations_note(results.iter().map(|result| result.violations).sum()));
    section
}

/// The grid of the Threshold experiment.
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

/// Runs all configurations over a grid; the results are in the order of the configurations.
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

const HEADING: &str = "Detection latency for slow members (Lifeguard, Table V)";

const TEXT: &str = "128 members run undisturbed for 15 seconds; then some of them are blocked \
once, all at the same instant. The run ends when all members hold all others as present again, or \
after two minutes. A member that is blocked for long enough looks like one that crashed.";
