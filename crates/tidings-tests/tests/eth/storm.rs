//! A thousand calls while nodes and gateways are killed, frozen and stalled; and what the gossip of
//! heights is worth.

use crate::nodes::{CONTRACT, CallDemo, EthNode, program, wait};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tidings::Options;
use tidings_eth::{
    Answer, CallError, CallOptions, Endpoint, GatewayOptions, Gateways, Reach, Request, blocking,
};
use tidings_std::{Events, Tidings};

/// A gateway on a member of its own, in a thread; it stops without leaving when it is dropped.
struct Gateway {
    member: Tidings,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Gateway {
    fn start(number: usize, node: &EthNode, seed: Option<&Self>) -> Self {
        let (member, events) = member(&format!("gateway-{number}"));
        if let Some(seed) = seed {
            member.join([seed.member.addr()]).unwrap();
        }
        let gateways = Gateways::of(member.clone(), [], calls(), Reach::LOCAL).unwrap();
        let mut options = GatewayOptions::new(node.ipc.clone(), vec![node.http.clone()]);
        options.poll_interval = Duration::from_millis(200);
        let end = Arc::new(AtomicBool::new(false));
        let follows = follow(events, &gateways, &end);
        let serves = thread::spawn({
            let (member, end) = (member.clone(), Arc::clone(&end));
            move || {
                let on_event = |_| match end.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
                blocking::serve(&member, &gateways, options, on_event).unwrap();
            }
        });
        Self { member, end, threads: vec![follows, serves] }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn member(name: &str) -> (Tidings, Events) {
    let member = tidings_std::builder("storm").bind("127.0.0.1:0").name(name);
    member.options(Options::local()).start().unwrap()
}

/// Passes a member's events to its gateways until `end`.
fn follow(events: Events, gateways: &Gateways, end: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (gateways, end) = (gateways.clone(), Arc::clone(end));
    thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            if let Some(event) = events.recv_timeout(Duration::from_millis(50)) {
                gateways.handle_event(&event);
            }
        }
    })
}

fn calls() -> CallOptions {
    let mut options = CallOptions::default();
    options.chain = Some(31337);
    options.attempt_timeout = Duration::from_millis(300);
    options
}

/// Nodes, a gateway beside each, and a caller that knows them all.
struct Cluster {
    nodes: Vec<EthNode>,
    gateways: Vec<Option<Gateway>>,
    caller: Gateways,
    end: Arc<AtomicBool>,
    follows: Option<JoinHandle<()>>,
}

impl Cluster {
    fn start(anvil: &std::path::Path, count: usize) -> Self {
        let nodes: Vec<_> = thread::scope(|scope| {
            let starts = (0..count).map(|_| scope.spawn(|| EthNode::start(anvil)));
            let starts: Vec<_> = starts.collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let mut gateways: Vec<Option<Gateway>> = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let seed = gateways.first().and_then(Option::as_ref);
            gateways.push(Some(Gateway::start(number, node, seed)));
        }
        let (client, events) = member("client");
        client.join([gateways[0].as_ref().unwrap().member.addr()]).unwrap();
        let caller = Gateways::of(client, [], calls(), Reach::LOCAL).unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let follows = Some(follow(events, &caller, &end));
        let cluster = Self { nodes, gateways, caller, end, follows };
        wait("all gateways and their heights", || {
            let list = cluster.caller.list();
            list.len() == count && list.iter().all(|(_, gateway)| gateway.height.is_some())
        });
        cluster
    }

    fn endpoint(&self, node: usize) -> Endpoint {
        self.nodes[node].http.clone().into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.follows.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn get(gateways: &Gateways) -> Result<(Answer, u32), CallError> {
    let answer = blocking::request(gateways, Request::call(CONTRACT, &CallDemo::getCall {}))?;
    let value = answer.decode::<CallDemo::getCall>()?;
    Ok((answer, value.try_into().unwrap()))
}

#[test]
fn a_thousand_calls_are_answered_right_while_nodes_are_killed_frozen_and_stalled() {
    let Some(anvil) = program("anvil") else { return };
    let mut cluster = Cluster::start(&anvil, 6);
    let (mut value, mut times, mut requests) = (2020, Vec::new(), 0);
    let mut stale = BTreeSet::new();
    let mut stalled_at = 0;
    for number in 0..1000 {
        match number {
            100 => cluster.nodes[0].kill(),
            250 => cluster.nodes[1].signal("STOP"),
            400 => {
                cluster.nodes[2].stall();
                stalled_at = cluster.nodes[2].height();
            }
            // Only nodes that are current learn the new value.
            700 => {
                let lags = || cluster.nodes[5].height() > stalled_at + 3;
                wait("the stalled node to lag", lags);
                thread::scope(|scope| {
                    cluster.nodes[3..].iter().for_each(|node| _ = scope.spawn(|| node.set(2021)));
                });
                wait("the heights to be known", || {
                    cluster.caller.reference(31337).is_some_and(|height| height > stalled_at + 3)
                });
                value = 2021;
                stale = (0..3).map(|node| cluster.endpoint(node)).collect();
            }
            800 => drop(cluster.gateways[3].take()),
            900 => cluster.nodes[1].signal("CONT"),
            _ => {}
        }
        let start = Instant::now();
        let (answer, got) =
            get(&cluster.caller).unwrap_or_else(|error| panic!("{number}: {error}"));
        times.push(start.elapsed());
        requests += 1 + answer.attempts.len();
        assert_eq!(got, value, "call {number}, from {}", answer.from);
        assert!(!stale.contains(&answer.from), "call {number}, from {}", answer.from);
        // A steady load: the storm lasts some ten seconds.
        thread::sleep(Duration::from_millis(10).saturating_sub(start.elapsed()));
    }
    cluster.nodes[1].signal("CONT");
    times.sort_unstable();
    println!(
        "1000 calls, all right: median {:?}, 99 % {:?}, worst {:?}; {requests} requests to nodes",
        times[500], times[990], times[999]
    );
    assert!(times[999] < Duration::from_secs(3), "{:?}", times[999]);
}

/// Of three nodes one is stalled before a value changes.
#[test]
fn gossiped_heights_spare_clients_the_questions_and_the_old_answers() {
    const CALLS: usize = 300;
    let Some(anvil) = program("anvil") else { return };
    let cluster = Cluster::start(&anvil, 3);
    cluster.nodes[0].stall();
    let stalled_at = cluster.nodes[0].height();
    wait("the node to lag", || cluster.nodes[2].height() > stalled_at + 3);
    cluster.nodes[1..].iter().for_each(|node| node.set(2021));
    wait("the heights to be known", || {
        cluster.caller.reference(31337).is_some_and(|height| height > stalled_at + 3)
    });

    // Each strategy: the requests to nodes, and the wrong answers.
    let fixed = |nodes: &[usize]| {
        Gateways::fixed(nodes.iter().map(|&node| cluster.endpoint(node)), calls()).unwrap()
    };
    let count = |mut call: Box<dyn FnMut(usize) -> (usize, u32) + '_>| {
        let calls: Vec<_> = (0..CALLS).map(&mut call).collect();
        let requests: usize = calls.iter().map(|(requests, _)| requests).sum();
        let wrong = calls.iter().filter(|(_, value)| *value != 2021).count();
        (requests as f64 / CALLS as f64, wrong)
    };
    let ask = |gateways: &Gateways| {
        let (answer, value) = get(gateways).unwrap();
        (1 + answer.attempts.len(), value)
    };
    let gossip = count(Box::new(|_| ask(&cluster.caller)));
    let lists = [fixed(&[0, 1, 2]), fixed(&[1, 2, 0]), fixed(&[2, 0, 1])];
    let list = count(Box::new(|number| ask(&lists[number % 3])));
    let singles = [fixed(&[0]), fixed(&[1]), fixed(&[2])];
    let asks_all = count(Box::new(|_| {
        let height = |single: &&Gateways| {
            let request = Request::read("eth_blockNumber", "[]").unwrap();
            blocking::request(single, request).unwrap().height
        };
        let best = singles.iter().max_by_key(height).unwrap();
        let (requests, value) = ask(best);
        (singles.len() + requests, value)
    }));
    println!("one of three nodes is stalled, {CALLS} calls: requests a call, wrong answers");
    println!("  heights by gossip            {:4.2}  {:3}", gossip.0, gossip.1);
    println!("  a fixed list, in turn        {:4.2}  {:3}", list.0, list.1);
    println!("  asks all nodes before each   {:4.2}  {:3}", asks_all.0, asks_all.1);
    assert_eq!(gossip.1, 0);
    assert!(gossip.0 < 1.1, "{gossip:?}");
    assert_eq!(list.1, CALLS / 3, "a list cannot tell");
    assert_eq!(asks_all.1, 0);
}
