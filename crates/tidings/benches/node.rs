//! CPU time of a node: `cargo bench -p tidings --bench node`.

mod common;

use common::link::Link;
use common::single_node::{self, STRANGER, SingleNode, address, spread};
use common::{MEMBERS, forge};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tidings::Output;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    datagrams(&mut criterion);
    gossip(&mut criterion);
    syncs(&mut criterion);
    criterion.final_summary();
}

/// A second in which nothing happens in the cluster, and its parts.
fn datagrams(criterion: &mut Criterion) {
    for members in MEMBERS {
        let mut single = SingleNode::warm(members);
        let mut group = group(criterion, "quiet");
        group.bench_function(BenchmarkId::new("second", members), |bencher| {
            bencher.iter(|| single.round());
        });
        #[cfg(feature = "record")]
        recording(&mut single, &mut group, members);
        let ping = |peer| {
            let mut ping = Vec::new();
            single.write_ping(&mut ping, peer);
            ping
        };
        let pings: Vec<_> = (1..members).map(ping).collect();
        let mut sent = 0;
        group.bench_function(BenchmarkId::new("ping received and answered", members), |bencher| {
            bencher.iter(|| {
                sent += 1;
                let peer = spread(sent) % single.peers;
                single.receive(address(1 + peer), &pings[peer as usize]);
            });
        });
        group.bench_function(BenchmarkId::new("ack received", members), |bencher| {
            bencher.iter_custom(|acks| receive_acks(&mut single, acks));
        });
    }
}

/// Time to receive this number of acks; each needs a probe, which is not counted.
fn receive_acks(single: &mut SingleNode, acks: u64) -> Duration {
    let (mut buf, mut ack, mut digest) = (Vec::new(), Vec::new(), 0);
    let mut received = 0;
    let mut counted = Duration::ZERO;
    while received < acks {
        single.now = single.node.poll_timeout().expect("a running node has a timeout");
        single.node.handle_timeout(single.now);
        while let Some(output) = single.node.poll_output(&mut buf) {
            let Output::Datagram { to, data } = output else { continue };
            let Some((token, of_node)) = forge::read_ping(data) else { continue };
            digest = of_node;
            forge::write_ack(&mut ack, token, single_node::GENERATION, digest);
            let start = Instant::now();
            single.node.handle_datagram(single.now, to, black_box(&ack));
            counted += start.elapsed();
            received += 1;
        }
    }
    black_box(digest);
    counted.saturating_sub(clock_overhead() * acks as u32)
}

/// Time of two readings of the clock.
fn clock_overhead() -> Duration {
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(Instant::now().elapsed());
    }
    start.elapsed() / 2000
}

/// Datagrams full of updates.
fn gossip(criterion: &mut Criterion) {
    const MEMBERS: u32 = 1_000;
    let mut single = SingleNode::warm(MEMBERS);
    let mut group = group(criterion, "gossip");
    group.throughput(criterion::Throughput::Elements(single_node::UPDATES_PER_DATAGRAM.into()));

    let mut number = 0;
    group.bench_function("datagram built", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut built, mut counted, mut buf) = (0, Duration::ZERO, Vec::new());
            loop {
                let start = Instant::now();
                while let Some(output) = single.node.poll_output(&mut buf) {
                    built += u64::from(matches!(output, Output::Datagram { .. }));
                }
                counted += start.elapsed();
                if built >= datagrams {
                    return counted.mul_f64(datagrams as f64 / built as f64);
                }
                if single.node.stats().datagrams_out % 3 == 0 {
                    number += 1;
                    for updates in single.alive_updates(number) {
                        single.receive(STRANGER, &updates);
                    }
                }
                single.now += Duration::from_millis(200);
                single.node.handle_timeout(single.now);
            }
        });
    });
    let known: Vec<_> = single.alive_updates(0).collect();
    let mut cycle = known.iter().cycle();
    group.bench_function("datagram received, nothing new", |bencher| {
        bencher.iter(|| single.receive(STRANGER, cycle.next().expect("a cycle has no end")));
    });
    group.bench_function("datagram received, all new", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut received, mut counted) = (0, Duration::ZERO);
            while received < datagrams {
                number += 1;
                let left = (datagrams - received) as usize;
                let updates: Vec<_> = single.alive_updates(number).take(left).collect();
                let start = Instant::now();
                updates.iter().for_each(|datagram| single.receive(STRANGER, datagram));
                counted += start.elapsed();
                received += updates.len() as u64;
            }
            counted
        });
    });
}

/// Both sides of a sync.
fn syncs(criterion: &mut Criterion) {
    for members in &MEMBERS[1..] {
        let mut link = Link::between(*members);
        let mut group = group(criterion, "sync");
        group.bench_function(BenchmarkId::new("equal tables", members), |bencher| {
            bencher.iter(|| link.sync());
        });
        group.bench_function(BenchmarkId::new("one difference", members), |bencher| {
            bencher.iter(|| {
                link.differ();
                link.sync();
            });
        });
    }
}

/// The same while a journal is kept, and the state of the node as a checkpoint.
#[cfg(feature = "record")]
fn recording(single: &mut SingleNode, group: &mut BenchmarkGroup<'_, WallTime>, members: u32) {
    single.node.start_journal(&mut Vec::new());
    let mut journal = Vec::with_capacity(1 << 20);
    group.bench_function(BenchmarkId::new("second, journaled", members), |bencher| {
        bencher.iter(|| {
            single.round();
            journal.clear();
            single.node.take_journal(&mut journal);
        });
    });
    single.node.stop_journal();
    group.bench_function(BenchmarkId::new("checkpoint", members), |bencher| {
        bencher.iter(|| {
            journal.clear();
            single.node.checkpoint(&mut journal);
        });
    });
    println!("{} bytes in a checkpoint", journal.len());
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(1));
    group
}
