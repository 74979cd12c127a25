//! `tidings eth call`: a call of a contract.

use super::member::{MemberArgs, ReachArgs};
use super::read;
use crate::Fatal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tidings_eth::abi::{Abi, Function, Value};
use tidings_eth::alloy_primitives::Address;
use tidings_eth::{Answer, CallError, CallOptions, Endpoint, Gateways, Request};

/// Call a contract's function without a transaction, and print what it returns
///
/// Values are printed one per line. A revert, or a call without an answer, ends with status 1.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The contract's address
    #[arg(value_parser = address)]
    address: Address,
    /// The function: `get()(uint256)`, with the types that it returns; with --abi, its name
    function: String,
    /// The arguments: numbers as `5`, `0x05` or `1.5 ether`; arrays as `[1,2]`, tuples as `(1,"a")`
    ///
    /// Text may be quoted, and has to be if it begins with a quote, or has a comma or a closing
    /// bracket within an array or a tuple. There are no escapes.
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// The contract's ABI: JSON, as `solcjs --abi` writes it; it names the errors of reverts, too
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// An Ethereum node, http://HOST:PORT or the path of its socket; several are asked in turn
    ///
    /// Without it and without --join, http://127.0.0.1:8545. With --join, these are asked before
    /// the gateways of the cluster.
    #[arg(long, value_name = "URL|PATH")]
    node: Vec<Endpoint>,
    /// The chain that a node has to serve, by its id; any if it is not given
    #[arg(long, value_name = "ID")]
    chain: Option<u64>,
    /// How many nodes have to give the same answer
    #[arg(long, value_name = "N", default_value_t = 1)]
    agree: usize,
    /// How long all attempts together may take
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    timeout: Duration,
    /// Print one JSON object: the values, the node that answered, its chain and its height
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    member: MemberArgs,
}

const DEFAULT_NODE: &str = "http://127.0.0.1:8545";

const EXAMPLES: &str = "\
Examples:
  tidings eth call 0x5FbDB2315678afecb367f032d93F642f64180aa3 'get()(uint256)'
  tidings eth call 0x5FbDB2315678afecb367f032d93F642f64180aa3 divide 7 2 --abi calldemo.abi
  tidings eth call 0x5FbDB2315678afecb367f032d93F642f64180aa3 'get()(uint256)' \\
      --join 10.0.0.7 --bind 10.0.0.9:7946 --chain 1";

pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    let abi = args.abi.as_ref().map(|path| {
        let abi = Abi::parse(&read(path)?);
        abi.map_err(|error| Fatal::usage(format!("{}: {error}", path.display())))
    });
    let abi = abi.transpose()?;
    let (function, request) = args.request(abi.as_ref())?;
    let answer = args.ask(request)?;
    let answer = answer.map_err(|error| Fatal::failed(explain(&error, abi.as_ref())))?;
    let shown = if args.json { to_json(&function, &answer) } else { to_text(&function, &answer) };
    print!("{}", shown.map_err(Fatal::failed)?);
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn request(&self, abi: Option<&Abi>) -> Result<(Function, Request), Fatal> {
        let function = match abi {
            Some(abi) => abi.function(&self.function),
            None => Function::parse(&self.function),
        };
        let function = function.map_err(Fatal::usage)?;
        let request = function.call(self.address, &self.args).map_err(Fatal::usage)?;
        Ok((function, request))
    }

    /// Asks the nodes that are named, or as a member of a cluster its gateways.
    fn ask(&self, request: Request) -> Result<Result<Answer, CallError>, Fatal> {
        let (options, runtime) = (self.options(), self.member.runtime);
        if self.member.join.is_empty() {
            let gateways = Gateways::fixed(self.nodes(), options).map_err(Fatal::usage)?;
            return Ok(runtime.request(&gateways, request));
        }
        let reach = self.reach.reach();
        let (node, gateways) = self.member.start(self.nodes(), options, reach)?;
        // A gateway that has just joined may be heard of late.
        let start = Instant::now();
        while self.node.is_empty() && gateways.list().is_empty() && start.elapsed() < self.timeout {
            thread::sleep(Duration::from_millis(20));
        }
        let answer = runtime.request(&gateways, request);
        drop(node.leave());
        Ok(answer)
    }

    fn nodes(&self) -> Vec<Endpoint> {
        if self.node.is_empty() && self.member.join.is_empty() {
            return vec![DEFAULT_NODE.parse().expect("it is a URL")];
        }
        self.node.clone()
    }

    fn options(&self) -> CallOptions {
        let mut options = CallOptions::default();
        options.chain = self.chain;
        options.agree = self.agree;
        options.timeout = self.timeout;
        options
    }
}

/// The values, one per line. Of a function whose return types are not known, the bytes.
fn to_text(function: &Function, answer: &Answer) -> Result<String, CallError> {
    let bytes = answer.bytes()?;
    if !function.returns() {
        return Ok(if bytes.is_empty() { String::new() } else { format!("{bytes}\n") });
    }
    let values = function.decode(&bytes)?;
    Ok(values.iter().map(|value| format!("{value}\n")).collect())
}

fn to_json(function: &Function, answer: &Answer) -> Result<String, CallError> {
    let bytes = answer.bytes()?;
    let values = function.decode(&bytes)?;
    let object = serde_json::json!({
        "values": values.iter().map(Value::to_json).collect::<Vec<_>>(),
        "data": bytes.to_string(),
        "node": answer.from.to_string(),
        "chain": answer.chain,
        "height": answer.height,
    });
    Ok(format!("{object}\n"))
}

/// The error, with a revert as the ABI names it.
fn explain(error: &CallError, abi: Option<&Abi>) -> String {
    let CallError::Reverted(revert) = error else { return error.to_string() };
    let standard = Abi::default();
    match abi.unwrap_or(&standard).error(revert) {
        Some(known) => format!("the contract reverted: {known}"),
        None if abi.is_none() && revert.data.len() >= 4 => format!("{error}; --abi may name it"),
        None => error.to_string(),
    }
}

/// Parses an address; one with letters of both cases has a checksum (ERC-55).
fn address(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").ok_or("it does not begin with 0x")?;
    let address: Address = text.parse().map_err(|_| "it is not 0x and 40 hex digits")?;
    let both = |case: fn(&char) -> bool| digits.chars().any(|digit| case(&digit));
    let mixed = both(char::is_ascii_lowercase) && both(char::is_ascii_uppercase);
    if mixed && address.to_string() != text {
        return Err(format!("its checksum is wrong; with this one it is {address}"));
    }
    Ok(address)
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const ADDRESS: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

    #[derive(Parser)]
    struct Call {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, String> {
        let words = ["call", ADDRESS].iter().chain(words);
        Call::try_parse_from(words).map(|call| call.args).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_before_or_after_the_arguments_which_may_be_negative() {
        let words = ["--agree", "2", "f(int8,string)(bool)", "-5", "a b", "--chain", "1", "--json"];
        let args = parse(&words).unwrap();
        assert_eq!(args.args, ["-5", "a b"]);
        assert!(args.json && args.request(None).is_ok());
        let options = args.options();
        assert_eq!((options.agree, options.chain), (2, Some(1)));

        let args = parse(&["f(string)", "--", "--json"]).unwrap();
        assert_eq!((args.args, args.json), (vec!["--json".to_owned()], false));
    }

    #[test]
    fn the_default_node_is_this_machines_and_several_can_be_named() {
        let args = parse(&["get()"]).unwrap();
        assert_eq!(args.nodes(), ["http://127.0.0.1:8545".parse().unwrap()]);
        assert_eq!(parse(&["get()", "--join", "10.0.0.7"]).unwrap().nodes(), []);
        assert_eq!(args.options(), CallOptions::default());
        let nodes = ["get()", "--node", "/run/node.ipc", "--node", "http://10.0.0.7:8545"];
        let nodes = parse(&nodes).unwrap().node;
        assert!(nodes[0].as_ipc().is_some() && nodes[1].as_http().is_some());
        assert!(parse(&["get()", "--node", "ftp://10.0.0.7"]).is_err());
    }

    #[test]
    fn an_address_with_letters_of_both_cases_has_to_match_its_checksum() {
        let lower = ADDRESS.to_lowercase();
        assert_eq!(address(&lower), address(ADDRESS));
        assert_eq!(
            address(&ADDRESS.replace("0x5F", "0x5f")),
            Err(format!("its checksum is wrong; with this one it is {ADDRESS}"))
        );
        for text in ["", "0x", "0x5f", &lower[2..], &format!("{lower}00"), &lower.replace('5', "g")]
        {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
