//! Partitions and mass restarts: convergence time and wrong views.

use super::format::{assert_no_violations, secs, seeds, with_interval};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::Cut;
use crate::report::{Section, Table, count, seconds};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World, id};
use std::time::Duration;
use tidings::{Member, Node, State};

pub(super) fn partition(harness: &Harness) -> Section {
    let mut section = Section::new("partition", "Healing after a partition", PARTITION_TEXT);
    let columns = [
        "partition",
        "runs",
        "view size at its end",
        "convergence time",
        "slowest",
        "members suspected afterwards",
        "members declared failed afterwards",
        "memberlist",
        "result",
    ];
    let nodes = harness.pick(32, 128);
    let mut table = Table::new(format!("{nodes} members in two halves"), &columns);
    for split in harness.pick(vec![20, 60], vec![20, 60, 600]) {
        let seeds = seeds(harness, 800 + split, harness.pick(2, 20));
        let task = format!("a partition of {split} s");
        let split = Duration::from_secs(split);
        let runs = harness.map(&task, &seeds, |&seed| split_and_heal(nodes, split, seed));
        let healed: Sample =
            runs.iter().map(|run| run.healed.map_or(f64::INFINITY, secs)).collect();
        let sizes: Sample = runs.iter().map(|run| run.size).collect();
        let failed: Sample = runs.iter().map(|run| run.failed as f64).collect();
        table.row([
            seconds(secs(split)),
            runs.len().to_string(),
            format!("{:.1}", sizes.mean()),
            format!("{} s", with_interval(&healed, Sample::median)),
            seconds(healed.max()),
            format!(
                "{:.1}",
                runs.iter().map(|run| run.suspected as f64).collect::<Sample>().mean()
            ),
            format!("{:.1}", failed.mean()),
            if split > Duration::from_secs(30) { "does not heal" } else { "—" }.into(),
            match healed.max() {
                slowest if slowest.is_infinite() => "worse: not healed in 10 min".into(),
                _ if failed.mean() > 0.0 => "healed; some false positives afterwards".into(),
                slowest if slowest <= 5.0 => "healed within 5 s".into(),
                slowest => format!("healed, up to {}", seconds(slowest)),
            },
        ]);
    }
    section.tables.push(table);
    section.notes = PARTITION_NOTES.map(String::from).to_vec();
    section
}

/// Results of a partition.
#[derive(Debug)]
struct Healing {
    /// Mean number of members that a node held as present when the partition healed.
    size: f64,
    healed: Option<Duration>,
    /// Number of members suspected, and declared failed, by any node after the partition healed.
    suspected: usize,
    failed: usize,
}

fn split_and_heal(nodes: usize, split: Duration, seed: u64) -> Healing {
    let mut world = World::formed(nodes, Settings { trace: false, ..Settings::default() }, seed);
    let mut rng = SimRng::new(seed, 10);
    world.run_for(5 * SECOND + rng.uniform(SECOND));
    let here = rng.sample_sorted(nodes / 2, nodes);
    let there: Vec<_> = (0..nodes).filter(|node| !here.contains(node)).collect();
    world.cut(&here, &there, Cut::All);
    world.cut(&there, &here, Cut::All);
    world.run_for(split);
    world.clear_log();
    world.mend();
    let size = (0..nodes).map(|node| world.present(node) as f64).collect::<Sample>().mean();
    let healed = run_until_views_full(&mut world, nodes, 600 * SECOND);
    let about = |world: &World, kind| {
        let event = world.log().iter().filter(|event| event.kind == kind);
        event.map(|event| event.subject).collect::<std::collections::BTreeSet<_>>().len()
    };
    let suspected = about(&world, EventKind::Suspected);
    // Suspicions that are still pending when all views are full expire within this time.
    world.run_for(60 * SECOND);
    let failed = about(&world, EventKind::Failed);
    assert_no_violations(&world, seed);
    Healing { size, healed, suspected, failed }
}

/// Runs until all running nodes hold this number of members as present; samples rather than stops
/// at the first such moment, because views may be full at the end of a partition that no node has
/// detected yet.
fn run_until_views_full(world: &mut World, present: usize, limit: Duration) -> Option<Duration> {
    let start = world.now();
    let all = |world: &World| {
        (0..world.len()).all(|node| !world.is_member(node) || world.present(node) == present)
    };
    while !all(world) {
        if world.now() > start + limit {
            return None;
        }
        world.run_for(SECOND / 100);
    }
    Some(world.now().since(start))
}

pub(super) fn mass_restart(harness: &Harness) -> Section {
    let nodes = harness.pick(60, 1000);
    let mut section =
        Section::new("mass-restart", "Correctness after a mass restart", RESTART_TEXT);
    let columns = [
        "restart",
        "run",
        "false positives after 5 s",
        "unknown after 5 s",
        "convergence time",
        "resurrected",
        "sent per member",
        "result",
    ];
    let mut table = Table::new(
        format!("{} members, after another 2 % have departed", count(nodes as u64)),
        &columns,
    );
    for (at_once, name) in [(false, "all, over 60 s"), (true, "90 % at once")] {
        let seeds = seeds(harness, 900 + u64::from(at_once), harness.pick(1, 3));
        let runs = harness.map(name, &seeds, |&seed| restart(nodes, at_once, seed));
        for (number, run) in runs.iter().enumerate() {
            let fine = run.wrong == 0 && run.resurrected == 0 && run.right.is_some();
            table.row([
                name.into(),
                (number + 1).to_string(),
                run.wrong.to_string(),
                run.unknown.to_string(),
                run.right.map_or_else(|| "> 10 min".into(), |right| seconds(secs(right))),
                run.resurrected.to_string(),
                crate::report::bytes(run.sent as f64 / nodes as f64),
                if fine { "correct".into() } else { String::from("worse: wrong views") },
            ]);
        }
    }
    section.tables.push(table);
    section.notes = RESTART_NOTES.map(String::from).to_vec();
    section
}

/// Results of a mass restart; counts are pairs of a node and a member.
#[derive(Debug)]
struct Restart {
    /// Live members held as failed or left, five seconds after the last restart.
    wrong: usize,
    unknown: usize,
    /// Time since the last restart.
    right: Option<Duration>,
    resurrected: usize,
    sent: u64,
}

fn restart(nodes: usize, at_once: bool, seed: u64) -> Restart {
    let gone: Vec<_> = (nodes..nodes + nodes / 50).collect();
    let settings = Settings { trace: false, ..Settings::default() };
    let mut world = World::formed(nodes + gone.len(), settings, seed);
    let mut rng = SimRng::new(seed, 10);
    world.run_for(5 * SECOND);
    for (number, &node) in gone.iter().enumerate() {
        if number % 2 == 0 {
            world.leave(node);
        } else {
            world.crash(node);
        }
    }
    world.run_for(60 * SECOND);
    gone.iter().for_each(|&node| world.crash(node));
    world.clear_log();
    let before: u64 = (0..nodes).map(|node| world.traffic(node).bytes_out).sum();
    let start = world.now();

    let restarting =
        if at_once { rng.sample_sorted(nodes * 9 / 10, nodes) } else { (0..nodes).collect() };
    let crash_at = |number: usize| match at_once {
        true => Duration::ZERO,
        false => 60 * SECOND * number as u32 / restarting.len() as u32,
    };
    let mut steps: Vec<_> = (0..restarting.len())
        .flat_map(|number| {
            [(crash_at(number), number, false), (crash_at(number) + SECOND, number, true)]
        })
        .collect();
    steps.sort_unstable();
    for (at, number, up) in steps {
        world.run_for((start + at).since(world.now()));
        let node = restarting[number];
        if up {
            world.start(node);
            let seeds = [0; 3].map(|_| rng.below(nodes));
            world.join(node, &seeds.into_iter().filter(|&seed| seed != node).collect::<Vec<_>>());
        } else {
            world.crash(node);
        }
    }
    let last = world.now();
    let (mut right, mut then) = (None, None);
    while then.is_none() || right.is_none() && world.now() < last + 600 * SECOND {
        let since = world.now().since(last);
        if right.is_none() && views_are_correct(&world, nodes) {
            right = Some(since);
        }
        if since >= 5 * SECOND && then.is_none() {
            then = Some(count_wrong_views(&world, nodes));
        }
        world.run_for(SECOND / 10);
    }
    let (wrong, unknown) = then.expect("the loop runs for at least five seconds");
    world.run_for(60 * SECOND);
    let back = |event: &&crate::events::LoggedEvent| {
        event.kind == EventKind::Joined && event.subject >= Some(nodes)
    };
    let resurrected = world.log().iter().filter(back).count();
    assert_no_violations(&world, seed);
    let sent: u64 = (0..nodes).map(|node| world.traffic(node).bytes_out).sum();
    Restart { wrong, unknown, right, resurrected, sent: sent - before }
}

/// Whether all views contain exactly the live members, each with its present incarnation.
fn views_are_correct(world: &World, nodes: usize) -> bool {
    let live: Vec<_> = (0..nodes).filter_map(|node| world.node(node)).map(Node::local).collect();
    let knows = |by: &Node, of: &Member| {
        let member = by.member(of.id());
        member.is_some_and(|member| member.incarnation() == of.incarnation())
    };
    (0..nodes).all(|node| world.present(node) == nodes)
        && (0..nodes)
            .filter_map(|node| world.node(node))
            .all(|by| live.iter().all(|of| by.local().id() == of.id() || knows(by, of)))
}

/// Counts live members that are held as failed or left, and ones that are unknown.
fn count_wrong_views(world: &World, nodes: usize) -> (usize, usize) {
    let names: Vec<_> = (0..nodes).map(id).collect();
    let (mut wrong, mut unknown) = (0, 0);
    for by in (0..nodes).filter_map(|by| world.node(by)) {
        for name in &names {
            match by.member(name).map(|member| member.state()) {
                Some(State::Alive | State::Suspect) => {}
                Some(_) => wrong += 1,
                None => unknown += 1,
            }
        }
    }
    (wrong, unknown)
}

const SECOND: Duration = Duration::from_secs(1);

const PARTITION_TEXT: &str = "No datagrams and no streams get from one half to the other for a \
while; then the partition heals. From that moment we measure the time until every member holds \
all members as present, without help from applications, and count the members that are suspected \
or declared failed afterwards.";

const PARTITION_NOTES: [&str; 3] = [
    "memberlist removes a failed member after `GossipToTheDeadTime`, 30 s, and does not try to \
     reach it any more: according to its source it does not heal by itself. Serf, which is built \
     on it, tries to reconnect to one failed member about every 30 s in the whole cluster, for 24 \
     hours.",
    "The view size at the end is the mean number of members that a node holds as present: after \
     20 s not all members of the other half have been declared failed yet.",
    "Nearly all members are suspected once when a partition heals: each half passes on the \
     members it had declared failed as suspicions, and each of these refutes. 0 declared failed \
     means that none of these suspicions became a false positive. After 20 s some suspicions from \
     the time of the partition are about to expire, and a few do before the suspect hears of \
     them; those members rejoin the views like the others.",
];

const RESTART_TEXT: &str = "Some members leave or crash, and all others detect that. Then all \
other members crash and restart one second later, evenly over a minute; or 90 % of them do at \
once. They have no state, and join through three members picked at random, which may have just \
restarted themselves. Five seconds after the last restart we look up each live member in each \
view. After that we wait until all views are correct, and check whether any departed member is \
ever reported as joined again.";

const RESTART_NOTES: [&str; 2] = [
    "Counts are pairs of an observer and a member: there are a million pairs among 1,000 members.",
    "memberlist has open reports of members that stay dead after a mass restart \
     (hashicorp/memberlist#311) and of members that stale state from push/pull resurrects (#312), \
     both in clusters of 4,500. In Tidings a generation from the clock at each start prevents the \
     first, and tombstones, which a sync cannot revive, prevent the second.",
];
