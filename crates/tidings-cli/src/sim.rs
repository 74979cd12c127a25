//! `tidings sim`: clusters in virtual time.

use crate::Fatal;
use crate::wire::WireArg;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tidings_driver::prelude::NodeId;
use tidings_sim::experiment::{Experiment, report};
use tidings_sim::{Effort, Failure, Lab, Mischief, Run, Scenario, Tally, Wire, fails_alike, id};

#[derive(Subcommand)]
pub(crate) enum Args {
    /// Live through a scenario that is written in a file, and tell what came of it
    Run {
        /// The scenario, in TOML
        scenario: PathBuf,
        /// Where random choices begin; the same seed gives the same run
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Print JSON, one object
        #[arg(long)]
        json: bool,
        /// A node that is recorded, for `tidings replay`
        #[arg(long, value_name = "NODE", requires = "out")]
        record: Option<NodeId>,
        /// Where to
        #[arg(long, value_name = "FILE", requires = "record")]
        out: Option<PathBuf>,
        #[command(flatten)]
        wrong: Wrong,
    },
    /// Live through scenarios that are drawn at random, one for each seed
    Swarm {
        /// The seeds: from the first up to and without the second
        #[arg(long, value_name = "A..B", default_value = "0..500", value_parser = parse_range)]
        seeds: Range<u64>,
        /// How many threads; as many as there are processors, unless set
        #[arg(long)]
        jobs: Option<usize>,
        /// Where to write the scenario of the first seed that fails, cut down to what it takes
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// In which wire format the nodes speak
        #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
        wire: WireArg,
        #[command(flatten)]
        wrong: Wrong,
    },
    /// Print the scenario that a swarm draws for a seed
    Draw {
        /// The seed
        seed: u64,
        /// In which wire format the nodes speak
        #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
        wire: WireArg,
    },
    /// Cut a scenario that fails down to what it takes to fail, and print it
    Shrink {
        /// The scenario, in TOML
        scenario: PathBuf,
        /// The seed with which it fails
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many runs to try
        #[arg(long, default_value_t = 500)]
        runs: usize,
        #[command(flatten)]
        wrong: Wrong,
    },
    /// Measure how good the protocol is, beside what was published and what theory says
    Experiment {
        /// Which experiments, or `all`; without any, they are listed
        names: Vec<String>,
        /// Where to write tables, plots and the report as one HTML page
        #[arg(long, value_name = "DIR", default_value = "experiments")]
        out: PathBuf,
        /// As much work as gives narrow intervals: minutes to hours, where else it is seconds
        #[arg(long)]
        full: bool,
        /// Where random choices begin
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many threads; as many as there are processors, unless set
        #[arg(long)]
        jobs: Option<usize>,
    },
}

/// For trying out the checks: something is wrong on purpose.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Wrong {
    /// Have something be wrong on purpose: ends-twice, forgets-time, never-closes, forgets-the-dead
    #[arg(long, hide = true, default_value = "none", value_parser = parse_mischief)]
    mischief: Mischief,
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args {
        Args::Run { scenario, seed, json, record, out, wrong } => {
            let record = record.zip(out);
            run_one(&scenario, seed, json, record, wrong)
        }
        Args::Swarm { seeds, jobs, out, wire, wrong } => {
            swarm(&seeds, jobs, &out, spoken(wire), wrong)
        }
        Args::Draw { seed, wire } => {
            print!("{}", Scenario::drawn(seed, spoken(wire)).to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Args::Shrink { scenario, seed, runs, wrong } => {
            let scenario = read(&scenario)?;
            let failed = scenario.run_with(seed, wrong.mischief);
            if failed.failure.is_none() {
                return Err(Fatal::usage(format!("the scenario does not fail with seed {seed}")));
            }
            print!("{}", shrink(&scenario, seed, &failed, runs, wrong).to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Args::Experiment { names, out, full, seed, jobs } => {
            let effort = if full { Effort::Full } else { Effort::Quick };
            experiment(&names, &out, effort, seed, jobs)
        }
    }
}

fn spoken(wire: WireArg) -> Wire {
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
    wrong: Wrong,
) -> Result<ExitCode, Fatal> {
    let scenario = read(path)?;
    let start = Instant::now();
    let run = match record {
        Some((node, out)) => {
            let number = (0..scenario.nodes).find(|&number| id(number) == node);
            let number = number.ok_or_else(|| {
                let last = id(scenario.nodes - 1);
                Fatal::usage(format!("there is no node {node}; they are n0 to {last}"))
            })?;
            scenario.run_recorded(seed, number, &out).map_err(Fatal::failed)?
        }
        None => scenario.run_with(seed, wrong.mischief),
    };
    let took = start.elapsed();
    if json {
        println!("{}", as_json(&run, seed));
    } else {
        tell(&scenario, &run, took);
    }
    let Some(failure) = &run.failure else { return Ok(ExitCode::SUCCESS) };
    Err(Fatal::failed(format!(
        "{failure}\n  once more: tidings sim run {path} --seed {seed}\n  \
         cut down:  tidings sim shrink {path} --seed {seed}",
        path = path.display()
    )))
}

fn as_json(run: &Run, seed: u64) -> serde_json::Value {
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
    let incidents = run.incidents.iter().map(|incident| {
        json!({
            "at": incident.at.as_nanos() as f64 / 1e9,
            "node": format!("n{}", incident.node),
            "what": incident.what,
            "suspected": seconds(incident.suspected),
            "first": seconds(incident.first),
            "last": seconds(incident.last),
            "by": incident.by,
        })
    });
    json!({
        "seed": seed,
        "hash": format!("{:016x}", run.hash),
        "lasted": run.lasted.as_secs_f64(),
        "agreed_after": seconds(run.agreed_after),
        "incidents": incidents.collect::<Vec<_>>(),
        "tally": run.tally,
        "failure": run.failure.as_ref().map(ToString::to_string),
    })
}

fn tell(scenario: &Scenario, run: &Run, took: Duration) {
    if !scenario.about.is_empty() {
        println!("{}", scenario.about);
    }
    let (nodes, lasted) = (scenario.nodes, run.lasted.as_secs_f64());
    println!("{nodes} nodes lived through {lasted:.1} s, in {:.2} s\n", took.as_secs_f64());
    for incident in &run.incidents {
        println!("{incident}");
    }
    if !run.incidents.is_empty() {
        println!();
    }
    println!("{}", counted(&run.tally));
    if let Some(agreed) = run.agreed_after {
        println!("all agreed {:.1} s after the calm began", agreed.as_secs_f64());
    }
    println!("hash of the history: {:016x}", run.hash);
}

/// What was counted and is not nothing, three to a line.
fn counted(tally: &Tally) -> String {
    let counts = tally.counts().filter(|&(_, count)| count > 0);
    let counts: Vec<_> =
        counts.map(|(name, count)| format!("{:23} {count:>9}", name.replace('_', " "))).collect();
    counts.chunks(3).map(|row| row.join("   ") + "\n").collect()
}

fn swarm(
    seeds: &Range<u64>,
    jobs: Option<usize>,
    out: &Path,
    wire: Wire,
    wrong: Wrong,
) -> Result<ExitCode, Fatal> {
    let lab = lab(jobs, Effort::Quick, 0);
    let all: Vec<_> = seeds.clone().collect();
    let start = Instant::now();
    let runs =
        lab.map("seeds", &all, |&seed| Scenario::drawn(seed, wire).run_with(seed, wrong.mischief));
    let (mut seen, mut idle, mut slowest) = (Tally::default(), 0, (Duration::ZERO, 0));
    let mut failed = Vec::new();
    for (&seed, run) in all.iter().zip(&runs) {
        seen.add(&run.tally);
        slowest = slowest.max((run.agreed_after.unwrap_or_default(), seed));
        match &run.failure {
            Some(Failure::Idle) => idle += 1,
            Some(failure) => failed.push((seed, failure, run)),
            None => {}
        }
    }
    println!("{}", counted(&seen));
    println!(
        "{} seeds in {:.1} s; in {idle} of them nobody noticed anything; \
         the slowest agreement took {:.1} s, in seed {}",
        all.len(),
        start.elapsed().as_secs_f64(),
        slowest.0.as_secs_f64(),
        slowest.1
    );
    let Some(&(seed, _, run)) = failed.first() else { return exercised(&all, &seen) };
    for (seed, failure, _) in &failed {
        println!("\nseed {seed}: {failure}");
        println!("  once more: tidings sim swarm --seeds {seed}..{}", seed + 1);
    }
    let small = shrink(&Scenario::drawn(seed, wire), seed, run, SHRINK_RUNS, wrong);
    let path = out.join(format!("swarm-{seed}.toml"));
    fs::create_dir_all(out).map_err(Fatal::failed)?;
    fs::write(&path, small.to_toml()).map_err(Fatal::failed)?;
    let (steps, path) = (small.steps.len(), path.display());
    Err(Fatal::failed(format!(
        "{} of {} seeds failed\n  seed {seed}, cut down to {steps} steps: \
         tidings sim run {path} --seed {seed}",
        failed.len(),
        all.len()
    )))
}

/// A swarm that has not seen everything happen shows less than it seems to.
fn exercised(seeds: &[u64], seen: &Tally) -> Result<ExitCode, Fatal> {
    let never: Vec<_> =
        seen.counts().filter(|&(_, count)| count == 0).map(|(name, _)| name).collect();
    if seeds.len() < ENOUGH || never.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Fatal::failed(format!("nothing went wrong, but it was not seen: {}", never.join(", "))))
}

fn shrink(scenario: &Scenario, seed: u64, failed: &Run, runs: usize, wrong: Wrong) -> Scenario {
    let bar = bar(runs as u64);
    bar.set_message("cutting down");
    let small = scenario.shrunk(runs, |candidate| {
        bar.inc(1);
        fails_alike(&candidate.run_with(seed, wrong.mischief), failed)
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
        for Experiment { name, about, .. } in Experiment::all() {
            println!("{name:28} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let experiments = if names == ["all"] {
        Experiment::all().iter().collect()
    } else {
        let named = names.iter().map(|name| {
            Experiment::named(name).ok_or_else(|| {
                Fatal::usage(format!("no experiment {name:?}; without a name they are listed"))
            })
        });
        named.collect::<Result<Vec<_>, _>>()?
    };
    let lab = lab(jobs, effort, seed);
    let sections = experiments.into_iter().map(|experiment| {
        let (start, section) = (Instant::now(), experiment.run(&lab));
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

/// A laboratory that shows how far it is, where somebody watches.
fn lab(jobs: Option<usize>, effort: Effort, seed: u64) -> Lab {
    let jobs = jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let bar = bar(0);
    Lab::new(jobs, effort, seed).watched(move |progress| {
        bar.set_length(progress.of as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.what.to_owned());
        if progress.done == progress.of {
            bar.finish_and_clear();
            bar.reset();
        }
    })
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    ProgressBar::new(length).with_style(style.expect("a test says that it is one"))
}

/// `A..B`
fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(number(from)?..number(to)?));
    let range = range.filter(|range| !range.is_empty());
    range.ok_or_else(|| "it takes two numbers, like 0..100, and the first is the lower one".into())
}

fn parse_mischief(name: &str) -> Result<Mischief, String> {
    Ok(match name {
        "none" => Mischief::None,
        "ends-twice" => Mischief::EndsTwice,
        "forgets-time" => Mischief::ForgetsTime,
        "never-closes" => Mischief::NeverCloses,
        "forgets-the-dead" => Mischief::ForgetsTheDead,
        _ => return Err("there is none of that name".into()),
    })
}

/// How many runs are spent on cutting a scenario down.
const SHRINK_RUNS: usize = 300;
/// How many seeds have to show everything at least once.
const ENOUGH: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_form_and_ranges_are_not_empty() {
        bar(3).finish_and_clear();
        assert_eq!(parse_range("3..5"), Ok(3..5));
        for wrong in ["5..3", "3", "a..b", "3..3"] {
            assert!(parse_range(wrong).is_err());
        }
    }
}
