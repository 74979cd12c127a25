//! The `tidings` command: runs a node, generates keys, shows a small cluster at work, simulates
//! large ones, and replays recordings.

#[macro_use]
mod output;

mod agent;
mod client;
mod command;
mod config;
mod demo;
#[cfg(feature = "eth")]
mod eth;
mod http;
mod join;
mod key_file;
mod keys;
mod lines;
mod recording;
mod replay;
mod report;
mod runtime;
mod seeds;
mod sim;
mod wire;

#[cfg(not(unix))]
compile_error!("the tidings command needs Unix: sockets, signals, modes of files");

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Cluster membership by gossip: which nodes are in the cluster, and which have failed
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node as a service, and print its events
    #[command(after_help = agent::MORE_HELP, after_long_help = command::HELP)]
    Agent(Box<agent::Args>),
    #[command(subcommand)]
    Config(config::Args),
    /// Run five nodes on this machine, kill one, let one leave, show who noticed when
    Demo(demo::Args),
    /// Call Ethereum contracts through whichever gateway is alive
    #[cfg(feature = "eth")]
    #[command(subcommand)]
    Eth(eth::Args),
    /// Generate a key for encrypted clusters and print it
    Keygen(keys::KeygenArgs),
    /// Simulate clusters in virtual time, repeatably from a seed
    ///
    /// The simulated nodes run the same code as real ones; thousands of them fit one machine.
    #[command(subcommand)]
    Sim(sim::Args),
    /// Replay a recording: verify it, show what the node did, and explain its verdicts
    Replay(replay::Args),
    #[command(flatten)]
    Client(client::Command),
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("tidings: {error}");
        ExitCode::from(error.status)
    })
}

fn run() -> Result<ExitCode, Fatal> {
    let (cli, sources) = config::parse()?;
    match cli.command {
        Command::Agent(args) => agent::run(*args, sources.unwrap_or_default()),
        Command::Config(args) => config::run(&args),
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "eth")]
        Command::Eth(args) => eth::run(args),
        Command::Keygen(args) => keys::generate(&args),
        Command::Sim(args) => sim::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Client(command) => client::run(command),
    }
}

/// An error that ends the command, with its exit status.
#[derive(Debug)]
struct Fatal {
    message: String,
    status: u8,
}

impl Fatal {
    /// An error in the arguments or their environment: exit status 2.
    fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), status: 2 }
    }

    /// A failure while the command ran: exit status 1.
    fn failed(message: impl ToString) -> Self {
        Self { message: message.to_string(), status: 1 }
    }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
