//! Runs interoperability scenarios in parallel and reports their results.

use crate::logs::Writer;
use crate::process::{Process, run};
use crate::programs::{self, Kind};
use crate::{Network, Scene};
use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One interoperability test: what Tidings and other nodes do, and how it should end.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name, by which it is selected.
    pub name: &'static str,
    /// The claim that it proves.
    pub claim: &'static str,
    /// The other programs that it is run with, one after the other.
    pub against: &'static [Kind],
    /// Its network.
    pub place: Place,
    /// Runs it; panics if it fails.
    pub play: fn(&Scene, Kind),
}

/// The kind of network that a scenario needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Addresses of the loopback interface.
    Loopback,
    /// Network namespaces, between which packets can be dropped.
    Bridge,
}

/// One scenario with one other program.
#[derive(Clone, Copy, Debug)]
struct Case {
    scenario: Scenario,
    against: Kind,
}

/// The parsed command line.
#[derive(Debug, Default)]
struct Wanted {
    list: bool,
    inside: bool,
    jobs: Option<usize>,
    filters: Vec<String>,
}

/// Runs the scenarios that the process's arguments name, or all.
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    let wanted = match Wanted::parse(env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("interop: {error}");
            return ExitCode::from(2);
        }
    };
    let all = scenarios.iter().flat_map(|scenario| {
        scenario.against.iter().map(|&against| Case { scenario: *scenario, against })
    });
    let cases: Vec<_> = all.filter(|case| wanted.takes(case)).collect();
    if wanted.list {
        for case in &cases {
            println!("{}: {}", case.name(), case.scenario.claim);
        }
        return ExitCode::SUCCESS;
    }
    if cases.is_empty() {
        return ExitCode::SUCCESS;
    }
    if let Some(code) = without_programs() {
        return code;
    }
    keep_panics();
    if wanted.inside {
        let played = cases[0].run_here(Network::bridge);
        print!("{}", played.as_ref().err().map_or("", String::as_str));
        return ExitCode::from(u8::from(played.is_err()));
    }
    if Kind::ours() == Kind::Tidings {
        Kind::Tidings.program();
    }
    run_all(cases, wanted.jobs.unwrap_or(JOBS))
}

/// If programs are missing, prints how to install them; the exit code says whether that is a
/// failure.
pub fn without_programs() -> Option<ExitCode> {
    let missing = programs::missing()?;
    let name = missing.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!(
        "interop: not run: {name} is missing; crates/tidings-tests/interop/install.sh installs it"
    );
    let required = env::var("TIDINGS_INTEROP").is_ok_and(|value| value == "required");
    Some(ExitCode::from(u8::from(required)))
}

/// Runs a test that is not in the table, prints its result, and returns whether it passed.
pub fn run_one(claim: &str, play: impl FnOnce(&Scene)) -> bool {
    keep_panics();
    let played = guarded(&Scene::new(Network::free()), play);
    println!("{:<6} {claim}", if played.is_ok() { "ok" } else { "FAILED" });
    if let Err(text) = &played {
        println!("{text}");
    }
    played.is_ok()
}

fn run_all(cases: Vec<Case>, jobs: usize) -> ExitCode {
    let queue = Mutex::new(VecDeque::from(cases));
    let (passed, failed) = (Mutex::new(0), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let start = Instant::now();
    let work = || {
        while let Some(case) = next() {
            if let Err(text) = case.play() {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push((case.name(), text));
            } else {
                *passed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        }
    };
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    let passed = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, text) in &failed {
        println!("\n==== {name}\n{text}");
    }
    println!(
        "\nin {:.1} s:\n{passed} passed, {} failed",
        start.elapsed().as_secs_f64(),
        failed.len()
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}

impl Case {
    fn name(&self) -> String {
        format!("{}@{}", self.scenario.name, self.against)
    }

    /// Runs it and prints its result in one line; the error is the reason, with all logs.
    fn play(&self) -> Result<(), String> {
        let start = Instant::now();
        let played = match self.scenario.place {
            Place::Loopback => self.run_here(Network::free),
            Place::Bridge => self.run_in_namespaces(),
        };
        let word = if played.is_ok() { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f64();
        println!("{word:<6} {}: {}  {seconds:.1} s", self.name(), self.scenario.claim);
        played
    }

    fn run_here(&self, network: fn() -> Network) -> Result<(), String> {
        guarded(&Scene::new(network()), |scene| {
            (self.scenario.play)(scene, self.against);
            scene.assert_no_unexpected_warning();
        })
    }

    /// Runs it in a process with network and process namespaces of its own.
    fn run_in_namespaces(&self) -> Result<(), String> {
        const NAMESPACES: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let (can, text) = run("unshare", &[&NAMESPACES[..], &["true"]].concat());
        if !can {
            return Err(format!("network namespaces need root: {text}"));
        }
        let scene = Scene::new(Network::Bridge);
        let log = scene.log("inside", Writer::Tidings);
        let mut command = Command::new("unshare");
        let us = env::current_exe().map_err(|error| error.to_string())?;
        command.args(NAMESPACES).arg(us).args(["--inside", &self.name()]);
        let ended = Process::start(&command, &log).wait(INSIDE);
        let text = log.lines.read(|lines| lines.join("\n"));
        if ended.success() { Ok(()) } else { Err(text) }
    }
}

impl Wanted {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => wanted.list = true,
                "--inside" => wanted.inside = true,
                "--jobs" => {
                    let jobs = args.next().and_then(|jobs| jobs.parse().ok());
                    wanted.jobs =
                        Some(jobs.filter(|&jobs| jobs > 0).ok_or("--jobs takes a number")?);
                }
                // Options of the standard test harness, which `cargo test` passes on.
                "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" => {}
                option if option.starts_with('-') => {
                    return Err(format!("it takes --list, --jobs N and names, not {option}"));
                }
                _ => wanted.filters.push(arg),
            }
        }
        Ok(wanted)
    }

    fn takes(&self, case: &Case) -> bool {
        let name = case.name();
        if self.inside {
            return self.filters.contains(&name);
        }
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(&**filter))
    }
}

thread_local! {
    /// This thread's last panic: place and message.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panic messages, so that they are printed with their scenario and not among others.
fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        let first = |kept: &RefCell<Option<String>>| *kept.borrow_mut() = Some(info.to_string());
        PANIC.with(first);
    }));
}

/// Runs a test; the error is the reason of its failure, with all logs.
fn guarded(scene: &Scene, play: impl FnOnce(&Scene)) -> Result<(), String> {
    let played = panic::catch_unwind(AssertUnwindSafe(|| play(scene)));
    played.map_err(|panic| format!("{}\n{scene}", why(&*panic)))
}

fn why(panic: &dyn Any) -> String {
    let kept = PANIC.with(|kept| kept.borrow_mut().take());
    kept.or_else(|| Some(panic.downcast_ref::<String>()?.clone())).unwrap_or_default()
}

/// Scenarios that run at once by default: they mostly wait.
const JOBS: usize = 6;

/// Longest time for a scenario in namespaces.
const INSIDE: Duration = Duration::from_secs(240);
