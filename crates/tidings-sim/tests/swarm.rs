//! Swarms: nothing goes wrong in scenarios that nobody wrote, and what is wrong on purpose is found.

use tidings_sim::{Effort, Lab, Mischief, Run, Scenario, Tally, Wire, fails_alike};

/// How many seeds are tried here; `just swarm` tries more.
const SEEDS: u64 = 150;

fn swarm(mischief: Mischief) -> Vec<(u64, Run)> {
    let seeds: Vec<_> = (0..SEEDS).collect();
    let lab = Lab::new(2, Effort::Quick, 0);
    lab.map("swarm", &seeds, |&seed| {
        (seed, Scenario::drawn(seed, Wire::Tidings).run_with(seed, mischief))
    })
}

#[test]
fn whatever_happens_all_agree_in_the_end_and_no_rule_is_broken() {
    let mut seen = Tally::default();
    for (seed, run) in swarm(Mischief::None) {
        if let Some(failure) = run.failure {
            let again = format!("tidings sim swarm --seeds {seed}..{}", seed + 1);
            assert_eq!(failure.kind(), "idle", "seed {seed}: {failure}\nonce more: {again}");
        }
        seen.add(&run.tally);
    }
    for (what, times) in seen.counts() {
        assert!(times > 0, "the swarm has not exercised {what}: {seen:?}");
    }
}

/// Finds the first seed for which something that is wrong on purpose fails so.
fn found(mischief: Mischief, kind: &str) -> (Scenario, u64) {
    let runs = swarm(mischief);
    let fails = |run: &Run| run.failure.as_ref().is_some_and(|failure| failure.kind() == kind);
    let first = runs.into_iter().find(|(_, run)| fails(run));
    let (seed, _) = first.unwrap_or_else(|| panic!("{mischief:?} was not found"));
    (Scenario::drawn(seed, Wire::Tidings), seed)
}

#[test]
fn a_command_that_ends_twice_is_found() {
    found(Mischief::EndsTwice, "broken");
}

#[test]
fn a_stream_that_is_never_closed_is_found() {
    found(Mischief::NeverCloses, "leak");
}

#[test]
fn members_that_come_back_from_the_dead_are_found() {
    found(Mischief::ForgetsTheDead, "broken");
}

#[test]
fn nodes_that_are_not_told_of_time_are_found_and_the_scenario_shrinks_to_what_it_takes() {
    let mischief = Mischief::ForgetsTime;
    let (scenario, seed) = found(mischief, "disagreement");
    let failed = scenario.run_with(seed, mischief);
    let small =
        scenario.shrunk(200, |candidate| fails_alike(&candidate.run_with(seed, mischief), &failed));
    assert!(small.steps.len() <= 4 && small.steps.len() <= scenario.steps.len(), "{small:?}");
    let again: Scenario = small.to_toml().parse().unwrap();
    assert!(fails_alike(&again.run_with(seed, mischief), &failed), "its file fails as well");
}
