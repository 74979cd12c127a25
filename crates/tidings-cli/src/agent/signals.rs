//! Signals to the agent.

use super::Input;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;

/// Handles signals from now on: SIGHUP reloads; SIGINT or SIGTERM leaves and stops, and a second
/// one stops at once.
pub(super) fn handle(inputs: &Sender<Input>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let inputs = inputs.clone();
    let thread = thread::Builder::new().name("tidings-signals".into());
    thread.spawn(move || {
        let mut ends = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => drop(inputs.send(Input::Reload)),
                _ if ends => std::process::exit(1),
                _ => {
                    ends = true;
                    drop(inputs.send(Input::Signal));
                }
            }
        }
    })?;
    Ok(())
}
