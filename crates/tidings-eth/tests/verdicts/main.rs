//! What a caller makes of each outcome, with the replies of three nodes, in virtual time.

mod agreement;
mod any_inputs;
mod next_gateway;
mod node_signs;
mod nodes;
mod others;
mod reverts;
mod script;
mod signed;

use tidings_eth::alloy_primitives::Address;
use tidings_eth::alloy_sol_types::SolCall;
use tidings_eth::{Answer, CallError, Request};

tidings_eth::sol!(CallDemo, "contracts/calldemo.abi");

/// The contract of the fixtures.
const CONTRACT: Address = Address::new([
    0x5f, 0xbd, 0xb2, 0x31, 0x56, 0x78, 0xaf, 0xec, 0xb3, 0x67, 0xf0, 0x32, 0xd9, 0x3f, 0x64, 0x2f,
    0x64, 0x18, 0x0a, 0xa3,
]);

/// The request of the fixtures: chain, height and call, without the contract's code.
fn call<C: SolCall>(call: &C) -> Request {
    Request::call_raw(CONTRACT, &call.abi_encode(), true)
}

fn get() -> Request {
    Request::call(CONTRACT, &CallDemo::getCall {})
}

/// The number that `get` returned.
fn number(result: &Result<Answer, CallError>) -> u64 {
    let answer = result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    answer.decode::<CallDemo::getCall>().unwrap().to()
}
