//! `tidings eth gateways`: lists the gateways of a cluster.

use super::member::MemberArgs;
use crate::Fatal;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::NodeId;
use tidings_eth::{CallOptions, KnownGateway, Reach};

/// List the gateways of a cluster: chain, height, round-trip time, addresses
///
/// Joins the cluster, listens until each gateway has told its height, and leaves.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only gateways of this chain
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// How long to listen at most
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "6s",
        value_parser = humantime::parse_duration
    )]
    wait: Duration,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    member: MemberArgs,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    if args.member.join.is_empty() {
        return Err(Fatal::usage("--join is missing: a cluster is joined through a member of it"));
    }
    let mut options = CallOptions::default();
    options.chain = args.chain;
    let (node, gateways) = args.member.start(Vec::new(), options, Reach::PUBLIC)?;
    let start = Instant::now();
    let mut list = gateways.list();
    let complete = |list: &[(NodeId, KnownGateway)]| {
        !list.is_empty() && list.iter().all(|(_, gateway)| gateway.height.is_some())
    };
    while !complete(&list) && start.elapsed() < args.wait {
        thread::sleep(Duration::from_millis(50));
        list = gateways.list();
    }
    for (id, gateway) in &list {
        if args.json {
            println!("{}", json(id, gateway));
        } else {
            println!("{}", line(id, gateway));
        }
    }
    if list.is_empty() && !args.json {
        println!("no gateways");
    }
    drop(node.leave());
    Ok(ExitCode::SUCCESS)
}

fn line(id: &NodeId, gateway: &KnownGateway) -> String {
    let height = gateway.height.map_or_else(|| "unknown".into(), |height| height.to_string());
    let rtt = match gateway.rtt {
        Some(rtt) => format!(", round trip {:.1} ms", rtt.as_secs_f64() * 1e3),
        None => String::new(),
    };
    let suspect = if gateway.suspect { ", suspected" } else { "" };
    let endpoints: Vec<_> = gateway.advert.endpoints.iter().map(ToString::to_string).collect();
    let (chain, endpoints) = (gateway.advert.chain, endpoints.join(" "));
    format!("{id}: chain {chain}, height {height}{rtt}{suspect}, {endpoints}")
}

fn json(id: &NodeId, gateway: &KnownGateway) -> serde_json::Value {
    let endpoints: Vec<_> = gateway.advert.endpoints.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "name": id.as_str(),
        "chain": gateway.advert.chain,
        "height": gateway.height,
        "rtt_ms": gateway.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        "suspect": gateway.suspect,
        "endpoints": endpoints,
    })
}
