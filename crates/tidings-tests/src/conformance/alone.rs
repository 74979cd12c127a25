//! Tests that run in a process of their own.

use std::env;
use std::process::Command;

/// Runs the test `test` again in a process that runs nothing else, and `run` there.
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

/// Environment variable that is set in such a process.
const ALONE: &str = "TIDINGS_TEST_ALONE";
