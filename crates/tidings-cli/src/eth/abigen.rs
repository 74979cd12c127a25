//! `tidings eth abigen`: bindings from an ABI.

use super::read;
use crate::Fatal;
use std::path::PathBuf;
use std::process::ExitCode;
use tidings_eth::abi::abigen;

/// Generate Rust bindings of a contract from its ABI
///
/// The program that uses them depends on tidings-eth. `sol!(NAME, "FILE")` makes the same bindings
/// without a generated file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The ABI: JSON, as `solcjs --abi` writes it
    #[arg(long, value_name = "FILE")]
    abi: PathBuf,
    /// The name of the Rust module that has the contract's types
    #[arg(long = "type", value_name = "NAME")]
    type_name: String,
    /// The file to write; without it, the bindings are printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let bindings = abigen(&read(&args.abi)?, &args.type_name);
    let bindings =
        bindings.map_err(|error| Fatal::usage(format!("{}: {error}", args.abi.display())))?;
    let Some(out) = &args.out else {
        print!("{bindings}");
        return Ok(ExitCode::SUCCESS);
    };
    let written = std::fs::write(out, bindings);
    written.map_err(|error| Fatal::failed(format!("cannot write {}: {error}", out.display())))?;
    Ok(ExitCode::SUCCESS)
}
