//! Convergence time of a cluster whose members all start at once.

use super::format::{assert_no_violations, improvement, secs, seeds};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::report::{Axis, Chart, Section, Series, Table, bytes, count, seconds};
use crate::world::{Settings, World};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) fn run(harness: &Harness) -> Section {
    let sizes = harness.pick(vec![100], vec![1000, 2000]);
    let seeds = seeds(harness, 700, harness.pick(1, 3));
    let mut section = Section::new("join-storm", "Convergence of a join storm", TEXT);
    let columns = [
        "members",
        "run",
        "convergence time",
        "distinct sizes",
        "retried joins",
        "sent in total",
        "sent per member",
        "sent by the seed",
        "received by the seed",
    ];
    let mut ours = Table::new("Tidings", &columns);
    let mut theirs = Table::new(
        "Beside Rapid's paper (Suresh et al., ATC 2018, Fig 5 and Table 1)",
        &[
            "members",
            "system",
            "convergence time",
            "distinct sizes",
            "Tidings, slowest run",
            "result",
        ],
    );
    let mut points = Vec::new();
    for nodes in sizes {
        let task = format!("{nodes} members start");
        let runs = harness.map(&task, &seeds, |&seed| storm(nodes, seed));
        for (number, storm) in runs.iter().enumerate() {
            ours.row([
                count(nodes as u64),
                (number + 1).to_string(),
                storm.took.map_or_else(|| "> 10 min".into(), |took| seconds(secs(took))),
                storm.sizes.to_string(),
                storm.again.to_string(),
                bytes(storm.sent as f64),
                bytes(storm.sent as f64 / nodes as f64),
                bytes(storm.seed_sent as f64),
                bytes(storm.seed_received as f64),
            ]);
        }
        let slowest = runs.iter().map(|storm| storm.took.map_or(f64::INFINITY, secs));
        let slowest = slowest.fold(0.0, f64::max);
        for (_, system, time, sizes) in PUBLISHED.iter().filter(|row| row.0 == nodes) {
            theirs.row([
                count(nodes as u64),
                (*system).into(),
                format!("{time} s"),
                count(*sizes),
                seconds(slowest),
                improvement(slowest, *time),
            ]);
        }
        points.push((nodes as f64, slowest));
    }
    section.tables = vec![ours, theirs];
    let published = |system: &str| {
        let rows = PUBLISHED.iter().filter(|row| row.1 == system);
        Series::published(system, rows.map(|row| (row.0 as f64, row.2)).collect())
    };
    section.charts.push(Chart {
        name: "join-storm".into(),
        caption: "Time until all members report the full cluster size".into(),
        x: Axis::linear("members"),
        y: Axis::log("seconds"),
        series: vec![
            Series::measured("Tidings (simulated)", points),
            published("Memberlist"),
            published("Rapid"),
            published("ZooKeeper"),
        ],
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// Results of a join storm.
#[derive(Debug)]
struct Storm {
    took: Option<Duration>,
    /// Number of distinct cluster sizes reported by all members.
    sizes: usize,
    /// Number of joins that failed and were retried.
    again: usize,
    sent: u64,
    seed_sent: u64,
    seed_received: u64,
}

fn storm(nodes: usize, seed: u64) -> Storm {
    let settings = Settings { checks: nodes <= 1000, trace: false, ..Settings::default() };
    let mut world = World::new(settings, seed);
    for _ in 0..nodes {
        world.add();
    }
    world.start(0);
    world.run_for(10 * SECOND);
    for node in 1..nodes {
        world.start(node);
        world.join(node, &[0]);
    }
    let start = world.now();
    let (mut sizes, mut again, mut took) = (BTreeSet::new(), 0, None);
    let mut tick = 0;
    while took.is_none() && world.now() < start + 600 * SECOND {
        world.run_for(SECOND / 100);
        tick += 1;
        if tick % 100 == 0 {
            sizes.extend((0..nodes).map(|node| world.present(node)));
        }
        let ended = world.log().iter().filter(|event| event.kind == EventKind::Completed);
        let failed: Vec<_> =
            ended.map(|event| event.observer).filter(|&node| world.present(node) == 1).collect();
        world.clear_log();
        for node in failed {
            again += 1;
            world.join(node, &[0]);
        }
        let all = (0..nodes).all(|node| world.present(node) == nodes);
        took = all.then(|| world.now().since(start));
    }
    sizes.extend((0..nodes).map(|node| world.present(node)));
    assert_no_violations(&world, seed);
    let traffic: Vec<_> = (0..nodes).map(|node| *world.traffic(node)).collect();
    Storm {
        took,
        sizes: sizes.len(),
        again,
        sent: traffic.iter().map(|traffic| traffic.bytes_out).sum(),
        seed_sent: traffic[0].bytes_out,
        seed_received: traffic[0].bytes_in,
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Members, system, seconds, distinct sizes; times at 1000 and 2000 are read off Fig 5.
const PUBLISHED: [(usize, &str, f64, u64); 6] = [
    (1000, "Memberlist", 46.0, 901),
    (1000, "Rapid", 30.0, 4),
    (1000, "ZooKeeper", 33.0, 1000),
    (2000, "Memberlist", 98.0, 1858),
    (2000, "Rapid", 54.0, 4),
    (2000, "ZooKeeper", 165.0, 2000),
];

const TEXT: &str = "One seed starts; ten seconds later all other members start in the same \
instant and join through it, as in Rapid's paper (Suresh et al., ATC 2018, §7). We measure the \
time until every member reports the full size, record the sizes that the members report once a \
second, and count bytes. A member whose join fails retries immediately.";

const NOTES: [&str; 4] = [
    "Rapid's paper measured real processes in 100 virtual machines. Here the network has a delay \
     of 0.2 ms, no loss and unlimited bandwidth, and nodes need no CPU time. So the times compare \
     protocols, not systems. For memberlist with 2,000 members, the text of the paper has 95 s, \
     and its figure about 98 s.",
    "In distinct sizes Tidings is far behind Rapid, which agrees on each view and grows from one \
     member to all in four steps. Gossip does not, so that an observer sees intermediate sizes. \
     There are fewer than with memberlist because convergence takes fewer seconds, and so fewer \
     samples.",
    "The seed accepts 128 streams at a time (`max_streams_in`) and resets further ones; their \
     members retry after 100 to 500 ms, up to four times. \"Retried joins\" are those that failed \
     even so.",
    "Bytes are those of datagrams and streams, without headers.",
];
