//! The flags of an agent for sources of seeds, and for what it remembers from one run to the next.

use crate::Fatal;
use crate::agent::duration;
use clap::ValueEnum;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
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
        let services = services();
        let parse = |text: &String| SeedSource::parse(text, port, &services);
        let given = self.seeds.iter().filter(|text| !text.trim().is_empty());
        let given = given.map(parse).collect::<Result<Vec<_>, _>>();
        let given = given.map_err(|error| Fatal::usage(format!("--seed: {error}")))?;
        let from_env = SeedSource::from_env(port, &services)
            .map_err(|error| Fatal::usage(format!("{}: {error}", SeedSource::VARIABLE)))?;
        let config = DriverConfig::new()
            .seeds(given)
            .seeds(from_env)
            .seed_refresh(self.seed_refresh)
            .rejoin_after_leave(self.rejoin);
        let Some(dir) = &self.data_dir else { return Ok(config) };
        fs::create_dir_all(dir)
            .map_err(|error| Fatal::usage(format!("--data-dir: {}: {error}", dir.display())))?;
        Ok(config.snapshot(dir.join(file_name(name.as_str()))))
    }

    pub(crate) fn on_name_taken(&self) -> OnNameTaken {
        match self.on_name_taken {
            Policy::Refuse => OnNameTaken::Refuse,
            Policy::Contest => OnNameTaken::Contest,
        }
    }
}

/// The name of a node's snapshot: letters, digits, `-`, `_` and `.` stay, other bytes are `%` and
/// two hex digits. A long one is cut, and has a hash of all of it.
fn file_name(node: &str) -> String {
    let mut name = String::new();
    for (at, byte) in node.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && at > 0) {
            name.push(byte.into());
        } else {
            _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > MAX_FILE_NAME {
        name.truncate(MAX_FILE_NAME - 17);
        _ = write!(name, "~{:016x}", fnv1a(node.as_bytes()));
    }
    name + ".snapshot"
}

/// The hash FNV-1a, which is the same in each version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The longest name of a file before `.snapshot`; the file system's limit is 255 bytes.
const MAX_FILE_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn any_nodes_name_is_a_file_name() {
        assert_eq!(file_name("db-7.shop"), "db-7.shop.snapshot");
        assert_eq!(file_name("../x/%"), "%2E.%2Fx%2F%25.snapshot");
        assert_eq!(file_name("."), "%2E.snapshot");
        assert_eq!(file_name("ü"), "%C3%BC.snapshot");
        let names = ["a/b", "a%2Fb", "a%2fb", "a_b", &"ü".repeat(127), &"/".repeat(255)];
        let longer = format!("{}a", "/".repeat(254));
        let names = names.map(file_name).into_iter().chain([file_name(&longer)]);
        let names: HashSet<_> = names.collect();
        assert_eq!(names.len(), 7, "names that differ have files that differ: {names:?}");
        assert!(names.iter().all(|name| name.len() <= 240 && !name.contains('/')));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
