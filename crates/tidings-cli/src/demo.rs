//! `tidings demo`: a small cluster on this machine; one member fails, and one leaves.

use crate::Fatal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Run five nodes on this machine, kill one, let one leave, show who noticed when
///
/// The five agents are separate processes on free ports of the loopback interface.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The time limit of the demo, in seconds; it fails if it takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    limit: u64,
    /// Record each node to a file in this directory, for `tidings replay`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// Runs the demo; succeeds only if every node reported every expected event, and no other failure.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let mut cluster = Cluster::start(Duration::from_secs(args.limit), args.record.as_deref())?;
    let all: Vec<_> = (0..NODES).collect();

    cluster.say("-- five nodes start");
    cluster.wait(|seen| all.iter().all(|&n| seen.addr(n).is_some()), "all nodes to start")?;

    cluster.say("-- n2 to n5 join n1");
    let joined = Instant::now();
    let seed = cluster.seen.addr(0).unwrap_or_default().to_owned();
    for n in 1..NODES {
        cluster.send_command(n, &format!("join {seed}"))?;
    }
    let each_sees_all = |seen: &Observations| all.iter().all(|&n| seen.all("join", n, &all));
    cluster.wait(each_sees_all, "each node to see all others")?;

    cluster.say(&format!("-- {} is killed", name(KILLED)));
    let killed = Instant::now();
    cluster.agents[KILLED].kill();
    let left_alive: Vec<_> = all.iter().copied().filter(|&n| n != KILLED).collect();
    let failed =
        |seen: &Observations| left_alive.iter().all(|&n| seen.when("dead", n, KILLED).is_some());
    cluster.wait(failed, "all other nodes to see that it failed")?;

    cluster.say(&format!("-- {} is told to leave", name(LEAVER)));
    let leaves = Instant::now();
    cluster.send_command(LEAVER, "leave")?;
    let stay: Vec<_> = left_alive.iter().copied().filter(|&n| n != LEAVER).collect();
    let left = |seen: &Observations| stay.iter().all(|&n| seen.when("left", n, LEAVER).is_some());
    cluster.wait(left, "all other nodes to see that it left")?;

    cluster.check_false_positives()?;
    println!("\n{}", table(&cluster.seen, &all, joined, killed, leaves));
    println!("All nodes saw all changes, in {:.1} s.", cluster.start.elapsed().as_secs_f64());
    cluster.agents.iter_mut().for_each(Agent::quit);
    Ok(ExitCode::SUCCESS)
}

/// The table of detection latencies: when each node saw each change.
fn table(
    seen: &Observations,
    all: &[usize],
    joined: Instant,
    killed: Instant,
    leaves: Instant,
) -> String {
    let since = |start: Instant, at: Option<Instant>| match at {
        Some(at) => format!("{} ms", at.saturating_duration_since(start).as_millis()),
        None => "-".to_owned(),
    };
    let mut text = format!(
        "node  sees all five   sees {} failed   sees {} left\n",
        name(KILLED),
        name(LEAVER)
    );
    for &n in all {
        let last = all.iter().filter_map(|&other| seen.when("join", n, other)).max();
        let (failed, left) = match n {
            KILLED => ("was killed".to_owned(), String::new()),
            LEAVER => (since(killed, seen.when("dead", n, KILLED)), "left".to_owned()),
            _ => (
                since(killed, seen.when("dead", n, KILLED)),
                since(leaves, seen.when("left", n, LEAVER)),
            ),
        };
        let row = format!("{:4}  {:>13}   {failed:>14}   {left:>12}", name(n), since(joined, last));
        text += row.trim_end();
        text += "\n";
    }
    text
}

/// The agents, and what they have reported.
struct Cluster {
    agents: Vec<Agent>,
    lines: Receiver<AgentLine>,
    seen: Observations,
    start: Instant,
    limit: Duration,
}

impl Cluster {
    fn start(limit: Duration, record: Option<&Path>) -> Result<Self, Fatal> {
        if let Some(dir) = record {
            let cannot =
                |error| Fatal::usage(format!("--record: cannot create {}: {error}", dir.display()));
            std::fs::create_dir_all(dir).map_err(cannot)?;
        }
        let program = std::env::current_exe().map_err(Fatal::failed)?;
        let (sender, lines) = channel();
        let agents = (0..NODES).map(|n| Agent::start(&program, n, record, &sender));
        let agents = agents.collect::<Result<Vec<_>, _>>().map_err(Fatal::failed)?;
        Ok(Self { agents, lines, seen: Observations::default(), start: Instant::now(), limit })
    }

    fn send_command(&mut self, n: usize, command: &str) -> Result<(), Fatal> {
        self.agents[n]
            .send_command(command)
            .map_err(|error| Fatal::failed(format!("{} reads no commands: {error}", name(n))))
    }

    /// Prints what the agents report, until `done`; `what` names the condition in an error.
    fn wait(&mut self, done: impl Fn(&Observations) -> bool, what: &str) -> Result<(), Fatal> {
        while !done(&self.seen) {
            let left = self.limit.saturating_sub(self.start.elapsed());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    let seconds = self.limit.as_secs();
                    Fatal::failed(format!(
                        "timed out while waiting for {what}; --limit allows {seconds} s in total"
                    ))
                }
                RecvTimeoutError::Disconnected => Fatal::failed("all agents have exited"),
            })?;
            self.handle(&line)?;
        }
        Ok(())
    }

    /// Prints and stores what a line reports.
    fn handle(&mut self, AgentLine { by, line, at }: &AgentLine) -> Result<(), Fatal> {
        let (by, at) = (*by, *at);
        let kind = line["ev"].as_str().unwrap_or_default();
        let node = &line["node"];
        let subject = node["name"].as_str().unwrap_or_default();
        match kind {
            "ready" => {
                let addr = format!("{}:{}", node["addr"].as_str().unwrap_or("?"), node["port"]);
                self.say(&format!("{} runs at {addr}, process {}", name(by), line["pid"]));
                self.seen.addrs.insert(by, addr);
            }
            "result" if line["ok"] == false => {
                let (command, error) = (&line["cmd"], &line["error"]);
                let error = error.as_str().unwrap_or("unknown error");
                return Err(Fatal::failed(format!("{}: {command}: {error}", name(by))));
            }
            "fatal" => {
                let error = line["error"].as_str().unwrap_or("unknown error");
                return Err(Fatal::failed(format!("{}: {error}", name(by))));
            }
            "join" | "suspect" | "alive" | "leave" => {
                let kind =
                    if kind == "leave" { node["state"].as_str().unwrap_or("?") } else { kind };
                let verb = match kind {
                    "join" => "has joined",
                    "suspect" => "is suspected",
                    "alive" => "refuted the suspicion",
                    "dead" => "failed",
                    _ => kind,
                };
                self.say(&format!("{} sees that {subject} {verb}", name(by)));
                if let Some(about) = (0..NODES).find(|&n| name(n) == subject) {
                    self.seen.events.entry((kind.to_owned(), by, about)).or_insert(at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fails if a node other than the killed one was declared failed.
    fn check_false_positives(&self) -> Result<(), Fatal> {
        let wrong = |(kind, _, about): &&(String, usize, usize)| kind == "dead" && *about != KILLED;
        match self.seen.events.keys().find(wrong) {
            Some((_, by, about)) => Err(Fatal::failed(format!(
                "false positive: {} declared {} failed, which was running",
                name(*by),
                name(*about)
            ))),
            None => Ok(()),
        }
    }

    /// Prints a line with the time since the start.
    fn say(&self, text: &str) {
        println!("{:7.3} s  {text}", self.start.elapsed().as_secs_f64());
    }
}

/// What the agents have reported so far.
#[derive(Default)]
struct Observations {
    /// The address of each node.
    addrs: BTreeMap<usize, String>,
    /// The first time of each event, by kind, observing node and subject.
    events: BTreeMap<(String, usize, usize), Instant>,
}

impl Observations {
    fn addr(&self, n: usize) -> Option<&str> {
        self.addrs.get(&n).map(String::as_str)
    }

    fn when(&self, kind: &str, by: usize, about: usize) -> Option<Instant> {
        self.events.get(&(kind.to_owned(), by, about)).copied()
    }

    /// Whether a node has seen an event of this kind about all other nodes.
    fn all(&self, kind: &str, by: usize, about: &[usize]) -> bool {
        about.iter().all(|&other| other == by || self.when(kind, by, other).is_some())
    }
}

/// A JSON line that an agent printed.
struct AgentLine {
    by: usize,
    line: Value,
    at: Instant,
}

/// An agent's process; it is killed on drop.
struct Agent {
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Agent {
    fn start(
        program: &Path,
        n: usize,
        record: Option<&Path>,
        lines: &Sender<AgentLine>,
    ) -> std::io::Result<Self> {
        let recording = |dir: &Path| dir.join(format!("{}.rec", name(n)));
        let record = record.map(|dir| [OsString::from("--record"), recording(dir).into()]);
        // Errors come as JSON, too, except those about a recording.
        let stderr = if record.is_some() { Stdio::inherit() } else { Stdio::null() };
        let arguments = ["agent", "--json", "--cluster", "demo", "--profile", "local"];
        let mut process = Command::new(program)
            .args(arguments)
            .args(["--stdin", "--control", "none"])
            .args(["--name", &name(n), "--bind", "127.0.0.1:0"])
            .args(record.into_iter().flatten())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let stdout = process.stdout.take();
        let agent = Self { stdin: process.stdin.take(), process };
        let lines = lines.clone();
        thread::Builder::new().spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                let Ok(line) = line else { return };
                let at = Instant::now();
                let Ok(line) = serde_json::from_str(&line) else {
                    continue;
                };
                if lines.send(AgentLine { by: n, line, at }).is_err() {
                    return;
                }
            }
        })?;
        Ok(agent)
    }

    fn send_command(&mut self, command: &str) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{command}")?;
        stdin.flush()
    }

    /// Lets the agent exit by itself, so that its recording is complete.
    fn quit(&mut self) {
        drop(self.send_command("quit"));
        let start = Instant::now();
        while start.elapsed() < QUIT_TIMEOUT && matches!(self.process.try_wait(), Ok(None)) {
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Kills the process, with SIGKILL on Unix.
    fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

fn name(n: usize) -> String {
    format!("n{}", n + 1)
}

const NODES: usize = 5;
/// The time that an agent has to quit before it is killed.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The index of n4, which is killed.
const KILLED: usize = 3;
/// The index of n5, which leaves.
const LEAVER: usize = 4;
