//! Table VI: message load of Lifeguard's components.

use super::false_positives::{cell, coarse_grid, measure, total};
use super::runs::Anomaly;
use super::{MEMBERS, Setup, published};
use crate::experiment::format::violations_note;
use crate::harness::Harness;
use crate::report::{Section, Table, bytes, percent, significant};
use crate::world::Settings;

pub(in crate::experiment) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("lifeguard-load", HEADING, TEXT);
    let mut setups = Setup::published();
    setups.truncate(harness.pick(3, 5));
    setups.extend(harness.pick(&[][..], &[5, 4, 2]).iter().map(|&alpha| Setup::tidings(alpha, 6)));
    let grid = harness.pick(vec![cell(4, 8192, 1024)], {
        let mut grid = coarse_grid();
        // Anomalies of all durations, like those in the paper's means.
        for slow in [4, 16, 32] {
            for blocked in [128, 2048] {
                grid.extend([64, 1024, 16_384].map(|normal| cell(slow, blocked, normal)));
            }
        }
        grid
    });
    let buffer_size = Settings::default().socket_buffer;
    let results = measure(harness, &setups, Anomaly::Loops, &grid, buffer_size);
    let sums: Vec<_> = results.iter().map(|outcomes| total(outcomes)).collect();
    let mut table = Table::new(
        "Datagrams, and bytes in datagrams and streams. The last columns are Table VI.",
        &[
            "",
            "datagrams/s",
            "bytes/s",
            "datagrams, of SWIM",
            "bytes, of SWIM",
            "paper: messages/s",
            "paper: bytes/s",
            "paper: messages, of SWIM",
            "paper: bytes, of SWIM",
        ],
    );
    for (setup, sum) in setups.iter().zip(&sums) {
        let node_seconds = sum.seconds * MEMBERS as f64;
        let mut cells = vec![
            setup.name.clone(),
            significant(sum.datagrams as f64 / node_seconds, 3),
            bytes(sum.bytes as f64 / node_seconds),
            percent(sum.datagrams as f64 / sums[0].datagrams as f64),
            percent(sum.bytes as f64 / sums[0].bytes as f64),
        ];
        if let Some(row) = setup.row {
            let ((messages, gib), (messages_of, gib_of)) =
                (published::LOAD[row], published::LOAD[0]);
            cells.extend([
                significant(messages * 1e6 / PAPERS_NODE_SECONDS, 3),
                bytes(gib * GIB / PAPERS_NODE_SECONDS),
                percent(messages / messages_of),
                percent(gib / gib_of),
            ]);
        }
        table.row(cells);
    }
    section.tables.push(table);
    section.notes.push(format!(
        "{} runs for each row, over C in 4, 16, 32 and over durations and intervals from all of \
         the paper's ranges; the paper's 4,320 runs have more long intervals, in which there are \
         fewer updates.",
        grid.len()
    ));
    section.notes.push(SHARES.into());
    section.notes.push(violations_note(sums.iter().map(|sum| sum.violations).sum()));
    section
}

const GIB: f64 = (1_u64 << 30) as f64;
/// Node-seconds of the paper's 4,320 runs, which last 127.2 seconds on average.
const PAPERS_NODE_SECONDS: f64 = 4320.0 * 127.2 * MEMBERS as f64;

const HEADING: &str = "Message load of Lifeguard's components (Lifeguard, Table VI)";

const TEXT: &str = "The runs are those of the section on false positives. Shares are relative to \
our own SWIM; absolute values are per member and second.";

const SHARES: &str = "Confirmations are updates that gossip spreads, and suspicions that last \
longer have more of them: that is the cost of LHA-Suspicion. Bytes are not comparable in size, \
because memberlist's messages are self-describing maps; the additions to Lifeguard add next to \
nothing to its load.";
