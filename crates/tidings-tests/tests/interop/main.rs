//! Interoperability: Tidings among real memberlist, Serf and Alertmanager nodes.
//!
//! `cargo test -p tidings-tests --test interop -- [--list] [--jobs N] [NAME...]`;
//! `interop/install.sh` installs the programs that it needs. Each scenario runs with each program
//! that its table row names. `soak` runs only if it is the first name.

mod alertmanagers;
mod clusters;
mod encryption;
mod failures;
mod joins;
mod known;
mod messages;
mod networks;
mod serfs;
mod soak;

use std::process::ExitCode;
use tidings_tests::Kind::{Go022, Go050};
use tidings_tests::runner::{self, Place::Loopback, Scenario};
use tidings_tests::{Kind, Scene};

const BOTH: &[Kind] = &[Go022, Go050];

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "soak") {
        return soak::main(&args[1..]);
    }
    let scenarios: Vec<_> = [
        networks::ALL,
        clusters::ALL,
        serfs::ALL,
        alertmanagers::ALL,
        failures::ALL,
        encryption::ALL,
        messages::ALL,
        joins::ALL,
    ]
    .concat();
    runner::main(&scenarios)
}

/// A scenario on the loopback interface, run with both versions of memberlist.
const fn with_both(name: &'static str, claim: &'static str, play: fn(&Scene, Kind)) -> Scenario {
    Scenario { name, claim, against: BOTH, place: Loopback, play }
}
