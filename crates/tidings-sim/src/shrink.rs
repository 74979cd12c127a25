//! Shrinking: reduces a failing scenario to a minimal one.

use crate::link::Link;
use crate::run::Run;
use crate::scenario::{Preset, Scenario, Start};
use std::time::Duration;

impl Scenario {
    /// Returns a smaller scenario that still fails according to `fails`, or a copy of this one.
    ///
    /// Removes steps, as many at a time as possible; then nodes, options, and network faults. Stops
    /// when nothing more can be removed, or after `most` runs.
    pub fn shrink(&self, most: usize, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut best = self.clone();
        let mut runs = 0;
        let mut fails = |candidate: &Self| {
            runs += 1;
            runs <= most && fails(candidate)
        };
        loop {
            let before = best.to_toml();
            best.remove_steps(&mut fails);
            for simpler in SIMPLIFICATIONS {
                let mut candidate = best.clone();
                simpler(&mut candidate);
                if candidate != best && fails(&candidate) {
                    best = candidate;
                }
            }
            for name in best.options.clone().keys() {
                let mut candidate = best.clone();
                candidate.options.remove(name);
                if fails(&candidate) {
                    best = candidate;
                }
            }
            if best.to_toml() == before {
                return best;
            }
        }
    }

    fn remove_steps(&mut self, fails: &mut impl FnMut(&Self) -> bool) {
        let mut size = self.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.steps.len() {
                let mut candidate = self.clone();
                candidate.steps.drain(at..(at + size).min(self.steps.len()));
                if fails(&candidate) {
                    *self = candidate;
                } else {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// The highest node number in any step.
    fn highest(&self) -> usize {
        self.steps.iter().filter_map(|step| step.get_ref().action.highest()).max().unwrap_or(0)
    }
}

/// Whether a run failed with the same kind of failure as another one.
pub fn fails_same_way(run: &Run, other: &Run) -> bool {
    let kind = |run: &Run| run.failure.as_ref().map(|failure| failure.kind());
    kind(run).is_some() && kind(run) == kind(other)
}

const SIMPLIFICATIONS: &[fn(&mut Scenario)] = &[
    |scenario| scenario.nodes = (scenario.highest() + 1).max(2),
    |scenario| scenario.nodes = (scenario.highest() + 1).max(scenario.nodes - 1),
    |scenario| scenario.link = Link::default(),
    |scenario| scenario.link.bursts = None,
    |scenario| scenario.link.loss = 0.0,
    |scenario| scenario.link.duplicate = 0.0,
    |scenario| scenario.link.reorder = 0.0,
    |scenario| scenario.link.jitter = Link::default().jitter,
    |scenario| scenario.link.stream_resets = 0.0,
    |scenario| scenario.link.stream_stalls = 0.0,
    |scenario| scenario.encryption = false,
    |scenario| scenario.timer_slack = Duration::ZERO,
    |scenario| scenario.drift_ppm = 0,
    |scenario| scenario.preset = Preset::default(),
    |scenario| scenario.start = Start::Formed,
    |scenario| {
        let last = scenario.steps.last().map_or(Duration::ZERO, |step| step.get_ref().at);
        scenario.duration = last;
    },
];
