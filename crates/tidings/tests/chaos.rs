//! Random faults of all kinds in a small cluster; then a calm, after which all nodes agree.

mod common;

#[cfg(feature = "record")]
use common::journal::ReplayCounts;
use common::{Net, addr, config_at, id, wide_addr};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidings::{Done, Event, Options, State, Ticket, Via};

const SECOND: Duration = Duration::from_secs(1);

/// Deterministic random numbers from a seed (splitmix64).
struct SimRng(u64);

impl SimRng {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

/// Counts of what the runs exercised: a run that exercises nothing proves nothing.
#[derive(Debug, Default)]
struct Coverage {
    suspected: usize,
    failed: usize,
    refuted: u64,
    reconnects: u64,
    by_digest: u64,
    deferred: u64,
    broadcasts: usize,
}

fn options(rng: &mut SimRng) -> Options {
    let mut options = if rng.below(2) == 0 { Options::lan() } else { Options::local() };
    options.tombstone_timeout = SECOND * [120, 600, 3600][rng.below(3)];
    options.sync_interval = SECOND * [5, 30, 120][rng.below(3)];
    options.reconnect_interval_max = SECOND * 30;
    options
}

fn run(seed: u64) -> Coverage {
    coverage(&run_until_calm(seed, false))
}

/// The cluster after the calm; all nodes keep journals if `journaling`.
fn run_until_calm(seed: u64, journaling: bool) -> Net {
    let mut rng = SimRng(seed);
    let options = options(&mut rng);
    let count = 3 + rng.below(10);
    let mut net = Net::new(0);
    (net.seed, net.journaling) = (seed as u8, journaling);
    for n in 0..count {
        net.start(config_at(n, addr(n), &options).with_generation(1));
    }
    let mut generation = vec![1; count];
    let mut tickets: Vec<BTreeSet<Ticket>> = vec![BTreeSet::new(); count];
    let mut moved = 0;
    for (here, tickets) in tickets.iter_mut().enumerate().skip(1) {
        tickets.insert(net.join(here, &[addr(0)]));
    }
    net.run_for(SECOND * 3);
    for _ in 0..rng.below(25) {
        let (a, b) = (rng.below(count), rng.below(count));
        match rng.below(12) {
            0 | 1 => net.kill(a),
            2 => net.resume(a),
            3 | 4 => {
                generation[a] = next_generation(&net, generation[a]);
                moved += 1;
                let at = if rng.below(2) == 0 { net.nodes[a].addr } else { wide_addr(300 + moved) };
                net.restart(a, config_at(a, at, &options).with_generation(generation[a]));
                tickets[a].clear();
                let seeds = [net.nodes[b].addr, net.nodes[(b + 1) % count].addr];
                tickets[a].insert(net.join(a, &seeds));
            }
            5 => net.cut(a, b),
            6 => {
                let side = 1 + rng.below(count - 1);
                for x in 0..side {
                    for y in side..count {
                        net.cut_both(x, y);
                    }
                }
            }
            7 => net.heal(),
            8 => net.loss = rng.below(40) as u8,
            9 => drop(tickets[a].insert(net.leave(a))),
            10 => net.set_meta(a, &format!("meta {}", rng.below(1000))),
            _ => {
                let text = format!("broadcast {}", rng.below(1_000_000));
                let _ = net.command(a, |node, now| node.broadcast(now, text.into()));
            }
        }
        net.run_for(SECOND * rng.below(40) as u32);
    }
    // The calm: everything works, nodes that were stopped or left are started again, and nodes that
    // never joined try again.
    net.heal();
    net.loss = 0;
    net.run_for(options.stream_timeout);
    let everybody: Vec<_> = (0..count).map(|n| net.nodes[n].addr).collect();
    for here in 0..count {
        let joined =
            |ticket: &Ticket| matches!(net.result(here, *ticket), Some(Ok(Done::Joined { .. })));
        let never_joined = !tickets[here].is_empty() && !tickets[here].iter().any(joined);
        if !net.nodes[here].up || net.nodes[here].node.phase() != tidings::Phase::Running {
            generation[here] = next_generation(&net, generation[here]);
            let config = config_at(here, net.nodes[here].addr, &options);
            net.restart(here, config.with_generation(generation[here]));
            tickets[here].clear();
        } else if !never_joined {
            continue;
        }
        tickets[here].insert(net.join(here, &everybody));
    }
    let calm = net.now;
    net.run_until(|net| {
        let all = (0..count).all(|here| agrees(net, here, count));
        assert!(
            net.now.since(calm) < SECOND * 300,
            "seed {seed}: no agreement\n{}",
            views(net, count)
        );
        all
    });
    net.run_for(SECOND * 120);
    for (here, tickets) in tickets.iter().enumerate() {
        assert!(agrees(&net, here, count), "seed {seed}: it did not last\n{}", views(&net, count));
        let failed = |event: &Event| matches!(event, Event::Failed(_));
        let late = net.nodes[here]
            .events
            .iter()
            .filter(|(at, event)| *at > calm + SECOND * 100 && failed(event));
        assert_eq!(late.count(), 0, "seed {seed}: somebody fails in the calm, for n{here}");
        for ticket in tickets {
            assert!(
                net.result(here, *ticket).is_some(),
                "seed {seed}: a ticket of n{here} never ended"
            );
        }
        let mut once = BTreeMap::new();
        for (from, data, via) in net.messages(here) {
            assert_eq!(via, Via::Broadcast);
            *once.entry((from, data)).or_insert(0) += 1;
        }
        assert!(once.values().all(|&times| times == 1), "seed {seed}: {once:?}");
    }
    net
}

fn coverage(net: &Net) -> Coverage {
    let mut seen = Coverage::default();
    for host in &net.nodes {
        let stats = host.node.stats();
        seen.refuted += stats.refutations;
        seen.reconnects += stats.reconnect_attempts;
        seen.by_digest += stats.syncs_by_digest;
        seen.deferred += stats.verdicts_deferred;
        let count =
            |what: fn(&Event) -> bool| host.events.iter().filter(|(_, event)| what(event)).count();
        seen.suspected += count(|event| matches!(event, Event::Suspected(_)));
        seen.failed += count(|event| matches!(event, Event::Failed(_)));
        seen.broadcasts += count(|event| matches!(event, Event::Message { .. }));
    }
    seen
}

/// The generation of a node that starts now: seconds of a clock that all nodes share, which may
/// stand still and never goes back.
fn next_generation(net: &Net, last: u64) -> u64 {
    last.max(1 + net.now.as_nanos() / 1_000_000_000)
}

/// Whether a node knows the current state of all nodes, and lists no others as present.
fn agrees(net: &Net, here: usize, count: usize) -> bool {
    net.nodes[here].node.present_count() == count
        && (0..count).all(|other| {
            let local = net.nodes[other].node.local();
            net.nodes[here].node.member(&id(other)).is_some_and(|member| {
                member.state() == State::Alive
                    && member.incarnation() == local.incarnation()
                    && member.addr() == local.addr()
                    && member.meta() == local.meta()
            })
        })
}

fn views(net: &Net, count: usize) -> String {
    let mut text = String::new();
    for here in 0..count {
        let local = net.nodes[here].node.local();
        text += &format!("n{here} is {:?}\n", local);
        for other in 0..count {
            let local = net.nodes[other].node.local();
            match net.nodes[here].node.member(&id(other)) {
                Some(member) if member == local => {}
                member => text += &format!("   holds n{other} as {member:?}\n"),
            }
        }
    }
    text
}

#[test]
fn after_any_chaos_all_agree_again() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    let first = std::env::var("FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut all = Coverage::default();
    for seed in first..first + seeds {
        let seen = run(seed);
        all.suspected += seen.suspected;
        all.failed += seen.failed;
        all.refuted += seen.refuted;
        all.reconnects += seen.reconnects;
        all.by_digest += seen.by_digest;
        all.deferred += seen.deferred;
        all.broadcasts += seen.broadcasts;
    }
    println!("{all:?}");
    let Coverage { suspected, failed, refuted, reconnects, by_digest, deferred, broadcasts } = all;
    assert!(suspected > 0 && failed > 0 && refuted > 0 && reconnects > 0 && broadcasts > 0);
    assert!(by_digest > 0 && deferred > 0);
}

#[cfg(feature = "record")]
#[test]
fn any_history_of_a_node_replays_bit_for_bit() {
    let mut all = ReplayCounts::default();
    for seed in 1000..1012 {
        let net = run_until_calm(seed, true);
        let journals = net.nodes.iter().filter_map(|host| host.journals.as_ref());
        journals.chain(&net.ended_journals).for_each(|journals| journals.assert_replays(&mut all));
    }
    println!("{all:?}");
    assert!(all.segments > 100 && all.inputs > 10_000 && all.outputs > 10_000, "{all:?}");
}
