//! Agents as users run them: processes, standard input, signals.

#[path = "agent/cluster.rs"]
mod cluster;
#[path = "agent/control.rs"]
mod control;
#[path = "agent/seeds.rs"]
mod seeds;
#[path = "agent/service.rs"]
mod service;

use serde_json::Value;
#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// An agent's process, and the JSON lines that it prints.
struct Agent {
    process: Child,
    lines: Receiver<String>,
    addr: String,
}

impl Agent {
    fn start(name: &str, more: &[&str]) -> Self {
        Self::start_with(name, more, &[])
    }

    fn start_with(name: &str, more: &[&str], variables: &[(&str, &str)]) -> Self {
        // An option that is repeated is an error.
        let bind = if more.contains(&"--bind") { &[][..] } else { &["--bind", "127.0.0.1:0"] };
        let mut process = tidings(&["agent", "--json", "--name", name])
            .args(bind)
            .args(["--profile", "local", "--probe-interval", "200ms", "--probe-timeout", "80ms"])
            .args(["--stdin"])
            // Agents of other tests have the same names.
            .args(if more.contains(&"--control") { &[][..] } else { &["--control", "none"] })
            .args(more)
            .envs(variables.iter().copied())
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

    fn tell(&self, command: &str) {
        let mut stdin = self.process.stdin.as_ref().unwrap();
        writeln!(stdin, "{command}").unwrap();
    }

    /// Sends a command and waits for its result.
    fn ask(&self, command: &str) -> Value {
        self.tell(&format!("@q {command}"));
        self.wait(|line| line["ev"] == "result" && line["id"] == "q")
    }

    /// Repeats a command until its result meets a condition.
    #[track_caller]
    fn ask_until(&self, command: &str, such: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            let result = self.ask(command);
            if such(&result) {
                return result;
            }
        }
        panic!("no result met the condition in {LIMIT:?}: {command}");
    }

    /// Pings until there is an ack: pings time out soon, and the machine may be busy.
    #[track_caller]
    fn ping(&self, name: &str) -> f64 {
        let result = self.ask_until(&format!("ping {name}"), |result| result["ok"] == true);
        result["rtt"].as_f64().unwrap()
    }

    /// Waits for a matching line, and skips others.
    #[track_caller]
    fn wait(&self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(LIMIT).expect("a matching line in time");
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

/// The standard output of a process, line by line.
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

/// The time limit of each wait.
const LIMIT: Duration = Duration::from_secs(20);

/// Kills a process after the limit, unless the returned value is dropped before.
fn kill_after_limit(pid: u32) -> Sender<()> {
    let (alive, dropped) = channel::<()>();
    thread::spawn(move || {
        if dropped.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status());
        }
    });
    alive
}

fn tidings(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("TIDINGS_")) {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// The path of a test's control socket, which is removed with it.
struct Place(String);

impl Place {
    fn new(name: &str) -> Self {
        // The path of a socket is short.
        let path = std::env::temp_dir().join(format!("t{}-{name}", std::process::id()));
        Self(path.to_str().unwrap().to_owned())
    }

    /// Runs a command against the agent there; returns its status, output and errors.
    fn tidings(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = tidings(args).args(["--control", &self.0]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Runs a command that succeeds; returns its output.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let (status, output, error) = self.tidings(args);
        assert_eq!((status, error.as_str()), (Some(0), ""), "{args:?}: {output}");
        output
    }

    /// Runs a command that succeeds, with its result as JSON.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--format", "json"]].concat())).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
        drop(std::fs::remove_file(format!("{}.lock", self.0)));
    }
}

/// A new key, as `tidings keygen` prints it.
fn keygen(more: &[&str]) -> String {
    let output = tidings(&[&["keygen"], more].concat()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Writes a file that only its owner can read.
fn write_secret(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
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
    assert_eq!(known.get("meta_text"), None, "it is not UTF-8");
    assert_eq!(members["health"], 0);
    assert_eq!(known["vsn"].as_array().unwrap().len(), 6);

    assert_eq!(b.ask("update-meta role=db")["ok"], true);
    let update = a.wait_for("update", "b");
    assert_eq!(update["node"]["meta"], "726f6c653d6462");
    assert_eq!(update["node"]["meta_text"], "role=db");
    let refused = b.ask(&format!("update-meta {}", "x".repeat(600)));
    assert_eq!(refused["error"], "metadata has 600 bytes; max_meta allows 512");
    let unknown = b.ask("dance");
    assert_eq!(unknown["error"], "unknown command \"dance\"; `help` lists the commands");
    assert!(b.ask("help")["help"].as_str().unwrap().contains("\n  update-meta TEXT "));
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
fn members_send_each_other_messages() {
    let a = Agent::start("a", &[]);
    let b = Agent::start("b", &["--join", &a.addr]);
    a.wait_for("join", "b");
    b.wait_for("join", "a");
    for how in ["best-effort", "reliable"] {
        for (from, name, to, other) in [(&a, "a", &b, "b"), (&b, "b", &a, "a")] {
            assert_eq!(from.ask(&format!("send-user {other} two words {how}"))["ok"], true);
            let message = to.wait(|line| line["ev"] == "msg");
            assert_eq!((&message["from"], &message["via"]), (&name.into(), &how.into()));
            assert_eq!(message["data"], "74776f20776f726473");
        }
    }
    let long = format!("send-user a hex:{} reliable", "00".repeat(500_000));
    assert_eq!(b.ask(&long)["ok"], true);
    let message = a.wait(|line| line["ev"] == "msg");
    assert_eq!(message["data"].as_str().unwrap().len(), 1_000_000);

    let refused = b.ask(&format!("send-user a {} best-effort", "x".repeat(2000)));
    assert!(refused["error"].as_str().unwrap().contains("2000 bytes"), "{refused}");
    let unknown = b.ask("send-user c hello reliable");
    assert_eq!(unknown["error"], "no member of that name is known");
}

#[test]
fn a_broadcast_comes_to_all_others() {
    let a = Agent::start("a", &[]);
    let others = ["b", "c", "d"].map(|name| Agent::start(name, &["--join", &a.addr]));
    // Nodes accept broadcasts of members only: all have to know the sender.
    for agent in others.iter().chain([&a]) {
        agent.ask_until("members", |result| result["members"].as_array().unwrap().len() == 4);
    }
    assert_eq!(a.ask("broadcast hex:00ff")["ok"], true);
    for other in &others {
        let message = other.wait(|line| line["ev"] == "msg");
        assert_eq!((&message["from"], &message["data"]), (&"a".into(), &"00ff".into()));
        assert_eq!(message["via"], "broadcast");
    }
}

#[test]
fn a_ping_tells_the_round_trip_in_seconds() {
    let a = Agent::start("a", &[]);
    let _b = Agent::start("b", &["--join", &a.addr]);
    a.wait_for("join", "b");
    let rtt = a.ping("b");
    assert!(rtt > 0.0 && rtt < 0.2, "{rtt}");
    assert_eq!(a.ask("ping c")["error"], "no member of that name is known");
}

#[test]
fn states_are_told_at_a_join() {
    let a = Agent::start("a", &["--state", "from the start"]);
    let b = Agent::start("b", &[]);
    assert_eq!(b.ask("set-state hex:00ff")["ok"], true);
    assert_eq!(b.ask(&format!("join {}", a.addr))["ok"], true);
    let told = a.wait(|line| line["ev"] == "remote-state");
    assert_eq!((&told["from"], &told["data"]), (&"b".into(), &"00ff".into()));
    assert_eq!(told["join"], true);
    a.tell("quit");

    let c = Agent::start("c", &["--state", "from the start"]);
    let d = Agent::start("d", &["--join", &c.addr]);
    let told = d.wait(|line| line["ev"] == "remote-state");
    assert_eq!((&told["from"], &told["join"]), (&"c".into(), &true.into()));
    assert_eq!(told["data"], "66726f6d20746865207374617274");
}

#[test]
fn a_key_is_replaced_while_agents_run_and_only_who_has_it_joins() {
    let (old, new) = (keygen(&[]), keygen(&["--cipher", "chacha20-poly1305"]));
    assert!(new.starts_with("chacha20-poly1305:"), "{new}");
    let file = format!("{}/keys-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    write_secret(&file, &format!("{old}\r\n\n"));
    let a = Agent::start("a", &["--key-file", &file]);
    let b = Agent::start("b", &["--key", &old, "--join", &a.addr]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(b.wait(|line| line["ev"] == "result")["joined"], 1);

    for (change, keys) in [
        (format!("add {new}"), vec![&old, &new]),
        (format!("use {new}"), vec![&new, &old]),
        (format!("remove {old}"), vec![&new]),
    ] {
        for changes in [&a, &b] {
            assert_eq!(changes.ask(&format!("keyring {change}"))["ok"], true);
            assert_eq!(changes.ask("keyring list")["keys"], serde_json::json!(keys));
            assert_eq!(a.ask("send-user b hello reliable")["ok"], true);
            b.ping("a");
        }
    }
    for agent in [&a, &b] {
        let stats = &agent.ask("stats")["stats"];
        for rejected in ["rejected_datagrams", "rejected_streams"] {
            assert_eq!(stats[rejected]["key"], 0, "{rejected}");
        }
    }
    assert_eq!(a.ask("keyring add hunter2")["ok"], false);
    let primary = a.ask(&format!("keyring remove {new}"));
    assert!(
        primary["error"].as_str().unwrap().contains("make another one primary first"),
        "{primary}"
    );

    for with in [&["--key", old.as_str()][..], &[]] {
        let c = Agent::start("c", with);
        let refused = c.ask(&format!("join {}", a.addr));
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains(&a.addr) && error.contains("key"), "{error}");
    }
    let without = Agent::start("without", &[]);
    let error = without.ask("keyring list");
    assert_eq!(error["error"], "the node does not encrypt; start it with a key");
    let c = Agent::start("c", &["--key", &format!("{old},{new}"), "--plaintext", "accepted"]);
    assert_eq!(c.ask(&format!("join {}", a.addr))["ok"], false, "it encrypts with the old one");
    assert_eq!(c.ask(&format!("keyring use {new}"))["ok"], true);
    assert_eq!(c.ask(&format!("join {}", a.addr))["ok"], true);
}

#[test]
fn agents_do_without_datagrams_if_told_so() {
    let a = Agent::start("a", &["--stream-only"]);
    let b = Agent::start("b", &["--stream-only", "--join", &a.addr]);
    b.wait_for("join", "a");
    assert_eq!(b.ask("send-user a hello best-effort")["ok"], true);
    assert_eq!(a.wait(|line| line["ev"] == "msg")["via"], "best-effort");
    b.ping("a");
    assert_eq!(b.ask("stats")["stats"]["datagrams_out"], 0);
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
    let a = Agent::start("a", &["--join", "127.0.0.1:1", "--retry-join", "300ms"]);
    let result = a.wait(|line| line["ev"] == "result");
    assert_eq!((&result["id"], &result["ok"]), (&"start".into(), &false.into()));
    assert!(result["error"].as_str().unwrap().contains("127.0.0.1:1: nobody listens there"));
    assert_eq!(a.ask("members")["members"].as_array().unwrap().len(), 1);
}

#[test]
fn agents_in_no_allowed_network_are_refused_and_learn_why() {
    let a = Agent::start("a", &["--allow-network", "10.0.0.0/8", "--allow-network", "127.0.0.0/8"]);
    let elsewhere = ["--advertise", "192.0.2.7:7946", "--join", &a.addr, "--retry-join", "300ms"];
    let b = Agent::start("b", &elsewhere);
    let result = b.wait(|line| line["ev"] == "result");
    assert_eq!((&result["id"], &result["ok"]), (&"start".into(), &false.into()));
    let reason = "it refused: its allowed_networks do not have this node's address";
    assert!(result["error"].as_str().unwrap().contains(reason), "{result}");
    let stats = a.ask("stats");
    assert!(stats["stats"]["addresses_refused"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!(a.ask("members")["members"].as_array().unwrap().len(), 1);
    let c = Agent::start("c", &["--join", &a.addr, "--allow-network", "127.0.0.0/8"]);
    c.wait(|line| line["ev"] == "result" && line["ok"] == true);
    assert_eq!(a.ask("join 192.0.2.7:7946")["ok"], false);
}

/// Other users of the machine reach an agent as a stranger on the network does, and not otherwise.
#[test]
#[cfg(target_os = "linux")]
fn an_agent_listens_at_its_address_and_its_control_socket_only() {
    for runtime in ["std", "smol", "async-std", "tokio"] {
        let control = Place::new(&format!("sockets-{runtime}"));
        let a = Agent::start("a", &["--runtime", runtime, "--control", &control.0]);
        let process = format!("/proc/{}", a.process.id());
        let links = std::fs::read_dir(format!("{process}/fd")).unwrap();
        let links = links.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        let inodes: BTreeSet<String> = links
            .filter_map(|link| {
                let link = link.to_str()?.to_owned();
                Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        let table = |name: &str| std::fs::read_to_string(format!("{process}/net/{name}")).unwrap();
        let (mut found, mut waiting) = (Vec::new(), 0);
        for name in ["tcp", "udp", "tcp6", "udp6", "raw", "raw6", "packet", "unix"] {
            for line in table(name).lines().skip(1) {
                let fields: Vec<_> = line.split_ascii_whitespace().collect();
                if !fields.iter().any(|&field| inodes.contains(field)) {
                    continue;
                }
                // A pair of connected sockets without a name wakes the agent's own threads.
                if name == "unix" {
                    let is_control = fields.len() == 8 && fields[7] == control.0;
                    let is_pair = fields.len() == 7 && fields[5] == "03";
                    assert!(is_control || is_pair, "{runtime}: {line}");
                    waiting += 1;
                } else {
                    let (ip, port) = fields[1].split_once(':').unwrap();
                    let port = u16::from_str_radix(port, 16).unwrap();
                    assert_eq!((ip, format!("127.0.0.1:{port}")), ("0100007F", a.addr.clone()));
                    found.push(name);
                }
            }
        }
        assert_eq!(found, ["tcp", "udp"], "{runtime}");
        assert_eq!(inodes.len(), found.len() + waiting, "{runtime}: each socket is known");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_status_2_and_its_reason() {
    let long = "x".repeat(256);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let taken_udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken_udp = taken_udp.local_addr().unwrap().to_string();
    let (meta, state) = ("m".repeat(513), "s".repeat(70_000));
    for (more, reason) in [
        (&["--name", "a", "--bind", taken.as_str()][..], taken.as_str()),
        (&["--name", "a", "--bind", taken_udp.as_str()], taken_udp.as_str()),
        (&["--name", "a", "--bind", "nowhere"], "'nowhere'"),
        (&["--name", "a", "--join", "127.1"], "127.1"),
        (&["--name", ""], "must not be empty"),
        (&["--name", long.as_str()], "256 bytes; at most 255 are allowed"),
        (&["--name", "a", "--cluster", ""], "must not be empty"),
        (
            &["--name", "a", "--meta", meta.as_str()],
            "--meta: metadata has 513 bytes; max_meta allows 512",
        ),
        (&["--name", "a", "--probe-timeout", "5s"], "--probe-timeout: probe_timeout is 5s"),
        (&["--name", "a", "--bind", "0.0.0.0:0"], "--advertise: "),
        (
            &["--name", "a", "--bind", "127.0.0.1:0", "--state", state.as_str()],
            " has 70000 bytes; max_sync_state allows",
        ),
        (&["--name", "a", "--key", "hunter2"], "--key: a key is 32 bytes in base64"),
        (&["--name", "a", "--key-file", "/nowhere"], "cannot read /nowhere: "),
        (
            &["--name", "a", "--key-file", "/dev/null"],
            "/dev/null has no key; `tidings keygen` prints one",
        ),
        (&["--name", "a", "--key", "k", "--key-file", "f"], "cannot be used with"),
        (&["--name", "a", "--plaintext", "sent"], "--key"),
        (
            &["--name", "a", "--label", "l"],
            "--label, --delegate-protocol and --compress need --wire",
        ),
        (&["--name", "a", "--allow-network", "127.0.0.1"], "is not ADDRESS/PREFIX, as in 10.0"),
        (
            &["--name", "a", "--allow-network", "10.0.0.0/8,::/0"],
            "--allow-network: allowed_networks (10.0.0.0/8, ::/0) do not have this node's own",
        ),
        (&["--name", "a", "--record-size", "3MB"], "expected a number with the unit KiB"),
        (
            &["--name", "a", "--bind", "127.0.0.1:0", "--record", "/dev/null"],
            "--record: /dev/null ",
        ),
        (&[], "--name"),
    ] {
        let (status, said) = run(&[&["agent", "--control", "none"], more].concat());
        assert_eq!(status, Some(2), "{more:?}: {said}");
        assert!(said.contains(reason), "{more:?}: {said}");
        assert!(!said.contains("hunter2"), "secrets are not repeated: {said}");
    }
}

#[test]
fn an_agent_for_people_prints_lines_and_outlives_its_input() {
    let a = Agent::start("a", &[]);
    let mut b = tidings(&["agent", "--name", "b", "--bind", "127.0.0.1:0", "--join", &a.addr])
        .args(["--control", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(&mut b);
    let mut expected = vec![
        " INFO  b runs at 127.0.0.1:".to_owned(),
        format!("a joined at {}", a.addr),
        " INFO  joined through 1 of 1 seed; 2 members".to_owned(),
    ];
    while !expected.is_empty() {
        let line = lines.recv_timeout(LIMIT).expect("a matching line in time");
        assert_eq!((&line[4..5], &line[10..11], &line[23..25]), ("-", "T", "Z "), "{line}");
        expected.retain(|part| !line.contains(part));
    }
    a.wait_for("join", "b");
    b.kill().unwrap();
    b.wait().unwrap();
}

/// An agent that prints text lines, with its standard input and those lines.
fn text_agent(more: &[&str]) -> (Child, ChildStdin, Receiver<String>) {
    let mut agent = tidings(&["agent", "--bind", "127.0.0.1:0", "--profile", "local", "--stdin"])
        .args(["--control", "none"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, lines) = (agent.stdin.take().unwrap(), lines_of(&mut agent));
    (agent, stdin, lines)
}

#[track_caller]
fn wait_text(lines: &Receiver<String>, part: &str) -> String {
    loop {
        let line = lines.recv_timeout(LIMIT).expect("a matching line in time");
        if line.contains(part) {
            return line;
        }
    }
}

#[test]
fn text_lines_have_levels_units_and_readable_metadata() {
    let a = Agent::start("a", &["--meta", "role=db"]);
    let (mut b, mut stdin, lines) = text_agent(&["--name", "b", "--join", &a.addr]);
    let joined = wait_text(&lines, "a joined at ");
    assert!(joined.ends_with(", metadata \"role=db\""), "{joined}");
    assert_eq!(a.ask("update-meta hex:00ff")["ok"], true);
    let updated = wait_text(&lines, "a updated: now at ");
    assert!(updated.ends_with(", metadata hex:00ff"), "{updated}");
    writeln!(stdin, "help\nping a\nping nobody\nmembers").unwrap();
    wait_text(&lines, "  keyring list ");
    for part in ["2 members; local health ", "a answered, round trip ", " ERROR ping: "] {
        // The results of pings come in any order.
        writeln!(stdin, "ping a\nping nobody\nmembers").unwrap();
        wait_text(&lines, part);
    }
    writeln!(stdin, "leave").unwrap();
    wait_text(&lines, "left; 1 member confirmed it");
    a.tell("quit");
    b.kill().unwrap();
    b.wait().unwrap();
}

#[test]
fn a_key_is_written_to_a_new_file_that_others_cannot_read() {
    let file = format!("{}/out-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    drop(std::fs::remove_file(&file));
    assert_eq!(run(&["keygen", "--out", &file]), (Some(0), String::new()));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.len() == 45 && key.ends_with('\n'), "32 bytes in base64");
    let (status, said) = run(&["keygen", "--out", &file]);
    assert_eq!(status, Some(2));
    assert!(said.contains("exists already") && said.contains(&file), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
    let link = format!("{file}-link");
    drop(std::fs::remove_file(&link));
    std::os::unix::fs::symlink(format!("{file}-nowhere"), &link).unwrap();
    assert_eq!(run(&["keygen", "--out", &link]).0, Some(2), "a link is not followed");
    assert_eq!(run(&["keygen", "--out", "/nowhere/key"]).0, Some(2));
    let agent = Agent::start("a", &["--key-file", &file]);
    assert_eq!(agent.ask("keyring list")["keys"], serde_json::json!([key.trim_end()]));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let file = format!("{}/loose-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let key = keygen(&[]);
    write_secret(&file, &key);
    for mode in [0o640, 0o604, 0o644, 0o620, 0o602, 0o666] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let (status, said) = run(&["agent", "--name", "a", "--key-file", &file]);
        assert_eq!(status, Some(2), "{mode:o}: {said}");
        for part in [&format!("(mode {mode:o})"), &format!("chmod 600 {file}")] {
            assert!(said.contains(part.as_str()), "{said}");
        }
        assert!(said.contains("--insecure-key-file") && !said.contains(&key), "{said}");
    }
    drop(Agent::start("a", &["--key-file", &file, "--insecure-key-file"]));
    for mode in [0o600, 0o400, 0o700, 0o711] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        drop(Agent::start("a", &["--key-file", &file]));
    }
    let (status, _) = run(&["agent", "--name", "a", "--insecure-key-file"]);
    assert_eq!(status, Some(2), "without a key file");
}

#[test]
fn a_changed_keyring_is_written_to_its_file_as_far_as_that_is_possible() {
    let file = format!("{}/saved-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let (old, new) = (keygen(&[]), keygen(&[]));
    write_secret(&file, &old);
    let (mut a, mut stdin, lines) = text_agent(&["--name", "a", "--key-file", &file]);
    for (command, text, content) in [
        (format!("add {new}"), "key accepted from now on", format!("{old}\n{new}\n")),
        (format!("use {new}"), "this is the primary key from now on", format!("{new}\n{old}\n")),
        (format!("remove {old}"), "key removed", format!("{new}\n")),
    ] {
        writeln!(stdin, "keyring {command}").unwrap();
        let line = wait_text(&lines, text);
        assert!(line.ends_with(&format!("{text}; saved in {file}")), "{line}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A file that is gone was taken away on purpose.
    std::fs::remove_file(&file).unwrap();
    writeln!(stdin, "keyring add {old}").unwrap();
    let line = wait_text(&lines, "key accepted from now on");
    let unsaved = format!("; change {file} too, before a restart");
    assert!(line.contains("; not saved: ") && line.ends_with(&unsaved), "{line}");
    assert!(!std::fs::exists(&file).unwrap());
    a.kill().unwrap();
    a.wait().unwrap();
}

#[test]
#[cfg(unix)]
fn an_agent_without_a_reader_leaves_and_ends_with_an_error() {
    for form in [&["--json"][..], &[]] {
        let a = Agent::start("a", &[]);
        let mut b = tidings(&["agent", "--name", "b", "--bind", "127.0.0.1:0", "--join", &a.addr])
            .args(["--stdin", "--control", "none"])
            .args(form)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        a.wait_for("join", "b");
        drop(b.stdout.take());
        writeln!(b.stdin.as_ref().unwrap(), "members").unwrap();
        assert_eq!(a.wait_for("leave", "b")["node"]["state"], "left");
        let output = b.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("tidings: standard output is closed (Broken pipe"), "{error}");
        assert!(error.ends_with("); left the cluster\n"), "{error}");
    }
}
