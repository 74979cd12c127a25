//! How a command of `tidings eth` is a member of a cluster, on any runtime.

use crate::Fatal;
use crate::command::Context;
use crate::keys::KeyArgs;
use crate::runtime::{self, Node, Runtime};
use crate::wire::WireArgs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use tidings_driver::prelude::{ClusterName, Config, DriverConfig, Member, Meta, NodeId, Options};
use tidings_eth::{
    Answer, CallError, CallOptions, Endpoint, GatewayEvent, GatewayOptions, Gateways, Membership,
    Reach, Request, ServeError, async_io, blocking,
};

/// The flags of a command that is a member of a cluster while it runs.
#[derive(clap::Args)]
pub(crate) struct MemberArgs {
    /// Seeds: members of the cluster to join; one that answers is enough
    #[arg(long, value_name = "[NAME/]HOST[:PORT]", value_delimiter = ',')]
    pub(crate) join: Vec<String>,
    /// The cluster's name
    #[arg(long, default_value = "default")]
    pub(crate) cluster: ClusterName,
    /// The member's name, unique in the cluster; `eth-` and a random number by default
    #[arg(long)]
    pub(crate) name: Option<NodeId>,
    /// The address to listen on, for UDP and TCP; port 0 chooses a free port
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) bind: SocketAddr,
    /// The address that other members use, if it differs from --bind
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) advertise: Option<SocketAddr>,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    wire: WireArgs,
    /// The runtime that drives the member and its calls
    #[arg(long, value_enum, default_value_t = Runtime::Std, hide_short_help = true)]
    pub(crate) runtime: Runtime,
    /// All members are on this machine: short timeouts
    #[arg(long, hide_short_help = true)]
    pub(crate) local: bool,
}

/// The flags that say which of the addresses that members advertise are called.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ReachArgs {
    /// Call gateways at private addresses that are not their members' own
    #[arg(long)]
    allow_private: bool,
    /// Call gateways at loopback addresses
    #[arg(long)]
    allow_loopback: bool,
}

impl ReachArgs {
    pub(crate) fn reach(self) -> Reach {
        let mut reach = Reach::PUBLIC;
        (reach.private, reach.loopback) = (self.allow_private, self.allow_loopback);
        reach
    }
}

impl MemberArgs {
    /// Starts a node that has joined the cluster, and follows its gateways.
    pub(crate) fn start(
        &self,
        local: Vec<Endpoint>,
        options: CallOptions,
        reach: Reach,
    ) -> Result<(Node, Gateways), Fatal> {
        let context = Context::new(self.wire.keys(), self.bind.port());
        let seeds = self.join.iter().map(|seed| context.target(seed));
        let seeds = seeds.collect::<Result<Vec<_>, _>>().map_err(Fatal::usage)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let random = getrandom::u32().map_err(Fatal::failed)?;
                NodeId::new(&format!("eth-{random:08x}")).expect("it is short")
            }
        };
        let timing = if self.local { Options::local() } else { Options::lan() };
        let advertised = self.advertise.unwrap_or(self.bind);
        let config = Config::builder(self.cluster.clone(), name, advertised)
            .options(timing)
            .meta(Meta::EMPTY);
        let config = self.wire.apply(config)?;
        let config = self.keys.apply(config, self.wire.keys())?.build().map_err(Fatal::usage)?;
        let (node, events) =
            self.runtime.bind(self.bind, config, DriverConfig::new()).map_err(Fatal::usage)?;
        let gateways = Gateways::of(node.clone(), local, options, reach).map_err(Fatal::usage)?;
        let followed = gateways.clone();
        thread::spawn(move || follow(events, &followed));
        if !seeds.is_empty() {
            node.join(seeds).map_err(Fatal::failed)?;
        }
        Ok((node, gateways))
    }
}

fn follow(mut events: runtime::Events, gateways: &Gateways) {
    let mut lagged = 0;
    while let Some(event) = events.recv() {
        gateways.handle_event(&event);
        if events.lagged() > lagged {
            lagged = events.lagged();
            gateways.refresh();
        }
    }
}

impl Membership for Node {
    fn members(&self) -> Vec<Member> {
        self.members()
    }

    fn rtt(&self, id: &NodeId) -> Option<Duration> {
        match self {
            Self::Std(node) => node.rtt(id),
            Self::Async(node) => node.rtt(id),
        }
    }
}

impl Runtime {
    /// Sends a request by the driver of this runtime, and waits for the answer.
    pub(crate) fn request(
        self,
        gateways: &Gateways,
        request: Request,
    ) -> Result<Answer, CallError> {
        match self {
            Self::Std => blocking::request(gateways, request),
            Self::Smol | Self::AsyncStd => {
                futures_lite::future::block_on(async_io::request(gateways, request))
            }
            Self::Tokio => {
                let runtime = runtime::tokio().expect("a member runs on it");
                runtime.block_on(tidings_eth::tokio::request(gateways, request))
            }
        }
    }

    /// Runs a gateway by the driver of this runtime.
    pub(crate) fn serve(
        self,
        node: &Node,
        gateways: &Gateways,
        options: GatewayOptions,
        mut on_event: impl FnMut(GatewayEvent),
    ) -> Result<(), ServeError> {
        let on_event = |event: Option<GatewayEvent>| {
            event.into_iter().for_each(&mut on_event);
            std::ops::ControlFlow::Continue(())
        };
        match node {
            Node::Std(node) => blocking::serve(node, gateways, options, on_event),
            Node::Async(node) if matches!(self, Self::Tokio) => {
                let runtime = runtime::tokio().expect("the member runs on it");
                runtime.block_on(tidings_eth::tokio::serve(node, gateways, options, on_event))
            }
            Node::Async(node) => {
                futures_lite::future::block_on(async_io::serve(node, gateways, options, on_event))
            }
        }
    }
}
