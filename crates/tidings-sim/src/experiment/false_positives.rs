//! How often somebody who lives is suspected, when messages get lost.

use super::format::{assert_no_violations, improvement, seeds, share_with_error, verdict};
use crate::harness::Harness;
use crate::link::Link;
use crate::report::{Axis, Chart, Section, Series, Table, count, significant};
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let nodes = harness.pick(64, 128);
    // Where many probes fail, fewer of them show how many.
    let periods = |theory: f64| harness.pick(150, (30.0 / theory).clamp(300.0, 8000.0) as u32);
    let mut section = Section::new(
        "false-positives-formula",
        "How often does a probe fail that should not?",
        TEXT,
    );
    let columns = [
        "loss",
        "helpers k",
        "probes",
        "failed",
        "failed, share",
        "theory",
        "SWIM's PM",
        "verdict",
    ];
    let mut swim = Table::new("SWIM's probe: one ping and k requests", &columns);
    let columns =
        ["loss", "probes", "failed", "answered by stream alone", "SWIM's, by theory", "verdict"];
    let mut ours = Table::new("The default: a stream besides, and three helpers", &columns);
    let mut series = Vec::new();
    for helpers in [1, 3] {
        let options = swim_only(helpers);
        let task = format!("probes under loss, {helpers} helpers");
        let counts = harness.map(&task, &LOSSES, |&loss| {
            let seed = seeds(harness, salt(300 + 20 * helpers, loss), 1)[0];
            probe(nodes, periods(formula(loss, helpers)), loss, &options, seed)
        });
        for (&loss, &Counts { probes, failed, .. }) in LOSSES.iter().zip(&counts) {
            let theory = formula(loss, helpers);
            let expected = theory * probes as f64;
            let tolerance = 2.6 / expected.sqrt();
            let rate = failed as f64 / probes as f64;
            swim.row([
                percent(loss),
                helpers.to_string(),
                count(probes),
                count(failed),
                share_with_error(failed, probes),
                significant(theory, 3),
                significant(theory * PM, 3),
                if expected < 10.0 {
                    "too few to tell".into()
                } else {
                    verdict(rate, theory, tolerance.max(0.02), "as theory")
                },
            ]);
        }
        let rates = LOSSES.iter().zip(&counts).map(|(loss, counts)| (loss * 100.0, counts.rate()));
        series
            .push(Series::measured(format!("Tidings, k = {helpers}, no stream"), rates.collect()));
        let curve = (1..=24).map(|step| f64::from(step) * 0.5);
        let curve = curve.map(|loss| (loss, formula(loss / 100.0, helpers))).collect();
        series.push(Series::theory(format!("theory, k = {helpers}"), curve));
    }
    let counts = harness.map("probes under loss, by default", &LOSSES, |&loss| {
        let seed = seeds(harness, salt(390, loss), 1)[0];
        probe(nodes, periods(0.0), loss, &Options::lan(), seed)
    });
    for (&loss, counts) in LOSSES.iter().zip(&counts) {
        let theory = formula(loss, 3);
        ours.row([
            percent(loss),
            count(counts.probes),
            count(counts.failed),
            share_with_error(counts.by_stream, counts.probes),
            significant(theory, 3),
            improvement(counts.rate(), theory),
        ]);
    }
    section.tables = vec![swim, ours];
    section.charts.push(Chart {
        name: "false-positives-formula".into(),
        caption: "Probes of a live member that fail".into(),
        x: Axis::linear("loss (%)"),
        y: Axis::log("share of the probe rounds"),
        series,
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// What probes came to.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    probes: u64,
    failed: u64,
    by_stream: u64,
}

impl Counts {
    fn rate(&self) -> f64 {
        self.failed as f64 / self.probes as f64
    }
}

fn probe(nodes: usize, periods: u32, loss: f64, options: &Options, seed: u64) -> Counts {
    let link = Link { loss, ..Link::default() };
    let options = options.clone();
    let period = options.probe_interval;
    let settings = Settings { options, link, trace: false, log: false, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    world.run_for(periods * period + Duration::from_millis(999));
    assert_no_violations(&world, seed);
    let stats = (0..nodes).filter_map(|node| world.node(node)).map(tidings::Node::stats);
    stats.fold(Counts::default(), |sum, stats| Counts {
        probes: sum.probes + stats.probes,
        failed: sum.failed + stats.probes_failed,
        by_stream: sum.by_stream + stats.probes_by_stream,
    })
}

/// What SWIM has, and nothing of what came after.
fn swim_only(helpers: usize) -> Options {
    let mut options = Options::lan();
    options.indirect_probes = helpers;
    options.stream_probes = false;
    options.awareness_max = 1;
    options.require_recent_ack = false;
    options
}

/// The share of probe rounds that fail although nobody is dead: neither the ping and its ack get
/// through, nor, by any helper, the request, the ping, the ack and its copy.
fn formula(loss: f64, helpers: usize) -> f64 {
    let q = 1.0 - loss;
    (1.0 - q * q) * libm::pow(1.0 - libm::pow(q, 4.0), helpers as f64)
}

fn salt(base: usize, loss: f64) -> u64 {
    base as u64 + (loss * 100.0) as u64
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).round())
}

const LOSSES: [f64; 3] = [0.01, 0.05, 0.1];
/// SWIM's factor from rounds to periods, e/(e-1).
const PM: f64 = 1.581_976_7;

const TEXT: &str = "Nobody is dead or slow, and each datagram is lost with a probability of its own. \
A probe fails if no ack comes back on any way: with q = 1 - loss, that is \
(1 - q²)(1 - q⁴)^k of the probe rounds. SWIM §3.1 (Das et al., 2002) gives the same with the factor \
e/(e-1) as PM, the probability for a member to be detected falsely in a period, where targets are \
picked at random; here everybody is probed exactly once a period on average, so that rounds and \
members are the same thing.

In the first table streams, local health and the evidence rule are off. A failed probe is only a \
suspicion; whether the member is then declared failed is another section.";

const NOTES: [&str; 3] = [
    "The intervals are those of independent trials at 95 %. \"As theory\" means within 2 %, or \
within what chance alone does in 99 of 100 cases where that is wider.",
    "What is lost on a stream is sent again: data 200 ms later, the opening of a connection a second \
later, which is longer than what is left of a round. So a stream saves a probe unless its own opening is \
lost too.",
    "The second table has all the defaults, local health among them, which makes rounds longer where \
probes fail.",
];
