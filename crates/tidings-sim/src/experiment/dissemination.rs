//! Dissemination latency of updates, and the number of copies sent.

use super::format::{assert_no_violations, compare, secs, seeds, with_interval};
use crate::events::EventKind;
use crate::harness::Harness;
use crate::link::Link;
use crate::report::{Axis, Chart, Section, Series, Table, seconds, significant};
use crate::sample::Sample;
use crate::sim_rng::SimRng;
use crate::world::{Settings, World};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) fn run(harness: &Harness) -> Section {
    let mut section =
        Section::new("dissemination", "Dissemination latency and gossip overhead", TEXT);
    let columns = [
        "members",
        "network",
        "payload",
        "updates",
        "50 % reached",
        "99 %",
        "all",
        "rounds to all",
        "lower bound",
        "push gossip, theory",
        "memberlist model",
        "rounds against the model",
        "copies",
        "copies, model",
        "missed",
    ];
    let mut table =
        Table::new("Dissemination latency (mean), and copies sent per member", &columns);
    let mut series = Vec::new();
    for case in cases(harness) {
        let Case { nodes, network, payload, worlds, updates } = case;
        let seeds = seeds(harness, 500 + nodes as u64 * 4 + network as u64, worlds);
        let name = format!("{} among {nodes}", payload.name());
        let spreads = harness.map(&name, &seeds, |&seed| spread(&case, updates, seed));
        let spreads: Vec<_> = spreads.into_iter().flatten().collect();
        let time_to = |share| mean_time(&spreads, share);
        let complete = spreads.iter().filter(|spread| spread.missed == 0);
        let rounds: Sample = complete.map(|spread| spread.when(1.0) / ROUND).collect();
        let model =
            MODEL.iter().find(|model| (model.0, model.1) == (nodes, network == Network::Bad));
        table.row([
            nodes.to_string(),
            network.name().into(),
            payload.name().into(),
            spreads.len().to_string(),
            seconds(time_to(0.5)),
            seconds(time_to(0.99)),
            seconds(rounds.mean() * ROUND),
            with_interval(&rounds, Sample::mean),
            least_rounds(nodes).to_string(),
            format!("{:.1}", push_rounds(nodes)),
            model.map_or_else(|| "—".into(), |model| significant(model.2, 3)),
            model.map_or_else(
                || "—".into(),
                |model| compare(rounds.mean(), model.2, 0.02, "the same"),
            ),
            with_interval(&spreads.iter().map(|spread| spread.copies).collect(), Sample::mean),
            model.map_or_else(|| "—".into(), |model| model.3.to_string()),
            spreads.iter().map(|spread| spread.missed).sum::<usize>().to_string(),
        ]);
        if matches!(payload, Payload::Metadata) && nodes == harness.pick(128, 1000) {
            series.push(Series::measured(format!("Tidings, {}", network.name()), curve(&spreads)));
        }
    }
    let nodes = harness.pick(128, 1000);
    series.push(Series::theory("SWIM §4.1: on pings and acks only", logistic(nodes)));
    section.tables.push(table);
    section.charts.push(Chart {
        name: "dissemination".into(),
        caption: format!("Share of {nodes} members that an update has reached"),
        x: Axis::log("seconds"),
        y: Axis::linear("share of members reached"),
        series,
    });
    section.notes = NOTES.map(String::from).to_vec();
    section
}

/// A configuration, and the number of measurements in it.
#[derive(Clone, Copy, Debug)]
struct Case {
    nodes: usize,
    network: Network,
    payload: Payload,
    worlds: usize,
    updates: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Network {
    /// No loss, and no other updates.
    Clean,
    /// No loss, and another update ten times a second.
    Busy,
    /// 5 % loss, and 5 % of the members have just crashed.
    Bad,
}

#[derive(Clone, Copy, Debug)]
enum Payload {
    Metadata,
    Broadcast,
}

impl Network {
    fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Busy => "clean, busy",
            Self::Bad => "5 % loss, 5 % dead",
        }
    }
}

impl Payload {
    fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Broadcast => "broadcast",
        }
    }
}

fn cases(harness: &Harness) -> Vec<Case> {
    use Network::{Bad, Busy, Clean};
    use Payload::{Broadcast, Metadata};
    // In a bad network members crash before each update, so that each needs a world of its own.
    let case = |nodes, network, payload, worlds, updates| Case {
        nodes,
        network,
        payload,
        worlds,
        updates,
    };
    harness.pick(
        vec![
            case(128, Clean, Metadata, 1, 20),
            case(128, Busy, Metadata, 1, 10),
            case(128, Bad, Metadata, 20, 1),
            case(128, Clean, Broadcast, 1, 20),
        ],
        vec![
            case(128, Clean, Metadata, 10, 100),
            case(128, Busy, Metadata, 10, 20),
            case(128, Bad, Metadata, 1000, 1),
            case(128, Clean, Broadcast, 10, 100),
            case(128, Bad, Broadcast, 1000, 1),
            case(1000, Clean, Metadata, 2, 100),
            case(1000, Busy, Metadata, 2, 10),
            case(1000, Bad, Metadata, 40, 1),
            case(1000, Clean, Broadcast, 2, 100),
            case(10_000, Clean, Metadata, 1, 20),
        ],
    )
}

/// Dissemination of one update.
#[derive(Debug)]
struct Spread {
    /// Seconds until each live member was reached, in ascending order; 0 for the originator.
    times: Vec<f64>,
    /// Number of live members that were not reached within a minute.
    missed: usize,
    /// Copies sent per member.
    copies: f64,
}

impl Spread {
    /// Seconds until this share of the members was reached.
    fn when(&self, share: f64) -> f64 {
        let all = self.times.len() + self.missed;
        let needed = (all as f64 * share).ceil() as usize;
        self.times.get(needed.max(1) - 1).copied().unwrap_or(f64::NAN)
    }
}

fn spread(case: &Case, updates: usize, seed: u64) -> Vec<Spread> {
    let &Case { nodes, network, payload, .. } = case;
    let bad = network == Network::Bad;
    let link = Link { loss: if bad { 0.05 } else { 0.0 }, ..Link::default() };
    let checks = nodes <= 1000;
    let settings = Settings { link, checks, trace: false, ..Settings::default() };
    let mut world = World::formed(nodes, settings, seed);
    let mut rng = SimRng::new(seed, 10);
    let mut spreads = Vec::new();
    for update in 0..updates {
        let pause = 3 * SECOND + rng.uniform(SECOND);
        let dead = if bad { rng.sample_sorted(nodes / 20, nodes) } else { Vec::new() };
        let live: Vec<_> = (0..nodes).filter(|node| !dead.contains(node)).collect();
        let originator = rng.pick(&live);
        run_with_background(&mut world, network, originator, pause);
        dead.iter().for_each(|&node| world.power_off(node));
        let text = format!("<news {update} of n{originator}>");
        world.clear_log();
        world.track_payload(text.as_bytes());
        let start = world.now();
        let kind = match payload {
            Payload::Metadata => {
                world.set_meta(originator, &text);
                EventKind::Updated
            }
            Payload::Broadcast => {
                assert!(world.broadcast(originator, &text), "there is room");
                EventKind::Message
            }
        };
        let mut times = vec![0.0];
        let mut known = BTreeSet::new();
        let mut looked_at = 0;
        while times.len() < live.len() && world.now() < start + 60 * SECOND {
            run_with_background(&mut world, network, originator, SECOND / 10);
            let log = &world.log()[looked_at..];
            looked_at += log.len();
            let news =
                log.iter().filter(|event| event.kind == kind && event.subject == Some(originator));
            let first = news.filter(|event| known.insert(event.observer));
            times.extend(first.map(|event| secs(event.at.since(start))));
        }
        // The last members that were reached still forward the update.
        run_with_background(&mut world, network, originator, 3 * SECOND);
        let copies = world.tracked_datagrams() as f64 / live.len() as f64;
        spreads.push(Spread { missed: live.len() - times.len(), times, copies });
    }
    assert_no_violations(&world, seed);
    spreads
}

/// Runs the world; in the busy network other members change their metadata meanwhile.
fn run_with_background(world: &mut World, network: Network, originator: usize, time: Duration) {
    let end = world.now() + time;
    while network == Network::Busy && world.now() + BACKGROUND_INTERVAL < end {
        let speaker =
            (world.now().as_nanos() / BACKGROUND_INTERVAL.as_nanos() as u64) as usize % world.len();
        if speaker != originator {
            world.set_meta(speaker, &world.now().as_nanos().to_string());
        }
        world.run_for(BACKGROUND_INTERVAL);
    }
    world.run_for(end.since(world.now()));
}

fn mean_time(spreads: &[Spread], share: f64) -> f64 {
    spreads.iter().map(|spread| spread.when(share)).collect::<Sample>().mean()
}

/// Mean share of members reached, over time.
fn curve(spreads: &[Spread]) -> Vec<(f64, f64)> {
    let share = |spread: &Spread, at: f64| {
        let know = spread.times.iter().filter(|&&time| time <= at).count();
        know as f64 / (spread.times.len() + spread.missed) as f64
    };
    let mean = |at| spreads.iter().map(|spread| share(spread, at)).collect::<Sample>().mean();
    instants().map(|at| (at, mean(at))).collect()
}

/// SWIM's curve in seconds: `1/(1 + (n-1)e^(-(2-1/n)t))`, for updates piggybacked on pings and
/// acks.
fn logistic(nodes: usize) -> Vec<(f64, f64)> {
    let n = nodes as f64;
    let share = |t: f64| 1.0 / (1.0 + (n - 1.0) * libm::exp(-(2.0 - 1.0 / n) * t));
    instants().map(|t| (t, share(t))).collect()
}

/// Times from 0.1 ms to 10 s, evenly spaced on a logarithmic scale.
fn instants() -> impl Iterator<Item = f64> {
    (0..=100).map(|step| 1e-4 * libm::pow(10.0, f64::from(step) / 20.0))
}

/// Lower bound of rounds to reach all members, if no member is reached twice.
fn least_rounds(nodes: usize) -> u32 {
    (0..).find(|&rounds| (FAN_OUT + 1_usize).pow(rounds) >= nodes).expect("powers grow")
}

/// Rounds of random push gossip in theory: `log_(k+1) n + ln n / k`.
fn push_rounds(nodes: usize) -> f64 {
    let (log, k) = (libm::log(nodes as f64), FAN_OUT as f64);
    log / libm::log(k + 1.0) + log / k
}

const SECOND: Duration = Duration::from_secs(1);
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(99);
/// Default gossip interval in seconds, and default fan-out.
const ROUND: f64 = 0.2;
const FAN_OUT: usize = 3;
/// Model of memberlist's default configuration: members, whether the network is bad, rounds to all,
/// copies.
const MODEL: [(usize, bool, f64, u32); 5] = [
    (128, false, 5.93, 12),
    (1000, false, 8.15, 16),
    (10_000, false, 11.0, 20),
    (128, true, 6.37, 12),
    (1000, true, 8.70, 16),
];

const TEXT: &str = "One member changes its metadata, or broadcasts a message, at a random moment; \
the gossip fan-out is 3 members every 200 ms, as by default. We measure when the update has \
reached half, 99 % and all of the other members, and how many datagrams carry it. In the busy \
cluster another member has an update every 0.1 s, so that all members gossip all the time. In the \
bad network 5 % of the datagrams are lost, and 5 % of the members crashed immediately before, so \
that no member has detected that yet.

If rounds are synchronized and the fan-out is 3, no schedule reaches all members in fewer than \
log_4 n rounds, rounded up, and random push gossip takes log_4 n + (ln n)/3 in theory. The \
memberlist model has memberlist's default configuration, with the same fan-out and interval and \
synchronized rounds. It was made for this comparison: its figures are not published ones.";

const NOTES: [&str; 5] = [
    "In a quiet cluster an update reaches most members within a few round trips, in less than one \
     gossip interval, because a member's first gossip round after a quiet time is immediate: the \
     update waits for no timer until it comes to the members that the first wave missed. That is \
     why a time divided by 200 ms can be below the lower bound of rounds. The busy cluster shows \
     the latency when gossip timers already run.",
    "A copy is a datagram that carries the update. Copies piggybacked on pings and acks are \
     counted, although they need no datagram of their own. The model's number is the retransmit \
     limit of gossip, which is the same for Tidings.",
    "\"Missed\" are live members that an update had not reached after one minute. Metadata \
     updates that gossip missed are repaired by the digests on pings; broadcasts are not \
     repaired: with 5 % loss and 5 % crashed members, some 12 random copies miss about 2 of \
     100,000 members in theory, e^(-0.9 × 12), and a few are missed.",
    "SWIM's curve is computed from its own formula, with a period of one second and piggybacking \
     only. It shows the effect of gossip; it is not a measurement of SWIM.",
    "Rounds are times divided by 200 ms, means over the updates that reached all members. The \
     network delay is 0.2 ms; with a longer delay, the first wave takes proportionally longer.",
];
