//! Swarms: scenarios that nobody wrote, one for each seed.

use crate::dice::Dice;
use crate::link::{Bursts, Cut, Jitter, Link};
use crate::scenario::{
    Action, Between, Clock, Cpu, Joining, Message, Pair, Preset, Scenario, Start, Step, Text, Who,
    Wire,
};
use std::time::Duration;
use toml::Spanned;

impl Scenario {
    /// The scenario of a seed: a few nodes, or some dozens, with options and a network of their own, to
    /// which anything may happen.
    ///
    /// What is drawn is not all that there is each time, but some of it (swarm testing, Groce et al.
    /// 2012): a run without losses finds what losses hide.
    pub fn drawn(seed: u64, wire: Wire) -> Self {
        let mut draw = Draw { dice: Dice::new(seed, 5), nodes: 0, encryption: false };
        let mut scenario = draw.scenario(seed);
        scenario.wire = wire;
        if wire == Wire::Memberlist {
            // What that format has not.
            scenario.options.retain(|name, _| name != "stream_only" && name != "digest_checks");
            // In it a name stays with its address until its holder is held to have failed, which takes
            // for ever where most of those who are known have moved.
            for step in &mut scenario.steps {
                if let Action::Move(Joining { nodes: Who::These(nodes), .. }) =
                    &mut step.get_mut().action
                {
                    nodes.truncate(1);
                }
            }
        }
        scenario
    }
}

struct Draw {
    dice: Dice,
    nodes: usize,
    encryption: bool,
}

impl Draw {
    fn scenario(&mut self, seed: u64) -> Scenario {
        self.nodes = match self.dice.below(10) {
            0 => 2 + self.dice.below(2),
            1 => 20 + self.dice.below(30),
            _ => 3 + self.dice.below(12),
        };
        self.encryption = self.dice.chance(0.25);
        let count = 1 + self.dice.below(24);
        let kinds = self.kinds();
        let mut at = Duration::from_secs(2);
        let mut steps = Vec::new();
        for _ in 0..count {
            let pause = if self.dice.chance(0.2) { 60_000 } else { 12_000 };
            at += Duration::from_millis(self.dice.below(pause) as u64);
            let kind = self.dice.pick(&kinds);
            steps.push(Spanned::new(0..0, Step { at, action: self.action(kind) }));
        }
        let slack = Duration::from_millis(self.dice.below(50) as u64);
        Scenario {
            about: format!("swarm, seed {seed}"),
            nodes: self.nodes,
            duration: at + Duration::from_secs(self.dice.below(30) as u64),
            start: self.dice.pick(&[Start::Join, Start::Join, Start::Storm, Start::Formed]),
            preset: self.dice.pick(&[Preset::Lan, Preset::Lan, Preset::Local, Preset::Wan]),
            encryption: self.encryption,
            wire: Wire::Tidings,
            timer_slack: if self.dice.chance(0.3) { slack } else { Duration::ZERO },
            drift_ppm: if self.dice.chance(0.3) { self.dice.below(500) as u32 } else { 0 },
            calm: true,
            options: self.options(),
            link: self.link(),
            steps,
        }
    }

    fn options(&mut self) -> toml::Table {
        let mut options = toml::Table::new();
        let mut set = |name: &str, value: toml::Value| drop(options.insert(name.into(), value));
        set("reconnect_interval_max", self.dice.pick(&["30s", "60s"]).into());
        if self.dice.chance(0.3) {
            set("reconnect_interval", self.dice.pick(&["1s", "5s"]).into());
        }
        if self.dice.chance(0.5) {
            set("tombstone_timeout", self.dice.pick(&["2m", "10m", "1h"]).into());
        }
        if self.dice.chance(0.5) {
            set("sync_interval", self.dice.pick(&["5s", "20s", "40s"]).into());
        }
        for switch in ["nacks", "buddy", "require_recent_ack", "prompt_refutation", "stream_probes"]
        {
            if self.dice.chance(0.1) {
                set(switch, false.into());
            }
        }
        if self.dice.chance(0.1) {
            set("stream_only", true.into());
        } else if self.dice.chance(0.1) {
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
            if self.dice.chance(0.1) {
                set(name, self.dice.pick(&values).into());
            }
        }
        options
    }

    fn link(&mut self) -> Link {
        let dice = &mut self.dice;
        let ms = |number: usize| Duration::from_millis(number as u64);
        let span = ms(1 + dice.below(60));
        let jitters = [
            Jitter::Uniform(span),
            Jitter::Exponential(span / 4),
            Jitter::Normal(span / 4),
            Jitter::HeavyTail(span / 30),
        ];
        let jitter = jitters[dice.below(4)].clone();
        let bursts = Bursts {
            good: ms(2000 + dice.below(20_000)),
            bad: ms(100 + dice.below(2000)),
            loss: 0.2 + 0.8 * dice.unit(),
        };
        let mut sometimes = |chance: f64, most: f64| {
            let amount = dice.unit() * most;
            if dice.chance(chance) { amount } else { 0.0 }
        };
        let (loss, duplicate, reorder) =
            (sometimes(0.4, 0.3), sometimes(0.3, 0.2), sometimes(0.3, 0.3));
        let (stream_resets, stream_stalls) = (sometimes(0.2, 0.1), sometimes(0.2, 0.05));
        Link {
            delay: Duration::from_micros(100 + dice.below(20_000) as u64),
            jitter: if dice.chance(0.5) { jitter } else { Jitter::None },
            loss,
            bursts: dice.chance(0.2).then_some(bursts),
            duplicate,
            reorder,
            reorder_by: ms(1 + dice.below(500)),
            max_datagram: if dice.chance(0.1) { 300 } else { Link::default().max_datagram },
            stream_resets,
            stream_stalls,
        }
    }

    /// The kinds of things that happen in this one.
    fn kinds(&mut self) -> Vec<usize> {
        let kinds: Vec<_> = (0..KINDS).filter(|_| self.dice.chance(0.5)).collect();
        if kinds.is_empty() { vec![0, 3] } else { kinds }
    }

    fn action(&mut self, kind: usize) -> Action {
        match kind {
            0 => Action::Crash(self.who()),
            1 => Action::PowerOff(self.who()),
            2 => Action::Start(self.joining()),
            3 => Action::Move(self.joining()),
            4 => Action::Leave(self.who()),
            5 => Action::Pause(self.who()),
            6 => Action::Stall(self.who()),
            7 => Action::Resume(Who::All),
            8 => Action::Isolate(self.who()),
            9 => Action::Cut(self.cut()),
            10 | 11 => Action::Mend(true),
            12 => Action::Link(self.link()),
            13 => Action::Meta(self.text()),
            14 => Action::Broadcast(self.text()),
            15 => {
                let (from, to) = (self.one(), self.one());
                Action::Send(Message { from, to, text: "hello".into() })
            }
            16 => Action::Ping(Pair { from: self.one(), to: self.one() }),
            17 => {
                let each = Duration::from_millis(self.dice.below(40) as u64);
                Action::Cpu(Cpu { nodes: self.who(), each })
            }
            18 => {
                // Nodes that encrypt need clocks that are roughly right.
                let far = if self.encryption { 20 } else { 3600 };
                let ahead = self.dice.pick(&[-far, -20, -2, 2, far]);
                Action::Clock(Clock { nodes: self.who(), ahead })
            }
            _ => Action::Ways(Between {
                from: self.who(),
                to: self.who(),
                what: None,
                link: Some(self.link()),
            }),
        }
    }

    fn one(&mut self) -> usize {
        self.dice.below(self.nodes)
    }

    fn who(&mut self) -> Who {
        let count = if self.dice.chance(0.2) { 1 + self.dice.below(self.nodes) } else { 1 };
        Who::These(self.dice.some(count, self.nodes))
    }

    fn joining(&mut self) -> Joining {
        let seeds = Who::These(self.dice.some(3, self.nodes));
        Joining { nodes: self.who(), seeds }
    }

    fn cut(&mut self) -> Between {
        let side = 1 + self.dice.below(self.nodes);
        let (from, to) = match self.dice.below(3) {
            0 => (self.who(), self.who()),
            1 => (self.who(), Who::All),
            _ => (Who::Range(0, side), Who::Range(side.min(self.nodes - 1), self.nodes)),
        };
        let what = self.dice.pick(&[Cut::All, Cut::All, Cut::Datagrams, Cut::Streams]);
        Between { from, to, what: Some(what), link: None }
    }

    fn text(&mut self) -> Text {
        let length = if self.dice.chance(0.3) { self.dice.below(400) } else { 0 };
        let text = format!("text {}{}", self.dice.below(1000), ".".repeat(length));
        Text { nodes: self.who(), text }
    }
}

/// How many kinds of things may happen.
const KINDS: usize = 20;
