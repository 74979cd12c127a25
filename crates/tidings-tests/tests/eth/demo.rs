//! The command `tidings eth demo`.

use crate::nodes::program;
use std::process::Command;

#[test]
fn the_demo_prints_2020_on_each_runtime_before_and_after_each_kill() {
    let Some(anvil) = program("anvil") else { return };
    let demo = Command::new(tidings_tests::tidings())
        .args(["eth", "demo", "--anvil"])
        .arg(anvil)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{output}{}", String::from_utf8_lossy(&demo.stderr));
    for runtime in ["std", "smol", "async-std", "tokio"] {
        let calls = output.lines().filter(|line| line.contains(&format!("s  {runtime} ")));
        assert_eq!(calls.filter(|line| line.contains(" get() = 2020 ")).count(), 8, "{output}");
    }
    let by = |transport: &str| output.lines().filter(|line| line.contains(transport)).count();
    assert!(by(" from http://") >= 16 && by(".ipc, in") >= 8, "{output}");
}
