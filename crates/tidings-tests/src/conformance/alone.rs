//! Tests that have a process to themselves.

use std::env;
use std::process::Command;

/// Runs a test of this name in a process of its own, which runs nothing else: the same test, which
/// then does what it is about.
///
/// # Panics
///
/// If it fails there.
#[track_caller]
pub fn alone(test: &str, run: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return run();
    }
    let program = env::current_exe().expect("this program is a file");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env(ALONE, "yes");
    let ended = command.output().expect("what runs can be run once more");
    for said in [ended.stdout, ended.stderr] {
        println!("{}", String::from_utf8_lossy(&said));
    }
    assert!(ended.status.success(), "it failed in a process of its own");
}

/// Set where a test runs alone.
const ALONE: &str = "TIDINGS_TEST_ALONE";
