//! Measures how fast a large world runs: `scale [NODES] [SECONDS]`.

use std::time::{Duration, Instant};
use tidings_sim::{Settings, World};

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().unwrap());
    let (nodes, seconds) = (args.next().unwrap_or(1000), args.next().unwrap_or(60));
    let settings = Settings { checks: false, trace: false, log: false, ..Settings::default() };
    let start = Instant::now();
    let mut world = World::formed(nodes, settings, 1);
    println!("{nodes} nodes formed in {:.1?}; {}", start.elapsed(), memory());
    for _ in 0..3 {
        let start = Instant::now();
        let before = world.tally().inputs;
        world.run_for(Duration::from_secs(seconds as u64 / 3));
        let inputs = world.tally().inputs - before;
        println!("{} s: {:.2?}, {inputs} inputs; {}", seconds / 3, start.elapsed(), memory());
        world.crash(nodes / 2);
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}
