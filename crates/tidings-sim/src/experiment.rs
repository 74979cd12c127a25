//! Experiments: measurements of the protocol's quality, beside published results and theory.

mod churn;
mod completeness;
mod dissemination;
mod false_positives;
mod first_detection;
mod format;
mod gray;
mod join_storm;
mod lifeguard;
mod load;
mod loss;
mod mass_failure;
mod process_death;
mod switches;

use crate::harness::Harness;
use crate::report::{Report, Section};
use tidings::Options;

/// An experiment: one question, measured as one section of a report.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Name on the command line.
    pub name: &'static str,
    /// The question, in one sentence.
    pub about: &'static str,
    run: fn(&Harness) -> Section,
}

impl Experiment {
    /// All experiments, in the order of the report.
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// The experiment with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|experiment| experiment.name == name)
    }

    /// Runs the experiment.
    pub fn run(&self, harness: &Harness) -> Section {
        (self.run)(harness)
    }
}

const ALL: &[Experiment] = &[
    Experiment {
        name: "first-detection",
        about: "Detection latency: how soon after a crash does the first member suspect it?",
        run: first_detection::run,
    },
    Experiment {
        name: "completeness",
        about: "Completeness: does every member probe every other within SWIM's bound?",
        run: completeness::run,
    },
    Experiment {
        name: "false-positives-formula",
        about: "How often does a probe of a live member fail under loss?",
        run: false_positives::run,
    },
    Experiment {
        name: "load",
        about: "Which message load does a quiet cluster have?",
        run: load::run,
    },
    Experiment {
        name: "dissemination",
        about: "How fast do updates spread, and how many copies are sent?",
        run: dissemination::run,
    },
    Experiment {
        name: "loss",
        about: "How many false positives, and which detection latency, \
    under loss?",
        run: loss::run,
    },
    Experiment {
        name: "join-storm",
        about: "How soon does a cluster converge whose members all start at once?",
        run: join_storm::run,
    },
    Experiment {
        name: "partition",
        about: "How soon does a cluster heal after a partition?",
        run: churn::partition,
    },
    Experiment {
        name: "mass-restart",
        about: "Are all views correct after a mass restart?",
        run: churn::mass_restart,
    },
    Experiment {
        name: "mass-failure",
        about: "How soon do the survivors of a mass failure know of all who are gone?",
        run: mass_failure::mass_failure,
    },
    Experiment {
        name: "half-attached",
        about: "How many false positives does a member cause that reaches two others?",
        run: mass_failure::half_attached,
    },
    Experiment {
        name: "lifeguard-false-positives",
        about: "How many false positives do slow members cause? (Lifeguard, Table IV)",
        run: lifeguard::false_positives::run,
    },
    Experiment {
        name: "lifeguard-latency",
        about: "How soon are slow members detected? (Lifeguard, Table V)",
        run: lifeguard::latency::run,
    },
    Experiment {
        name: "lifeguard-load",
        about: "Which message load do Lifeguard's components add? (Lifeguard, Table VI)",
        run: lifeguard::load::run,
    },
    Experiment {
        name: "lifeguard-tuning",
        about: "Detection latency against false positives (Lifeguard, Table VII)",
        run: lifeguard::tuning::run,
    },
    Experiment {
        name: "gray",
        about: "Gray failures: lossy, flapping and starved members",
        run: gray::run,
    },
    Experiment {
        name: "process-death",
        about: "How soon is a process known to be dead on a machine that lives, and what looks \
    like it?",
        run: process_death::run,
    },
    Experiment {
        name: "switches",
        about: "What does each protocol option contribute?",
        run: switches::run,
    },
];

/// Turns off the rules for mass failures and for members that reach few others, which SWIM and
/// Lifeguard do not have.
fn mass_failure_rules_off(options: &mut Options) {
    options.recent_relays = false;
    options.wide_probes = false;
    options.recent_gossip = false;
    options.limit_confirmations = false;
    options.suspect_on_verdict = false;
    options.repeat_probes = false;
    options.flap_suppress = 0;
}

/// Combines the sections of experiments into a report.
pub fn report(sections: Vec<Section>) -> Report {
    Report { title: "How good the protocol is".into(), intro: INTRO.into(), sections }
}

const INTRO: &str = "Measurements of Tidings' real core in a simulated network, beside published \
results for SWIM, Lifeguard and memberlist, and beside theory. Every figure comes from `tidings \
sim experiment`, and the same command gives the same figures.";
