//! The wire format of an agent.

use crate::Fatal;
use crate::keys::KeyFormat;
use clap::ValueEnum;
use tidings_driver::prelude::{ClusterName, Memberlist, Wire};

/// In which format the node speaks.
#[derive(clap::Args)]
pub(crate) struct WireArgs {
    /// The format of all that is sent: Tidings' own, or that of HashiCorp memberlist, for a member of a
    /// cluster of Serf, Consul or Alertmanager
    #[arg(long, value_enum, default_value_t = WireArg::Tidings)]
    wire: WireArg,
    /// The label of a memberlist cluster that has one
    #[arg(long, value_name = "TEXT")]
    label: Option<ClusterName>,
    /// The protocol of a memberlist cluster's application, as the least and the greatest version that is
    /// understood and the one that is spoken: 2,5,5 for Serf and Consul, 0,0,0 for Alertmanager
    #[arg(long, value_name = "MIN,MAX,CURRENT", value_parser = versions)]
    delegate_protocol: Option<[u8; 3]>,
    /// Compress what is sent to a memberlist cluster; what comes compressed is understood anyway
    #[arg(long)]
    compress: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum WireArg {
    Tidings,
    Memberlist,
}

impl WireArgs {
    /// The format that was asked for.
    pub(crate) fn wire(&self) -> Result<Wire, Fatal> {
        if self.wire == WireArg::Tidings {
            let given = self.label.is_some() || self.delegate_protocol.is_some() || self.compress;
            let help = "--label, --delegate-protocol and --compress go with --wire memberlist";
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

    /// What keys look like then.
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
    three.ok_or_else(|| "it takes three numbers, as in 2,5,5".into())
}
