//! Calls of Ethereum contracts through whichever gateway is alive.
#[cfg(feature = "abi")]
pub mod abi;
mod answer;
mod attempt;
mod caller;
mod endpoint;
mod exchange;
mod framer;
mod http;
mod options;
mod reach;
mod request;
mod rpc;
mod sol;

pub use alloy_primitives;
pub use alloy_sol_types;
pub use answer::{Answer, CallError, Revert};
pub use attempt::{Attempt, Fault};
pub use caller::{Caller, CallerOutput, Candidate, Candidates};
pub use endpoint::{Endpoint, Host, HttpEndpoint, InvalidEndpoint};
pub use framer::{FrameError, JsonFramer};
pub use http::HttpError;
pub use options::{CallOptions, InvalidOptions};
pub use reach::{NotReached, Reach};
pub use request::{InvalidRequest, Request};
pub use rpc::{RpcError, RpcFault};
