//! The demo, as a new user runs it.

use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn the_demo_shows_a_cluster_that_notices_who_fails_and_who_leaves() {
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_tidings")).arg("demo").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{shown}\n{errors}");
    assert!(start.elapsed() < Duration::from_secs(30));

    for line in ["n4 is killed", "n1 sees that n4 failed", "n2 sees that n5 left"] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let table: Vec<_> = shown.lines().skip_while(|line| !line.starts_with("node")).collect();
    let starts = table.iter().map(|line| line.split_whitespace().next().unwrap_or_default());
    let starts: Vec<_> = starts.collect();
    assert_eq!(starts, ["node", "n1", "n2", "n3", "n4", "n5", "", "All"], "{shown}");
    assert!(table[4].contains("was killed"), "{shown}");
}

#[test]
fn a_demo_that_cannot_finish_says_what_it_waited_for_and_fails() {
    let limit = ["demo", "--limit", "1"];
    let output = Command::new(env!("CARGO_BIN_EXE_tidings")).args(limit).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("tidings: timed out while waiting for "), "{errors}");
    assert!(errors.ends_with("; --limit allows 1 s in total\n"), "{errors}");
}
