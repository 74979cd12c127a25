//! Swarm tests: random scenarios violate no invariant, and injected bugs are found.

use tidings_sim::{Effort, Harness, InjectedBug, Run, Scenario, Tally, Wire, fails_same_way};

/// Number of seeds with which a bug is found.
const SEEDS: u64 = 150;
/// Number of seeds in which everything happens, also name conflicts; `just swarm` tries more.
const MANY_SEEDS: u64 = 500;

fn swarm(bug: InjectedBug, seeds: u64) -> Vec<(u64, Run)> {
    let seeds: Vec<_> = (0..seeds).collect();
    let harness = Harness::new(2, Effort::Quick, 0);
    harness.map("swarm", &seeds, |&seed| {
        (seed, Scenario::random(seed, Wire::Tidings).run_with(seed, bug))
    })
}

/// Finds the first seed for which an injected bug causes this kind of failure.
fn found(bug: InjectedBug, kind: &str) -> (Scenario, u64) {
    let runs = swarm(bug, SEEDS);
    let fails = |run: &Run| run.failure.as_ref().is_some_and(|failure| failure.kind() == kind);
    let first = runs.into_iter().find(|(_, run)| fails(run));
    let (seed, _) = first.unwrap_or_else(|| panic!("{bug:?} was not found"));
    (Scenario::random(seed, Wire::Tidings), seed)
}

mod invariants {
    use super::*;

    #[test]
    fn whatever_happens_all_agree_in_the_end_and_no_rule_is_broken() {
        let mut total = Tally::default();
        for (seed, run) in swarm(InjectedBug::None, MANY_SEEDS) {
            if let Some(failure) = run.failure {
                let again = format!("tidings sim swarm {seed}..{}", seed + 1);
                assert_eq!(
                    failure.kind(),
                    "nothing observed",
                    "seed {seed}: {failure}\nrepeat: {again}"
                );
            }
            total.add(&run.tally);
        }
        for (what, times) in total.counts() {
            assert!(times > 0, "the swarm has not exercised {what}: {total:?}");
        }
    }
}

mod injected_bugs {
    use super::*;

    #[test]
    fn a_command_that_ends_twice_is_found() {
        found(InjectedBug::CompletesTwice, "violation");
    }

    #[test]
    fn a_stream_that_is_never_closed_is_found() {
        found(InjectedBug::LeaksStreams, "stream leak");
    }

    #[test]
    fn members_that_come_back_from_the_dead_are_found() {
        found(InjectedBug::ForgetsTombstones, "violation");
    }

    #[test]
    fn nodes_that_are_not_told_of_time_are_found_and_the_scenario_shrinks_to_what_it_takes() {
        let bug = InjectedBug::DropsTimeouts;
        let (scenario, seed) = found(bug, "not converged");
        let failed = scenario.run_with(seed, bug);
        let small = scenario
            .shrink(200, |candidate| fails_same_way(&candidate.run_with(seed, bug), &failed));
        assert!(small.steps.len() <= 4 && small.steps.len() <= scenario.steps.len(), "{small:?}");
        let again: Scenario = small.to_toml().parse().unwrap();
        assert!(fails_same_way(&again.run_with(seed, bug), &failed), "its file fails as well");
    }
}
