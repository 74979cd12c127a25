//! Soak test: Serf and Tidings agents for a long time, killed and restarted in turn.
//!
//! `cargo test -p tidings-tests --test interop -- soak [--minutes N] [--control]`. With
//! `--control`, a cluster of Serf agents alone runs first in the same way, and its warnings are
//! then expected.

use crate::known;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tidings_tests::runner;
use tidings_tests::{Kind, Peer, Scene, Serf, SerfSettings};

/// Runs the soak test with the arguments after its name.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let Some((time, control)) = parse(args) else {
        eprintln!("interop: soak takes --minutes N and --control");
        return ExitCode::from(2);
    };
    if let Some(code) = runner::without_programs() {
        return code;
    }
    let mut known = BTreeSet::new();
    if control {
        let controlled = runner::run_one("control, Serf alone", |scene| {
            known = soak(scene, time, false);
        });
        if !controlled {
            return ExitCode::FAILURE;
        }
    }
    let played = runner::run_one("soak, Serf and ours", |scene| {
        let warnings = soak(scene, time, true);
        let listed = known::soak();
        let is_known = |line: &&String| {
            known.contains(*line) || listed.iter().any(|expected| expected.matches(line))
        };
        let new: Vec<_> = warnings.iter().filter(|line| !is_known(line)).collect();
        assert!(new.is_empty(), "Serf alone does not warn of this: {new:#?}");
    });
    ExitCode::from(u8::from(!played))
}

/// Parses the duration, and whether to run the control.
fn parse(args: &[String]) -> Option<(Duration, bool)> {
    let (mut minutes, mut control) = (10.0, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--minutes" => minutes = args.next()?.parse().ok()?,
            "--control" => control = true,
            _ => return None,
        }
    }
    Some((Duration::try_from_secs_f64(60.0 * minutes).ok()?, control))
}

/// A node of the cluster.
enum Node {
    Serf(Serf),
    Ours(Peer),
}

impl Node {
    fn name(&self) -> &str {
        match self {
            Self::Serf(serf) => serf.name(),
            Self::Ours(peer) => peer.name(),
        }
    }

    fn kill(&self) {
        match self {
            Self::Serf(serf) => serf.kill(),
            Self::Ours(peer) => peer.kill(),
        }
    }

    fn restart(&mut self, scene: &Scene) {
        match self {
            Self::Serf(serf) => serf.restart(scene, |same| same),
            Self::Ours(peer) => peer.restart(scene, |same| same),
        }
    }

    /// Waits until the members that it sees alive are exactly these.
    fn sees_alive(&self, names: &[String]) {
        match self {
            Self::Serf(serf) => serf.waits("sees all alive", |members| {
                let alive = members.iter().filter(|node| node["status"] == "alive");
                let alive: BTreeSet<_> = alive.filter_map(|node| node["name"].as_str()).collect();
                (alive == names.iter().map(|name| &**name).collect()).then_some(())
            }),
            Self::Ours(peer) => peer.lists(&names.iter().map(|name| &**name).collect::<Vec<_>>()),
        }
    }
}

/// Kills and restarts nodes in turn for `time`; returns the kinds of warnings in Serf's logs.
fn soak(scene: &Scene, time: Duration, with_ours: bool) -> BTreeSet<String> {
    let mut nodes: Vec<_> =
        (1..=NODES).map(|number| start(scene, number, with_ours && number > SERFS)).collect();
    let names: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
    for node in &nodes {
        node.sees_alive(&names);
    }
    let end = Instant::now() + time;
    for round in 0.. {
        if Instant::now() + ROUND > end {
            break;
        }
        let next = Instant::now() + ROUND;
        let count = nodes.len();
        let node = &mut nodes[round % count];
        node.kill();
        // Shorter than the detection of its failure, and longer the next time.
        let down = DOWN[(round % count + round / count) % DOWN.len()];
        wait(scene, Instant::now() + down);
        node.restart(scene);
        println!("{:>5.0} s left: {} was away for {down:?}", left(end), node.name());
        wait(scene, next);
    }
    for node in &nodes {
        node.sees_alive(&names);
    }
    scene.assert_no_panic();
    let warnings = scene.kinds_of_warnings();
    println!("Serf warned of:\n{}", warnings.iter().cloned().collect::<Vec<_>>().join("\n"));
    warnings
}

fn start(scene: &Scene, number: u8, ours: bool) -> Node {
    let others = (1..=NODES).filter(|&other| other != number);
    let others = others.map(|other| scene.network().addr(other));
    if ours {
        let peer = scene.peer(Kind::ours(), &format!("ours{number}"), number).delegate("2,5,5");
        return Node::Ours(others.fold(peer, tidings_tests::Settings::join_at).start(scene));
    }
    // Both of Serf's versions.
    let kind = if number % 2 == 0 { Kind::Go022 } else { Kind::Go050 };
    let serf = SerfSettings::new(kind, &format!("serf{number}"), number);
    Node::Serf(others.fold(serf, SerfSettings::join_at).start(scene))
}

/// Waits until a point in time; panics if a process has panicked.
fn wait(scene: &Scene, until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        scene.assert_no_panic();
        thread::park_timeout(left.min(Duration::from_secs(1)));
    }
}

fn left(end: Instant) -> f64 {
    end.saturating_duration_since(Instant::now()).as_secs_f64()
}

/// The number of Serf agents.
const SERFS: u8 = 5;

/// The number of nodes, Serf and Tidings.
const NODES: u8 = 7;

/// The time from one kill to the next.
const ROUND: Duration = Duration::from_secs(20);

/// How long a killed node stays down.
const DOWN: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];
