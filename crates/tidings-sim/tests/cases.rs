//! Cases from the field that a failure detector has to master: mass failure, churn, a member that
//! is attached to few others.

use std::time::Duration;
use tidings_sim::{Cut, EventKind, Link, Settings, World};

const SECOND: Duration = Duration::from_secs(1);

fn formed(nodes: usize, seed: u64) -> World {
    let link = Link { delay: Duration::from_micros(500), ..Link::default() };
    World::formed(nodes, Settings { link, ..Settings::default() }, seed)
}

/// Crashes all but the first `left` of `nodes`; returns how long it takes until all of these know.
fn crash_all_but(left: usize, nodes: usize, seed: u64) -> Duration {
    let mut world = formed(nodes, seed);
    world.run_for(10 * SECOND);
    (left..nodes).for_each(|node| world.crash(node));
    let all_know = |world: &World| (0..left).all(|node| world.present(node) == left);
    let took = world.run_until(1800 * SECOND, all_know).expect("all crashes are found");
    assert_eq!(world.tally().failed_while_up, 0);
    assert_eq!(world.violations(), [""; 0]);
    took
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn who_survives_a_mass_failure_knows_of_all_in_about_twice_the_time_of_one_crash() {
    for (nodes, left) in [(20, 3), (100, 20), (60, 30)] {
        let many: Vec<_> = (0..8).map(|seed| crash_all_but(left, nodes, seed)).collect();
        let one: Vec<_> = (0..8).map(|seed| crash_all_but(nodes - 1, nodes, seed)).collect();
        let ratio = median(&many).as_secs_f64() / median(&one).as_secs_f64();
        assert!(ratio < 2.6, "{left} of {nodes}: {many:?}, of one crash {one:?}");
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
        assert!(took < 30 * SECOND, "{took:?}");
        assert_eq!(world.tally().failed_while_up, 0);
    }
}

#[test]
fn a_member_that_reaches_two_of_24_makes_no_healthy_member_declare_another_failed() {
    for seed in 0..12 {
        let mut world = formed(24, seed);
        world.run_for(15 * SECOND);
        let rest: Vec<_> = (3..24).collect();
        world.cut(&[0], &rest, Cut::All);
        world.cut(&rest, &[0], Cut::All);
        world.run_for(285 * SECOND);
        let failed = world.log().iter().filter(|event| event.kind == EventKind::Failed);
        let wrong = failed.filter(|event| event.observer != 0 && event.subject != Some(0));
        assert_eq!(wrong.count(), 0, "seed {seed}");
    }
}
