//! Anything that may happen to a cluster, drawn at random; then a calm, after which all agree.

mod common;

#[cfg(feature = "record")]
use common::tape::Replayed;
use common::{Net, addr, config_at, far, id};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidings::{Done, Event, Options, State, Ticket, Via};

const SECOND: Duration = Duration::from_secs(1);

/// Numbers that look random, the same for each seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

/// What a run has exercised: one that exercised nothing proves nothing.
#[derive(Debug, Default)]
struct Seen {
    suspected: usize,
    failed: usize,
    refuted: u64,
    searches: u64,
    by_digest: u64,
    held: u64,
    broadcasts: usize,
}

fn options(dice: &mut Dice) -> Options {
    let mut options = if dice.roll(2) == 0 { Options::lan() } else { Options::local() };
    options.tombstone_timeout = SECOND * [120, 600, 3600][dice.roll(3)];
    options.sync_interval = SECOND * [5, 30, 120][dice.roll(3)];
    options.reconnect_interval_max = SECOND * 30;
    options
}

fn run(seed: u64) -> Seen {
    seen_in(&calmed(seed, false))
}

/// The cluster after the calm; all nodes have kept journals if they are `taped`.
fn calmed(seed: u64, taped: bool) -> Net {
    let mut dice = Dice(seed);
    let options = options(&mut dice);
    let count = 3 + dice.roll(10);
    let mut net = Net::new(0);
    (net.seed, net.taped) = (seed as u8, taped);
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
    for _ in 0..dice.roll(25) {
        let (a, b) = (dice.roll(count), dice.roll(count));
        match dice.roll(12) {
            0 | 1 => net.kill(a),
            2 => net.resume(a),
            3 | 4 => {
                generation[a] = next_generation(&net, generation[a]);
                moved += 1;
                let at = if dice.roll(2) == 0 { net.nodes[a].addr } else { far(300 + moved) };
                net.restart(a, config_at(a, at, &options).with_generation(generation[a]));
                tickets[a].clear();
                let seeds = [net.nodes[b].addr, net.nodes[(b + 1) % count].addr];
                tickets[a].insert(net.join(a, &seeds));
            }
            5 => net.cut(a, b),
            6 => {
                let side = 1 + dice.roll(count - 1);
                for x in 0..side {
                    for y in side..count {
                        net.cut_both(x, y);
                    }
                }
            }
            7 => net.heal(),
            8 => net.loss = dice.roll(40) as u8,
            9 => drop(tickets[a].insert(net.leave(a))),
            10 => net.set_meta(a, &format!("meta {}", dice.roll(1000))),
            _ => {
                let text = format!("broadcast {}", dice.roll(1_000_000));
                let _ = net.command(a, |node, now| node.broadcast(now, text.into()));
            }
        }
        net.run_for(SECOND * dice.roll(40) as u32);
    }
    // The calm: everything works, whoever was stopped or left is started again, and whoever could not
    // join tries again.
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

fn seen_in(net: &Net) -> Seen {
    let mut seen = Seen::default();
    for host in &net.nodes {
        let stats = host.node.stats();
        seen.refuted += stats.refutations;
        seen.searches += stats.reconnect_attempts;
        seen.by_digest += stats.syncs_by_digest;
        seen.held += stats.verdicts_deferred;
        let count =
            |what: fn(&Event) -> bool| host.events.iter().filter(|(_, event)| what(event)).count();
        seen.suspected += count(|event| matches!(event, Event::Suspected(_)));
        seen.failed += count(|event| matches!(event, Event::Failed(_)));
        seen.broadcasts += count(|event| matches!(event, Event::Message { .. }));
    }
    seen
}

/// The generation of a node that starts now: the seconds of a clock that all have, which does not go
/// back, and may stand still.
fn next_generation(net: &Net, last: u64) -> u64 {
    last.max(1 + net.now.as_nanos() / 1_000_000_000)
}

/// Whether a node knows all others as they are, and nobody else as present.
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
    let mut all = Seen::default();
    for seed in first..first + seeds {
        let seen = run(seed);
        all.suspected += seen.suspected;
        all.failed += seen.failed;
        all.refuted += seen.refuted;
        all.searches += seen.searches;
        all.by_digest += seen.by_digest;
        all.held += seen.held;
        all.broadcasts += seen.broadcasts;
    }
    println!("{all:?}");
    let Seen { suspected, failed, refuted, searches, by_digest, held, broadcasts } = all;
    assert!(suspected > 0 && failed > 0 && refuted > 0 && searches > 0 && broadcasts > 0);
    assert!(by_digest > 0 && held > 0);
}

#[cfg(feature = "record")]
#[test]
fn whatever_happened_to_a_node_replays_bit_for_bit() {
    let mut all = Replayed::default();
    for seed in 1000..1012 {
        let net = calmed(seed, true);
        let tapes = net.nodes.iter().filter_map(|host| host.tape.as_ref());
        tapes.chain(&net.ended_tapes).for_each(|tape| tape.replay(&mut all));
    }
    println!("{all:?}");
    assert!(all.segments > 100 && all.inputs > 10_000 && all.outputs > 10_000, "{all:?}");
}
