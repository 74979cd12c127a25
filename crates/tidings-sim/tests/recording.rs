//! Recordings of simulated nodes replay with equal outputs.

use tidings::replay::Replay;
use tidings_record::Recording;
use tidings_sim::{Effort, Harness, Scenario, Wire};

/// Replays a recording; returns the number of compared outputs.
fn replay(recording: &Recording, seed: u64) -> usize {
    assert_eq!(recording.damage(), [], "seed {seed}");
    let mut outputs = 0;
    for segment in recording.segments() {
        let mut replay = Replay::new(&segment.checkpoint, &segment.journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            assert_eq!(step.difference, None, "seed {seed}, at {:?}", step.at);
            outputs += step.outputs.len();
        }
    }
    outputs
}

#[test]
fn any_node_of_a_swarm_replays_with_every_output_equal() {
    let seeds: Vec<_> = (0..40).collect();
    let outputs = Harness::new(2, Effort::Quick, 0).map("replays", &seeds, |&seed| {
        let name = format!("tidings-sim-{}-{seed}.rec", std::process::id());
        let path = std::env::temp_dir().join(name);
        let scenario = Scenario::random(seed, Wire::Tidings);
        let node = seed as usize % scenario.nodes;
        let run = scenario.run_recorded(seed, node, &path).unwrap();
        assert_eq!(run.hash, scenario.run(seed).hash, "who is recorded does the same");
        let recording = Recording::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _ = std::fs::remove_file(path.with_extension("rec.old"));
        replay(&recording, seed)
    });
    assert!(outputs.iter().all(|&outputs| outputs > 0), "{outputs:?}");
    println!("{} outputs were equal", outputs.iter().sum::<usize>());
}
