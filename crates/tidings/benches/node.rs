//! What a node costs in time: `cargo bench -p tidings --bench node`.

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

/// Nothing happens in the cluster: a second of that, and its parts.
fn datagrams(criterion: &mut Criterion) {
    for members in MEMBERS {
        let mut single = SingleNode::warm(members);
        let mut group = group(criterion, "quiet");
        group.bench_function(BenchmarkId::new("second", members), |bencher| {
            bencher.iter(|| single.round());
        });
        single.node.start_journal(&mut Vec::new());
        let mut journal = Vec::with_capacity(1 << 20);
        group.bench_function(BenchmarkId::new("second, noted", members), |bencher| {
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
        let mut ping = Vec::new();
        single.write_ping(&mut ping);
        let mut pings = 0;
        group.bench_function(BenchmarkId::new("ping taken and answered", members), |bencher| {
            bencher.iter(|| {
                pings += 1;
                single.receive(address(1 + spread(pings) % single.peers), &ping);
            });
        });
        group.bench_function(BenchmarkId::new("ack taken", members), |bencher| {
            bencher.iter_custom(|acks| acks_taken(&mut single, acks));
        });
    }
}

/// How long a node takes for so many acks; each needs a probe round, which is not counted.
fn acks_taken(single: &mut SingleNode, acks: u64) -> Duration {
    let (mut buf, mut ack, mut digest) = (Vec::new(), Vec::new(), 0);
    let mut taken = 0;
    let mut counted = Duration::ZERO;
    while taken < acks {
        single.now = single.node.poll_timeout().expect("a node probes for ever");
        single.node.handle_timeout(single.now);
        while let Some(output) = single.node.poll_output(&mut buf) {
            let Output::Datagram { to, data } = output else { continue };
            let Some((token, theirs)) = forge::read_ping(data) else { continue };
            digest = theirs;
            forge::write_ack(&mut ack, token, single_node::GENERATION, digest);
            let start = Instant::now();
            single.node.handle_datagram(single.now, to, black_box(&ack));
            counted += start.elapsed();
            taken += 1;
        }
    }
    black_box(digest);
    counted.saturating_sub(clock() * acks as u32)
}

/// What it takes to look at the clock twice.
fn clock() -> Duration {
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(Instant::now().elapsed());
    }
    start.elapsed() / 2000
}

/// Datagrams full of news.
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
                    for news in single.alive_updates(number) {
                        single.receive(STRANGER, &news);
                    }
                }
                single.now += Duration::from_millis(200);
                single.node.handle_timeout(single.now);
            }
        });
    });
    let news: Vec<_> = single.alive_updates(0).collect();
    let mut turn = news.iter().cycle();
    group.bench_function("datagram taken, nothing new", |bencher| {
        bencher.iter(|| single.receive(STRANGER, turn.next().expect("it goes round")));
    });
    group.bench_function("datagram taken, all new", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut taken, mut counted) = (0, Duration::ZERO);
            while taken < datagrams {
                number += 1;
                let news: Vec<_> =
                    single.alive_updates(number).take((datagrams - taken) as usize).collect();
                let start = Instant::now();
                news.iter().for_each(|news| single.receive(STRANGER, news));
                counted += start.elapsed();
                taken += news.len() as u64;
            }
            counted
        });
    });
}

/// Both sides of a comparison of memberships.
fn syncs(criterion: &mut Criterion) {
    for members in &MEMBERS[1..] {
        let mut link = Link::between(*members);
        let mut group = group(criterion, "sync");
        group.bench_function(BenchmarkId::new("of the same", members), |bencher| {
            bencher.iter(|| link.sync());
        });
        group.bench_function(BenchmarkId::new("with one that differs", members), |bencher| {
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
