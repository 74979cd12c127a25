//! Ablation of the protocol options in a hostile environment.

use super::format::violations_note;
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::{Cut, Jitter, Link};
use crate::report::{Section, Table, bytes, significant};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::Options;

pub(super) fn run(harness: &Harness) -> Section {
    let mut section = Section::new("switches", HEADING, TEXT);
    let setups = setups(harness);
    let (members, seeds) = harness.pick((64, 1), (128, 5));
    let runs: Vec<_> =
        setups.iter().flat_map(|setup| (0..seeds).map(move |run| (setup, run))).collect();
    let outcomes = harness.map("hostile worlds", &runs, |((_, options), run)| {
        hostile(options, members, harness.seed() + run)
    });

    let mut table = Table::new(
        "False positives (`FP`) are failures of healthy, reachable members, and `FP-` those of \
         them at healthy members; `slow` are failures of slow members; all per run. Times are in \
         seconds: from a crash until the first (`first`) and the last healthy member (`full`) has \
         detected it, and from the end of all faults until all views agree (`convergence`).",
        &[
            "",
            "FP",
            "FP-",
            "slow",
            "first: median",
            "99%",
            "full: median",
            "99%",
            "convergence",
            "bytes/s",
        ],
    );
    for ((name, _), outcomes) in setups.iter().zip(outcomes.chunks(seeds as usize)) {
        let mean = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).collect::<Sample>();
        let false_positives = mean(|outcome| outcome.false_positives as f64);
        let (low, high) = false_positives.interval(Sample::mean);
        let first: Sample = outcomes.iter().flat_map(|outcome| outcome.first.clone()).collect();
        let last: Sample = outcomes.iter().flat_map(|outcome| outcome.last.clone()).collect();
        let interval = format!("{low:.1} to {high:.1}");
        table.row([
            (*name).to_owned(),
            format!("{} ({interval})", significant(false_positives.mean(), 3)),
            significant(mean(|outcome| outcome.at_healthy as f64).mean(), 3),
            significant(mean(|outcome| outcome.slow as f64).mean(), 3),
            format!("{:.2}", first.median()),
            format!("{:.2}", first.quantile(0.99)),
            format!("{:.2}", last.median()),
            format!("{:.2}", last.quantile(0.99)),
            format!("{:.1}", mean(|outcome| outcome.convergence).mean()),
            bytes(mean(|outcome| outcome.bytes).mean()),
        ]);
    }
    section.tables.push(table);
    section.notes.push(format!(
        "{members} members; {seeds} {}, the same for all rows, with four crashes in each; in \
         brackets 95% confidence intervals of the means. A crash that no member detected has no \
         time.",
        if seeds == 1 { "seed" } else { "seeds" }
    ));
    let violations: u64 = outcomes.iter().map(|outcome| outcome.violations).sum();
    section.notes.push(violations_note(violations));
    section
}

/// The defaults, each option turned off alone, and all of them turned off.
fn setups(harness: &Harness) -> Vec<(&'static str, Options)> {
    type Change = fn(&mut Options);
    let changes: [(&str, Change); 15] = [
        ("no nacks", |options| options.nacks = false),
        ("no buddy system", |options| options.buddy = false),
        ("no local health", |options| options.awareness_max = 1),
        ("no confirmations", |options| options.suspicion_max_mult = 1),
        ("no recent-ack rule", |options| options.require_recent_ack = false),
        ("no recent relays", |options| options.recent_relays = false),
        ("no wide probes", |options| options.wide_probes = false),
        ("no recent gossip", |options| options.recent_gossip = false),
        ("no limit of confirmations", |options| options.limit_confirmations = false),
        ("no suspicion by a verdict", |options| options.suspect_on_verdict = false),
        ("no prompt refutation", |options| options.prompt_refutation = false),
        ("no digest checks", |options| options.digest_checks = false),
        ("no refusal evidence", |options| options.refusal_evidence = false),
        ("no stream probes", |options| options.stream_probes = false),
        ("no adaptive probe timeout", |options| options.probe_timeout_min = options.probe_timeout),
    ];
    let defaults = Options::lan();
    let mut bare = defaults.clone();
    let mut setups = vec![("defaults", defaults.clone())];
    for (name, change) in changes {
        change(&mut bare);
        if harness.pick(name == "no recent-ack rule", true) {
            let mut options = defaults.clone();
            change(&mut options);
            setups.push((name, options));
        }
    }
    setups.push(("none of them", bare));
    setups
}

struct Outcome {
    false_positives: u64,
    at_healthy: u64,
    slow: u64,
    first: Vec<f64>,
    last: Vec<f64>,
    convergence: f64,
    bytes: f64,
    violations: u64,
}

/// Runs a world with loss, slow members, crashes and a partition.
fn hostile(options: &Options, members: usize, seed: u64) -> Outcome {
    let link = Link {
        loss: 0.05,
        jitter: Jitter::Exponential(Duration::from_millis(1)),
        ..Link::default()
    };
    let settings = Settings { options: options.clone(), link, trace: false, ..Settings::default() };
    let mut world = World::formed(members, settings, seed);
    let roles = {
        let mut rng = SimRng::new(seed, 120);
        let mut all: Vec<_> = (0..members).collect();
        for at in (1..members).rev() {
            all.swap(at, rng.below(at + 1));
        }
        all
    };
    let (stalled, rest) = roles.split_at(4);
    let (blocked, rest) = rest.split_at(8);
    let (crashed, rest) = rest.split_at(4);
    let (isolated, _) = rest.split_at(16);
    let slow = |node: &usize| stalled.contains(node) || blocked.contains(node);
    let others: Vec<_> = (0..members).filter(|node| !isolated.contains(node)).collect();

    let start = world.now();
    let (mut crash, mut cut, mut healed) = (None, None, None);
    for second in 0..FAULT_SECONDS {
        match second % CYCLE {
            2 => {
                blocked.iter().for_each(|&node| world.block(node));
                stalled.iter().for_each(|&node| world.stall(node));
            }
            0 if second > 0 => stalled.iter().chain(blocked).for_each(|&node| world.resume(node)),
            _ => {}
        }
        match second {
            CRASH => {
                crash = Some(world.now());
                crashed.iter().for_each(|&node| world.crash(node));
            }
            CUT => {
                cut = Some(world.now());
                world.cut(isolated, &others, Cut::All);
                world.cut(&others, isolated, Cut::All);
            }
            HEAL => {
                healed = Some(world.now());
                world.mend();
            }
            _ => {}
        }
        world.run_for(SECOND);
    }
    stalled.iter().chain(blocked).for_each(|&node| world.resume(node));
    let recovery = world.now();
    let alive = members - crashed.len();
    let converged = |world: &World| {
        (0..members).all(|node| crashed.contains(&node) || world.present(node) == alive)
    };
    while world.now().since(recovery) < MAX_RECOVERY && !converged(&world) {
        world.run_for(SECOND / 10);
    }

    let failed = || world.log().iter().filter(|event| event.kind == EventKind::Failed);
    let about_living =
        failed().filter(|event| event.subject.is_some_and(|about| !crashed.contains(&about)));
    let (mut false_positives, mut at_healthy, mut slow_failures) = (0, 0, 0);
    for event in about_living {
        let about = event.subject.unwrap_or_default();
        let across = isolated.contains(&about) != isolated.contains(&event.observer);
        // Stale failure reports about the other side may still spread for a while after the
        // partition has healed.
        let while_cut =
            Some(event.at) >= cut && healed.is_some_and(|at| event.at <= at + 10 * SECOND);
        if slow(&about) {
            slow_failures += 1;
        } else if !(across && while_cut) {
            false_positives += 1;
            at_healthy += u64::from(!slow(&event.observer));
        }
    }
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for &node in crashed {
        let mut times = failed()
            .filter(|event| event.subject == Some(node))
            .map(|event| crash.map_or(f64::NAN, |crash| event.at.since(crash).as_secs_f64()));
        first.extend(times.next());
        let mut known = vec![false; members];
        let all = failed().filter(|event| event.subject == Some(node)).find(|event| {
            known[event.observer] = true;
            let is_healthy = |node: &usize| !slow(node) && !crashed.contains(node);
            (0..members).filter(is_healthy).all(|node| known[node])
        });
        last.extend(all.and_then(|event| Some(event.at.since(crash?).as_secs_f64())));
    }
    let tally = world.tally();
    let node_seconds = world.now().since(start).as_secs_f64() * members as f64;
    Outcome {
        false_positives,
        at_healthy,
        slow: slow_failures,
        first,
        last,
        convergence: world.now().since(recovery).as_secs_f64(),
        bytes: (tally.datagram_bytes + tally.stream_bytes) as f64 / node_seconds,
        violations: world.violations().len() as u64,
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Duration of the faults in seconds; slow members run for two seconds of each cycle.
const FAULT_SECONDS: u64 = 180;
const CYCLE: u64 = 18;
const CRASH: u64 = 20;
const CUT: u64 = 80;
const HEAL: u64 = 140;
const MAX_RECOVERY: Duration = Duration::from_secs(600);

const HEADING: &str = "Ablation: the contribution of each protocol option";

const TEXT: &str = "A hostile environment, in which each protocol option is turned off alone: 5% \
of the datagrams are lost, with 1 ms of jitter. Twelve members are slow, for 16 of every 18 \
seconds: eight with each loop blocked, four with all sends and receives blocked. After 20 seconds \
four other members crash. After 80 seconds another 16 are partitioned from the rest for a minute. \
After three minutes all faults end except the loss.";
