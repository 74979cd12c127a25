//! Recordings of real nodes, replayed as users do it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[test]
fn a_demo_is_recorded_and_each_node_of_it_replays_with_every_output_equal() {
    let dir = Dir::new("demo");
    let demo = tidings(&["demo", "--record"]).arg(&dir.0).output().unwrap();
    assert!(demo.status.success(), "{}", text(&demo.stderr));
    for n in 1..=5 {
        let file = dir.0.join(format!("n{n}.rec"));
        let replayed = replay(&file, &["--kind", "member"]);
        let said = text(&replayed.stdout);
        assert!(replayed.status.success(), "{said}{}", text(&replayed.stderr));
        assert!(said.lines().last().unwrap().ends_with("outputs compared, all equal"), "{said}");
    }

    // n4 was killed; n1 may have detected it by its own probe, or by gossip.
    let file = dir.0.join("n1.rec");
    let why = text(&replay(&file, &["--why", "n4"]).stdout);
    assert!(why.starts_with("recorded from 20") && why.contains("; times are UTC, "), "{why}");
    assert!(why.contains("\nwhy n1 declared n4 failed:\n"), "{why}");
    assert!(why.contains("; n1 suspects n4\n") && why.contains("; suspicion timeout at "), "{why}");
    assert!(why.contains(" declares n4 failed\n") && why.contains(" s  "), "{why}");
    let nothing = text(&replay(&file, &["--why", "n3"]).stdout);
    assert!(nothing.contains("\nn1 did not suspect n3\n"), "{nothing}");
    for option in ["--why", "--member"] {
        let unknown = replay(&file, &[option, "nobody"]);
        assert_eq!(unknown.status.code(), Some(2));
        let error = "tidings: no member named nobody in the recording; it has n1, n2, n3, n4, n5\n";
        assert_eq!(text(&unknown.stderr), error);
        assert!(!text(&unknown.stdout).contains("did not suspect"));
    }

    let state = text(&replay(&file, &["--state"]).stdout);
    assert!(state.contains("n4                   failed "), "{state}");
    let early = text(&replay(&file, &["--state", "--until", "2026-01-01T00:00:00Z"]).stdout);
    assert!(early.contains("\n    n1 ") && !early.contains("\n    n4 "), "{early}");
    let shown = text(&replay(&file, &["--member", "n5", "--kind", "member"]).stdout);
    assert!(shown.contains("== n5 joined") && !shown.contains("n4"), "{shown}");
    let all = text(&replay(&file, &[]).stdout);
    assert!(all.contains(", incarnation 0 (started 20") && !all.contains(" is alive in "), "{all}");
    assert!(all.lines().nth(1).unwrap().contains(" +0.0"), "{all}");
    let json = replay(&file, &["--json"]);
    for line in text(&json.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        assert!(line["ev"] == "did" || line["sound"] == true, "{line}");
    }

    damaged(&file);
}

/// A flipped byte is reported, and the rest is replayed.
fn damaged(file: &Path) {
    let whole = fs::read(file).unwrap();
    for at in [70, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(file, bytes).unwrap();
        let replayed = replay(file, &["--kind", "member"]);
        let said = text(&replayed.stdout);
        assert_eq!(replayed.status.code(), Some(1), "byte {at}: {said}");
        assert!(said.contains("damaged: "), "byte {at}: {said}");
        assert!(!said.contains("NOT all equal"), "byte {at}: {said}");
    }
    fs::write(file, whole).unwrap();
}

#[test]
fn an_encrypted_node_replays_without_its_keys_which_are_not_in_the_recording() {
    let dir = Dir::new("keys");
    let file = dir.0.join("a.rec");
    let key = "aes-256-gcm:CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=";
    let keys = dir.0.join("key");
    fs::write(&keys, key).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let mut agent = tidings(&["agent", "--json", "--name", "a", "--bind", "127.0.0.1:0"])
        .args(["--stdin", "--control", "none"])
        .arg("--record")
        .arg(&file)
        .arg("--key-file")
        .arg(&keys)
        .args(["--record-size", "1MiB", "--record-time", "1h"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = agent.stdin.take().unwrap();
    writeln!(stdin, "keyring add {}", key.replace("CwsL", "DAwM")).unwrap();
    writeln!(stdin, "update-meta hello\nquit").unwrap();
    assert!(agent.wait().unwrap().success());
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(8).any(|some| some == [11; 8] || some == b"CwsLCwsL"));
    let replayed = replay(&file, &[]);
    let said = text(&replayed.stdout);
    assert!(replayed.status.success() && said.contains("  >  set metadata of 5 bytes"), "{said}");
}

#[test]
fn what_is_no_recording_is_refused_with_status_2() {
    let dir = Dir::new("none");
    let file = dir.0.join("letter");
    fs::write(&file, "a letter").unwrap();
    for file in [file.clone(), dir.0.join("nothing")] {
        let replayed = replay(&file, &[]);
        assert_eq!(replayed.status.code(), Some(2));
        assert!(text(&replayed.stderr).starts_with("tidings: "));
    }
    let agent = tidings(&["agent", "--name", "a", "--bind", "127.0.0.1:0", "--record"]);
    let output = { agent }.arg(&file).args(["--control", "none"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("exists and is not a recording; it is not overwritten"));
}

/// A directory for a test's files, which is removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tidings-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn tidings(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(args);
    command
}

fn replay(file: &Path, args: &[&str]) -> Output {
    tidings(&["replay"]).arg(file).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
