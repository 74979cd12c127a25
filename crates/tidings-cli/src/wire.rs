//! The flags of an agent that choose its wire format, and the networks that it talks with.

use crate::Fatal;
use crate::keys::KeyFormat;
use clap::ValueEnum;
use tidings_driver::prelude::{ClusterName, ConfigBuilder, IpNetwork, Memberlist, Wire};

/// The wire format and its settings, and the networks that are allowed.
#[derive(clap::Args)]
pub(crate) struct WireArgs {
    /// The wire format, which all members of a cluster share
    #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
    wire: WireArg,
    /// The label of a memberlist cluster, if it has one
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    label: Option<ClusterName>,
    /// The delegate protocol versions of a memberlist cluster
    ///
    /// The least and the greatest version that the node understands, and the version that it
    /// speaks: 2,5,5 for Serf and Consul, 0,0,0 (the default) for Alertmanager
    #[arg(
        long,
        value_name = "MIN,MAX,CURRENT",
        value_parser = versions,
        hide_short_help = true
    )]
    delegate_protocol: Option<[u8; 3]>,
    /// Compress messages to a memberlist cluster; compressed messages are always accepted
    #[arg(long, hide_short_help = true)]
    compress: bool,
    /// A network in which members' addresses must lie; repeat it for further ones
    ///
    /// The node sends no datagram and opens no stream to addresses elsewhere, and refuses theirs
    #[arg(
        long = "allow-network",
        value_name = "CIDR",
        value_delimiter = ',',
        hide_short_help = true
    )]
    allow_networks: Vec<IpNetwork>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum WireArg {
    /// Tidings' own format
    Tidings,
    /// The format of HashiCorp memberlist, to be a member of a Serf, Consul or Alertmanager cluster
    Memberlist,
}

impl WireArgs {
    /// Sets the wire format and the allowed networks.
    pub(crate) fn apply(&self, config: ConfigBuilder) -> Result<ConfigBuilder, Fatal> {
        let config = config.wire(self.wire()?);
        if self.allow_networks.is_empty() {
            return Ok(config);
        }
        Ok(config.allowed_networks(self.allow_networks.iter().copied()))
    }

    /// The wire format that the flags ask for.
    fn wire(&self) -> Result<Wire, Fatal> {
        if self.wire == WireArg::Tidings {
            let given = self.label.is_some() || self.delegate_protocol.is_some() || self.compress;
            let help = "--label, --delegate-protocol and --compress need --wire memberlist";
            return if given { Err(Fatal::usage(help)) } else { Ok(Wire::Tidings) };
        }
        let [min, max, current] = self.delegate_protocol.unwrap_or_default();
        let memberlist = Memberlist::new().with_delegate_protocol(min, max, current);
        let memberlist = memberlist.map_err(Fatal::usage)?.with_compression(self.compress);
        Ok(Wire::Memberlist(match &self.label {
            Some(label) => memberlist.with_label(label.clone()),
            None => memberlist,
        }))
    }

    /// The format of keys for this wire format.
    pub(crate) fn keys(&self) -> KeyFormat {
        match self.wire {
            WireArg::Tidings => KeyFormat::Tidings,
            WireArg::Memberlist => KeyFormat::Memberlist,
        }
    }
}

/// `MIN,MAX,CURRENT`
fn versions(text: &str) -> Result<[u8; 3], String> {
    let numbers: Result<Vec<u8>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    let three = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    three.ok_or_else(|| "expected three numbers from 0 to 255, as in 2,5,5".into())
}
