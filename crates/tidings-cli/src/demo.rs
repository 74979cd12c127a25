//! `tidings demo`: a small cluster on this machine lives, loses a member, and lets one go.

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

/// Five agents run as processes of their own on free ports of the loopback interface.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the whole may take before it counts as failed, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    limit: u64,
    /// Have each agent record what it hears and says into this directory, for `tidings replay`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// Runs the demo; succeeds only if all that should happen was seen to happen.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let mut cluster = Cluster::start(Duration::from_secs(args.limit), args.record.as_deref())?;
    let all: Vec<_> = (0..NODES).collect();

    cluster.say("-- five nodes start");
    cluster.wait(|seen| all.iter().all(|&n| seen.addr(n).is_some()), "all nodes to run")?;

    cluster.say("-- n2 to n5 join n1");
    let joined = Instant::now();
    let seed = cluster.seen.addr(0).unwrap_or_default().to_owned();
    for n in 1..NODES {
        cluster.tell(n, &format!("join {seed}"))?;
    }
    let each_sees_all = |seen: &Seen| all.iter().all(|&n| seen.all("join", n, &all));
    cluster.wait(each_sees_all, "each node to see all others")?;

    cluster.say(&format!("-- {} is killed", name(KILLED)));
    let killed = Instant::now();
    cluster.agents[KILLED].kill();
    let left_alive: Vec<_> = all.iter().copied().filter(|&n| n != KILLED).collect();
    let failed = |seen: &Seen| left_alive.iter().all(|&n| seen.when("dead", n, KILLED).is_some());
    cluster.wait(failed, "all others to see that it failed")?;

    cluster.say(&format!("-- {} is told to leave", name(LEAVER)));
    let leaves = Instant::now();
    cluster.tell(LEAVER, "leave")?;
    let stay: Vec<_> = left_alive.iter().copied().filter(|&n| n != LEAVER).collect();
    let left = |seen: &Seen| stay.iter().all(|&n| seen.when("left", n, LEAVER).is_some());
    cluster.wait(left, "all others to see that it left")?;

    cluster.no_false_alarms()?;
    println!("\n{}", table(&cluster.seen, &all, joined, killed, leaves));
    println!("All of it was seen by all, in {:.1} s.", cluster.start.elapsed().as_secs_f64());
    cluster.agents.iter_mut().for_each(Agent::quit);
    Ok(ExitCode::SUCCESS)
}

/// Who saw what, after how many milliseconds.
fn table(seen: &Seen, all: &[usize], joined: Instant, killed: Instant, leaves: Instant) -> String {
    let since = |start: Instant, at: Option<Instant>| match at {
        Some(at) => format!("{} ms", at.saturating_duration_since(start).as_millis()),
        None => "-".to_owned(),
    };
    let mut text = format!(
        "who   sees all five   sees {} failed   sees {} left\n",
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

/// The agents, and what they said.
struct Cluster {
    agents: Vec<Agent>,
    said: Receiver<MessageSummary>,
    seen: Seen,
    start: Instant,
    limit: Duration,
}

impl Cluster {
    fn start(limit: Duration, record: Option<&Path>) -> Result<Self, Fatal> {
        if let Some(dir) = record {
            let cannot = |error| Fatal::usage(format!("{}: {error}", dir.display()));
            std::fs::create_dir_all(dir).map_err(cannot)?;
        }
        let program = std::env::current_exe().map_err(Fatal::failed)?;
        let (sender, said) = channel();
        let agents = (0..NODES).map(|n| Agent::start(&program, n, record, &sender));
        let agents = agents.collect::<Result<Vec<_>, _>>().map_err(Fatal::failed)?;
        Ok(Self { agents, said, seen: Seen::default(), start: Instant::now(), limit })
    }

    fn tell(&mut self, n: usize, command: &str) -> Result<(), Fatal> {
        self.agents[n]
            .tell(command)
            .map_err(|error| Fatal::failed(format!("{} does not take commands: {error}", name(n))))
    }

    /// Tells what happens, until it has all happened.
    fn wait(&mut self, done: impl Fn(&Seen) -> bool, what: &str) -> Result<(), Fatal> {
        while !done(&self.seen) {
            let left = self.limit.saturating_sub(self.start.elapsed());
            let said = self.said.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    Fatal::failed(format!("waited {:?} in all for {what}, in vain", self.limit))
                }
                RecvTimeoutError::Disconnected => Fatal::failed("all agents have ended"),
            })?;
            self.note(&said)?;
        }
        Ok(())
    }

    fn note(&mut self, MessageSummary { by, line, at }: &MessageSummary) -> Result<(), Fatal> {
        let (by, at) = (*by, *at);
        let kind = line["ev"].as_str().unwrap_or_default();
        let node = &line["node"];
        let subject = node["name"].as_str().unwrap_or_default();
        match kind {
            "ready" => {
                let addr = format!("{}:{}", node["addr"].as_str().unwrap_or("?"), node["port"]);
                self.say(&format!("{} runs at {addr}, as process {}", name(by), line["pid"]));
                self.seen.addrs.insert(by, addr);
            }
            "result" if line["ok"] == false => {
                let (command, error) = (&line["cmd"], &line["error"]);
                let error = error.as_str().unwrap_or("it failed");
                return Err(Fatal::failed(format!("{}: {command}: {error}", name(by))));
            }
            "fatal" => {
                let error = line["error"].as_str().unwrap_or("it failed");
                return Err(Fatal::failed(format!("{}: {error}", name(by))));
            }
            "join" | "suspect" | "alive" | "leave" => {
                let kind =
                    if kind == "leave" { node["state"].as_str().unwrap_or("?") } else { kind };
                let verb = match kind {
                    "join" => "has joined",
                    "suspect" => "is suspected",
                    "alive" => "is alive after all",
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

    /// Nobody but the one that was killed may have been held to have failed.
    fn no_false_alarms(&self) -> Result<(), Fatal> {
        let wrong = |(kind, _, about): &&(String, usize, usize)| kind == "dead" && *about != KILLED;
        match self.seen.events.keys().find(wrong) {
            Some((_, by, about)) => Err(Fatal::failed(format!(
                "{} saw {} fail, which it did not",
                name(*by),
                name(*about)
            ))),
            None => Ok(()),
        }
    }

    fn say(&self, text: &str) {
        println!("{:7.3} s  {text}", self.start.elapsed().as_secs_f64());
    }
}

/// What was seen: where each node runs; and of what kind, by whom, about whom, when first.
#[derive(Default)]
struct Seen {
    addrs: BTreeMap<usize, String>,
    events: BTreeMap<(String, usize, usize), Instant>,
}

impl Seen {
    fn addr(&self, n: usize) -> Option<&str> {
        self.addrs.get(&n).map(String::as_str)
    }

    fn when(&self, kind: &str, by: usize, about: usize) -> Option<Instant> {
        self.events.get(&(kind.to_owned(), by, about)).copied()
    }

    /// Whether one has seen this of all others.
    fn all(&self, kind: &str, by: usize, about: &[usize]) -> bool {
        about.iter().all(|&other| other == by || self.when(kind, by, other).is_some())
    }
}

/// A line that an agent printed.
struct MessageSummary {
    by: usize,
    line: Value,
    at: Instant,
}

/// One agent's process; it ends with this.
struct Agent {
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Agent {
    fn start(
        program: &Path,
        n: usize,
        record: Option<&Path>,
        said: &Sender<MessageSummary>,
    ) -> std::io::Result<Self> {
        let recording = |dir: &Path| dir.join(format!("{}.rec", name(n)));
        let record = record.map(|dir| [OsString::from("--record"), recording(dir).into()]);
        let arguments = ["agent", "--json", "--cluster", "demo", "--profile", "local"];
        let mut process = Command::new(program)
            .args(arguments)
            .args(["--name", &name(n), "--bind", "127.0.0.1:0"])
            .args(record.into_iter().flatten())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take();
        let agent = Self { stdin: process.stdin.take(), process };
        let said = said.clone();
        thread::Builder::new().spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                let Ok(line) = line else { return };
                let at = Instant::now();
                let Ok(line) = serde_json::from_str(&line) else {
                    continue;
                };
                if said.send(MessageSummary { by: n, line, at }).is_err() {
                    return;
                }
            }
        })?;
        Ok(agent)
    }

    fn tell(&mut self, command: &str) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{command}")?;
        stdin.flush()
    }

    /// Has it end by itself, so that its recording is whole.
    fn quit(&mut self) {
        drop(self.tell("quit"));
        let start = Instant::now();
        while start.elapsed() < TO_QUIT && matches!(self.process.try_wait(), Ok(None)) {
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// SIGKILL, where there are signals.
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
/// How long an agent may take to quit.
const TO_QUIT: Duration = Duration::from_secs(2);
/// n4, who is killed.
const KILLED: usize = 3;
/// n5, who leaves.
const LEAVER: usize = 4;
