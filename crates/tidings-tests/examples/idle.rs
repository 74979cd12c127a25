//! Measures the cost of an idle node on each runtime, all at the same time (Linux only).
//!
//! `just idle`, or with the seconds to measure: `just idle 60`. Twenty agents are one cluster; one
//! of them runs on each runtime, the others on threads. Another agent on each runtime is alone.
//! Five members serve operators, by a control socket, HTTP and the recent past in memory; the
//! example fails if that costs more than its bounds, beside five members that do nothing of it.
//! Syscalls are counted by `strace`, after the rest, because it slows down the process that it
//! traces.

use serde_json::Value;
use std::fs::{DirBuilder, read_dir, read_to_string};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, io};

const RUNTIMES: [&str; 4] = ["std", "smol", "async-std", "tokio"];
const MEMBERS: usize = 20;
/// The members whose cost is compared, with services and without.
const COMPARED: usize = 5;
/// What services may cost: times the CPU time, and KiB of memory.
const MAX_RATIO: f64 = 1.3;
const MAX_MEMORY: f64 = 4096.0;
/// Time for the cluster to settle after the joins.
const SETTLE_TIME: Duration = Duration::from_secs(40);

fn main() -> io::Result<()> {
    let seconds = env::args().nth(1).map_or(Ok(60), |text| text.parse());
    let seconds: u64 = seconds.map_err(|_| io::Error::other("it takes a number of seconds"))?;
    let none = &NO_SERVICES;
    let alone =
        RUNTIMES.map(|runtime| Agent::start(&format!("alone-{runtime}"), runtime, None, none));
    let alone: Vec<_> = alone.into_iter().collect::<io::Result<_>>()?;
    let mut agents: Vec<Agent> = Vec::new();
    for n in 0..MEMBERS {
        let runtime = RUNTIMES.get(n).copied().unwrap_or("std");
        let seed = agents.first().map(|first| first.addr.clone());
        agents.push(Agent::start(&format!("n{n}"), runtime, seed.as_deref(), none)?);
    }
    let sockets = env::temp_dir().join(format!("tidings-idle-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&sockets)?;
    for n in 0..COMPARED {
        let name = format!("served{n}");
        let control = sockets.join(n.to_string());
        let control = control.to_string_lossy();
        let services = ["--http", "127.0.0.1:0", "--control", &control];
        agents.push(Agent::start(&name, "std", Some(&agents[0].addr), &services)?);
    }
    for agent in &mut agents {
        while agent.members()? < MEMBERS + COMPARED {
            sleep(Duration::from_millis(100));
        }
    }
    // A sleep, because idle time is what is measured.
    sleep(SETTLE_TIME);
    println!("One of {} members, for {seconds} s:\n", agents.len());
    report(&agents[..RUNTIMES.len()], seconds)?;
    println!("\nA node that is alone, for {seconds} s:\n");
    report(&alone, seconds)?;
    println!("\nThe mean of {COMPARED} members without services and with all, for {seconds} s:\n");
    let outcome = compare(&agents[MEMBERS - COMPARED..MEMBERS], &agents[MEMBERS..], seconds);
    drop(agents);
    std::fs::remove_dir_all(sockets)?;
    outcome
}

/// Compares members with and without services; an error if these cost too much.
fn compare(without: &[Agent], with: &[Agent], seconds: u64) -> io::Result<()> {
    let costs = || -> io::Result<Vec<_>> { without.iter().chain(with).map(Agent::cost).collect() };
    let before = costs()?;
    sleep(Duration::from_secs(seconds));
    let after = costs()?;
    println!("| services | CPU, µs/s | ratio | private, MiB | more, MiB |");
    println!("|---|---|---|---|---|");
    let mean = |range: std::ops::Range<usize>| {
        let (before, after) = (&before[range.clone()], &after[range]);
        let count = after.len() as f64;
        let nanos = |costs: &[Cost]| costs.iter().map(|cost| cost.nanos).sum::<u64>();
        let spent = nanos(after).saturating_sub(nanos(before)) / seconds;
        let private: u64 = after.iter().map(|cost| cost.private).sum();
        (spent as f64 / 1e3 / count, private as f64 / count)
    };
    let (idle, small) = mean(0..without.len());
    let (served, large) = mean(without.len()..after.len());
    let (ratio, more) = (served / idle, large - small);
    println!("| none | {idle:.0} | 1.00 | {:.1} | |", small / 1024.0);
    println!("| all | {served:.0} | {ratio:.2} | {:.1} | {:.1} |", large / 1024.0, more / 1024.0);
    if ratio > MAX_RATIO || more > MAX_MEMORY {
        let bounds = format!("at most {MAX_RATIO} times the CPU time and {MAX_MEMORY} KiB more");
        return Err(io::Error::other(format!("services cost more than {bounds}")));
    }
    Ok(())
}

fn report(agents: &[Agent], seconds: u64) -> io::Result<()> {
    let before: Vec<_> = agents.iter().map(Agent::cost).collect::<io::Result<_>>()?;
    sleep(Duration::from_secs(seconds));
    let after: Vec<_> = agents.iter().map(Agent::cost).collect::<io::Result<_>>()?;
    let calls = agents.iter().map(|agent| agent.syscalls(seconds)).collect::<Vec<_>>();
    let calls: Vec<_> = calls.into_iter().map(Tracing::finish).collect();
    println!("| | CPU, µs/s | ratio | sleeps/s | syscalls/s | threads | RSS, MiB | private, MiB |");
    println!("|---|---|---|---|---|---|---|---|");
    let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds as f64;
    let first = per_second(after[0].nanos, before[0].nanos);
    for (n, agent) in agents.iter().enumerate() {
        let (now, then) = (&after[n], &before[n]);
        let nanos = per_second(now.nanos, then.nanos);
        println!(
            "| {} | {:.0} | {:.2} | {:.1} | {} | {} | {:.1} | {:.1} |",
            agent.runtime,
            nanos / 1e3,
            nanos / first,
            per_second(now.sleeps, then.sleeps),
            calls[n]
                .map_or_else(|| "no strace".into(), |calls| format!("{:.1}", per_second(calls, 0))),
            now.threads,
            now.resident as f64 / 1024.0,
            now.private as f64 / 1024.0,
        );
    }
    Ok(())
}

/// The options of an agent that serves no operators.
const NO_SERVICES: [&str; 4] = ["--control", "none", "--recent", "0"];

/// An agent in a process of its own, which is killed when this is dropped.
struct Agent {
    runtime: String,
    addr: String,
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

/// Resources that a process has used so far, and its memory.
struct Cost {
    nanos: u64,
    sleeps: u64,
    threads: usize,
    /// Resident memory in KiB.
    resident: u64,
    /// The part of it that is not mapped from files.
    private: u64,
}

impl Agent {
    fn start(name: &str, runtime: &str, seed: Option<&str>, services: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program()?);
        command.args(["agent", "--json", "--stdin"]).args(services);
        command.args(["--bind", "127.0.0.1:0", "--name", name]);
        command.args(["--runtime", runtime]);
        command.args(seed.iter().flat_map(|seed| ["--join", seed]));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (runtime, addr) = (runtime.into(), String::new());
        let mut agent = Self { runtime, addr, process, lines: BufReader::new(stdout) };
        let ready = agent.line(|line| line["ev"] == "ready")?;
        let node = &ready["node"];
        agent.addr = format!("{}:{}", node["addr"].as_str().unwrap_or_default(), node["port"]);
        Ok(agent)
    }

    /// The number of members that it sees.
    fn members(&mut self) -> io::Result<usize> {
        let stdin = self.process.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(b"@members members\n")?;
        let result = self.line(|line| line["id"] == "members")?;
        Ok(result["members"].as_array().map_or(0, Vec::len))
    }

    /// The next line that `such` accepts.
    fn line(&mut self, such: impl Fn(&Value) -> bool) -> io::Result<Value> {
        loop {
            let mut text = String::new();
            if self.lines.read_line(&mut text)? == 0 {
                return Err(io::Error::other("an agent has ended"));
            }
            let line = serde_json::from_str(&text)?;
            if such(&line) {
                return Ok(line);
            }
        }
    }

    fn cost(&self) -> io::Result<Cost> {
        let process = PathBuf::from(format!("/proc/{}", self.process.id()));
        let field = |status: &str, name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok())
        };
        let status = read_to_string(process.join("status"))?;
        let memory = |name| field(&status, name).unwrap_or_default();
        let (resident, private) = (memory("VmRSS:"), memory("RssAnon:"));
        let mut cost = Cost { nanos: 0, sleeps: 0, threads: 0, resident, private };
        for task in read_dir(process.join("task"))? {
            let task = task?.path();
            // A thread may have ended meanwhile.
            let spent = read_to_string(task.join("schedstat")).unwrap_or_default();
            let status = read_to_string(task.join("status")).unwrap_or_default();
            cost.nanos += field(&spent, "").unwrap_or_default();
            cost.sleeps += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
            cost.threads += 1;
        }
        Ok(cost)
    }

    /// Starts counting its syscalls, for some seconds.
    fn syscalls(&self, seconds: u64) -> Tracing {
        let mut command = Command::new("timeout");
        command.args([
            "-s",
            "INT",
            &seconds.to_string(),
            "strace",
            "-qq",
            "-f",
            "-c",
            "-U",
            "calls",
        ]);
        command.args(["-p", &self.process.id().to_string()]);
        Tracing(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A running `strace` that counts the syscalls of a process.
struct Tracing(Option<Child>);

impl Tracing {
    /// The number of syscalls; `None` if `strace` is not installed.
    fn finish(self) -> Option<u64> {
        let output = self.0?.wait_with_output().ok()?;
        let table = String::from_utf8(output.stderr).ok()?;
        let total = table.lines().find_map(|line| line.trim().strip_suffix("total"))?;
        total.trim().parse().ok()
    }
}

/// The path of the `tidings` command, built by `just idle`.
fn program() -> io::Result<PathBuf> {
    let here = env::current_exe()?;
    let folder = here.parent().and_then(|examples| examples.parent());
    let program = folder.map(|folder| folder.join("tidings")).filter(|program| program.exists());
    program.ok_or_else(|| io::Error::other("build it first: cargo build --release -p tidings-cli"))
}
