//! Runs scenarios side by side, and says how they ended.

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

/// Something that ours and others do together, and how it should end.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What to call it.
    pub name: &'static str,
    /// What it shows.
    pub claim: &'static str,
    /// The kinds of others that it is played with, one after the other.
    pub against: &'static [Kind],
    /// Where it plays.
    pub place: Place,
    /// Plays it; panics if it does not end as it should.
    pub play: fn(&Scene, Kind),
}

/// Where a scenario plays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At addresses of the loopback interface.
    Loopback,
    /// In network namespaces, whose packets can be dropped.
    Bridge,
}

/// One scenario with one kind of others.
#[derive(Clone, Copy, Debug)]
struct Case {
    scenario: Scenario,
    against: Kind,
}

/// What the arguments ask for.
#[derive(Debug, Default)]
struct Wanted {
    list: bool,
    inside: bool,
    jobs: Option<usize>,
    filters: Vec<String>,
}

/// Plays the scenarios that the process's arguments name, or all.
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
        let played = cases[0].play_here(Network::bridge);
        print!("{}", played.as_ref().err().map_or("", String::as_str));
        return ExitCode::from(u8::from(played.is_err()));
    }
    if Kind::ours() == Kind::Tidings {
        Kind::Tidings.program();
    }
    play_all(cases, wanted.jobs.unwrap_or(JOBS))
}

/// If programs are missing: says how to get them, and whether that is a failure.
pub fn without_programs() -> Option<ExitCode> {
    let missing = programs::missing()?;
    let name = missing.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!(
        "interop: not run, since {name} is missing: crates/tidings-tests/interop/install.sh gets it"
    );
    let required = env::var("TIDINGS_INTEROP").is_ok_and(|value| value == "required");
    Some(ExitCode::from(u8::from(required)))
}

/// Plays something that is no scenario of the table, prints how it ended, and says whether well.
pub fn play_one(claim: &str, play: impl FnOnce(&Scene)) -> bool {
    keep_panics();
    let played = guarded(&Scene::new(Network::free()), play);
    println!("{:<6} {claim}", if played.is_ok() { "ok" } else { "FAILED" });
    if let Err(text) = &played {
        println!("{text}");
    }
    played.is_ok()
}

fn play_all(cases: Vec<Case>, jobs: usize) -> ExitCode {
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

    /// Plays it, and prints how it ended in one line; the error is why, with all logs.
    fn play(&self) -> Result<(), String> {
        let start = Instant::now();
        let played = match self.scenario.place {
            Place::Loopback => self.play_here(Network::free),
            Place::Bridge => self.play_inside(),
        };
        let word = if played.is_ok() { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f64();
        println!("{word:<6} {}: {}  {seconds:.1} s", self.name(), self.scenario.claim);
        played
    }

    fn play_here(&self, network: fn() -> Network) -> Result<(), String> {
        guarded(&Scene::new(network()), |scene| {
            (self.scenario.play)(scene, self.against);
            scene.nothing_unexpected_was_logged();
        })
    }

    /// Plays it in a process of its own, whose network and processes are its own.
    fn play_inside(&self) -> Result<(), String> {
        const NAMESPACES: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let (can, text) = run("unshare", &[&NAMESPACES[..], &["true"]].concat());
        if !can {
            return Err(format!("namespaces, which it needs, are to be had by root: {text}"));
        }
        let scene = Scene::new(Network::Bridge);
        let log = scene.log("inside", Writer::Tidings);
        let mut command = Command::new("unshare");
        let us = env::current_exe().map_err(|error| error.to_string())?;
        command.args(NAMESPACES).arg(us).args(["--inside", &self.name()]);
        let ended = Process::start(&command, &log).wait(INSIDE);
        let text = log.logged.read(|lines| lines.join("\n"));
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
                // What `cargo test` passes on to tests of the usual kind.
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
    /// Where this thread panicked, and why.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what panics say, so that it is told with the scenario and not in between others.
fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        let first = |kept: &RefCell<Option<String>>| *kept.borrow_mut() = Some(info.to_string());
        PANIC.with(first);
    }));
}

/// Plays it; the error is why it failed, with all logs.
fn guarded(scene: &Scene, play: impl FnOnce(&Scene)) -> Result<(), String> {
    let played = panic::catch_unwind(AssertUnwindSafe(|| play(scene)));
    played.map_err(|panic| format!("{}\n{scene}", why(&*panic)))
}

fn why(panic: &dyn Any) -> String {
    let kept = PANIC.with(|kept| kept.borrow_mut().take());
    kept.or_else(|| Some(panic.downcast_ref::<String>()?.clone())).unwrap_or_default()
}

/// So many are played at once: they mostly wait.
const JOBS: usize = 6;

/// No scenario may take longer.
const INSIDE: Duration = Duration::from_secs(240);
