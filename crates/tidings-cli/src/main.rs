//! The `tidings` command: run a node, make a key, watch a small cluster live and die, or
//! simulate a large one.

mod agent;
mod command;
mod demo;
mod keys;
mod replay;
mod report;
mod runtime;
mod sim;
mod wire;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Cluster membership by gossip: which nodes are in the cluster, and which have failed.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node; print what happens, and take commands on standard input
    #[command(after_long_help = command::HELP)]
    Agent(Box<agent::Args>),
    /// Start five nodes on this machine, kill one, have one leave, and show who saw what
    Demo(demo::Args),
    /// Print a new key, for agents that encrypt what they send
    Keygen(keys::KeygenArgs),
    /// Simulate clusters in virtual time: thousands of real nodes, repeatable from one seed
    #[command(subcommand)]
    Sim(sim::Args),
    /// Run a recorded node again: verify what it did, show it, and say why
    Replay(replay::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Agent(args) => agent::run(*args),
        Command::Demo(args) => demo::run(&args),
        Command::Keygen(args) => keys::generate(&args),
        Command::Sim(args) => sim::run(args),
        Command::Replay(args) => replay::run(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("tidings: {error}");
        ExitCode::from(error.status)
    })
}

/// Why the command ends early, and with which exit status.
#[derive(Debug)]
struct Fatal {
    message: String,
    status: u8,
}

impl Fatal {
    /// What was asked for cannot be done: exit status 2.
    fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), status: 2 }
    }

    /// Something did not happen that should have: exit status 1.
    fn failed(message: impl ToString) -> Self {
        Self { message: message.to_string(), status: 1 }
    }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
