//! What the tests over loopback share.
#![allow(dead_code, unreachable_pub, reason = "each of them uses some of it")]

use std::time::{Duration, Instant};
use tidings_std::{Bytes, ClusterName, Config, Event, Events, NodeId, Options, Tidings, Via};

/// As `local`, but quick: these tests wait for failures to be found.
pub fn quick() -> Options {
    let mut options = Options::local();
    options.probe_interval = Duration::from_millis(100);
    options.probe_timeout = Duration::from_millis(40);
    options.gossip_interval = Duration::from_millis(20);
    options
}

pub fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// For nodes that nobody is to suspect, nor to wait for in vain, only since the machine is busy.
pub fn patient(name: &str) -> Config {
    let mut options = quick();
    options.probe_interval = Duration::from_secs(2);
    options.probe_timeout = Duration::from_secs(1);
    options.stream_timeout = Duration::from_secs(10);
    with(options, name)
}

pub fn config(name: &str) -> Config {
    with(quick(), name)
}

fn with(options: Options, name: &str) -> Config {
    let here = "127.0.0.1:0".parse().unwrap();
    Config::new(ClusterName::new("loopback").unwrap(), id(name), here, options).unwrap()
}

pub fn start(name: &str) -> (Tidings, Events) {
    Tidings::bind(config(name)).unwrap()
}

/// Has all others join the first one; returns when each of them knows all.
pub fn join_all(nodes: &[&Tidings]) {
    for node in &nodes[1..] {
        node.join([nodes[0].addr()]).unwrap();
    }
    for node in nodes {
        wait(|| node.members().len() == nodes.len());
    }
}

/// Waits until the condition holds.
#[track_caller]
pub fn wait(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LIMIT, "it never came to pass");
        std::thread::yield_now();
    }
}

/// Waits for such an event, passing over others.
#[track_caller]
pub fn wait_for(events: &Events, what: impl Fn(&Event) -> bool) -> Event {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(event) = events.recv_timeout(LIMIT).filter(&what) {
            return event;
        }
    }
    panic!("the event never came");
}

/// Waits for the next message; returns its sender's name, what it says, and how it came.
#[track_caller]
pub fn message(events: &Events) -> (String, Bytes, Via) {
    match wait_for(events, |event| matches!(event, Event::Message { .. })) {
        Event::Message { from, data, via } => (from.unwrap().as_str().to_owned(), data, via),
        event => unreachable!("{event:?}"),
    }
}

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);
