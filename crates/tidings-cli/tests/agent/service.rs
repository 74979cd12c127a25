//! An agent as a service: configuration file, signals, service manager.

use super::{Agent, LIMIT, Place, keygen, kill_after_limit, run, tidings, write_secret};
use serde_json::json;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A file of a test.
fn file(name: &str, text: &str) -> String {
    let path = format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    write_secret(&path, text);
    path
}

#[test]
fn options_come_from_flags_then_the_environment_then_the_file() {
    let config = file(
        "levels.toml",
        "name = \"from-file\"\nbind = \"127.0.0.1:0\"\nstdin = true\njson = true\n\
         control = \"none\"\ncluster = \"from-file\"\nprofile = \"local\"\n\
         suspicion-mult = 3\nseed = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
         [tag]\nrole = \"db\"\nshard = 7\n",
    );
    let start = |args: &[&str], variables: &[(&str, &str)]| {
        let mut agent = tidings(&["agent", "--config", &config])
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _alive = kill_after_limit(agent.id());
        let mut output = String::new();
        agent.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(agent.wait().unwrap().success());
        let ready: serde_json::Value =
            serde_json::from_str(output.lines().next().unwrap()).unwrap();
        ready["node"].clone()
    };
    let node = start(&[], &[]);
    assert_eq!(
        (&node["name"], &node["tags"]),
        (&"from-file".into(), &json!({"role": "db", "shard": "7"}))
    );
    assert_eq!(start(&[], &[("TIDINGS_NAME", "from-env")])["name"], "from-env");
    let node = start(&["--name", "flag", "--meta", "x"], &[("TIDINGS_NAME", "from-env")]);
    assert_eq!((&node["name"], &node["meta_text"]), (&"flag".into(), &"x".into()));
    let (status, said) = run(&["config", "check", &config]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_wrong_in_a_configuration_is_told_with_its_place() {
    for (text, place, error) in [
        ("name = \"a\"\nbind = \"nowhere\"\n", "2:1", "'nowhere'"),
        ("name = \"a\"\n  probe-interval = 7\n", "2:3", "'7'"),
        ("name = \"a\"\n\nnmae = 1\n", "3:1", "unknown option \"nmae\"; `tidings config template`"),
        ("key_file = \"k\"\n", "1:1", "unknown option \"key_file\"; \"key-file\" is meant?"),
        ("name = \"a\"\nname = \"b\"\n", "2:1", "duplicate key"),
        ("name = \"a\njson = true\n", "1:", "invalid basic string"),
        ("json = \"yes\"\n", "1:1", "json: expected true or false"),
        ("name = \"a\"\nprobe-timeout = \"5s\"\n", "2:1", "probe_timeout is 5s"),
        ("name = \"a\"\nkey = \"hunter2\"\n", "2:1", "a key is 32 bytes in base64"),
        ("name = \"a\"\nseed = [\"127.1\"]\n", "2:1", "127.1"),
        ("name = \"a\"\ntag = [\"role\"]\n", "2:1", "\"role\" is not a tag"),
    ] {
        let config = file("wrong.toml", text);
        for args in [&["config", "check", &config][..], &["agent", "--config", &config]] {
            let (status, said) = run(args);
            assert_eq!(status, Some(2), "{text}: {said}");
            assert!(said.contains(&format!("{config}:{place}")), "{text}: {said}");
            assert!(said.contains(error) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
    let (status, said) = run(&["config", "check", "/nowhere.toml"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("--config: cannot read /nowhere.toml: "), "{said}");
    let template = tidings(&["config", "template"]).output().unwrap();
    let config = file("template.toml", std::str::from_utf8(&template.stdout).unwrap());
    assert_eq!(run(&["config", "check", &config, "--", "--name", "a"]), (Some(0), String::new()));
}

#[test]
fn a_hangup_reloads_and_never_stops_an_agent() {
    let place = Place::new("reload");
    let (old, new) = (keygen(&[]), keygen(&[]));
    let keys = file("reload-keys", &old);
    let text = |rest: &str| format!("key-file = \"{keys}\"\n{rest}");
    let config = file("reload.toml", &text("tag = { role = \"db\" }\n"));
    let a = Agent::start("a", &["--config", &config, "--control", &place.0]);
    let b = Agent::start("b", &["--key", &format!("{old},{new}"), "--join", &a.addr]);
    b.wait_for("join", "a");

    write_secret(&keys, &format!("{new}\n"));
    write_secret(
        &config,
        &text("log-level = \"warn\"\nseed = \"127.0.0.1:1\"\ntag = { role = \"web\" }\n"),
    );
    a.signal("-HUP");
    a.wait(|line| line["ev"] == "seed-failed" && line["port"] == 1);
    assert_eq!(b.wait_for("update", "a")["node"]["tags"]["role"], "web");
    assert_eq!(a.ask_until("keyring list", |it| it["keys"] == json!([new]))["ok"], true);

    write_secret(&config, &text("log-level = \"loud\"\n"));
    place.ok(&["reload"]);
    let failed = a.wait(|line| line["ev"] == "reload");
    let error = failed["error"].as_str().unwrap();
    assert!(failed["ok"] == false && error.contains(":2:1: "), "{error}");
    assert_eq!(a.ask("members")["members"].as_array().unwrap().len(), 2, "it never left");
    std::fs::remove_file(&keys).unwrap();
}

#[test]
fn an_agent_stops_within_its_bound_without_members_that_answer() {
    let a = Agent::start("a", &[]);
    let mut b = Agent::start("b", &["--join", &a.addr, "--leave-timeout", "1s"]);
    a.wait_for("join", "b");
    // The network is gone, and b does not know it yet.
    a.signal("-STOP");
    let start = Instant::now();
    b.signal("-TERM");
    assert_eq!(b.wait(|line| line["ev"] == "exit")["why"], "signal");
    assert_eq!(b.process.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    a.signal("-CONT");
}

#[test]
fn an_agent_stops_within_its_bound_while_nobody_reads_its_output() {
    let a = Agent::start("a", &[]);
    for json in [&["--json"][..], &[]] {
        let mut b = tidings(&["agent", "--name", "b", "--bind", "127.0.0.1:0", "--join", &a.addr])
            .args(["--control", "none"])
            .args(json)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        a.wait_for("join", "b");
        // More than a pipe, the queue of lines and the queue of events hold together.
        let text = "x".repeat(1000);
        for _ in 0..3000 {
            a.tell(&format!("send-user b {text} best-effort"));
        }
        assert_eq!(a.ask(&format!("send-user b {text} reliable"))["ok"], true);
        let start = Instant::now();
        let _alive = kill_after_limit(b.id());
        let killed = Command::new("kill").args(["-TERM", &b.id().to_string()]).status();
        assert!(killed.unwrap().success());
        assert_eq!(b.wait().unwrap().code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(a.wait_for("leave", "b")["node"]["state"], "left");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let a = Agent::start("a", &[]);
    let mut b = Agent::start("b", &["--join", &a.addr, "--leave-timeout", "1h"]);
    a.wait_for("join", "b");
    a.signal("-STOP");
    b.signal("-TERM");
    let _alive = kill_after_limit(b.process.id());
    // The first signal may not have been handled when the second one comes.
    while b.process.try_wait().unwrap().is_none() {
        b.signal("-INT");
    }
    assert_eq!(b.process.wait().unwrap().code(), Some(1));
    a.signal("-CONT");
}

#[test]
fn a_service_outlives_its_standard_input() {
    let mut a = tidings(&["agent", "--json", "--name", "a", "--bind", "127.0.0.1:0"])
        .args(["--control", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = super::lines_of(&mut a);
    assert!(lines.recv_timeout(LIMIT).unwrap().contains("\"ready\""));
    let b = Agent::start("b", &[]);
    assert!(lines.recv_timeout(LIMIT / 40).is_err() && a.try_wait().unwrap().is_none());
    drop(b);
    a.kill().unwrap();
    a.wait().unwrap();
}

#[test]
fn a_service_manager_is_told_when_an_agent_is_ready_reloads_and_stops() {
    let path = Place::new("notify");
    let socket = UnixDatagram::bind(&path.0).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let variables = [("NOTIFY_SOCKET", path.0.as_str()), ("WATCHDOG_USEC", "100000")];
    let mut a = Agent::start_with("a", &[], &variables);
    let wait = |part: &str| {
        let mut buf = [0; 1000];
        loop {
            let len = socket.recv(&mut buf).expect("a matching state in time");
            let state = std::str::from_utf8(&buf[..len]).unwrap();
            if state.contains(part) {
                return state.to_owned();
            }
        }
    };
    wait("READY=1");
    wait("WATCHDOG=1");
    wait("WATCHDOG=1");
    a.signal("-HUP");
    assert!(wait("RELOADING=1").contains("MONOTONIC_USEC="));
    wait("READY=1");
    a.signal("-TERM");
    wait("STOPPING=1");
    assert_eq!(a.process.wait().unwrap().code(), Some(0));
}
