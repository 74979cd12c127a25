//! Random scenarios for swarm testing, one for each seed.

use crate::link::{Bursts, Cut, Jitter, Link};
use crate::scenario::{
    Action, Between, Clock, Cpu, Joining, Message, NodeSelector, Pair, Preset, Scenario, Seeding,
    Start, Step, Text, Wire,
};
use crate::sim_rng::SimRng;
use std::time::Duration;
use toml::Spanned;

impl Scenario {
    /// Generates the scenario of a seed: up to some dozens of nodes, with random options, a random
    /// network and random faults.
    ///
    /// Each scenario uses a random subset of the features (swarm testing, Groce et al. 2012): a run
    /// without loss finds bugs that loss would hide.
    pub fn random(seed: u64, wire: Wire) -> Self {
        let mut generator = Generator { rng: SimRng::new(seed, 5), nodes: 0, encryption: false };
        let mut scenario = generator.scenario(seed);
        scenario.wire = wire;
        if wire == Wire::Memberlist {
            // Options that memberlist's format does not support.
            scenario.options.retain(|name, _| name != "stream_only" && name != "digest_checks");
            // In memberlist's format a name stays bound to its address until its holder is declared
            // failed, which never happens if most of the known members have moved.
            for step in &mut scenario.steps {
                if let Action::Move(Joining { nodes: NodeSelector::List(nodes), .. }) =
                    &mut step.get_mut().action
                {
                    nodes.truncate(1);
                }
            }
        }
        scenario
    }
}

struct Generator {
    rng: SimRng,
    nodes: usize,
    encryption: bool,
}

impl Generator {
    fn scenario(&mut self, seed: u64) -> Scenario {
        self.nodes = match self.rng.below(10) {
            0 => 2 + self.rng.below(2),
            1 => 20 + self.rng.below(30),
            _ => 3 + self.rng.below(12),
        };
        self.encryption = self.rng.chance(0.25);
        let count = 1 + self.rng.below(24);
        let kinds = self.kinds();
        let mut at = Duration::from_secs(2);
        let mut steps = Vec::new();
        for _ in 0..count {
            let pause = if self.rng.chance(0.2) { 60_000 } else { 12_000 };
            at += Duration::from_millis(self.rng.below(pause) as u64);
            let kind = self.rng.pick(&kinds);
            steps.push(Spanned::new(0..0, Step { at, action: self.action(kind) }));
        }
        let slack = Duration::from_millis(self.rng.below(50) as u64);
        Scenario {
            about: format!("swarm, seed {seed}"),
            nodes: self.nodes,
            duration: at + Duration::from_secs(self.rng.below(30) as u64),
            start: self.rng.pick(&[Start::Join, Start::Join, Start::Storm, Start::Formed]),
            preset: self.rng.pick(&[Preset::Lan, Preset::Lan, Preset::Local, Preset::Wan]),
            encryption: self.encryption,
            wire: Wire::Tidings,
            timer_slack: if self.rng.chance(0.3) { slack } else { Duration::ZERO },
            drift_ppm: if self.rng.chance(0.3) { self.rng.below(500) as u32 } else { 0 },
            recovery: true,
            converges_within: Duration::ZERO,
            options: self.options(),
            link: self.link(),
            steps,
        }
    }

    fn options(&mut self) -> toml::Table {
        let mut options = toml::Table::new();
        let mut set = |name: &str, value: toml::Value| drop(options.insert(name.into(), value));
        set("reconnect_interval_max", self.rng.pick(&["30s", "60s"]).into());
        if self.rng.chance(0.3) {
            set("reconnect_interval", self.rng.pick(&["1s", "5s"]).into());
        }
        if self.rng.chance(0.5) {
            set("tombstone_timeout", self.rng.pick(&["2m", "10m", "1h"]).into());
        }
        if self.rng.chance(0.5) {
            set("sync_interval", self.rng.pick(&["5s", "20s", "40s"]).into());
        }
        for switch in [
            "nacks",
            "buddy",
            "require_recent_ack",
            "prompt_refutation",
            "stream_probes",
            "recent_relays",
            "wide_probes",
            "recent_gossip",
            "limit_confirmations",
            "suspect_on_verdict",
        ] {
            if self.rng.chance(0.1) {
                set(switch, false.into());
            }
        }
        if self.rng.chance(0.5) {
            set("refusal_evidence", true.into());
        }
        if self.rng.chance(0.1) {
            set("stream_only", true.into());
        } else if self.rng.chance(0.1) {
            set("digest_checks", false.into());
        }
        for (name, values) in [
            ("indirect_probes", [0, 1, 5]),
            ("suspicion_mult", [2, 3, 5]),
            ("suspicion_max_mult", [1, 3, 8]),
            ("awareness_max", [1, 3, 12]),
            ("retransmit_mult", [2, 3, 6]),
            ("gossip_nodes", [1, 2, 5]),
            ("max_streams_in", [4, 16, 64]),
            ("max_relays", [0, 1, 8]),
        ] {
            if self.rng.chance(0.1) {
                set(name, self.rng.pick(&values).into());
            }
        }
        options
    }

    fn link(&mut self) -> Link {
        let rng = &mut self.rng;
        let ms = |number: usize| Duration::from_millis(number as u64);
        let span = ms(1 + rng.below(60));
        let jitters = [
            Jitter::Uniform(span),
            Jitter::Exponential(span / 4),
            Jitter::Normal(span / 4),
            Jitter::HeavyTail(span / 30),
        ];
        let jitter = jitters[rng.below(4)].clone();
        let bursts = Bursts {
            good: ms(2000 + rng.below(20_000)),
            bad: ms(100 + rng.below(2000)),
            loss: 0.2 + 0.8 * rng.unit(),
        };
        let mut sometimes = |chance: f64, most: f64| {
            let amount = rng.unit() * most;
            if rng.chance(chance) { amount } else { 0.0 }
        };
        let (loss, duplicate, reorder) =
            (sometimes(0.4, 0.3), sometimes(0.3, 0.2), sometimes(0.3, 0.3));
        let (stream_resets, stream_stalls) = (sometimes(0.2, 0.1), sometimes(0.2, 0.05));
        Link {
            delay: Duration::from_micros(100 + rng.below(20_000) as u64),
            jitter: if rng.chance(0.5) { jitter } else { Jitter::None },
            loss,
            bursts: rng.chance(0.2).then_some(bursts),
            duplicate,
            reorder,
            reorder_by: ms(1 + rng.below(500)),
            max_datagram: if rng.chance(0.1) { 300 } else { Link::default().max_datagram },
            stream_resets,
            stream_stalls,
        }
    }

    /// The kinds of actions in this scenario.
    fn kinds(&mut self) -> Vec<usize> {
        let kinds: Vec<_> = (0..KINDS).filter(|_| self.rng.chance(0.5)).collect();
        if kinds.is_empty() { vec![0, 3] } else { kinds }
    }

    fn action(&mut self, kind: usize) -> Action {
        match kind {
            0 => Action::Crash(self.some_nodes()),
            1 => Action::PowerOff(self.some_nodes()),
            2 => Action::Start(self.joining()),
            3 => Action::Move(self.joining()),
            4 => Action::Leave(self.some_nodes()),
            5 => Action::Pause(self.some_nodes()),
            6 => Action::Stall(self.some_nodes()),
            7 => Action::Resume(NodeSelector::All),
            8 => Action::Isolate(self.some_nodes()),
            9 => Action::Cut(self.cut()),
            10 | 11 => Action::Mend(true),
            12 => Action::Link(self.link()),
            13 => Action::Meta(self.text()),
            14 => Action::Broadcast(self.text()),
            15 => {
                let (from, to) = (self.some_node(), self.some_node());
                Action::Send(Message { from, to, text: "hello".into() })
            }
            16 => Action::Ping(Pair { from: self.some_node(), to: self.some_node() }),
            17 => {
                let each = Duration::from_millis(self.rng.below(40) as u64);
                Action::Cpu(Cpu { nodes: self.some_nodes(), each })
            }
            18 => {
                // With encryption, nobody accepts messages from so far.
                let ahead = self.rng.pick(&[-50_000, -20, -2, 2, 50_000]);
                Action::Clock(Clock { nodes: self.some_nodes(), ahead })
            }
            19 => Action::TakePort(self.some_nodes()),
            20 => Action::Reject(self.cut()),
            21 => {
                let Joining { nodes, seeds } = self.joining();
                let (dead, over) = (self.rng.below(3), Duration::ZERO);
                Action::Seeds(Seeding { nodes, seeds, dead, over })
            }
            _ => Action::LinkBetween(Between {
                from: self.some_nodes(),
                to: self.some_nodes(),
                what: None,
                link: Some(self.link()),
            }),
        }
    }

    fn some_node(&mut self) -> usize {
        self.rng.below(self.nodes)
    }

    fn some_nodes(&mut self) -> NodeSelector {
        let count = if self.rng.chance(0.2) { 1 + self.rng.below(self.nodes) } else { 1 };
        NodeSelector::List(self.rng.sample_sorted(count, self.nodes))
    }

    fn joining(&mut self) -> Joining {
        let seeds = NodeSelector::List(self.rng.sample_sorted(3, self.nodes));
        Joining { nodes: self.some_nodes(), seeds }
    }

    fn cut(&mut self) -> Between {
        let side = 1 + self.rng.below(self.nodes);
        let (from, to) = match self.rng.below(3) {
            0 => (self.some_nodes(), self.some_nodes()),
            1 => (self.some_nodes(), NodeSelector::All),
            _ => (
                NodeSelector::Range(0, side),
                NodeSelector::Range(side.min(self.nodes - 1), self.nodes),
            ),
        };
        let what = self.rng.pick(&[Cut::All, Cut::All, Cut::Datagrams, Cut::Streams]);
        Between { from, to, what: Some(what), link: None }
    }

    fn text(&mut self) -> Text {
        let length = if self.rng.chance(0.3) { self.rng.below(400) } else { 0 };
        let text = format!("text {}{}", self.rng.below(1000), ".".repeat(length));
        Text { nodes: self.some_nodes(), text }
    }
}

/// Number of kinds of actions.
const KINDS: usize = 23;
