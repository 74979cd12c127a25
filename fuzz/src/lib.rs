//! Fuzz targets for the protocol: `just fuzz datagram`.
//!
//! The targets are in the files of this folder's parent; those in `ethereum.rs` need the feature
//! `eth`. The crate `tidings-fuzz-replay` shares them, to replay the corpora on every change with a
//! stable compiler.

#[path = "../craft.rs"]
pub mod craft;
#[cfg(feature = "eth")]
#[path = "../ethereum.rs"]
pub mod ethereum;
#[path = "../extreme.rs"]
pub mod extreme;
#[path = "../../crates/tidings/tests/common/forge.rs"]
pub mod forge;
#[path = "../harness.rs"]
pub mod harness;
#[path = "../../crates/tidings/tests/common/memberlist.rs"]
pub mod memberlist;
#[path = "../memberlist_craft.rs"]
pub mod memberlist_craft;
#[path = "../memberlist.rs"]
pub mod memberlist_harness;
#[path = "../memberlist_mitm.rs"]
pub mod memberlist_mitm;
#[path = "../mitm.rs"]
pub mod mitm;
#[path = "../net.rs"]
pub mod net;
