//! Calls of contracts through gateways, among real Ethereum nodes.
//!
//! `eth/install.sh` installs the programs that these tests need. Without them the tests are
//! skipped, unless the environment has `TIDINGS_ETH=required`.

mod demo;
mod nodes;
mod oracle;
mod storm;
