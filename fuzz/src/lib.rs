//! Fuzz targets for the protocol: `just fuzz datagram`.
//!
//! The targets are in `harness.rs`, `memberlist.rs` and `ethereum.rs`; the last ones need the
//! feature `eth`. The crate `tidings-fuzz-replay` shares them, to replay the corpora on every
//! change with a stable compiler.

#[cfg(feature = "eth")]
#[path = "../ethereum.rs"]
pub mod ethereum;
#[path = "../../crates/tidings/tests/common/forge.rs"]
pub mod forge;
#[path = "../harness.rs"]
pub mod harness;
#[path = "../../crates/tidings/tests/common/memberlist.rs"]
pub mod memberlist;
#[path = "../memberlist.rs"]
pub mod memberlist_harness;
