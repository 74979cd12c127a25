//! Experiments: how good the protocol is, beside what was published and what theory says.

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
mod switches;

use crate::harness::Harness;
use crate::report::{Report, Section};

/// A question with a set-up that answers it: one section of a report.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it asks, in one sentence.
    pub about: &'static str,
    run: fn(&Harness) -> Section,
}

impl Experiment {
    /// All there are, in the order in which a report has them.
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|experiment| experiment.name == name)
    }

    /// Does it.
    pub fn run(&self, harness: &Harness) -> Section {
        (self.run)(harness)
    }
}

const ALL: &[Experiment] = &[
    Experiment {
        name: "first-detection",
        about: "How soon after a crash does anybody notice?",
        run: first_detection::run,
    },
    Experiment {
        name: "completeness",
        about: "Does everybody probe everybody in time?",
        run: completeness::run,
    },
    Experiment {
        name: "false-positives-formula",
        about: "How often does a probe fail that should not?",
        run: false_positives::run,
    },
    Experiment { name: "load", about: "What does a quiet cluster cost?", run: load::run },
    Experiment {
        name: "dissemination",
        about: "How fast does news spread, and what does that cost?",
        run: dissemination::run,
    },
    Experiment { name: "loss", about: "What does loss do to a healthy cluster?", run: loss::run },
    Experiment {
        name: "join-storm",
        about: "How soon are all there who start at once?",
        run: join_storm::run,
    },
    Experiment {
        name: "partition",
        about: "How soon do two halves find each other again?",
        run: churn::partition,
    },
    Experiment {
        name: "mass-restart",
        about: "Is anybody wrong after all have restarted?",
        run: churn::mass_restart,
    },
    Experiment {
        name: "lifeguard-false-positives",
        about: "How many members are wrongly held to have failed where some are slow?",
        run: lifeguard::false_positives::run,
    },
    Experiment {
        name: "lifeguard-latency",
        about: "How soon is it found that members have become slow?",
        run: lifeguard::latency::run,
    },
    Experiment {
        name: "lifeguard-load",
        about: "What do Lifeguard's components cost where some members are slow?",
        run: lifeguard::load::run,
    },
    Experiment {
        name: "lifeguard-tuning",
        about: "How soon can a failure be found for how many false ones?",
        run: lifeguard::tuning::run,
    },
    Experiment {
        name: "gray",
        about: "What becomes of members that are neither well nor gone?",
        run: gray::run,
    },
    Experiment {
        name: "switches",
        about: "What is each of the protocol's switches worth?",
        run: switches::run,
    },
];

/// The report of some experiments.
pub fn report(sections: Vec<Section>) -> Report {
    Report { title: "How good the protocol is".into(), intro: INTRO.into(), sections }
}

const INTRO: &str = "What Tidings' real core does in a simulated network, beside what was published \
about SWIM, Lifeguard and memberlist, and beside what theory allows. Every figure comes from \
`tidings sim experiment`, and the same command gives the same figures.";
