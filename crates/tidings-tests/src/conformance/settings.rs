//! Names, keys and configurations of test nodes.

use std::net::SocketAddr;
use std::time::Duration;
use tidings_driver::prelude::{Cipher, ClusterName, Config, Key, NodeId, Options};

/// A node that detects failures quickly.
pub fn quick(name: &str) -> Config {
    let mut options = Options::local();
    options.probe_interval = Duration::from_millis(100);
    options.probe_timeout = Duration::from_millis(40);
    options.gossip_interval = Duration::from_millis(20);
    with(options, name)
}

/// A node with long timeouts, so that a busy machine causes no suspicion and no failed stream.
pub fn patient(name: &str) -> Config {
    let mut options = Options::local();
    options.probe_interval = Duration::from_secs(2);
    options.probe_timeout = Duration::from_secs(1);
    options.gossip_interval = Duration::from_millis(20);
    options.stream_timeout = Duration::from_secs(10);
    with(options, name)
}

/// A node that probes often and has a long suspicion timeout, so that silent members stay present.
pub fn trusting(name: &str) -> Config {
    let mut options = quick(name).options().clone();
    options.suspicion_mult = 64;
    options.stream_timeout = Duration::from_secs(2);
    with(options, name)
}

/// A node on the loopback interface with these options.
///
/// # Panics
///
/// If they are outside their ranges.
#[track_caller]
pub fn with(options: Options, name: &str) -> Config {
    let cluster = ClusterName::new("loopback").expect("it is short");
    let config = Config::builder(cluster, id(name), loopback()).options(options);
    config.build().expect("tests know the ranges")
}

/// A free port of the loopback interface: 127.0.0.1:0.
pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The name of a node.
///
/// # Panics
///
/// If it is not one.
#[track_caller]
pub fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("tests know how to name nodes")
}

/// A key, different for each number.
pub fn key(number: u8) -> Key {
    Key::new(Cipher::Aes256Gcm, [number; 32])
}
