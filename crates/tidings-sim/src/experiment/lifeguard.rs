//! Lifeguard's experiments: false positives caused by slow members, and the cost of avoiding them.
//!
//! Lifeguard is Dadgar, Phillips, Currey: *Lifeguard: Local Health Awareness for More Accurate
//! Failure Detection*, 2018 (arXiv 1707.00788v2). Its tables and figures are named as there. `FP`
//! are false positives, `FP-` those at healthy members.

pub(super) mod false_positives;
pub(super) mod latency;
pub(super) mod load;
mod published;
mod runs;
pub(super) mod tuning;

use super::mass_failure_rules_off;
use std::time::Duration;
use tidings::Options;

/// A named configuration.
#[derive(Clone, Debug)]
struct Setup {
    name: String,
    options: Options,
    /// Its row in the paper's tables, if any.
    row: Option<usize>,
}

impl Setup {
    fn new(name: &str, options: Options) -> Self {
        Self { name: name.into(), options, row: None }
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = self.options.clone();
        change(&mut options);
        Self::new(name, options)
    }

    /// The paper's baseline: memberlist's SWIM with α = 5, without Lifeguard's components and
    /// Tidings' additions.
    fn swim() -> Self {
        let mut options = Options::lan();
        options.suspicion_mult = 5;
        options.suspicion_max_mult = 1;
        options.awareness_max = 1;
        options.nacks = false;
        options.buddy = false;
        options.require_recent_ack = false;
        mass_failure_rules_off(&mut options);
        options.prompt_refutation = false;
        options.digest_checks = false;
        options.refusal_evidence = false;
        options.probe_timeout_min = options.probe_timeout;
        Self { row: Some(0), ..Self::new("SWIM", options) }
    }

    /// All three components of Lifeguard, with the given α and β.
    fn lifeguard(alpha: u32, beta: u32) -> Self {
        Self::swim().with("Lifeguard", |options| {
            local_health(options);
            options.buddy = true;
            options.suspicion_mult = alpha;
            options.suspicion_max_mult = beta;
        })
    }

    /// Tidings' defaults with the given α and β.
    fn tidings(alpha: u32, beta: u32) -> Self {
        let mut options = Options::lan();
        options.suspicion_mult = alpha;
        options.suspicion_max_mult = beta;
        Self::new(&format!("Tidings, α = {alpha}"), options)
    }

    /// The configurations of the five rows of the paper's tables.
    fn published() -> Vec<Self> {
        let swim = Self::swim();
        let setups = [
            swim.clone(),
            swim.with("LHA-Probe", local_health),
            swim.with("LHA-Suspicion", |options| options.suspicion_max_mult = 6),
            swim.with("Buddy System", |options| options.buddy = true),
            Self::lifeguard(5, 6),
        ];
        let number = |(row, setup): (usize, Self)| Self { row: Some(row), ..setup };
        setups.into_iter().enumerate().map(number).collect()
    }

    /// Lifeguard with each of Tidings' additions alone.
    fn additions() -> Vec<Self> {
        let lifeguard = Self::lifeguard(5, 6);
        vec![
            lifeguard
                .with("Lifeguard + recent-ack rule", |options| options.require_recent_ack = true),
            lifeguard.with("Lifeguard + prompt refutation", |options| {
                options.prompt_refutation = true;
            }),
            lifeguard.with("Lifeguard + digest checks", |options| options.digest_checks = true),
            lifeguard.with("Lifeguard + adaptive probe timeout", |options| {
                options.probe_timeout_min = Options::lan().probe_timeout_min;
            }),
        ]
    }
}

fn local_health(options: &mut Options) {
    options.awareness_max = 8;
    options.nacks = true;
}

/// Common parameters of the paper's experiments.
const MEMBERS: usize = 128;
const WARM_UP: Duration = Duration::from_secs(15);
const MAX_DURATION: Duration = Duration::from_secs(120);
