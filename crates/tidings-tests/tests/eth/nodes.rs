//! Real Ethereum nodes, with the contract `CallDemo`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidings_eth::alloy_primitives::{Address, U256, hex};
use tidings_eth::alloy_sol_types::SolCall;
use tidings_eth::{CallOptions, Endpoint, Gateways, HttpEndpoint, Request, blocking, sol};

sol!(CallDemo, "../tidings-eth/contracts/calldemo.abi");

/// A program that `eth/install.sh` installs; `None`, with a message, if the test is to be skipped.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/eth/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    let help = format!("{name} is missing: run crates/tidings-tests/eth/install.sh");
    assert!(std::env::var("TIDINGS_ETH").as_deref() != Ok("required"), "{help}");
    eprintln!("skipped: {help}");
    None
}

/// An Ethereum node with the contract, which makes a block each second; it is killed on drop.
pub(crate) struct EthNode {
    process: Child,
    pub(crate) http: HttpEndpoint,
    pub(crate) ipc: Endpoint,
}

impl EthNode {
    pub(crate) fn start(anvil: &Path) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let ipc = std::env::temp_dir().join(format!("tidings-eth-{process}-{number}.ipc"));
        let mut process = Command::new(anvil)
            .args(["--port", "0", "--block-time", "1", "--ipc"])
            .arg(&ipc)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let http = lines.by_ref().map_while(Result::ok).find_map(|line| {
            Some(format!("http://{}", line.strip_prefix("Listening on ")?).parse().unwrap())
        });
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let node = Self { process, http: http.expect("it listens"), ipc: ipc.into() };
        let code = include_str!("../../../tidings-eth/contracts/calldemo.bin");
        let receipt = node.transact(&format!(r#""data":"0x{}""#, code.trim()));
        assert_eq!(receipt["contractAddress"], CONTRACT.to_string().to_lowercase());
        node
    }

    /// Asks the node over its socket.
    pub(crate) fn ask(&self, request: Request) -> serde_json::Value {
        let gateways = Gateways::fixed([self.ipc.clone()], CallOptions::default()).unwrap();
        let answer = blocking::request(&gateways, request).unwrap();
        serde_json::from_str(&answer.result).unwrap()
    }

    pub(crate) fn read(&self, method: &str, params: &str) -> serde_json::Value {
        self.ask(Request::read(method, params).unwrap())
    }

    /// Sends a transaction by the node's own account, and returns its receipt.
    fn transact(&self, fields: &str) -> serde_json::Value {
        let account = self.read("eth_accounts", "[]")[0].to_string();
        let transaction = format!(r#"{{"from":{account},{fields}}}"#);
        let hash = self.ask(Request::send_transaction(&transaction).unwrap()).to_string();
        let receipt = || self.read("eth_getTransactionReceipt", &format!("[{hash}]"));
        wait("a receipt", || !receipt().is_null());
        receipt()
    }

    /// Stores a number in the contract.
    pub(crate) fn set(&self, value: u32) {
        let data =
            hex::encode_prefixed(CallDemo::setCall { given: U256::from(value) }.abi_encode());
        let receipt = self.transact(&format!(r#""to":"{CONTRACT}","data":"{data}""#));
        assert_eq!(receipt["status"], "0x1");
    }

    /// The node makes no further block.
    pub(crate) fn stall(&self) {
        self.read("evm_setIntervalMining", "[0]");
    }

    pub(crate) fn height(&self) -> u64 {
        let height = self.read("eth_blockNumber", "[]");
        u64::from_str_radix(&height.as_str().unwrap()[2..], 16).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Sends the process `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let command = format!("kill -{signal} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

impl Drop for EthNode {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_file(self.ipc.as_ipc().unwrap()));
    }
}

/// Waits until a condition holds.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "timed out while waiting for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Where the first contract of a development node's first account is.
pub(crate) const CONTRACT: Address = Address::new([
    0x5f, 0xbd, 0xb2, 0x31, 0x56, 0x78, 0xaf, 0xec, 0xb3, 0x67, 0xf0, 0x32, 0xd9, 0x3f, 0x64, 0x2f,
    0x64, 0x18, 0x0a, 0xa3,
]);
