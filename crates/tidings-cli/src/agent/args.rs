//! The options of an agent.

use crate::Fatal;
use crate::agent::control::ControlArgs;
use crate::command::{Context, parse_text};
use crate::http::HttpArgs;
use crate::keys::KeyArgs;
use crate::recording::RecordArgs;
use crate::runtime::Runtime;
use crate::seeds::SeedArgs;
use crate::wire::WireArgs;
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidings_control::{Level, Tags};
use tidings_driver::prelude::{ClusterName, Config, Meta, NodeId, Options, Target};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A TOML file with options, by their names without dashes; flags and environment come first
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The node's name, unique in the cluster
    #[arg(long)]
    pub(crate) name: NodeId,
    /// The address to listen on, for UDP and TCP; port 0 chooses a free port
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7946")]
    pub(super) bind: SocketAddr,
    /// The address that other nodes use, if it differs from --bind; port 0 stands for --bind's port
    #[arg(long, value_name = "IP:PORT")]
    pub(super) advertise: Option<SocketAddr>,
    /// Seeds: members of the cluster to join; one that answers is enough
    ///
    /// HOST is an IP address, or a name, all addresses of which are tried. PORT defaults to the
    /// port of --bind
    #[arg(long, value_name = "[NAME/]HOST[:PORT]", value_delimiter = ',')]
    pub(super) join: Vec<String>,
    /// How long to retry --join while no seed answers
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration,
        hide_short_help = true
    )]
    pub(super) retry_join: Duration,
    #[command(flatten)]
    pub(super) seeds: SeedArgs,
    /// The cluster's name; messages from nodes of other clusters are rejected
    #[arg(long, default_value = "default")]
    pub(super) cluster: ClusterName,
    /// The node's metadata, which all members see; `hex:` and hex digits for raw bytes
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_text_arg)]
    pub(super) meta: Text,
    /// A tag KEY=VALUE of the node, which all members see; repeat it for further ones
    ///
    /// The metadata has one on each line. `tidings tags` changes them while the agent runs
    #[arg(long = "tag", value_name = "KEY=VALUE", conflicts_with = "meta")]
    pub(super) tags: Vec<String>,
    /// The node's push/pull state, sent with each sync; `hex:` and hex digits for raw bytes
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        value_parser = parse_text_arg,
        hide_short_help = true
    )]
    pub(super) state: Text,
    #[command(flatten)]
    pub(super) keys: KeyArgs,
    #[command(flatten)]
    pub(super) wire: WireArgs,
    /// The runtime that drives the node; its behaviour is the same on all of them
    #[arg(long, value_enum, default_value_t = Runtime::Std, hide_short_help = true)]
    pub(super) runtime: Runtime,
    /// The defaults of all timing options
    #[arg(long, value_enum, default_value_t = Profile::Lan)]
    pub(super) profile: Profile,
    /// Send everything over TCP and nothing over UDP; all members have to do the same
    #[arg(long, hide_short_help = true)]
    pub(super) stream_only: bool,
    /// The longest datagram to send, in bytes, without IP and UDP headers; 1,400 by default
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    pub(super) datagram_size: Option<usize>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
    /// Print events of this level and above: debug, info, warn or error
    #[arg(long, value_name = "LEVEL", default_value_t = Level::Info)]
    pub(super) log_level: Level,
    /// Read commands from standard input; with --json, its end stops the agent
    #[arg(long)]
    pub(super) stdin: bool,
    #[command(flatten)]
    pub(super) control: ControlArgs,
    /// How long a signal waits until members have confirmed the leave
    ///
    /// The agent stops within a second after it, whoever reads its output
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "3s",
        value_parser = duration,
        hide_short_help = true
    )]
    pub(super) leave_timeout: Duration,
    #[command(flatten)]
    pub(super) record: RecordArgs,
    #[command(flatten)]
    pub(super) http: HttpArgs,

    /// The time between two probes
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub(super) probe_interval: Option<Duration>,
    /// How long to wait for an ack before indirect probes start
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub(super) probe_timeout: Option<Duration>,
    /// The number of members that are asked for an indirect probe
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(super) indirect_checks: Option<usize>,
    /// The minimum suspicion timeout, in probe intervals, times the log10 of the cluster's size
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(super) suspicion_mult: Option<u32>,
    /// The time between two rounds of gossip
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub(super) gossip_interval: Option<Duration>,
    /// The time between two anti-entropy syncs of the whole membership with another member
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub(super) pushpull_interval: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Profile {
    /// One local network
    Lan,
    /// Distant sites
    Wan,
    /// One machine
    Local,
}

impl Args {
    /// How seeds and keys are read.
    pub(super) fn context(&self) -> Context {
        Context::new(self.wire.keys(), self.bind.port())
    }

    /// The seeds of `--join`.
    pub(super) fn seeds(&self, context: &Context) -> Result<Vec<Target>, Fatal> {
        let seeds = self.join.iter().map(|seed| context.target(seed));
        seeds.collect::<Result<_, _>>().map_err(Fatal::usage)
    }

    /// The configuration of the node; reads its keys.
    pub(super) fn node_config(&self) -> Result<Config, Fatal> {
        let mut options = match self.profile {
            Profile::Lan => Options::lan(),
            Profile::Wan => Options::wan(),
            Profile::Local => Options::local(),
        };
        self.apply(&mut options);
        let advertised = self.advertise.unwrap_or(self.bind);
        let config = Config::builder(self.cluster.clone(), self.name.clone(), advertised)
            .options(options)
            .on_name_taken(self.seeds.on_name_taken())
            .meta(self.metadata()?);
        let config = self.wire.apply(config)?;
        self.keys.apply(config, self.wire.keys())?.build().map_err(usage)
    }

    /// The metadata: the text of `--meta`, or the tags.
    pub(super) fn metadata(&self) -> Result<Meta, Fatal> {
        if self.tags.is_empty() {
            return Ok(Meta::new(&self.meta.0));
        }
        let mut tags = Tags::default();
        for tag in &self.tags {
            tags.set_text(tag).map_err(|error| Fatal::usage(format!("--tag: {error}")))?;
        }
        Ok(tags.to_meta())
    }

    /// Overrides the profile's options with those that are given as flags.
    fn apply(&self, options: &mut Options) {
        fn set<T: Copy>(option: &mut T, given: Option<T>) {
            *option = given.unwrap_or(*option);
        }
        set(&mut options.probe_interval, self.probe_interval);
        set(&mut options.probe_timeout, self.probe_timeout);
        set(&mut options.indirect_probes, self.indirect_checks);
        set(&mut options.suspicion_mult, self.suspicion_mult);
        set(&mut options.gossip_interval, self.gossip_interval);
        set(&mut options.sync_interval, self.pushpull_interval);
        set(&mut options.datagram_size, self.datagram_size);
        options.stream_only |= self.stream_only;
    }
}

/// An error about an option of the node, with the flag that sets it in front.
pub(super) fn usage(error: impl ToString) -> Fatal {
    let message = error.to_string();
    let place = |(option, _): &&(&str, &str)| message.find(option).unwrap_or(usize::MAX);
    let first = FLAGS.iter().min_by_key(place).filter(|(option, _)| message.contains(option));
    Fatal::usage(match first {
        Some((_, flag)) => format!("{flag}: {message}"),
        None => message,
    })
}

/// The value of `--meta` or `--state`.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) Vec<u8>);

fn parse_text_arg(text: &str) -> Result<Text, String> {
    parse_text(text).map(Text)
}

pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Options, as errors of the core and of drivers name them, with the flags that set them.
const FLAGS: [(&str, &str); 12] = [
    ("datagram_size", "--datagram-size"),
    ("max_meta", "--meta"),
    ("probe_interval", "--probe-interval"),
    ("probe_timeout", "--probe-timeout"),
    ("indirect_probes", "--indirect-checks"),
    ("suspicion_mult", "--suspicion-mult"),
    ("gossip_interval", "--gossip-interval"),
    ("sync_interval", "--pushpull-interval"),
    ("stream_only", "--stream-only"),
    ("advertise", "--advertise"),
    ("seed_refresh", "--seed-refresh"),
    ("allowed_networks", "--allow-network"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_flag_of_the_option_that_they_mention_first() {
        let error = |text: &str| usage(text).message;
        assert_eq!(
            error("sync_interval is 1ns; 1ms to probe_timeout are allowed"),
            "--pushpull-interval: sync_interval is 1ns; 1ms to probe_timeout are allowed"
        );
        assert_eq!(error("the address is in use"), "the address is in use");
    }
}
