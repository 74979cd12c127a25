//! Cases from the field that a failure detector has to master: mass failure, churn, a member that
//! is attached to few others.

use std::time::Duration;
use tidings::Options;
use tidings_sim::{Cut, EventKind, Link, LoggedEvent, Settings, World};

const SECOND: Duration = Duration::from_secs(1);

fn formed(nodes: usize, seed: u64) -> World {
    formed_with(nodes, seed, |_| {})
}

fn formed_with(nodes: usize, seed: u64, change: impl FnOnce(&mut Options)) -> World {
    let link = Link { delay: Duration::from_micros(500), ..Link::default() };
    let mut settings = Settings { link, ..Settings::default() };
    change(&mut settings.options);
    World::formed(nodes, settings, seed)
}

/// Crashes all but the first `left` of `nodes`; returns how long it takes until all of these know.
fn crash_all_but(left: usize, nodes: usize, seed: u64) -> Duration {
    crash_all_but_with(left, nodes, seed, |_| {})
}

fn crash_all_but_with(
    left: usize,
    nodes: usize,
    seed: u64,
    change: impl FnOnce(&mut Options),
) -> Duration {
    let mut world = formed_with(nodes, seed, change);
    world.run_for(10 * SECOND);
    (left..nodes).for_each(|node| world.crash(node));
    let all_know = |world: &World| (0..left).all(|node| world.present(node) == left);
    let took = world.run_until(1800 * SECOND, all_know).expect("all crashes are found");
    assert_eq!(world.tally().failed_while_up, 0);
    let doubted = |event: &&LoggedEvent| event.kind == EventKind::Suspected;
    let doubted = world.log().iter().filter(doubted).filter_map(|event| event.subject);
    assert_eq!(doubted.filter(|&node| node < left).count(), 0, "no survivor is suspected");
    assert_eq!(world.violations(), [""; 0]);
    took
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn who_survives_a_mass_failure_knows_of_all_within_twice_the_time_of_one_crash() {
    for (nodes, left) in [(10, 2), (20, 3), (50, 3), (100, 20), (60, 30)] {
        let mut many: Vec<_> = (0..6).map(|seed| crash_all_but(left, nodes, seed)).collect();
        let one: Vec<_> = (0..6).map(|seed| crash_all_but(nodes - 1, nodes, seed)).collect();
        many.sort_unstable();
        assert!(many[5] < 2 * median(&one), "{left} of {nodes}: {many:?}, of one crash {one:?}");
    }
}

#[test]
fn each_rule_for_mass_failures_is_needed() {
    type Change = fn(&mut Options);
    let rules: [(usize, Change); 4] = [
        (3, |options| options.recent_relays = false),
        (3, |options| options.wide_probes = false),
        (3, |options| options.recent_gossip = false),
        (2, |options| options.limit_confirmations = false),
    ];
    for (n, (left, change)) in rules.into_iter().enumerate() {
        let slowest = |change: Change| {
            (0..8).map(|seed| crash_all_but_with(left, 50, seed, change)).max().unwrap()
        };
        let (with, without) = (slowest(|_| {}), slowest(change));
        assert!(without > with * 5 / 4, "rule {n}: {with:?} with it, {without:?} without");
    }
}

#[test]
fn members_under_new_names_that_crash_one_after_another_do_not_stay() {
    for seed in 0..2 {
        let mut world = formed(20, seed);
        world.run_for(10 * SECOND);
        let mut members: Vec<_> = (0..20).collect();
        for turn in 0..200 {
            world.run_for(Duration::from_millis(800));
            // The first three stay.
            let place = 3 + (turn * 7 + seed as usize) % 17;
            world.crash(members[place]);
            let newcomer = world.add();
            world.start(newcomer);
            world.join(newcomer, &members[..2]);
            members[place] = newcomer;
            let present = world.present(members[0]);
            assert!(present <= 45, "{present} present after {turn} crashes");
        }
        let settled = |world: &World| members.iter().all(|&node| world.present(node) == 20);
        let took = world.run_until(60 * SECOND, settled).expect("the crashed are found");
        // A suspicion that nobody confirms lasts 31 seconds among 20.
        assert!(took < 35 * SECOND, "{took:?}");
        assert_eq!(world.tally().failed_while_up, 0);
    }
}

/// Lets member 0 reach only members 1 and 2; returns how many failures of healthy members healthy
/// members have reported after five minutes.
fn half_attached(nodes: usize, seed: u64, change: impl FnOnce(&mut Options)) -> usize {
    let mut world = formed_with(nodes, seed, change);
    world.run_for(15 * SECOND);
    let rest: Vec<_> = (3..nodes).collect();
    world.cut(&[0], &rest, Cut::All);
    world.cut(&rest, &[0], Cut::All);
    world.run_for(285 * SECOND);
    let failed = world.log().iter().filter(|event| event.kind == EventKind::Failed);
    failed.filter(|event| event.observer != 0 && event.subject != Some(0)).count()
}

#[test]
fn a_member_that_reaches_two_others_makes_no_healthy_member_declare_another_failed() {
    for (nodes, seeds) in [(16, 6), (24, 12)] {
        for seed in 0..seeds {
            assert_eq!(half_attached(nodes, seed, |_| {}), 0, "{nodes} members, seed {seed}");
        }
    }
}

#[test]
fn a_verdict_that_outruns_its_suspicion_brings_no_healthy_member_down() {
    // With relays at random the member accuses many more.
    for (rule, wrong) in [(true, false), (false, true)] {
        let failed = [17, 45, 60, 150].map(|seed| {
            half_attached(if seed == 60 { 16 } else { 24 }, seed, |options| {
                options.recent_relays = false;
                // So does one that does not probe again what it may have lost itself.
                options.repeat_probes = false;
                options.suspect_on_verdict = rule;
            })
        });
        assert_eq!(failed.iter().any(|&count| count > 0), wrong, "{failed:?}");
    }
}
