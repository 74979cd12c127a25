//! What partitions and mass restarts leave behind.

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
    let mut section =
        Section::new("partition", "How soon do two halves find each other again?", PARTITION_TEXT);
    let columns = [
        "split",
        "runs",
        "views at its end",
        "all views full after",
        "slowest",
        "members suspected then",
        "members failed then",
        "memberlist",
        "verdict",
    ];
    let nodes = harness.pick(32, 128);
    let mut table = Table::new(format!("{nodes} members, half and half"), &columns);
    for split in harness.pick(vec![20, 60], vec![20, 60, 600]) {
        let seeds = seeds(harness, 800 + split, harness.pick(2, 20));
        let task = format!("a split of {split} s");
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
            if split > Duration::from_secs(30) { "never by itself" } else { "—" }.into(),
            match healed.max() {
                slowest if slowest.is_infinite() => "worse: not healed in 10 min".into(),
                _ if failed.mean() > 0.0 => "healed; verdicts still came after it".into(),
                slowest if slowest <= 5.0 => "healed within 5 s".into(),
                slowest => format!("healed, up to {}", seconds(slowest)),
            },
        ]);
    }
    section.tables.push(table);
    section.notes = PARTITION_NOTES.map(String::from).to_vec();
    section
}

/// How a split went.
#[derive(Debug)]
struct Healing {
    /// How many members a node held to be present when the split ended, on average.
    size: f64,
    healed: Option<Duration>,
    /// How many were suspected, and declared failed, by anybody after the split had ended.
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
    // A verdict that was on its way when all views were full would show now.
    world.run_for(60 * SECOND);
    let failed = about(&world, EventKind::Failed);
    assert_no_violations(&world, seed);
    Healing { size, healed, suspected, failed }
}

/// Goes on until all who run hold so many to be present; for longer than the moment in which a split
/// ends, in which views may be full since nobody has noticed it yet.
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
        Section::new("mass-restart", "Is anybody wrong after all have restarted?", RESTART_TEXT);
    let columns = [
        "what",
        "run",
        "wrongly failed 5 s after",
        "unknown 5 s after",
        "all views right after",
        "back from the dead",
        "sent per member",
        "verdict",
    ];
    let mut table =
        Table::new(format!("{} members, 2 % more of whom are gone", count(nodes as u64)), &columns);
    for (at_once, name) in [(false, "all, over 60 s"), (true, "nine tenths at once")] {
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
                if fine {
                    "as it should be".into()
                } else {
                    String::from("worse: somebody is wrong")
                },
            ]);
        }
    }
    section.tables.push(table);
    section.notes = RESTART_NOTES.map(String::from).to_vec();
    section
}

/// What restarts left behind; pairs of a node and a member.
#[derive(Debug)]
struct Restart {
    /// NodeSelector lives and is held to have failed or left, five seconds after the last restart.
    wrong: usize,
    unknown: usize,
    /// From the last restart on.
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
    let (wrong, unknown) = then.expect("five seconds are over");
    world.run_for(60 * SECOND);
    let back = |event: &&crate::events::LoggedEvent| {
        event.kind == EventKind::Joined && event.subject >= Some(nodes)
    };
    let resurrected = world.log().iter().filter(back).count();
    assert_no_violations(&world, seed);
    let sent: u64 = (0..nodes).map(|node| world.traffic(node).bytes_out).sum();
    Restart { wrong, unknown, right, resurrected, sent: sent - before }
}

/// Whether everybody knows exactly who lives, and each in its present life.
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

/// How often somebody who lives is held to be gone, and is not known.
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

const PARTITION_TEXT: &str = "Nothing gets from one half to the other for a while, neither datagrams \
nor streams; then everything does. We measure from that moment until everybody holds everybody to be \
present, with nobody's help, and count who is suspected or declared failed after it.";

const PARTITION_NOTES: [&str; 3] = [
    "memberlist removes a member that failed `GossipToTheDeadTime` later, after 30 s, and does not \
look for it any more: by its source it does not heal by itself. Serf, on top of it, tries one failed \
member again about every 30 s in the whole cluster, for 24 hours.",
    "Views at the end of the split are the mean number of members that a node holds to be present: \
after 20 s not everybody has been declared failed yet.",
    "Nearly everybody is suspected once when a split ends: both sides tell each other whom they held \
to have failed, as suspicions, and each contradicts. 0 failed means that none of that became a wrong \
verdict. After 20 s some suspicions from the time of the split are about to run out, and a few do \
before the suspect hears of them: those members are back with the others.",
];

const RESTART_TEXT: &str = "Some members leave or die, and are known to be gone. Then all others crash \
and start again one second later, evenly over a minute; or nine tenths of them do at once. They \
remember nothing, and join through three members picked at random, who may have just started \
themselves. Five seconds after the last start we ask each about each of the living; after that we wait \
until all are right, and see whether any of those who are gone is ever said to be back.";

const RESTART_NOTES: [&str; 2] = [
    "The counts are of pairs, of one who holds and one who is held: a million of them among 1,000.",
    "memberlist has open reports of members that stay dead after a mass restart \
(hashicorp/memberlist#311) and of some that come back from the dead by way of old tables (#312), both \
in clusters of 4,500. A generation from the clock at each start is what keeps us from the first, and \
tombstones, which tables cannot revive, from the second.",
];
