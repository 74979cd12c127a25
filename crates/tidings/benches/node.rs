//! What a node costs in time: `cargo bench -p tidings --bench node`.

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

/// Nothing happens in the cluster: a second of that, and its parts.
fn datagrams(criterion: &mut Criterion) {
    for members in MEMBERS {
        let mut solo = Solo::warm(members);
        let mut group = group(criterion, "quiet");
        group.bench_function(BenchmarkId::new("second", members), |bencher| {
            bencher.iter(|| solo.round());
        });
        #[cfg(feature = "record")]
        recording(&mut solo, &mut group, members);
        let mut ping = Vec::new();
        solo.write_ping(&mut ping);
        let mut pings = 0;
        group.bench_function(BenchmarkId::new("ping taken and answered", members), |bencher| {
            bencher.iter(|| {
                pings += 1;
                solo.give(address(1 + spread(pings) % solo.peers), &ping);
            });
        });
        group.bench_function(BenchmarkId::new("ack taken", members), |bencher| {
            bencher.iter_custom(|acks| acks_taken(&mut solo, acks));
        });
    }
}

/// How long a node takes for so many acks; each needs a probe round, which is not counted.
fn acks_taken(solo: &mut Solo, acks: u64) -> Duration {
    let (mut buf, mut ack, mut digest) = (Vec::new(), Vec::new(), 0);
    let mut taken = 0;
    let mut counted = Duration::ZERO;
    while taken < acks {
        solo.now = solo.node.poll_timeout().expect("a node probes for ever");
        solo.node.handle_timeout(solo.now);
        while let Some(output) = solo.node.poll_output(&mut buf) {
            let Output::Datagram { to, data } = output else { continue };
            let Some((token, theirs)) = forge::read_ping(data) else { continue };
            digest = theirs;
            forge::write_ack(&mut ack, token, solo::GENERATION, digest);
            let start = Instant::now();
            solo.node.handle_datagram(solo.now, to, black_box(&ack));
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
                    for news in solo.news(number) {
                        solo.give(STRANGER, &news);
                    }
                }
                solo.now += Duration::from_millis(200);
                solo.node.handle_timeout(solo.now);
            }
        });
    });
    let news: Vec<_> = solo.news(0).collect();
    let mut turn = news.iter().cycle();
    group.bench_function("datagram taken, nothing new", |bencher| {
        bencher.iter(|| solo.give(STRANGER, turn.next().expect("it goes round")));
    });
    group.bench_function("datagram taken, all new", |bencher| {
        bencher.iter_custom(|datagrams| {
            let (mut taken, mut counted) = (0, Duration::ZERO);
            while taken < datagrams {
                number += 1;
                let news: Vec<_> = solo.news(number).take((datagrams - taken) as usize).collect();
                let start = Instant::now();
                news.iter().for_each(|news| solo.give(STRANGER, news));
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

/// The same while a journal is kept, and the state of the node as a checkpoint.
#[cfg(feature = "record")]
fn recording(solo: &mut Solo, group: &mut BenchmarkGroup<'_, WallTime>, members: u32) {
    solo.node.start_journal(&mut Vec::new());
    let mut journal = Vec::with_capacity(1 << 20);
    group.bench_function(BenchmarkId::new("second, noted", members), |bencher| {
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
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(1));
    group
}
