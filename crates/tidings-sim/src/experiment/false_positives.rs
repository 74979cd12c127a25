//! False positive rate of a single probe under loss.

use super::format::{assert_no_violations, compare, improvement, seeds, share_with_error};
use super::mass_failure_rules_off;
use crate::harness::Harness;
use crate::link::Link;
use crate::report::{Axis, Chart, Section, Series, Table, count, significant};
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let nodes = harness.pick(64, 128);
    // If many probes fail, fewer probes suffice.
    let periods = |theory: f64| harness.pick(150, (30.0 / theory).clamp(300.0, 8000.0) as u32);
    let mut section =
        Section::new("false-positives-formula", "False positive rate of a probe under loss", TEXT);
    let columns = [
        "loss",
        "indirect probes k",
        "probes",
        "failed",
        "failure rate",
        "theory",
        "SWIM's PM",
        "result",
    ];
    let mut swim = Table::new("SWIM's probe: a ping and k indirect pings", &columns);
    let columns =
        ["loss", "probes", "failed", "acked over a stream only", "SWIM, theory", "result"];
    let mut ours =
        Table::new("Default options: a stream probe as well, and three indirect pings", &columns);
    let mut series = Vec::new();
    for relays in [1, 3] {
        let options = swim_only(relays);
        let task = format!("probes under loss, k = {relays}");
        let counts = harness.map(&task, &LOSSES, |&loss| {
            let seed = seeds(harness, salt(300 + 20 * relays, loss), 1)[0];
            probe(nodes, periods(formula(loss, relays)), loss, &options, seed)
        });
        for (&loss, &Counts { probes, failed, .. }) in LOSSES.iter().zip(&counts) {
            let theory = formula(loss, relays);
            let expected = theory * probes as f64;
            let tolerance = 2.6 / expected.sqrt();
            let rate = failed as f64 / probes as f64;
            swim.row([
                percent(loss),
                relays.to_string(),
                count(probes),
                count(failed),
                share_with_error(failed, probes),
                significant(theory, 3),
                significant(theory * PM, 3),
                if expected < 10.0 {
                    "too few events".into()
                } else {
                    compare(rate, theory, tolerance.max(0.02), "as predicted")
                },
            ]);
        }
        let rates = LOSSES.iter().zip(&counts).map(|(loss, counts)| (loss * 100.0, counts.rate()));
        series.push(Series::measured(format!("Tidings, k = {relays}, no stream"), rates.collect()));
        let curve = (1..=24).map(|step| f64::from(step) * 0.5);
        let curve = curve.map(|loss| (loss, formula(loss / 100.0, relays))).collect();
        series.push(Series::theory(format!("theory, k = {relays}"), curve));
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
        caption: "False positive rate of a probe".into(),
        x: Axis::linear("loss (%)"),
        y: Axis::log("share of probe rounds"),
        series,
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// Outcomes of probes.
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

/// SWIM's options, without any later addition.
fn swim_only(relays: usize) -> Options {
    let mut options = Options::lan();
    options.indirect_probes = relays;
    options.stream_probes = false;
    options.awareness_max = 1;
    options.require_recent_ack = false;
    mass_failure_rules_off(&mut options);
    options
}

/// Share of probe rounds that fail although all members are alive: neither the ping and its ack get
/// through nor, through any relay, the request, the ping, the ack and its forwarded copy.
fn formula(loss: f64, relays: usize) -> f64 {
    let q = 1.0 - loss;
    (1.0 - q * q) * libm::pow(1.0 - libm::pow(q, 4.0), relays as f64)
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

const TEXT: &str = "No member is down or slow, and each datagram is lost independently with the \
given probability. A probe fails if no ack arrives on any path: with q = 1 - loss, that happens \
in (1 - q²)(1 - q⁴)^k of the probe rounds. SWIM §3.1 (Das et al., 2002) gives the same, \
multiplied by e/(e-1), as PM, the probability that a member is falsely detected in a period when \
targets are picked at random. Here every member is probed exactly once a period on average, so \
that rounds and members are equivalent.

In the first table stream probes, local health and the recent-ack rule are off. A failed probe \
only starts a suspicion; whether the member is then declared failed is the subject of other \
sections.";

const NOTES: [&str; 3] = [
    "The intervals are 95 % confidence intervals of independent trials. \"As predicted\" means \
     within 2 %, or within the 99 % range of chance where that is wider.",
    "Data lost on a stream is retransmitted 200 ms later, a connection request one second later, \
     which is longer than the rest of a probe round. So a stream saves a probe unless its own \
     connection request is lost too.",
    "The second table has all defaults, including local health, which makes rounds longer where \
     probes fail.",
];
