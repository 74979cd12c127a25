//! `tidings eth demo`: contracts are called while gateways and Ethereum nodes are killed.

use super::devnode::{self, DevNode};
use super::member::MemberArgs;
use crate::Fatal;
use crate::runtime::{Node, Runtime};
use clap::{Parser, ValueEnum};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidings_eth::alloy_primitives::{Address, U256, hex};
use tidings_eth::{CallOptions, Endpoint, Gateways, Reach, Request, blocking, sol};

sol!(CallDemo, "contracts/calldemo.abi");

/// Call a contract on every runtime while gateways and Ethereum nodes are killed
///
/// Starts three development nodes (anvil), deploys a contract that returns 2020 to each, and starts
/// a gateway beside each. A member on each runtime finds the gateways by gossip and calls the
/// contract over HTTP and over a Unix socket: before, between and after kills of a gateway and of a
/// node. Without --anvil, anvil is taken from PATH, or installed by npm into a cache folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The anvil program
    #[arg(long, value_name = "PATH")]
    anvil: Option<PathBuf>,
}

/// Runs the demo; succeeds only if every call returned 2020.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let anvil = match &args.anvil {
        Some(anvil) => anvil.clone(),
        None => devnode::find_or_install()?,
    };
    // A demo that is interrupted ends like one that fails: its processes are killed on drop.
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).map_err(Fatal::failed)?;
    let start = Instant::now();
    let say = |text: &str| println!("{:7.3} s  {text}", start.elapsed().as_secs_f64());

    say("-- three Ethereum nodes start, and a contract is deployed to each");
    let folder = Folder::new()?;
    let mut nodes = Vec::new();
    for n in 1..=NODES {
        let node = DevNode::start(&anvil, &folder.0.join(format!("n{n}.ipc")), CHAIN)?;
        say(&format!("n{n} runs at {} and {}", node.http, node.ipc));
        nodes.push(node);
    }
    let mut contract = Address::ZERO;
    for node in &nodes {
        contract = deploy(node)?;
    }
    say(&format!("the contract is at {contract}"));

    say("-- three gateways and a caller on each runtime form a cluster");
    let mut gateways: Vec<Gateway> = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let seed = gateways.first().map(|gateway| gateway.addr.clone());
        gateways.push(Gateway::start(&format!("g{}", n + 1), node, seed.as_deref())?);
    }
    // The node that is killed later.
    let own = nodes[1].ipc.clone();
    let mut callers = Vec::new();
    for runtime in [Runtime::Std, Runtime::Smol, Runtime::AsyncStd, Runtime::Tokio] {
        callers.push(Caller::start(runtime, &gateways[0].addr, own.clone())?);
    }
    wait("each caller to know three gateways and their heights", || {
        let known = |caller: &Caller| {
            let list = caller.http.list();
            list.len() == NODES && list.iter().all(|(_, gateway)| gateway.height.is_some())
        };
        callers.iter().all(known)
    })?;

    let mut tally = Tally::default();
    say("-- all nodes and gateways run");
    tally.round(&callers, contract, &say)?;
    say("-- gateway g1 is killed");
    gateways[0].kill();
    tally.round(&callers, contract, &say)?;
    say("-- node n2 is killed");
    nodes[1].kill();
    tally.round(&callers, contract, &say)?;
    wait("the gateways that are left to be the only ones known", || {
        callers.iter().all(|caller| caller.http.list().len() == 1)
    })?;
    say("-- only g3 and its node are left");
    tally.round(&callers, contract, &say)?;

    for caller in &callers {
        drop(caller.node.leave());
    }
    println!(
        "\nAll {} calls returned {YEAR}; the slowest took {} ms.",
        tally.calls,
        tally.slowest.as_millis()
    );
    Ok(ExitCode::SUCCESS)
}

/// Deploys the contract by the node's own account, and returns its address.
fn deploy(node: &DevNode) -> Result<Address, Fatal> {
    let gateways = Gateways::fixed([node.ipc.clone()], CallOptions::default());
    let gateways = gateways.map_err(Fatal::failed)?;
    let read = |method: &str, params: &str| {
        let request = Request::read(method, params).map_err(Fatal::failed)?;
        let answer = blocking::request(&gateways, request).map_err(Fatal::failed)?;
        serde_json::from_str::<serde_json::Value>(&answer.result).map_err(Fatal::failed)
    };
    let accounts = read("eth_accounts", "[]")?;
    let code = hex::encode_prefixed(hex::decode(INIT_CODE.trim()).map_err(Fatal::failed)?);
    let transaction = serde_json::json!({ "from": accounts[0], "data": code }).to_string();
    let transaction = Request::send_transaction(&transaction).map_err(Fatal::failed)?;
    let sent = blocking::request(&gateways, transaction).map_err(Fatal::failed)?;
    let mut address = None;
    wait("the contract's deployment", || {
        let receipt = read("eth_getTransactionReceipt", &format!("[{}]", sent.result)).ok();
        let text = receipt.and_then(|receipt| receipt["contractAddress"].as_str()?.parse().ok());
        address = text;
        address.is_some()
    })?;
    Ok(address.expect("the wait ended"))
}

/// Waits until a condition holds.
fn wait(what: &str, mut done: impl FnMut() -> bool) -> Result<(), Fatal> {
    let start = Instant::now();
    while !done() {
        check_interrupted()?;
        if start.elapsed() > LIMIT {
            return Err(Fatal::failed(format!("timed out while waiting for {what}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn check_interrupted() -> Result<(), Fatal> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Fatal::failed("interrupted")) } else { Ok(()) }
}

/// A member that calls the contract.
struct Caller {
    runtime: Runtime,
    node: Node,
    /// Gateways by gossip alone: HTTP.
    http: Gateways,
    /// A node's Unix socket on this machine, and else gateways by gossip.
    ipc: Gateways,
}

impl Caller {
    fn start(runtime: Runtime, seed: &str, own: Endpoint) -> Result<Self, Fatal> {
        let name = format!("on-{}", name(runtime));
        let args = ["member", "--cluster", CLUSTER, "--local", "--name", &name, "--join", seed];
        let mut args = Member::parse_from(args).args;
        args.runtime = runtime;
        let mut options = CallOptions::default();
        options.chain = Some(CHAIN);
        options.attempt_timeout = Duration::from_millis(500);
        let (node, http) = args.start(Vec::new(), options.clone(), Reach::LOCAL)?;
        let ipc = Gateways::of(node.clone(), [own], options, Reach::LOCAL);
        Ok(Self { runtime, node, http, ipc: ipc.map_err(Fatal::failed)? })
    }
}

/// The flags of a member, parsed for their defaults.
#[derive(Parser)]
struct Member {
    #[command(flatten)]
    args: MemberArgs,
}

/// The name of a runtime, as a flag has it.
fn name(runtime: Runtime) -> String {
    runtime.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The calls so far.
#[derive(Default)]
struct Tally {
    calls: usize,
    slowest: Duration,
}

impl Tally {
    /// Each caller calls the contract over HTTP and over its node's socket.
    fn round(
        &mut self,
        callers: &[Caller],
        contract: Address,
        say: &impl Fn(&str),
    ) -> Result<(), Fatal> {
        for Caller { runtime, http, ipc, .. } in callers {
            // The member's events go to the other ones.
            ipc.refresh();
            for gateways in [http, ipc] {
                check_interrupted()?;
                let start = Instant::now();
                let request = Request::call(contract, &CallDemo::getCall {});
                let answer = runtime.request(gateways, request).map_err(Fatal::failed)?;
                let took = start.elapsed();
                let year = answer.decode::<CallDemo::getCall>().map_err(Fatal::failed)?;
                let name = name(*runtime);
                say(&format!(
                    "{name:9}  get() = {year}  from {}, in {:.1} ms",
                    answer.from,
                    took.as_secs_f64() * 1e3
                ));
                if year != U256::from(YEAR) {
                    return Err(Fatal::failed(format!("get() returned {year}, not {YEAR}")));
                }
                self.calls += 1;
                self.slowest = self.slowest.max(took);
            }
        }
        Ok(())
    }
}

/// The process of a gateway; it is killed on drop.
struct Gateway {
    process: Child,
    addr: String,
}

impl Gateway {
    fn start(name: &str, node: &DevNode, seed: Option<&str>) -> Result<Self, Fatal> {
        let program = std::env::current_exe().map_err(Fatal::failed)?;
        let mut command = Command::new(program);
        let ipc = node.ipc.to_string();
        command.args(["eth", "gateway", "--json", "--local", "--cluster", CLUSTER, "--name", name]);
        command.args(["--node", &ipc, "--rpc", &node.http.to_string()]);
        command.args(seed.iter().flat_map(|seed| ["--join", seed]));
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut gateway = Self { process: process.map_err(Fatal::failed)?, addr: String::new() };
        let mut line = String::new();
        let mut stdout = BufReader::new(gateway.process.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).map_err(Fatal::failed)?;
        let ready = serde_json::from_str::<serde_json::Value>(&line).map_err(Fatal::failed)?;
        gateway.addr = ready["node"]["addr"].as_str().unwrap_or_default().to_owned();
        // Its further lines are read, so that it is never held up.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(drop));
        Ok(gateway)
    }

    fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder for sockets, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Fatal> {
        let path = std::env::temp_dir().join(format!("tidings-eth-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(Fatal::failed)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The contract's code, as the compiler wrote it.
const INIT_CODE: &str = include_str!("../../contracts/calldemo.bin");
/// What the contract returns.
const YEAR: u32 = 2020;
const NODES: usize = 3;
/// The chain of development nodes.
const CHAIN: u64 = 31337;
const CLUSTER: &str = "eth-demo";
/// The longest wait for one condition.
const LIMIT: Duration = Duration::from_secs(30);
