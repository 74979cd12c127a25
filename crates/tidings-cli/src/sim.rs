//! `tidings sim`: simulates clusters in virtual time.

use crate::Fatal;
use crate::wire::WireArg;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tidings_driver::prelude::NodeId;
use tidings_sim::experiment::{Experiment, report};
use tidings_sim::{
    Effort, Failure, Harness, InjectedBug, Run, Scenario, Tally, Wire, fails_same_way, id,
};

#[derive(Subcommand)]
pub(crate) enum Args {
    /// Run a scenario file and report when each failure was detected
    Run {
        /// The scenario, a TOML file
        scenario: PathBuf,
        /// Seed of all random choices; the same scenario and seed give the same run
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
        /// Record this node, such as n3, for `tidings replay`
        #[arg(long, value_name = "NODE", requires = "out")]
        record: Option<NodeId>,
        /// File for the recording
        #[arg(long, value_name = "FILE", requires = "record")]
        out: Option<PathBuf>,
        #[command(flatten)]
        bug: BugArgs,
    },
    /// Run random scenarios, one for each seed, and check every step of them
    Swarm {
        /// Seeds from A up to, but excluding, B [default: 0..500]
        #[arg(value_name = "A..B", value_parser = parse_range, conflicts_with = "seeds")]
        range: Option<Range<u64>>,
        /// The same as the argument A..B
        #[arg(long, value_name = "A..B", value_parser = parse_range)]
        seeds: Option<Range<u64>>,
        /// Number of threads [default: one for each processor]
        #[arg(long)]
        jobs: Option<usize>,
        /// Directory for the scenario of the first seed that fails, shrunk to what still fails
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// Wire format of the nodes
        #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
        wire: WireArg,
        #[command(flatten)]
        bug: BugArgs,
    },
    /// Print the random scenario that a swarm runs for a seed
    Draw {
        /// The seed
        seed: u64,
        /// Wire format of the nodes
        #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
        wire: WireArg,
    },
    /// Shrink a failing scenario to the smallest one found that fails the same way, and print it
    Shrink {
        /// The scenario, a TOML file
        scenario: PathBuf,
        /// The seed with which the scenario fails
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Maximum number of runs to spend
        #[arg(long, default_value_t = 500)]
        runs: usize,
        #[command(flatten)]
        bug: BugArgs,
    },
    /// Measure the protocol, beside published figures and theory
    Experiment {
        /// Names of experiments, or `all`; without a name, the experiments are listed
        names: Vec<String>,
        /// Directory for tables, charts and the report as one HTML page
        #[arg(long, value_name = "DIR", default_value = "experiments")]
        out: PathBuf,
        /// Run as often as narrow confidence intervals need: minutes to hours instead of seconds
        #[arg(long)]
        full: bool,
        /// Seed of all random choices
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Number of threads [default: one for each processor]
        #[arg(long)]
        jobs: Option<usize>,
    },
}

/// A bug injected on purpose, which the checks must find.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct BugArgs {
    /// Inject a bug: completes-twice, drops-timeouts, leaks-streams or forgets-tombstones
    #[arg(long, hide = true, default_value = "none", value_parser = parse_bug)]
    inject_bug: InjectedBug,
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args {
        Args::Run { scenario, seed, json, record, out, bug } => {
            run_one(&scenario, seed, json, record.zip(out), bug.inject_bug)
        }
        Args::Swarm { range, seeds, jobs, out, wire, bug } => {
            let seeds = range.or(seeds).unwrap_or(DEFAULT_SEEDS);
            swarm(&seeds, jobs, &out, wire, bug.inject_bug)
        }
        Args::Draw { seed, wire } => {
            print!("{}", Scenario::random(seed, wire_format(wire)).to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Args::Shrink { scenario, seed, runs, bug } => {
            let path = scenario;
            let scenario = read(&path)?;
            let failed = scenario.run_with(seed, bug.inject_bug);
            if failed.failure.is_none() {
                let path = path.display();
                return Err(Fatal::usage(format!("{path} does not fail with --seed {seed}")));
            }
            print!("{}", shrink(&scenario, seed, &failed, runs, bug.inject_bug).to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Args::Experiment { names, out, full, seed, jobs } => {
            let effort = if full { Effort::Full } else { Effort::Quick };
            experiment(&names, &out, effort, seed, jobs)
        }
    }
}

fn wire_format(wire: WireArg) -> Wire {
    match wire {
        WireArg::Tidings => Wire::Tidings,
        WireArg::Memberlist => Wire::Memberlist,
    }
}

fn read(path: &Path) -> Result<Scenario, Fatal> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Fatal::usage(format!("cannot read {name}: {error}")))?;
    text.parse().map_err(|error| Fatal::usage(format!("{name}, {error}")))
}

fn run_one(
    path: &Path,
    seed: u64,
    json: bool,
    record: Option<(NodeId, PathBuf)>,
    bug: InjectedBug,
) -> Result<ExitCode, Fatal> {
    let scenario = read(path)?;
    let start = Instant::now();
    let run = match record {
        Some((node, out)) => {
            let number = (0..scenario.nodes).find(|&number| id(number) == node);
            let number = number.ok_or_else(|| {
                let last = id(scenario.nodes - 1);
                Fatal::usage(format!("--record {node}: the scenario has the nodes n0 to {last}"))
            })?;
            scenario.run_recorded(seed, number, &out).map_err(|error| {
                Fatal::failed(format!("cannot record to {}: {error}", out.display()))
            })?
        }
        None => scenario.run_with(seed, bug),
    };
    let elapsed = start.elapsed();
    let result =
        if json { format!("{}\n", as_json(&run, seed)) } else { as_text(&scenario, &run, elapsed) };
    print!("{}", result);
    let Some(failure) = &run.failure else { return Ok(ExitCode::SUCCESS) };
    Err(Fatal::failed(format!(
        "{failure}\n  repeat: tidings sim run {path} --seed {seed}\n  \
         shrink: tidings sim shrink {path} --seed {seed}",
        path = path.display()
    )))
}

fn as_json(run: &Run, seed: u64) -> serde_json::Value {
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
    let detections = run.detections.iter().map(|detection| {
        json!({
            "at": detection.at.as_nanos() as f64 / 1e9,
            "node": format!("n{}", detection.node),
            "cause": detection.cause,
            "suspected": seconds(detection.suspected),
            "first": seconds(detection.first),
            "last": seconds(detection.last),
            "observers": detection.observers,
        })
    });
    json!({
        "seed": seed,
        "hash": format!("{:016x}", run.hash),
        "duration": run.duration.as_secs_f64(),
        "converged_after": seconds(run.converged_after),
        "detections": detections.collect::<Vec<_>>(),
        "tally": run.tally,
        "failure": run.failure.as_ref().map(ToString::to_string),
    })
}

fn as_text(scenario: &Scenario, run: &Run, elapsed: Duration) -> String {
    let mut text = String::new();
    if !scenario.about.is_empty() {
        text += &format!("{}\n", scenario.about);
    }
    let (nodes, virtual_time) = (counted(scenario.nodes, "node"), run.duration.as_secs_f64());
    let elapsed = elapsed.as_secs_f64();
    text +=
        &format!("{nodes} for {virtual_time:.1} virtual seconds, simulated in {elapsed:.2} s\n\n");
    for detection in &run.detections {
        text += &format!("{detection}\n");
    }
    if !run.detections.is_empty() {
        text += "\n";
    }
    text += &format!("{}\n", tally_text(&run.tally));
    if let Some(converged) = run.converged_after {
        let converged = converged.as_secs_f64();
        text += &format!("all nodes agreed {converged:.1} s after the last fault ended\n");
    }
    text + &format!("hash of the history: {:016x}\n", run.hash)
}

/// `1 node`, `2 nodes`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// All counters that are not zero, three to a line.
fn tally_text(tally: &Tally) -> String {
    let counts = tally.counts().filter(|&(_, count)| count > 0);
    let counts: Vec<_> =
        counts.map(|(name, count)| format!("{:21} {count:>9}", name.replace('_', " "))).collect();
    counts.chunks(3).map(|row| row.join("   ") + "\n").collect()
}

fn swarm(
    seeds: &Range<u64>,
    jobs: Option<usize>,
    out: &Path,
    wire: WireArg,
    bug: InjectedBug,
) -> Result<ExitCode, Fatal> {
    let harness = harness(jobs, Effort::Quick, 0);
    let all: Vec<_> = seeds.clone().collect();
    let start = Instant::now();
    let random = |seed| Scenario::random(seed, wire_format(wire));
    let runs = harness.map("seeds", &all, |&seed| random(seed).run_with(seed, bug));
    let (mut total, mut unobserved, mut slowest) = (Tally::default(), 0, (Duration::ZERO, 0));
    let mut failed = Vec::new();
    for (&seed, run) in all.iter().zip(&runs) {
        total.add(&run.tally);
        slowest = slowest.max((run.converged_after.unwrap_or_default(), seed));
        match &run.failure {
            Some(Failure::NothingObserved) => unobserved += 1,
            Some(failure) => failed.push((seed, failure, run)),
            None => {}
        }
    }
    let mut text = format!("{}\n", tally_text(&total));
    let (elapsed, seeds) = (start.elapsed().as_secs_f64(), counted(all.len(), "seed"));
    let (slowest, slowest_seed) = (slowest.0.as_secs_f64(), slowest.1);
    text += &format!("{seeds} in {elapsed:.1} s: {} failed\n", failed.len());
    text += &format!("slowest convergence: {slowest:.1} s, with seed {slowest_seed}\n");
    if unobserved > 0 {
        text += &format!(
            "{} had no event other than joins and tested little; that is not a failure\n",
            counted(unobserved, "run")
        );
    }
    let Some(&(seed, _, run)) = failed.first() else {
        print!("{}", text);
        return all_exercised(&all, &total);
    };
    let option = if wire == WireArg::Memberlist { " --wire memberlist" } else { "" };
    for (seed, failure, _) in &failed {
        let next = seed + 1;
        write!(
            text,
            "\nseed {seed}: {failure}\n  repeat: tidings sim swarm {seed}..{next}{option}\n"
        )
        .expect("writing to a string succeeds");
    }
    print!("{}", text);
    let small = shrink(&random(seed), seed, run, SHRINK_RUNS, bug);
    let path = out.join(format!("swarm-{seed}.toml"));
    let cannot_write = |error| Fatal::failed(format!("cannot write {}: {error}", path.display()));
    fs::create_dir_all(out).map_err(cannot_write)?;
    fs::write(&path, small.to_toml()).map_err(cannot_write)?;
    let (steps, path) = (counted(small.steps.len(), "step"), path.display());
    Err(Fatal::failed(format!(
        "{} of {seeds} failed\n  seed {seed}, shrunk to {steps}: \
         tidings sim run {path} --seed {seed}",
        failed.len(),
    )))
}

/// Fails if a large swarm left a counter at zero: it then checked less than it seems to.
fn all_exercised(seeds: &[u64], total: &Tally) -> Result<ExitCode, Fatal> {
    let never: Vec<_> =
        total.counts().filter(|&(_, count)| count == 0).map(|(name, _)| name).collect();
    if seeds.len() < EXERCISING_SEEDS || never.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Fatal::failed(format!("no seed failed, but these never occurred: {}", never.join(", "))))
}

fn shrink(scenario: &Scenario, seed: u64, failed: &Run, runs: usize, bug: InjectedBug) -> Scenario {
    let bar = bar(runs as u64);
    bar.set_message("shrinking");
    let small = scenario.shrink(runs, |candidate| {
        bar.inc(1);
        fails_same_way(&candidate.run_with(seed, bug), failed)
    });
    bar.finish_and_clear();
    small
}

fn experiment(
    names: &[String],
    out: &Path,
    effort: Effort,
    seed: u64,
    jobs: Option<usize>,
) -> Result<ExitCode, Fatal> {
    if names.is_empty() {
        let line =
            |experiment: &Experiment| format!("{:28} {}\n", experiment.name, experiment.about);
        print!("{}", Experiment::all().iter().map(line).collect::<String>());
        return Ok(ExitCode::SUCCESS);
    }
    let experiments = if names == ["all"] {
        Experiment::all().iter().collect()
    } else {
        let named = names.iter().map(|name| {
            Experiment::named(name).ok_or_else(|| {
                Fatal::usage(format!(
                    "there is no experiment {name}; `tidings sim experiment` lists them"
                ))
            })
        });
        named.collect::<Result<Vec<_>, _>>()?
    };
    let harness = harness(jobs, effort, seed);
    let sections = experiments.into_iter().map(|experiment| {
        let (start, section) = (Instant::now(), experiment.run(&harness));
        eprintln!("{}: {:.1} s", experiment.name, start.elapsed().as_secs_f64());
        section
    });
    let report = report(sections.collect());
    println!("{}", report.markdown(""));
    let written = report
        .write(out)
        .map_err(|error| Fatal::failed(format!("cannot write to {}: {error}", out.display())))?;
    for path in written {
        eprintln!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A harness that shows a progress bar on a terminal.
fn harness(jobs: Option<usize>, effort: Effort, seed: u64) -> Harness {
    let jobs = jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let bar = bar(0);
    Harness::new(jobs, effort, seed).with_progress(move |progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.task.to_owned());
        if progress.done == progress.total {
            bar.finish_and_clear();
            bar.reset();
        }
    })
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    ProgressBar::new(length).with_style(style.expect("a test parses the template"))
}

/// Parses `A..B`.
fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(number(from)?..number(to)?));
    let range = range.filter(|range| !range.is_empty());
    range.ok_or_else(|| "expected A..B, two numbers of which A is lower, such as 0..100".into())
}

fn parse_bug(name: &str) -> Result<InjectedBug, String> {
    Ok(match name {
        "none" => InjectedBug::None,
        "completes-twice" => InjectedBug::CompletesTwice,
        "drops-timeouts" => InjectedBug::DropsTimeouts,
        "leaks-streams" => InjectedBug::LeaksStreams,
        "forgets-tombstones" => InjectedBug::ForgetsTombstones,
        _ => {
            return Err("expected one of none, completes-twice, drops-timeouts, leaks-streams, \
                         forgets-tombstones"
                .into());
        }
    })
}

const DEFAULT_SEEDS: Range<u64> = 0..500;
/// Number of runs that a swarm spends on shrinking the first scenario that fails.
const SHRINK_RUNS: usize = 300;
/// Number of seeds from which on a swarm must make every counter of the tally move.
const EXERCISING_SEEDS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    mod arguments {
        use super::*;

        #[test]
        fn the_bar_has_a_form_and_ranges_are_not_empty() {
            bar(3).finish_and_clear();
            assert_eq!(parse_range("3..5"), Ok(3..5));
            for wrong in ["5..3", "3", "a..b", "3..3"] {
                assert!(parse_range(wrong).is_err());
            }
        }

        #[test]
        fn a_swarm_takes_its_seeds_as_an_argument_or_as_an_option_but_not_as_both() {
            use clap::Parser;

            #[derive(Parser)]
            struct Sim {
                #[command(subcommand)]
                args: Args,
            }

            let seeds = |words: &[&str]| {
                let words = [&["sim", "swarm"], words].concat();
                match Sim::try_parse_from(words)?.args {
                    Args::Swarm { range, seeds, .. } => Ok(range.or(seeds)),
                    _ => unreachable!("it is a swarm"),
                }
            };
            assert_eq!(seeds(&["0..40"]).unwrap(), Some(0..40));
            assert_eq!(seeds(&["--seeds", "0..40"]).unwrap(), Some(0..40));
            assert_eq!(seeds(&[]).unwrap(), None);
            let both: Result<_, clap::Error> = seeds(&["0..40", "--seeds", "0..40"]);
            assert!(both.is_err());
        }
    }

    mod messages {
        use super::*;

        #[test]
        fn plurals_agree() {
            assert_eq!(counted(1, "seed"), "1 seed");
            assert_eq!([0, 2].map(|count| counted(count, "seed")), ["0 seeds", "2 seeds"]);
        }
    }
}
