//! `tidings eth gateway`: tells a cluster where an Ethereum node is, and how far.

use super::member::MemberArgs;
use crate::Fatal;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tidings_eth::{
    Advert, CallOptions, Endpoint, GatewayEvent, GatewayOptions, HttpEndpoint, Reach,
};

/// Tell all members of a cluster where an Ethereum node is, and how far
///
/// Runs beside an Ethereum node until it is interrupted. While the node serves, the member's
/// metadata have its chain and its addresses, and each new height is broadcast. A node that does
/// not answer, is syncing, or lags behind other gateways is withdrawn.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where this machine's node answers: the path of its socket, or a URL
    #[arg(long, value_name = "PATH|URL")]
    node: Endpoint,
    /// Where other members reach the node; by default --node, if that is a URL
    #[arg(long, value_name = "http://HOST:PORT", value_delimiter = ',')]
    rpc: Vec<HttpEndpoint>,
    /// The chain that the node has to serve; by default the one that it serves first
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// The node is stalled if its height does not change for so long; by default only if it lags
    /// behind other gateways
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    stall_after: Option<Duration>,
    /// How many blocks the node may lag behind other gateways
    #[arg(long, value_name = "BLOCKS", default_value_t = 3)]
    max_lag: u64,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    member: MemberArgs,
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    let mut advertise = args.rpc;
    if advertise.is_empty() {
        let own = args.node.as_http().cloned();
        advertise.push(own.ok_or_else(|| {
            Fatal::usage("--rpc is missing: others cannot reach a socket of this machine")
        })?);
    }
    // Before it joins a cluster; the chain is not known yet.
    Advert::new(args.chain.unwrap_or_default(), advertise.clone()).map_err(Fatal::usage)?;
    let mut options = GatewayOptions::new(args.node, advertise);
    options.chain = args.chain;
    options.stall_after = args.stall_after;
    options.max_lag = args.max_lag;
    let mut calls = CallOptions::default();
    calls.chain = args.chain;
    let (node, gateways) = args.member.start(Vec::new(), calls, Reach::PUBLIC)?;

    let json = args.json;
    let local = node.local();
    match json {
        true => println!(
            "{}",
            serde_json::json!({
                "ev": "ready",
                "node": { "name": local.id().as_str(), "addr": local.addr().to_string() },
                "pid": std::process::id(),
            })
        ),
        false => println!("{local} runs; interrupt it to leave"),
    }
    let leaving = node.clone();
    ctrlc::set_handler(move || {
        // The process ends, whether somebody confirms the leave or not.
        drop(leaving.leave());
        std::process::exit(0);
    })
    .map_err(Fatal::failed)?;
    let serving = thread::spawn(move || {
        args.member.runtime.serve(&node, &gateways, options, |event| print(&event, json))
    });
    let ended = serving.join().map_err(|_| Fatal::failed("the gateway ended"))?;
    ended.map_err(Fatal::usage)?;
    Ok(ExitCode::SUCCESS)
}

fn print(event: &GatewayEvent, json: bool) {
    if !json {
        return println!("{event}");
    }
    let line = match event {
        GatewayEvent::Advertised { chain } => {
            serde_json::json!({ "ev": "advertised", "chain": chain })
        }
        GatewayEvent::Waiting(reason) => {
            serde_json::json!({ "ev": "waiting", "reason": reason.to_string() })
        }
        GatewayEvent::Withdrawn(reason) => {
            serde_json::json!({ "ev": "withdrawn", "reason": reason.to_string() })
        }
        _ => return,
    };
    println!("{line}");
}
