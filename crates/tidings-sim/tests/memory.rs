//! Memory: nodes do not grow under continuous churn.

use std::time::Duration;
use tidings::Options;
use tidings_sim::{Link, Settings, World};

const NODES: usize = 20;
const SECOND: Duration = Duration::from_secs(1);

/// Crashes, restarts, metadata changes, broadcasts and partitions, over and over.
fn churn(world: &mut World, cycles: usize) {
    for cycle in 0..cycles {
        let (one, other) = (1 + cycle * 7 % (NODES - 1), 1 + cycle * 5 % (NODES - 1));
        world.crash(one);
        world.run_for(20 * SECOND);
        world.start(one);
        world.join(one, &[0]);
        world.set_meta(other, &format!("meta {}", cycle % 10));
        for node in 0..NODES {
            world.broadcast(node, &format!("broadcast {cycle} of {node}"));
        }
        world.isolate(&[one, other, (other + 1) % NODES]);
        world.run_for(40 * SECOND);
        world.mend();
        world.run_for(30 * SECOND);
    }
}

#[test]
fn nodes_to_which_things_go_on_happening_do_not_grow() {
    let mut options = Options::lan();
    options.tombstone_timeout = 60 * SECOND;
    let link = Link { loss: 0.05, ..Link::default() };
    let settings = Settings { options, link, checks: false, log: false, ..Settings::default() };
    let mut world = World::formed(NODES, settings, 1);
    churn(&mut world, 20);
    let grown = allocation_counter::measure(|| churn(&mut world, 20)).bytes_current;
    let grown_later = allocation_counter::measure(|| churn(&mut world, 20)).bytes_current;
    println!("{grown} bytes, then {grown_later}");
    // The memory in use fluctuates slightly.
    let allowed = (NODES * 2048) as i64;
    assert!(grown.abs() < allowed && grown_later.abs() < allowed, "{grown}, {grown_later}");
}
