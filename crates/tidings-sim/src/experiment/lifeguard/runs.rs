//! The paper's two kinds of runs: Interval and Threshold.

use super::{MAX_DURATION, MEMBERS, WARM_UP};
use crate::events::EventKind;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::time::Duration;
use tidings::{Instant, Options};

/// Model of a slow member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Anomaly {
    /// Each loop blocks at its next send or receive, while timers run, as in memberlist.
    Loops,
    /// Only sends and receives block; the node still begins probes.
    Sends,
    /// The whole process is stopped, and reads its buffered input before it handles timers.
    Process,
}

/// One point of the paper's grid, and which repetition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// C: number of concurrently slow members.
    pub(super) slow: usize,
    /// D: duration of an anomaly in milliseconds.
    pub(super) blocked: u64,
    /// I: interval between two anomalies in milliseconds.
    pub(super) normal: u64,
    pub(super) repetition: u64,
}

/// Results of Interval runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) runs: u64,
    /// False positives (FP): failure events about members that were not slow, at any member.
    pub(super) false_positives: u64,
    /// FP-: those of them at members that were not slow.
    pub(super) at_healthy: u64,
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    pub(super) streams: u64,
    pub(super) seconds: f64,
    pub(super) violations: u64,
}

impl Outcome {
    pub(super) fn add(mut self, other: &Self) -> Self {
        self.runs += other.runs;
        self.false_positives += other.false_positives;
        self.at_healthy += other.at_healthy;
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.streams += other.streams;
        self.seconds += other.seconds;
        self.violations += other.violations;
        self
    }
}

/// Results of Threshold runs, in seconds from the beginning of the anomaly.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    /// First detection: when the first other member declared a slow one failed.
    pub(super) first: Vec<f64>,
    /// Full dissemination: when all members that were not slow had done so.
    pub(super) full: Vec<f64>,
    pub(super) violations: u64,
}

/// Repeats the anomaly until two minutes have passed (the paper's Interval experiment).
pub(super) fn interval_run(
    options: &Options,
    anomaly: Anomaly,
    cell: Cell,
    seed: u64,
    socket_buffer: usize,
) -> Outcome {
    let (mut world, slow) = warmed_up(options, cell, seed, socket_buffer);
    let (blocked, normal) = (ms(cell.blocked), ms(cell.normal));
    // The paper counts from the beginning, including the warm-up.
    let end = Instant::ZERO + MAX_DURATION;
    loop {
        begin(&mut world, anomaly, &slow);
        world.run_for(blocked);
        let last = world.now() >= end;
        slow.iter().for_each(|&node| world.resume(node));
        if last {
            break;
        }
        world.run_for(normal);
    }
    let false_positives = world.log().iter().filter(|event| {
        event.kind == EventKind::Failed && event.subject.is_some_and(|about| !slow.contains(&about))
    });
    let tally = world.tally();
    Outcome {
        runs: 1,
        false_positives: false_positives.clone().count() as u64,
        at_healthy: false_positives.filter(|event| !slow.contains(&event.observer)).count() as u64,
        datagrams: tally.datagrams,
        bytes: tally.datagram_bytes + tally.stream_bytes,
        streams: tally.streams,
        seconds: world.now().since(Instant::ZERO).as_secs_f64(),
        violations: world.violations().len() as u64,
    }
}

/// One anomaly; runs until all views are full again or two minutes have passed (the paper's
/// Threshold experiment).
pub(super) fn threshold_run(
    options: &Options,
    anomaly: Anomaly,
    cell: Cell,
    seed: u64,
) -> Latencies {
    let (mut world, slow) = warmed_up(options, cell, seed, Settings::default().socket_buffer);
    let began = world.now();
    begin(&mut world, anomaly, &slow);
    world.run_for(ms(cell.blocked));
    slow.iter().for_each(|&node| world.resume(node));
    while world.now() < Instant::ZERO + MAX_DURATION
        && (0..MEMBERS).any(|node| world.present(node) < MEMBERS)
    {
        world.run_for(Duration::from_millis(100));
    }

    let mut latencies =
        Latencies { violations: world.violations().len() as u64, ..Latencies::default() };
    for &about in &slow {
        let failed = |event: &&crate::events::LoggedEvent| {
            event.kind == EventKind::Failed
                && event.subject == Some(about)
                && event.observer != about
        };
        let Some(first) = world.log().iter().find(failed) else { continue };
        latencies.first.push(first.at.since(began).as_secs_f64());
        let mut knows = [false; MEMBERS];
        slow.iter().for_each(|&node| knows[node] = true);
        let full = world.log().iter().filter(failed).find(|event| {
            knows[event.observer] = true;
            knows.iter().all(|&knows| knows)
        });
        latencies.full.extend(full.map(|event| event.at.since(began).as_secs_f64()));
    }
    latencies
}

/// A cluster after its warm-up, and the members that are going to be slow.
///
/// The members are the same for all configurations.
fn warmed_up(
    options: &Options,
    cell: Cell,
    seed: u64,
    socket_buffer: usize,
) -> (World, Vec<usize>) {
    let Cell { slow, blocked, normal, repetition } = cell;
    let mut rng = SimRng::new(seed, 100);
    let seed = [slow as u64, blocked, normal, repetition]
        .iter()
        .fold(rng.u64(), |seed, &part| SimRng::new(seed ^ part, 101).u64());
    let settings =
        Settings { options: options.clone(), socket_buffer, trace: false, ..Settings::default() };
    let mut world = World::formed(MEMBERS, settings, seed);
    world.run_for(WARM_UP);
    (world, SimRng::new(seed, 102).sample_sorted(slow, MEMBERS))
}

fn begin(world: &mut World, anomaly: Anomaly, slow: &[usize]) {
    for &node in slow {
        match anomaly {
            Anomaly::Loops => world.block(node),
            Anomaly::Sends => world.stall(node),
            Anomaly::Process => world.pause(node),
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
