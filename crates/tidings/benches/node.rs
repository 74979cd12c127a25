//! CPU time of a node: `cargo bench -p tidings --bench node`.

mod common;

use common::link::Link;
use common::solo::{self, STRANGER, Solo, address, spread};
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
        let mut solo = Solo::warm(members);
        let mut group = group(criterion, "quiet");
        group.bench_function(BenchmarkId::new("second", members), |bencher| {
            bencher.iter(|| solo.round());
        });
        solo.node.start_journal(&mut Vec::new());
        let mut journal = Vec::with_capacity(1 << 20);
        group.bench_function(BenchmarkId::new("second, journaled", members), |bencher| {
            bencher.iter(|| {
                solo.round();
                journal.clear();
                solo.node.take_journal(&mut journal);
            });
        });
        solo.node.stop_journal();
        group.bench_function(BenchmarkId::new("checkpoint", members), |bencher| {
            bencher.iter(|| {
                journal.clear();
                solo.node.checkpoint(&mut journal);
            });
        });
        println!("{} bytes in a checkpoint", journal.len());
        let mut ping = Vec::new();
        solo.write_ping(&mut ping);
        let mut pings = 0;
        group.bench_function(BenchmarkId::new("ping received and answered", members), |bencher| {
            bencher.iter(|| {
                pings += 1;
                solo.give(address(1 + spread(pings) % solo.peers), &ping);
            });
        });
        group.bench_function(BenchmarkId::new("ack received", members), |bencher| {
            bencher.iter_custom(|acks| receive_acks(&mut solo, acks));
        });
    }
}

/// Time to receive this number of acks; each needs a probe, which is not counted.
fn receive_acks(solo: &mut Solo, acks: u64) -> Duration {
    let (mut buf, mut ack, mut digest) = (Vec::new(), Vec::new(), 0);
    let mut received = 0;
    let mut counted = Duration::ZERO;
    while received < acks {
        solo.now = solo.node.poll_timeout().expect("a running node has a timeout");
        solo.node.handle_timeout(solo.now);
        while let Some(output) = solo.node.poll_output(&mut buf) {
            let Output::Datagram { to, data } = output else { continue };
            let Some((token, of_node)) = forge::read_ping(data) else { continue };
            digest = of_node;
            forge::write_ack(&mut ack, token, solo::GENERATION, digest);
            let start = Instant::now();
            solo.node.handle_datagram(solo.now, to, black_box(&ack));
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
    let mut solo = Solo::warm(MEMBERS);
    let mut group = group(criterion, "gossip");
    group.throughput(criterion::Throughput::Elements(solo::UPDATES.into()));

    let mut number = 0;
    group.bench_function("datagram built", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut built, mut counted, mut buf) = (0, Duration::ZERO, Vec::new());
            loop {
                let start = Instant::now();
                while let Some(output) = solo.node.poll_output(&mut buf) {
                    built += u64::from(matches!(output, Output::Datagram { .. }));
                }
                counted += start.elapsed();
                if built >= datagrams {
                    return counted.mul_f64(datagrams as f64 / built as f64);
                }
                if solo.node.stats().datagrams_out % 3 == 0 {
                    number += 1;
                    for updates in solo.news(number) {
                        solo.give(STRANGER, &updates);
                    }
                }
                solo.now += Duration::from_millis(200);
                solo.node.handle_timeout(solo.now);
            }
        });
    });
    let known: Vec<_> = solo.news(0).collect();
    let mut cycle = known.iter().cycle();
    group.bench_function("datagram received, nothing new", |bencher| {
        bencher.iter(|| solo.give(STRANGER, cycle.next().expect("a cycle has no end")));
    });
    group.bench_function("datagram received, all new", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut received, mut counted) = (0, Duration::ZERO);
            while received < datagrams {
                number += 1;
                let left = (datagrams - received) as usize;
                let updates: Vec<_> = solo.news(number).take(left).collect();
                let start = Instant::now();
                updates.iter().for_each(|datagram| solo.give(STRANGER, datagram));
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

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(1));
    group
}
