//! Calls of Ethereum contracts through whichever gateway is alive.
#[cfg(feature = "abi")]
pub mod abi;
mod advert;
mod answer;
#[cfg(feature = "async-io")]
pub mod async_io;
mod attempt;
#[cfg(feature = "blocking")]
pub mod blocking;
mod caller;
mod directory;
#[cfg(feature = "driver")]
mod driver;
mod endpoint;
mod exchange;
mod framer;
mod gateway;
#[cfg(feature = "driver")]
mod gateways;
mod http;
mod options;
mod reach;
mod request;
mod rpc;
mod sol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use advert::{Advert, InvalidAdvert};
pub use alloy_primitives;
pub use alloy_sol_types;
pub use answer::{Answer, CallError, Revert};
pub use attempt::{Attempt, Fault};
pub use caller::{Caller, CallerOutput, Candidate, Candidates};
pub use directory::{Directory, KnownGateway};
pub use endpoint::{Endpoint, Host, HttpEndpoint, InvalidEndpoint};
pub use framer::{FrameError, JsonFramer};
pub use gateway::{Gateway, GatewayEvent, GatewayOptions, GatewayOutput, NotServing, ServeError};
#[cfg(feature = "driver")]
pub use gateways::{Gateways, Membership};
pub use http::HttpError;
pub use options::{CallOptions, InvalidOptions};
pub use reach::{NotReached, Reach};
pub use request::{InvalidRequest, Request};
pub use rpc::{RpcError, RpcFault};
