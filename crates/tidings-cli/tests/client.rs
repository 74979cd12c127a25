//! The commands for a running agent, against one that says whatever it likes.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;

/// Controls of a terminal, a line of its own, and characters that nobody sees.
const HOSTILE: &str = "x\u{1b}[2J\n\u{7f}\u{9b}31m\u{202e}\u{200b}\u{e0041}";

/// Serves a control socket whose answers have the same hostile text in each field.
fn serve(name: &str, answer: Value) -> String {
    let path = std::env::temp_dir().join(format!("t{}-{name}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let greeting = json!({"control": 1, "node": HOSTILE, "version": HOSTILE});
            // The client may be gone already.
            drop(writeln!(stream, "{greeting}"));
            let requests = BufReader::new(stream.try_clone().unwrap()).lines();
            for request in requests.map_while(Result::ok) {
                let request: Value = serde_json::from_str(&request).unwrap();
                let mut answer = answer.clone();
                answer["id"] = request["id"].clone();
                drop(writeln!(stream, "{answer}"));
                if request["cmd"] == "monitor" {
                    drop(writeln!(stream, "{}", event()));
                    break;
                }
            }
        }
    });
    path.to_str().unwrap().to_owned()
}

fn event() -> Value {
    json!({"ev": "join", "t": 1.0, "level": HOSTILE, "text": HOSTILE, "node": {"name": HOSTILE}})
}

/// An answer to any command: each field of a result that is text, or has text in it.
fn answer() -> Value {
    let node = json!({
        "node": HOSTILE, "error": HOSTILE, "text": HOSTILE, "name": HOSTILE, "addr": HOSTILE,
        "port": HOSTILE, "state": HOSTILE, "meta": HOSTILE, "tags": {HOSTILE: HOSTILE},
        "acked": HOSTILE, "present": HOSTILE, "rtt": 1.0,
        "keys": [{"id": HOSTILE, "cipher": HOSTILE}],
        "problems": [{"to": HOSTILE, "problem": HOSTILE}],
    });
    let mut reached = node.clone();
    reached.as_object_mut().unwrap().remove("error");
    let names = json!([HOSTILE, HOSTILE]);
    let group = json!({"view": HOSTILE, "nodes": names, "missing": names, "extra": names});
    json!({
        "ok": true, "node": node, "nodes": [node, reached], "members": [node, reached],
        "answered": HOSTILE, "of": HOSTILE, "groups": [group, group], "silent": [node],
        "keys": [{"id": HOSTILE, "cipher": HOSTILE}], "text": HOSTILE, "saved": HOSTILE,
        "tags": {HOSTILE: HOSTILE}, "stats": {HOSTILE: {HOSTILE: HOSTILE}}, "cluster": HOSTILE,
        "phase": HOSTILE, "view": HOSTILE, "version": HOSTILE, "pid": HOSTILE, "health": HOSTILE,
        "rtt": 1.0, "recording": HOSTILE, "failed": names, "joined": names,
    })
}

/// The commands that ask an agent, apart from `top`, which needs a terminal.
const COMMANDS: &[&[&str]] = &[
    &["info"],
    &["members"],
    &["members", "--from", "all"],
    &["join", "127.0.0.1:1"],
    &["leave"],
    &["force-leave", "b"],
    &["send", "b", "text"],
    &["broadcast", "text"],
    &["rtt", "b"],
    &["rtt", "b", "c"],
    &["stats"],
    &["tags", "set", "a=b"],
    &["log-level", "warn"],
    &["reload"],
    &["reachability"],
    &["keys", "list"],
    &["keys", "list", "--local"],
    &["keys", "install", "k"],
    &["keys", "use", "k", "--local"],
    &["keys", "remove", "k"],
    &["monitor"],
    &["why", "b"],
];

#[track_caller]
fn commands_print_no_control_characters(path: &str, told: bool) {
    for command in COMMANDS {
        for format in [&[][..], &["--format", "json"]] {
            let mut tidings = Command::new(env!("CARGO_BIN_EXE_tidings"));
            let output = tidings.args(*command).args(format).args(["--control", path]).output();
            let output = output.unwrap();
            let all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!all.contains("unexpected argument"), "{command:?}: {all}");
            // A line of its own would begin behind the line feed of the text.
            let found = all.chars().find(|&c| HOSTILE.contains(c) && !"x[2J\n31m".contains(c));
            assert_eq!(found, None, "{command:?} {format:?}: {all:?}");
            assert!(!all.contains("[2J\n"), "{command:?} {format:?}: {all:?}");
            assert!(!told || all.contains("[2J"), "{command:?} {format:?}: {all:?}");
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn no_command_prints_what_controls_a_terminal_from_results() {
    commands_print_no_control_characters(&serve("results", answer()), false);
}

#[test]
fn no_command_prints_what_controls_a_terminal_from_errors() {
    let refused = json!({"ok": false, "error": HOSTILE});
    commands_print_no_control_characters(&serve("errors", refused), true);
}
