//! What all drivers of a [`tidings::Node`] have in common, whatever they run on.

mod error;
pub mod sockets;

pub use error::{BindError, CommandError};
