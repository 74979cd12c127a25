//! Table VII: detection latency against false positives.

use super::runs::Anomaly;
use super::{Setup, false_positives, latency, published};
use crate::experiment::format::violations_note;
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table, percent};
use crate::sample::Sample;
use crate::world::Settings;

pub(in crate::experiment) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("lifeguard-tuning", HEADING, TEXT);
    let points: Vec<_> = harness.pick(&[published::TUNING[8]][..], &published::TUNING).to_vec();
    let mut setups = vec![Setup::swim()];
    setups.extend(points.iter().map(|&(alpha, beta, ..)| Setup::lifeguard(alpha, beta)));
    let mut ours = points.iter().map(|&(alpha, beta, ..)| (alpha, beta)).collect::<Vec<_>>();
    ours.extend(harness.pick(&[][..], &[(3, 6), (3, 12), (3, 24)]));
    setups.extend(ours.iter().map(|&(alpha, beta)| Setup::tidings(alpha, beta)));

    let grid =
        harness.pick(vec![false_positives::cell(4, 16_384, 64)], false_positives::coarse_grid());
    let buffer_size = Settings::default().socket_buffer;
    let outcomes = false_positives::measure(harness, &setups, Anomaly::Loops, &grid, buffer_size);
    let sums: Vec<_> = outcomes.iter().map(|result| false_positives::total(result)).collect();
    let firsts: Vec<_> = latency::measure(harness, &setups, &latency::grid(harness, 1))
        .iter()
        .map(|result| result.first.iter().copied().collect::<Sample>().median())
        .collect();
    let shares: Vec<_> = (0..setups.len())
        .map(|at| {
            let of = |value: u64, whole: u64| value as f64 / whole as f64;
            let false_positives = of(sums[at].false_positives, sums[0].false_positives);
            (firsts[at] / firsts[0], false_positives, sums[at].at_healthy)
        })
        .collect();

    let mut table = Table::new(
        "In percent of our SWIM with α = 5; `FP` are false positives, `FP-` the number of those \
         at healthy members, of which SWIM had as many as the first row says. In brackets: Table \
         VII.",
        &["", "α", "β", "first detection, median", "FP", "FP-"],
    );
    let row = |name: &str, alpha: u32, beta: u32, at: usize, paper: Option<(f64, f64, f64)>| {
        let (first, false_positives, at_healthy) = shares[at];
        let bracket = |value| paper.map_or(String::new(), |_| format!(" ({value}%)"));
        let (a, b, c) = paper.unwrap_or_default();
        [
            name.to_owned(),
            alpha.to_string(),
            beta.to_string(),
            percent(first) + &bracket(a),
            percent(false_positives) + &bracket(b),
            at_healthy.to_string() + &bracket(c),
        ]
    };
    table.row(row("SWIM", 5, 1, 0, None));
    for (at, &(alpha, beta, first, false_positives, at_healthy)) in points.iter().enumerate() {
        table.row(row(
            "Lifeguard",
            alpha,
            beta,
            1 + at,
            Some((first, false_positives, at_healthy)),
        ));
    }
    let begin = 1 + points.len();
    for (at, &(alpha, beta)) in ours.iter().enumerate() {
        table.row(row("Tidings", alpha, beta, begin + at, None));
    }
    section.tables.push(table);
    let series = |range: std::ops::Range<usize>| {
        shares[range]
            .iter()
            .map(|&(first, false_positives, _)| (first * 100.0, false_positives * 100.0))
            .collect()
    };
    section.charts.push(Chart {
        name: "lifeguard-tuning".into(),
        caption: "False positives against detection latency; settings without false positives are \
        not drawn"
            .into(),
        x: Axis::linear("median first detection, % of SWIM"),
        y: Axis::log("false positives, % of SWIM"),
        series: vec![
            Series::measured("Lifeguard in Tidings", series(1..begin)),
            Series::measured("Tidings", series(begin..shares.len())),
            Series::published(
                "Lifeguard, Table VII",
                published::TUNING
                    .iter()
                    .map(|&(_, _, first, false_positives, _)| (first, false_positives))
                    .collect(),
            ),
        ],
    });

    let best = (begin..shares.len()).filter(|&at| {
        let (first, false_positives, at_healthy) = shares[at];
        first <= 0.543 && false_positives <= 0.0153 && at_healthy <= sums[0].at_healthy / 50
    });
    let best: Vec<_> = best.map(|at| ours[at - begin]).collect();
    section.notes.push(if best.is_empty() {
        "No setting of Tidings is both as fast as Lifeguard's fastest (54.3% of SWIM's detection \
         latency) and as accurate as its most accurate one (1.53% of SWIM's false positives)."
            .into()
    } else {
        let list: Vec<_> = best.iter().map(|(a, b)| format!("α = {a}, β = {b}")).collect();
        format!("At least as good as every row of Table VII in all columns: {}.", list.join("; "))
    });
    section.notes.push(CONFIRMATIONS.into());
    section.notes.push(violations_note(sums.iter().map(|sum| sum.violations).sum()));
    section
}

const HEADING: &str = "Detection latency against false positives (Lifeguard, Table VII)";

const TEXT: &str = "A suspicion timeout is at least α × log10(n) probe intervals, and β times \
that until the suspicion is confirmed. Both are tuned: the median time to the first detection \
comes from runs with one anomaly, the false positives from runs with repeated anomalies, as in \
the sections above.";

const CONFIRMATIONS: &str = "The paper waits for three confirmations at any α. Today's memberlist \
waits for α - 2, and so does Tidings: with α = 5 for three, with α = 4 for two, with α = 3 for \
one, and with α = 2 for none, so that β has no effect there. A setting of α below 4 is therefore \
not the paper's.";
