//! Agents as their users run them: processes, standard input, signals.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// One agent's process, with the JSON lines that it prints.
struct Agent {
    process: Child,
    lines: Receiver<String>,
    addr: String,
}

impl Agent {
    fn start(name: &str, more: &[&str]) -> Self {
        let mut process = tidings(&["agent", "--json", "--name", name, "--bind", "127.0.0.1:0"])
            .args(["--profile", "local", "--probe-interval", "200ms", "--probe-timeout", "80ms"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(&mut process);
        let mut agent = Self { process, lines, addr: String::new() };
        let ready = agent.wait(|line| line["ev"] == "ready");
        agent.addr =
            format!("{}:{}", ready["node"]["addr"].as_str().unwrap(), ready["node"]["port"]);
        agent
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Tells a command and waits for its result.
    fn ask(&mut self, command: &str) -> Value {
        self.tell(&format!("@q {command}"));
        self.wait(|line| line["ev"] == "result" && line["id"] == "q")
    }

    /// Waits for a line, passing over others.
    #[track_caller]
    fn wait(&self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(LIMIT).expect("it never came");
            let line = serde_json::from_str(&line).expect("each line is JSON");
            if what(&line) {
                return line;
            }
        }
    }

    #[track_caller]
    fn wait_for(&self, ev: &str, name: &str) -> Value {
        self.wait(|line| line["ev"] == ev && line["node"]["name"] == name)
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a process prints, line by line.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(process.stdout.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in stdout.lines() {
            drop(sender.send(line.unwrap()));
        }
    });
    lines
}

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

fn tidings(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = tidings(args).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn whoever_is_killed_is_seen_as_dead() {
    let a = Agent::start("a", &[]);
    let mut b = Agent::start("b", &["--join", &a.addr]);
    assert_eq!(b.wait(|line| line["ev"] == "result")["joined"], 1);
    a.wait_for("join", "b");
    b.process.kill().unwrap();
    // PROTOCOL.md: (2n - 1) + 1 + suspicion_mult intervals, of 200 ms.
    assert_eq!(a.wait_for("leave", "b")["node"]["state"], "dead");
}

#[test]
fn whoever_gets_a_signal_leaves_and_stops_with_status_0() {
    for signal in ["-INT", "-TERM"] {
        let a = Agent::start("a", &[]);
        let mut b = Agent::start("b", &["--join", &a.addr]);
        a.wait_for("join", "b");
        b.signal(signal);
        assert_eq!(b.wait(|line| line["ev"] == "exit")["why"], "signal");
        assert_eq!(b.process.wait().unwrap().code(), Some(0));
        assert_eq!(a.wait_for("leave", "b")["node"]["state"], "left");
    }
}

#[test]
fn commands_do_what_they_say_and_answer_with_their_mark() {
    let a = Agent::start("a", &["--meta", "hex:00ff"]);
    let mut b = Agent::start("b", &[]);
    let joined = b.ask(&format!("join {}", a.addr));
    assert_eq!(
        (&joined["ok"], &joined["joined"], &joined["cmd"]),
        (&true.into(), &1.into(), &"join".into())
    );
    let members = b.ask("members");
    let known = members["members"].as_array().unwrap().iter().find(|m| m["name"] == "a").unwrap();
    assert_eq!((&known["meta"], &known["state"]), (&"00ff".into(), &"alive".into()));
    assert_eq!(members["health"], 0);
    assert_eq!(known["vsn"].as_array().unwrap().len(), 6);

    assert_eq!(b.ask("update-meta role=db")["ok"], true);
    assert_eq!(a.wait_for("update", "b")["node"]["meta"], "726f6c653d6462");
    let refused = b.ask(&format!("update-meta {}", "x".repeat(600)));
    assert_eq!(refused["error"], "the metadata has 600 bytes where 512 are allowed");
    assert_eq!(b.ask("dance")["ok"], false);
    assert_eq!(b.ask("stats")["stats"]["rejected_datagrams"]["format"], 0);

    assert_eq!(b.ask("leave")["ok"], true);
    assert_eq!(a.wait_for("leave", "b")["node"]["state"], "left");
    // It can come back without being started again.
    assert_eq!(b.ask(&format!("join {}", a.addr))["ok"], true);
    a.wait_for("join", "b");
    b.tell("quit");
    assert_eq!(b.wait(|line| line["ev"] == "exit")["why"], "quit");
    assert_eq!(b.process.wait().unwrap().code(), Some(0));
}

#[test]
fn the_end_of_input_stops_an_agent_that_is_driven_by_a_program() {
    let mut a = Agent::start("a", &[]);
    drop(a.process.stdin.take());
    assert_eq!(a.wait(|line| line["ev"] == "exit")["why"], "quit");
    assert_eq!(a.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_join_that_fails_says_which_address_and_the_agent_goes_on() {
    let mut a = Agent::start("a", &["--join", "127.0.0.1:1", "--retry-join", "300ms"]);
    let result = a.wait(|line| line["ev"] == "result");
    assert_eq!((&result["id"], &result["ok"]), (&"start".into(), &false.into()));
    assert!(result["error"].as_str().unwrap().contains("127.0.0.1:1: nobody listens there"));
    assert_eq!(a.ask("members")["members"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_done_is_refused_with_status_2_and_its_reason() {
    let long = "x".repeat(256);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let taken_udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken_udp = taken_udp.local_addr().unwrap().to_string();
    let meta = "m".repeat(513);
    for (more, reason) in [
        (&["--name", "a", "--bind", taken.as_str()][..], taken.as_str()),
        (&["--name", "a", "--bind", taken_udp.as_str()], taken_udp.as_str()),
        (&["--name", "a", "--bind", "nowhere"], "'nowhere'"),
        (&["--name", "a", "--join", "127.0.0.1"], "'127.0.0.1'"),
        (&["--name", ""], "must not be empty"),
        (&["--name", long.as_str()], "256 bytes where 255 are allowed"),
        (&["--name", "a", "--cluster", ""], "must not be empty"),
        (&["--name", "a", "--meta", meta.as_str()], "513 bytes where 512 are allowed"),
        (&["--name", "a", "--probe-timeout", "5s"], "probe_timeout is 5s"),
        (&["--name", "a", "--bind", "0.0.0.0:0"], "advertise"),
        (&[], "--name"),
    ] {
        let (status, said) = run(&[&["agent"], more].concat());
        assert_eq!(status, Some(2), "{more:?}: {said}");
        assert!(said.contains(reason), "{more:?}: {said}");
    }
}

#[test]
fn an_agent_for_people_prints_lines_and_outlives_its_input() {
    let a = Agent::start("a", &[]);
    let mut b = tidings(&["agent", "--name", "b", "--bind", "127.0.0.1:0", "--join", &a.addr])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(&mut b);
    let mut expected = vec![
        "b runs at 127.0.0.1:".to_owned(),
        format!("a joined at {}", a.addr),
        "joined through 1 of 1; 2 members".to_owned(),
    ];
    while !expected.is_empty() {
        let line = lines.recv_timeout(LIMIT).expect("it never came");
        expected.retain(|part| !line.contains(part));
    }
    a.wait_for("join", "b");
    b.kill().unwrap();
    b.wait().unwrap();
}
