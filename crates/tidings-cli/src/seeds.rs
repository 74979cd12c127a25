//! The flags of an agent for sources of seeds, and for what it remembers from one run to the next.

use crate::Fatal;
use crate::agent::duration;
use clap::ValueEnum;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tidings_control::file_stem;
use tidings_driver::prelude::{DriverConfig, NodeId, OnNameTaken, SeedSource, services};

/// Sources of seeds, snapshot, and names that are taken.
#[derive(clap::Args)]
pub(crate) struct SeedArgs {
    /// A source of seeds, which the agent tries for as long as it runs; repeat it for further ones
    ///
    /// `HOST[:PORT]`, all addresses of which are tried; `dns:HOST[:PORT]`, the same; `file:PATH`,
    /// a file with a `HOST[:PORT]` on each line, read again when it changes; `exec:COMMAND`, a
    /// command that prints such lines; `srv:NAME`, SRV records. Sources of the environment variable
    /// TIDINGS_SEEDS, with commas between them, are added. PORT defaults to the port of --bind
    #[arg(long = "seed", value_name = "SOURCE", value_delimiter = ',')]
    seeds: Vec<String>,
    /// How often sources are looked up again, give or take a quarter
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = duration,
        hide_short_help = true
    )]
    seed_refresh: Duration,
    /// Remember the members that the node knew in this directory, as NAME.snapshot
    ///
    /// After a restart the agent tries them beside its seeds. The directory is made if it is not
    /// there
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Try the members of the snapshot also if the agent left the cluster on purpose
    #[arg(long, hide_short_help = true)]
    rejoin: bool,
    /// What to do if another node that lives has this name
    #[arg(long, value_enum, default_value_t = Policy::Refuse, hide_short_help = true)]
    on_name_taken: Policy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// End with status 1
    Refuse,
    /// Take the name: the node that started later has it
    Contest,
}

impl SeedArgs {
    /// The settings of a node with this name; `port` is that of seeds without one.
    pub(crate) fn settings(&self, name: &NodeId, port: u16) -> Result<DriverConfig, Fatal> {
        let config = DriverConfig::new()
            .seeds(self.sources(port)?)
            .seed_refresh(self.seed_refresh)
            .rejoin_after_leave(self.rejoin);
        let Some(dir) = &self.data_dir else { return Ok(config) };
        fs::create_dir_all(dir)
            .map_err(|error| Fatal::usage(format!("--data-dir: {}: {error}", dir.display())))?;
        // The file system allows names of 255 bytes.
        let file = file_stem(name.as_str(), 200) + ".snapshot";
        Ok(config.snapshot(dir.join(file)))
    }

    /// The sources of seeds, those of the environment included.
    pub(crate) fn sources(&self, port: u16) -> Result<Vec<SeedSource>, Fatal> {
        let services = services();
        let parse = |text: &String| SeedSource::parse(text, port, &services);
        let given = self.seeds.iter().filter(|text| !text.trim().is_empty());
        let given = given.map(parse).collect::<Result<Vec<_>, _>>();
        let mut sources = given.map_err(|error| Fatal::usage(format!("--seed: {error}")))?;
        let from_env = SeedSource::from_env(port, &services)
            .map_err(|error| Fatal::usage(format!("{}: {error}", SeedSource::VARIABLE)))?;
        sources.extend(from_env);
        Ok(sources)
    }

    pub(crate) fn on_name_taken(&self) -> OnNameTaken {
        match self.on_name_taken {
            Policy::Refuse => OnNameTaken::Refuse,
            Policy::Contest => OnNameTaken::Contest,
        }
    }
}
