//! Agents that find their cluster through sources of seeds, and come back to it.

use super::{Agent, run, tidings};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// An empty directory of a test.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).unwrap();
    path
}

fn has_members(count: usize) -> impl Fn(&Value) -> bool {
    move |result| result["members"].as_array().is_some_and(|members| members.len() == count)
}

#[test]
fn seeds_come_from_a_file_that_is_written_later_and_from_a_command() {
    let dir = directory("seed-sources");
    let file = dir.join("seeds");
    fs::write(&file, "# none yet\n").unwrap();
    let b = Agent::start("b", &["--seed", &format!("file:{}", file.display())]);
    fs::remove_file(&file).unwrap();
    let notice = b.wait(|line| line["ev"] == "notice");
    assert_eq!(notice["kind"], "source-failed");
    let text = notice["text"].as_str().unwrap();
    assert!(text.contains(file.to_str().unwrap()) && text.contains("cannot read it"), "{text}");
    let a = Agent::start("a", &[]);
    fs::write(&file, format!("# the first\n{}\n", a.addr)).unwrap();
    b.wait_for("join", "a");
    let c = Agent::start("c", &["--seed", &format!("exec:cat '{}'", file.display())]);
    c.wait_for("join", "a");
    a.ask_until("members", has_members(3));
}

#[test]
fn seeds_of_the_environment_are_tried_for_as_long_as_it_takes() {
    let a = Agent::start("a", &[]);
    let addr = a.addr.clone();
    drop(a);
    let list = format!(" ,127.0.0.1:1,{addr}");
    let b = Agent::start_with("b", &[], &[("TIDINGS_SEEDS", &list)]);
    b.wait(|line| line["ev"] == "seed-failed" && addr.ends_with(&line["port"].to_string()));
    let _a = Agent::start("a", &["--bind", &addr]);
    b.wait_for("join", "a");
}

#[test]
fn an_agent_comes_back_by_its_snapshot_also_after_it_was_killed() {
    let dir = directory("snapshot").join("made");
    let data = ["--data-dir", dir.to_str().unwrap()];
    let a = Agent::start("a", &[]);
    let b = Agent::start("b/1", &[&data[..], &["--join", &a.addr]].concat());
    b.wait_for("join", "a");
    // It is written some seconds after the join, and the process is killed after that.
    let snapshot = dir.join("b%2F1.snapshot");
    let port = a.addr.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    // postcard writes a number seven bits at a time.
    let port = [port as u8 | 0x80, (port >> 7) as u8 | 0x80, (port >> 14) as u8];
    let has_a = || {
        let bytes = fs::read(&snapshot).unwrap_or_default();
        bytes.windows(7).any(|it| it.starts_with(&[127, 0, 0, 1]) && it.ends_with(&port))
    };
    let start = std::time::Instant::now();
    while !has_a() {
        assert!(start.elapsed() < super::LIMIT, "the member is not in the snapshot");
        std::thread::yield_now();
    }
    drop(b);
    let b = Agent::start("b/1", &data);
    b.wait_for("join", "a");
    // One that left on purpose stays alone, unless it is told otherwise.
    b.signal("-TERM");
    b.wait(|line| line["ev"] == "exit");
    drop(b);
    let b = Agent::start("b/1", &data);
    assert!(has_members(1)(&b.ask("members")));
    b.ask(&format!("join {}", a.addr));
    b.signal("-TERM");
    b.wait(|line| line["ev"] == "exit");
    drop(b);
    let b = Agent::start("b/1", &[&data[..], &["--rejoin"]].concat());
    b.wait_for("join", "a");
}

#[test]
fn a_snapshot_that_is_damaged_is_set_aside_with_a_notice() {
    let dir = directory("damaged");
    fs::write(dir.join("a.snapshot"), "nonsense").unwrap();
    let mut process = tidings(&["agent", "--json", "--name", "a", "--bind", "127.0.0.1:0"])
        .args(["--stdin", "--control", "none"])
        .args(["--data-dir", dir.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<Value> = super::lines_of(&mut process)
        .iter()
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    assert!(process.wait().unwrap().success());
    assert_eq!(
        (&lines[0]["ev"], &lines[0]["kind"]),
        (&"notice".into(), &"snapshot-set-aside".into())
    );
    assert_eq!(fs::read(dir.join("a.snapshot.bad")).unwrap(), b"nonsense");
}

#[test]
fn an_agent_whose_name_is_taken_ends_with_status_1_and_says_so() {
    let a = Agent::start("a", &[]);
    let named = ["agent", "--json", "--name", "a", "--bind", "127.0.0.1:0", "--control", "none"];
    for flag in ["--join", "--seed"] {
        // Its standard input stays open: it ends by itself.
        let mut process = tidings(&named)
            .args([flag, &a.addr])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let watchdog = super::kill_after_limit(process.id());
        let output = process.wait_with_output().unwrap();
        drop((watchdog, stdin));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}: {said}");
        assert!(
            said.contains("--name a: ") && said.contains("has this node's name;"),
            "{flag}: {said}"
        );
        assert!(said.contains("--on-name-taken contest"), "{flag}: {said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(lines.contains("\"ev\":\"fatal\""), "{flag}: {lines}");
    }
    let taker = Agent::start("a", &["--on-name-taken", "contest", "--join", &a.addr]);
    taker.wait(|line| line["ev"] == "result" && line["id"] == "start" && line["ok"] == true);
}

#[test]
fn a_source_that_is_not_valid_is_an_option_that_cannot_be_used() {
    let named = ["agent", "--name", "a", "--bind", "127.0.0.1:0"];
    let (status, said) = run(&[&named[..], &["--seed", "file:"]].concat());
    assert_eq!(status, Some(2));
    assert!(said.contains("--seed: \"file:\" is not a source of seeds"), "{said}");
    let (status, said) = run(&[&named[..], &["--seed-refresh", "10ms"]].concat());
    assert_eq!(status, Some(2));
    assert!(said.contains("--seed-refresh: seed_refresh is 10ms; 1s to 86400s"), "{said}");
}
