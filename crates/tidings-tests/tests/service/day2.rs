//! What operators do with a cluster on its second day, each step by a command.

use crate::agents::{Agent, LIMIT, get};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use std::{env, fs};

/// A directory for keys and control sockets; removed on drop.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = env::temp_dir().join(format!("tidings-day2-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs the command as an operator does, for the agent at a control socket.
fn run(socket: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(tidings_tests::tidings());
    command.args(arguments).env("TIDINGS_CONTROL", socket).output().unwrap()
}

/// The standard output of a command that succeeds.
#[track_caller]
fn said(socket: &str, arguments: &[&str]) -> String {
    let output = run(socket, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn json(socket: &str, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--format", "json"]].concat();
    serde_json::from_str(&said(socket, &arguments)).unwrap()
}

/// Waits until the agent's members in a state are so many.
#[track_caller]
fn wait(socket: &str, state: &str, count: u64) {
    let start = Instant::now();
    while json(socket, &["info"])["members"][state] != count {
        assert!(start.elapsed() < LIMIT, "{}", said(socket, &["members", "--all"]));
    }
}

fn new_key(file: &str) -> String {
    let made = Command::new(tidings_tests::tidings()).args(["keygen", "--out", file]).output();
    assert!(made.unwrap().status.success());
    fs::read_to_string(Path::new(file)).unwrap().trim().into()
}

#[test]
fn a_cluster_is_operated_by_commands_alone() {
    let dir = Dir::new();
    let old = new_key(&dir.file("key"));
    let mut seed: Option<String> = None;
    let mut agents = ["n1", "n2", "n3", "n4", "n5"].map(|name| {
        let key_file = dir.file(&format!("{name}.key"));
        fs::copy(dir.file("key"), &key_file).unwrap();
        let (socket, zone) = (dir.file(&format!("{name}.sock")), format!("zone={name}"));
        let mut options = vec!["--control", &socket, "--key-file", &key_file, "--tag", &zone];
        options.extend(seed.iter().flat_map(|seed| ["--seed", seed]));
        let agent = Agent::start(name, &options);
        seed.get_or_insert_with(|| agent.addr.to_string());
        agent
    });
    let sockets = ["n1", "n2", "n3", "n4", "n5"].map(|name| dir.file(&format!("{name}.sock")));
    let [n1, _, _, n4, n5] = sockets.each_ref();
    sockets.iter().for_each(|socket| wait(socket, "alive", 5));

    // List, and filter by tag.
    assert!(said(n1, &["members", "--tag", "zone=n3"]).contains("1 member of 5 known"));
    said(n1, &["members", "--from", "all"]);
    // Tag.
    said(n1, &["tags", "set", "role=web"]);
    let tagged = || said(n5, &["members", "--tag", "role=web"]).contains("n1");
    let start = Instant::now();
    while !tagged() {
        assert!(start.elapsed() < LIMIT);
    }
    // Measure a round trip between two others, and ask who is reached.
    assert!(said(n1, &["rtt", "n2", "n3"]).contains("n3 answered n2"));
    assert!(said(n1, &["reachability"]).contains("5 of 5 agents answered"));
    // Rotate the key of all.
    let new = new_key(&dir.file("new"));
    for step in [["install", &new], ["use", &new], ["remove", &old]] {
        said(n1, &["keys", step[0], step[1]]);
    }
    let keys = said(n4, &["keys", "list"]);
    assert!(keys.contains("5 of 5       5 of 5") && keys.lines().count() == 3, "{keys}");
    for name in ["n1", "n5"] {
        let file = fs::read_to_string(dir.file(&format!("{name}.key"))).unwrap();
        assert!(file.contains(&new) && !file.contains(&old), "{name}");
    }
    // Find who accused whom after a kill.
    agents[3].kill();
    wait(n1, "failed", 1);
    let why = said(n1, &["why", "n4"]);
    assert!(why.contains("why n1 declared n4 failed") && why.contains("suspected by"), "{why}");
    // Force it out; a member that lives stays.
    assert!(!run(n1, &["force-leave", "n5"]).status.success());
    said(n1, &["force-leave", "n4"]);
    wait(n5, "left", 1);
    // Drain one.
    agents[4].terminate();
    assert!(agents[4].succeeded());
    wait(n1, "left", 2);
    assert!(run(n5, &["members"]).status.code() == Some(3), "no agent is there");
    // Reload.
    said(n1, &["reload"]);
    // Read metrics and the page.
    let metrics = get(agents[0].http, "/metrics", "*/*").unwrap();
    assert!(metrics.contains("tidings_members{state=\"alive\"} 3"), "{metrics}");
    assert!(get(agents[0].http, "/status", "text/html").unwrap().contains("n3"));
    said(n1, &["members", "--from", "all"]);
}
