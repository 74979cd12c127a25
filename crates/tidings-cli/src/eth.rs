//! `tidings eth`: calls of Ethereum contracts through whichever gateway is alive.

mod abigen;
mod call;
mod demo;
mod devnode;
mod gateway;
mod gateways;
mod member;

use crate::Fatal;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Args {
    /// Call a contract's function without a transaction, and print what it returns
    Call(Box<call::Args>),
    /// Generate Rust bindings of a contract from its ABI
    Abigen(abigen::Args),
    /// Tell a cluster where an Ethereum node is, and how far
    Gateway(Box<gateway::Args>),
    /// List the gateways of a cluster
    Gateways(Box<gateways::Args>),
    /// Call a contract on every runtime while gateways and Ethereum nodes are killed
    Demo(demo::Args),
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args {
        Args::Call(args) => call::run(&args),
        Args::Abigen(args) => abigen::run(&args),
        Args::Gateway(args) => gateway::run(*args),
        Args::Gateways(args) => gateways::run(&args),
        Args::Demo(args) => demo::run(&args),
    }
}

fn read(path: &std::path::Path) -> Result<String, Fatal> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| Fatal::usage(format!("cannot read {}: {error}", path.display())))
}
