//! `tidings top`: a live view of a running agent, in a terminal.
//!
//! Two threads ask the agent, and connect again when it has been restarted; this one draws.

mod draw;
mod state;

use super::{At, fatal};
use crate::Fatal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use state::{Action, State};
use std::io::IsTerminal;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;
use tidings_control::Level;

/// What the threads tell the one that draws.
enum Update {
    /// The results of `info`, `members` and `stats`.
    Look([Value; 3]),
    /// An event of the agent.
    Event(Value),
    /// What `tidings why` says of a member.
    Why(String, String),
    /// The agent does not answer.
    Lost(String),
}

pub(super) fn run(at: At) -> Result<ExitCode, Fatal> {
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        return Err(Fatal::usage(
            "tidings top needs a terminal; `tidings members --watch` and `tidings monitor` do not",
        ));
    }
    // An agent that is not there is an error before the screen changes.
    drop(at.connect()?);
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ends)).map_err(Fatal::failed)?;
    }
    let at = Arc::new(at);
    // Of a flood of events the agent drops some, and says how many.
    let (sender, updates) = sync_channel(MAX_WAITING);
    let (wanted, names) = channel();
    for run in [look, monitor] {
        let (at, sender) = (Arc::clone(&at), sender.clone());
        thread::spawn(move || run(&at, &sender));
    }
    thread::spawn(move || explain(&at, &names, &sender));
    // This also restores the terminal on a panic.
    let mut terminal = ratatui::try_init().map_err(Fatal::failed)?;
    let ended = show(&mut terminal, &updates, &wanted, &ends);
    ratatui::restore();
    ended.map_err(Fatal::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Draws, and handles keys, until one of them or a signal ends it.
fn show(
    terminal: &mut ratatui::DefaultTerminal,
    updates: &Receiver<Update>,
    wanted: &Sender<String>,
    ends: &AtomicBool,
) -> std::io::Result<()> {
    let mut state = State::default();
    while !ends.load(Ordering::Relaxed) {
        for update in updates.try_iter().take(MAX_WAITING) {
            match update {
                Update::Look(look) => state.look(look),
                Update::Event(event) => state.event(&event),
                Update::Why(name, text) => state.explain(&name, text),
                Update::Lost(error) => state.lose(&error),
            }
        }
        terminal.draw(|frame| draw::draw(&state, frame))?;
        if !event::poll(PAUSE)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match state.key(key) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Explain(name)) => _ = wanted.send(name),
            None => {}
        }
    }
    Ok(())
}

/// Asks for the members again and again.
fn look(at: &At, updates: &SyncSender<Update>) {
    loop {
        let looked = at.connect().and_then(|mut client| {
            loop {
                let mut call = |command| client.call(command, json!({})).map_err(fatal);
                let look = Update::Look([call("info")?, call("members")?, call("stats")?]);
                if updates.send(look).is_err() {
                    return Ok(());
                }
                thread::sleep(REFRESH);
            }
        });
        let Err(error) = looked else { return };
        if updates.send(Update::Lost(error.message)).is_err() {
            return;
        }
        thread::sleep(REFRESH);
    }
}

/// Reads the events.
fn monitor(at: &At, updates: &SyncSender<Update>) {
    loop {
        let events = at.connect().and_then(|client| client.monitor(Level::Info).map_err(fatal));
        for event in events.into_iter().flatten() {
            let Ok(event) = event else { break };
            if updates.send(Update::Event(event)).is_err() {
                return;
            }
        }
        thread::sleep(REFRESH);
    }
}

/// Has `tidings why` explain members.
fn explain(at: &At, names: &Receiver<String>, updates: &SyncSender<Update>) {
    for name in names {
        let run = || {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("why").args(at.arguments()).args(["--", &name]);
            command.stdin(Stdio::null()).output()
        };
        let text = match run() {
            Ok(output) => {
                let text = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&text).into_owned()
            }
            Err(error) => error.to_string(),
        };
        if updates.send(Update::Why(name, text)).is_err() {
            return;
        }
    }
}

/// How often the agent is asked.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a key is waited for before the screen is drawn again.
const PAUSE: Duration = Duration::from_millis(200);
/// The updates that wait to be drawn.
const MAX_WAITING: usize = 256;
