//! `tidings eth`: calls of Ethereum contracts, and bindings for them.

mod abigen;
mod call;

use crate::Fatal;
use clap::Subcommand;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Generate Rust bindings of a contract from its ABI
    Abigen(abigen::Args),
    /// Call a contract's function without a transaction, and print what it returns
    Call(call::Args),
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args {
        Args::Abigen(args) => abigen::run(&args),
        Args::Call(args) => call::run(&args),
    }
}

fn read(path: &Path) -> Result<String, Fatal> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| Fatal::usage(format!("cannot read {}: {error}", path.display())))
}
