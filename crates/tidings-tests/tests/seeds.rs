//! Nodes find their cluster by their seeds alone: the scenarios `seeds-*.toml`, over several seeds.

use std::time::Duration;
use tidings_sim::{Run, Scenario};

const SECOND: Duration = Duration::from_secs(1);

/// Runs a scenario, which demands that all views converge without help, and stay equal.
fn runs(name: &str) -> Vec<Run> {
    let path = format!("{}/../../scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let scenario: Scenario = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    assert!(!scenario.recovery && !scenario.converges_within.is_zero());
    let run = |seed| {
        let run = scenario.run(seed);
        let failure = run.failure.as_ref().map(ToString::to_string);
        assert_eq!(failure, None, "{name}, seed {seed}");
        run
    };
    (0..6).map(run).collect()
}

fn slowest(runs: &[Run]) -> Duration {
    runs.iter().filter_map(|run| run.converged_after).max().unwrap()
}

#[test]
fn nodes_that_start_in_any_order_become_one_cluster() {
    let runs = runs("seeds-late");
    for run in &runs {
        // A hundred nodes with five seeds each, in six minutes.
        assert!(run.tally.streams < 100 * 5 * 12, "{}", run.tally.streams);
        assert_eq!(run.tally.ready, 100);
    }
}

#[test]
fn nodes_that_moved_are_one_cluster_within_one_refresh_of_a_stale_name() {
    let slowest = slowest(&runs("seeds-stale"));
    assert!(slowest < 30 * SECOND, "{slowest:?}");
}

#[test]
fn a_cluster_that_was_down_for_an_hour_finds_itself_by_the_addresses_of_its_members() {
    let slowest = slowest(&runs("seeds-outage"));
    assert!(slowest < 30 * SECOND, "{slowest:?}");
}

#[test]
fn islands_with_a_seed_in_common_merge() {
    let slowest = slowest(&runs("seeds-islands"));
    assert!(slowest < 60 * SECOND, "{slowest:?}");
}
