//! A node that is gone without a leave, on a machine that lives.

use std::time::{Duration, Instant};
use tidings::{Event, Options};

#[test]
fn the_death_of_one_of_five_nodes_is_known_to_all_within_seconds() {
    let mut options = Options::local();
    options.refusal_evidence = true;
    options.probe_interval = Duration::from_millis(250);
    options.probe_timeout = Duration::from_millis(100);
    // A suspicion lasts 16 seconds at least.
    options.suspicion_mult = 64;
    let start = |n: usize| {
        let node = tidings_std::builder("death").name(format!("n{n}")).options(options.clone());
        node.bind("127.0.0.1:0").start().unwrap()
    };
    let (dies, dead_events) = start(0);
    let others: Vec<_> = (1..5).map(start).collect();
    for (other, _) in &others {
        other.join([dies.addr()]).unwrap();
    }
    let all = |count: usize| others.iter().all(|(other, _)| other.members().len() == count);
    wait_until(Duration::from_secs(30), || all(5));
    // Its sockets are closed without a word, as those of a process that is killed.
    drop((dies, dead_events));
    wait_until(LIMIT, || all(4));
    for (_, events) in others {
        let mut events = std::iter::from_fn(|| events.try_recv());
        let failed = events.any(|event| matches!(event, Event::Failed(_)));
        assert!(failed, "it failed, and did not leave");
    }
}

const LIMIT: Duration = Duration::from_millis(2500);

#[track_caller]
fn wait_until(limit: Duration, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "the condition does not hold after {limit:?}");
        std::thread::yield_now();
    }
}
