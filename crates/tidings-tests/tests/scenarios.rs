//! The scenarios in the repository and in the documentation.

use std::path::Path;
use tidings_sim::Scenario;

#[test]
fn all_of_them_can_be_read_and_come_right_in_the_end() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut read = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario: Scenario =
            text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (once, again) = (scenario.run(7), scenario.run(7));
        assert_eq!(once.failure, None, "{}", path.display());
        assert_eq!(once.hash, again.hash);
        assert!(once.converged_after.is_some());
        read += 1;
    }
    assert!(read >= 3);
}

#[test]
fn the_one_in_the_documentation_can_be_read() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SIMULATION.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, example) = docs.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let scenario: Scenario = example.parse().unwrap();
    assert_eq!((scenario.nodes, scenario.steps.len()), (20, 1));
}
