//! Calls `get()` of a contract, and prints what it returns:
//!
//! ```sh
//! cargo run -p tidings-eth --features blocking --example call -- \
//!     0x5FbDB2315678afecb367f032d93F642f64180aa3 run/anvil.ipc http://127.0.0.1:8545
//! ```
//!
//! Of several endpoints the first one that works answers.

use std::error::Error;
use tidings_eth::{CallOptions, Endpoint, Gateways, blocking, sol};

sol!(CallDemo, "contracts/calldemo.abi");

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let contract = args.next().ok_or("usage: call CONTRACT ENDPOINT...")?.parse()?;
    let endpoints = args.map(|endpoint| endpoint.parse()).collect::<Result<Vec<Endpoint>, _>>()?;
    let gateways = Gateways::fixed(endpoints, CallOptions::default())?;
    println!("{}", blocking::call(&gateways, contract, &CallDemo::getCall {})?);
    Ok(())
}
