//! Message load of a quiet cluster.

use super::format::{assert_no_violations, compare, seeds};
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table, significant};
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let sizes =
        harness.pick(vec![5, 13, 28, 55, 128], vec![5, 13, 21, 28, 36, 44, 51, 55, 128, 1000]);
    let periods = harness.pick(40, 600);
    let seed = seeds(harness, 400, 1)[0];
    let loads = harness.map("quiet clusters", &sizes, |&nodes| load(nodes, periods, seed));
    let mut section = Section::new("load", "Message load of a quiet cluster", TEXT);
    let columns = [
        "members",
        "datagrams",
        "SWIM, Fig 2",
        "result",
        "B/s in datagrams",
        "with UDP/IP headers",
        "B/s in streams",
    ];
    let mut table =
        Table::new("Load per member: datagrams sent per period, bytes sent per second", &columns);
    for (&nodes, load) in sizes.iter().zip(&loads) {
        let published = SWIM_FIG_2.iter().find(|(size, _)| *size == nodes as f64);
        table.row([
            nodes.to_string(),
            format!("{:.3}", load.datagrams),
            published.map_or_else(|| "—".into(), |(_, sent)| format!("{sent:.2}")),
            compare(load.datagrams, 2.0, 0.005, "2.0, as in SWIM"),
            significant(load.datagram_bytes, 3),
            significant(load.datagram_bytes + load.datagrams * HEADERS, 3),
            significant(load.stream_bytes, 3),
        ]);
    }
    section.tables.push(table);
    let points = |part: fn(&Load) -> f64| {
        sizes.iter().zip(&loads).map(|(&nodes, load)| (nodes as f64, part(load))).collect()
    };
    section.charts.push(Chart {
        name: "load".into(),
        caption: "Datagrams sent per member and period".into(),
        x: Axis::log("members"),
        y: Axis::linear("datagrams per period"),
        series: vec![
            Series::measured("Tidings", points(|load| load.datagrams)),
            Series::published("SWIM, Fig 2", SWIM_FIG_2.to_vec()),
            Series::theory(
                "one ping, one ack",
                vec![(5.0, 2.0), (sizes[sizes.len() - 1] as f64, 2.0)],
            ),
        ],
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// Load of one member: datagrams per period, bytes per second.
#[derive(Debug)]
struct Load {
    datagrams: f64,
    datagram_bytes: f64,
    stream_bytes: f64,
}

fn load(nodes: usize, periods: u32, seed: u64) -> Load {
    let settings = Settings { trace: false, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    // From here on, each member sends the same number of probes in every whole second.
    world.run_for(Duration::from_secs(10));
    let before = world.tally().clone();
    world.run_for(periods * Options::lan().probe_interval);
    assert_no_violations(&world, seed);
    assert!(
        world.log().iter().all(|event| event.kind == crate::events::EventKind::SyncState),
        "it is quiet"
    );
    let per_member =
        |after: u64, before: u64| (after - before) as f64 / nodes as f64 / f64::from(periods);
    let after = world.tally();
    Load {
        datagrams: per_member(after.datagrams, before.datagrams),
        datagram_bytes: per_member(after.datagram_bytes, before.datagram_bytes),
        stream_bytes: per_member(after.stream_bytes, before.stream_bytes),
    }
}

/// Size of UDP and IPv4 headers in bytes.
const HEADERS: f64 = 28.0;

const SWIM_FIG_2: [(f64, f64); 8] = [
    (5.0, 2.08),
    (13.0, 2.12),
    (21.0, 2.10),
    (28.0, 2.00),
    (36.0, 2.02),
    (44.0, 1.98),
    (51.0, 2.13),
    (55.0, 1.98),
];

const TEXT: &str = "No member joins, leaves, fails or changes its metadata, and nothing is lost. \
SWIM's load is one ping and one ack per period and member, at any size (SWIM §5.1, Das et al., \
2002); its measurements, over 40 periods on up to 55 machines, are in Fig 2. A period is one \
second.";

const NOTES: [&str; 3] = [
    "Without updates, gossip sends nothing. memberlist's gossip pauses then as well, except for \
     its full push/pull exchange every 30 s or more.",
    "The bytes in streams are the periodic anti-entropy sync: two digests, if they agree. The \
     sync becomes rarer as the cluster grows.",
    "The values of Fig 2 are read off the plot. Names have two to five characters here, without \
     metadata and encryption; a ping carries a short form of its target's name, so that the \
     length of names does not matter.",
];
