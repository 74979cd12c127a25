//! A split of a cluster in two, as operators see it.

use crate::agents::{LIMIT, get};
use crate::deploy::prometheus;
use crate::scraped::{Prometheus, is_firing};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// The time in which a split has to be seen.
const BOUND: Duration = Duration::from_secs(30);

/// In the environment of the process that plays the split, in namespaces of its own.
const INSIDE: &str = "TIDINGS_SPLIT_INSIDE";

const NAMESPACES: [&str; 6] =
    ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

#[test]
fn a_split_of_six_agents_is_seen_by_command_by_metrics_and_by_the_alert_within_30_seconds() {
    let Some(program) = prometheus("prometheus") else { return };
    if env::var_os(INSIDE).is_some() {
        return play(program);
    }
    let can = Command::new("unshare").args(NAMESPACES).arg("true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        let help = "network namespaces need root";
        assert!(env::var("TIDINGS_DEPLOY").as_deref() != Ok("required"), "{help}");
        return eprintln!("skipped: {help}");
    }
    let dir = env::temp_dir().join(format!("tidings-split-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let name = thread::current().name().unwrap().to_owned();
    let inside = Command::new("unshare")
        .args(NAMESPACES)
        .arg(env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(INSIDE, "1")
        .env("TMPDIR", &dir)
        .output()
        .unwrap();
    fs::remove_dir_all(&dir).unwrap();
    let [out, err] =
        [inside.stdout, inside.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    println!("{out}");
    assert!(inside.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// An agent with the default timing, in one of two networks.
struct Agent {
    _process: Child,
    http: SocketAddr,
    socket: PathBuf,
}

impl Agent {
    fn start(space: u8, number: u16) -> Self {
        let host = format!("10.98.{space}.2");
        let socket = env::temp_dir().join(format!("{number}.sock"));
        let http = format!("{host}:{}", 7980 + number);
        let process = Command::new("ip")
            .args(["netns", "exec", &format!("n{space}")])
            .arg(tidings_tests::tidings())
            .args(["agent", "--name", &format!("n{number}"), "--remote-commands", "look"])
            .args(["--bind", &format!("{host}:{}", 7946 + number), "--http", &http])
            .args(["--join", "10.98.1.2:7946", "--retry-join", "20s"])
            .arg("--control")
            .arg(&socket)
            .env_remove("TIDINGS_SEEDS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { _process: process, http: http.parse().unwrap(), socket }
    }

    fn metric(&self, name: &str) -> Option<String> {
        let metrics = get(self.http, "/metrics", "*/*")?;
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }
}

fn members_from_all(socket: &Path) -> Output {
    let mut command = Command::new(tidings_tests::tidings());
    command.args(["members", "--from", "all"]).env("TIDINGS_CONTROL", socket).output().unwrap()
}

/// How many agents have each digest, the most frequent first.
fn views(agents: &[Agent]) -> Vec<usize> {
    let mut views = BTreeMap::new();
    for agent in agents {
        *views.entry(agent.metric("tidings_membership_digest")).or_insert(0) += 1;
    }
    let mut views: Vec<_> = views.into_values().collect();
    views.sort_unstable_by(|a, b| b.cmp(a));
    views
}

/// Two networks, with this process between them; what monitors a cluster reaches all of it.
fn connect() {
    let run = |line: &str| {
        let mut words = line.split(' ');
        let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
        assert!(status.success(), "{line}");
    };
    run("mount -t tmpfs none /run");
    fs::create_dir("/run/netns").unwrap();
    run("ip link set lo up");
    for n in 1..=2 {
        run(&format!("ip netns add n{n}"));
        run(&format!("ip link add port{n} type veth peer name eth0 netns n{n}"));
        run(&format!("ip addr add 10.98.{n}.1/24 dev port{n}"));
        run(&format!("ip link set port{n} up"));
        run(&format!("ip -n n{n} addr add 10.98.{n}.2/24 dev eth0"));
        run(&format!("ip -n n{n} link set eth0 up"));
        run(&format!("ip -n n{n} link set lo up"));
        run(&format!("ip -n n{n} route add default via 10.98.{n}.1"));
    }
    forward(true);
}

/// Whether packets pass from one network to the other.
fn forward(passes: bool) {
    fs::write("/proc/sys/net/ipv4/ip_forward", if passes { "1" } else { "0" }).unwrap();
}

#[track_caller]
fn wait(what: &str, such: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !such() {
        assert!(start.elapsed() < 3 * LIMIT, "{what}");
        thread::park_timeout(Duration::from_millis(100));
    }
    start.elapsed()
}

fn play(program: PathBuf) {
    connect();
    let agents: Vec<_> =
        (0..6).map(|number| Agent::start(1 + u8::from(number >= 3), number)).collect();
    let alive = r#"tidings_members{state="alive"}"#;
    let is_whole = || {
        agents.iter().all(|agent| agent.metric(alive).as_deref() == Some("6"))
            && views(&agents) == [6]
    };
    wait("six members", is_whole);
    // As docs/OPERATIONS.md has it.
    let addrs: Vec<_> = agents.iter().map(|agent| agent.http).collect();
    let prometheus = Prometheus::start(program, &addrs, "5s");
    let query = "/api/v1/query?query=count(tidings_membership_digest%20offset%206s)";
    prometheus.wait(query, |data| data["result"][0]["value"][1] == "6");
    let sockets = [&agents[0].socket, &agents[5].socket];
    for socket in sockets {
        let output = members_from_all(socket);
        assert!(output.status.success(), "{output:?}");
    }
    let alert = |data: &_| is_firing(data, "TidingsViewsDiverge");
    prometheus.wait("/api/v1/alerts", |data| data["alerts"].is_array() && !alert(data));

    forward(false);
    let start = Instant::now();
    let (commands, seen) = channel();
    for socket in sockets {
        let (commands, socket) = (commands.clone(), socket.clone());
        thread::spawn(move || {
            while members_from_all(&socket).status.success() {}
            _ = commands.send(start.elapsed());
        });
    }
    wait("two views", || views(&agents) == [3, 3]);
    let by_metrics = start.elapsed();
    prometheus.wait("/api/v1/alerts", alert);
    let by_alert = start.elapsed();
    let by_command = [(); 2].map(|()| seen.recv_timeout(LIMIT).unwrap());
    println!("seen by metrics after {by_metrics:?}, commands {by_command:?}, alert {by_alert:?}");
    for took in [by_metrics, by_command[0], by_command[1], by_alert] {
        assert!(took < BOUND, "{took:?}");
    }
    // Each side by itself knows that the other is not asked.
    for (socket, others) in sockets.into_iter().zip([["n3", "n4", "n5"], ["n0", "n1", "n2"]]) {
        let output = members_from_all(socket);
        let table = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{table}");
        for name in others {
            let row = table.lines().find(|line| line.contains(name)).unwrap_or_default();
            assert!(row.contains("failed; it is not asked"), "{table}");
        }
    }

    forward(true);
    let took = wait("one cluster again", is_whole);
    println!("one cluster again after {took:?}");
    prometheus.wait("/api/v1/alerts", |data| !alert(data));
}
