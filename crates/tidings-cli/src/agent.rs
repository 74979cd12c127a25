//! `tidings agent`: runs one node as a service.

mod args;
mod cluster;
mod commands;
mod control;
mod everywhere;
mod reload;
mod seal;
mod signals;
mod system;

use crate::Fatal;
use crate::command::Context;
use crate::config::Sources;
use crate::http::Http;
use crate::join;
use crate::key_file::Keys;
use crate::lines::Lines;
use crate::report::Report;
use crate::runtime::{Events, Node};
use args::usage;
pub(crate) use args::{Args, duration};
use cluster::{Cluster, Remote};
use commands::Commands;
use control::Control;
use reload::Reload;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tidings_control::Publisher;
use tidings_driver::prelude::{Event, OnNameTaken, Target};

/// The end of the short help.
pub(crate) const MORE_HELP: &str =
    "`tidings agent --help` shows all options, and the commands on standard input.";

/// An event that the agent's main thread handles.
#[derive(Debug)]
pub(crate) enum Input {
    /// The command `quit`.
    Quit,
    /// The end of standard input.
    StdinClosed,
    /// SIGINT or SIGTERM.
    Signal,
    /// SIGHUP.
    Reload,
    /// A seed refused the node because another one that lives has its name.
    NameTaken(String),
    /// A leave that the agent itself began has ended.
    Left,
    /// A line could not be written to standard output.
    CannotPrint(io::Error),
}

/// The reason why an agent stops.
enum End {
    Quit,
    Signal,
    /// Another node has the name.
    NameTaken(String),
    /// The reader of standard output is gone.
    OutputClosed(io::Error),
}

/// Runs a node until a command, a signal, or a closed standard output stops it.
pub(crate) fn run(args: Args, sources: Sources) -> Result<ExitCode, Fatal> {
    let (sender, inputs) = channel();
    let outputs = sender.clone();
    let lines = Lines::start(move |error| drop(outputs.send(Input::CannotPrint(error))));
    let lines = lines.map_err(Fatal::failed)?;
    let publisher = Publisher::new();
    let report = Report::new(args.json, args.log_level, lines.clone(), publisher.clone());
    let fails = |fatal: Fatal| {
        let fatal = sources.locate(fatal);
        report.fatal(&fatal.message);
        lines.drain(PATIENCE);
        fatal
    };
    signals::handle(&sender).map_err(Fatal::failed)?;
    let context = args.context();
    let seeds = args.seeds(&context).map_err(fails)?;
    let (node, events) = start(&args, &context, &report).map_err(fails)?;
    let node = Arc::new(node);
    let key_file = args.keys.file().map(Path::to_owned);
    let keys = Arc::new(Keys::new(Arc::clone(&node), args.wire.keys(), key_file));
    let encrypts = args.keys.is_strict();
    let by_default = if encrypts { Remote::All } else { Remote::None };
    let remote = args.control.remote_commands.unwrap_or(by_default);
    let cluster = Cluster::start(&node, &keys, remote, encrypts, report.clone());
    let cluster = cluster.map_err(Fatal::failed)?;
    let asks = Arc::clone(&cluster);
    let control = Control::new(&args, Arc::clone(&node), Arc::clone(&keys), asks, report.clone());
    let server = control.serve(&args, publisher, sender.clone()).map_err(fails)?;
    report.ready(&node.local());
    let http = args.http.serve(&node, &report).map_err(fails)?;

    let printed = report.clone();
    let (refusals, name_taken) = (sender.clone(), args.seeds.on_name_taken());
    let (printing, has_printed) = channel::<()>();
    let record = Http::recorder(http.as_ref());
    thread::spawn(move || {
        let _printing = printing;
        print(events, &printed, &cluster, |event| {
            record(event);
            if name_taken == OnNameTaken::Refuse && join::is_name_taken(event) {
                drop(refusals.send(Input::NameTaken(event.to_string())));
            }
        });
    });
    let commands = Commands::new(Arc::clone(&node), Arc::clone(&keys), report.clone(), context);
    if !seeds.is_empty() {
        join_at_start(&commands, &sender, seeds, args.retry_join);
    }
    let (name, takes_commands) = (args.name.clone(), args.stdin);
    let leave_timeout = args.leave_timeout;
    let reload = Reload::new(args, sources, Arc::clone(&node), keys, report.clone());
    if takes_commands {
        commands.read_stdin(sender.clone());
    } else {
        drop(commands);
    }
    let mut agent = Agent { node, sender, report, reload, leave_timeout };
    system::ready();
    let end = agent.serve(&inputs);
    system::stopping();
    drop((server, http));
    let Agent { node, report, reload, .. } = agent;
    drop(reload);
    end_within(PATIENCE, move || {
        if let Err(error) = node.stop_recording() {
            eprintln!("tidings: {error}");
        }
        // A command that is still running has a reference to the node, and ends with the process.
        drop(node);
    });
    _ = has_printed.recv_timeout(PATIENCE);
    let outcome = match end {
        End::Quit => {
            report.exit("quit");
            Ok(ExitCode::SUCCESS)
        }
        End::Signal => {
            report.exit("signal");
            Ok(ExitCode::SUCCESS)
        }
        End::NameTaken(error) => {
            let message =
                format!("--name {name}: {error}; set another --name, or --on-name-taken contest");
            report.fatal(&message);
            Err(Fatal::failed(message))
        }
        End::OutputClosed(error) => {
            let message = format!("standard output is closed ({error}); left the cluster");
            Err(Fatal::failed(message))
        }
    };
    lines.drain(PATIENCE);
    outcome
}

fn start(args: &Args, context: &Context, report: &Report) -> Result<(Node, Events), Fatal> {
    let config = args.node_config()?;
    let report = report.clone();
    let driver = args.seeds.settings(&args.name, context.port())?;
    let driver = driver.on_notice(move |notice| report.notice(&notice));
    let (node, events) = args.runtime.bind(args.bind, config, driver).map_err(usage)?;
    node.set_sync_state(args.state.0.clone())
        .map_err(|error| Fatal::usage(format!("--state: {error}")))?;
    args.record.start(&node)?;
    Ok((node, events))
}

/// Checks options as far as that is possible without running the node.
pub(crate) fn check(args: &Args) -> Result<(), Fatal> {
    let context = args.context();
    args.seeds(&context)?;
    args.node_config()?;
    args.seeds.sources(context.port()).map(drop)
}

/// Joins the seeds of `--join`; while none of them answers, retries for this time.
fn join_at_start(commands: &Commands, sender: &Sender<Input>, seeds: Vec<Target>, retry: Duration) {
    let refusals = sender.clone();
    commands.spawn("start".into(), "join".into(), move |node| {
        join::retry(node, &seeds, retry).map_err(|error| {
            if error.name_taken {
                drop(refusals.send(Input::NameTaken(error.text.clone())));
            }
            error.text
        })
    });
}

struct Agent {
    node: Arc<Node>,
    /// For events of the agent's threads.
    sender: Sender<Input>,
    report: Report,
    reload: Reload,
    leave_timeout: Duration,
}

impl Agent {
    /// Handles events until the agent has to stop; returns the reason. Nothing here waits for
    /// standard output.
    fn serve(&mut self, inputs: &Receiver<Input>) -> End {
        let mut complained = false;
        let watchdog = system::watchdog();
        loop {
            let input = match watchdog {
                None => inputs.recv().unwrap_or(Input::Signal),
                Some(interval) => match inputs.recv_timeout(interval) {
                    Ok(input) => input,
                    Err(RecvTimeoutError::Disconnected) => Input::Signal,
                    Err(RecvTimeoutError::Timeout) => {
                        // The node answers: nobody holds its lock for good.
                        self.node.health();
                        system::alive();
                        continue;
                    }
                },
            };
            match input {
                Input::Quit => return End::Quit,
                Input::StdinClosed if self.report.is_json() => return End::Quit,
                Input::StdinClosed | Input::Left => {}
                // A node that found its cluster elsewhere has its place there.
                Input::NameTaken(error) if self.node.members().len() < 2 => {
                    return End::NameTaken(error);
                }
                Input::NameTaken(_) => {}
                Input::Reload => {
                    system::reloading();
                    self.reload.run();
                    system::ready();
                }
                Input::Signal => {
                    self.leave_until_signal(inputs);
                    return End::Signal;
                }
                Input::CannotPrint(error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.leave_until_signal(inputs);
                    return End::OutputClosed(error);
                }
                Input::CannotPrint(error) if !complained => {
                    // A full disk, say: the node is worth more than its log.
                    complained = true;
                    eprintln!("tidings: cannot write to standard output: {error}; running on");
                }
                Input::CannotPrint(_) => {}
            }
        }
    }

    /// Leaves the cluster, for as long as `--leave-timeout` allows.
    fn leave_until_signal(&self, inputs: &Receiver<Input>) {
        system::stopping();
        let (node, sender) = (Arc::clone(&self.node), self.sender.clone());
        thread::spawn(move || {
            drop(node.leave());
            drop(node);
            drop(sender.send(Input::Left));
        });
        let end = Instant::now() + self.leave_timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match inputs.recv_timeout(left) {
                Ok(Input::Left | Input::Signal) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// Runs something to its end, or for as long as this; it goes on until the process ends then.
fn end_within(time: Duration, run: impl FnOnce() + Send + 'static) {
    let (running, ended) = channel::<()>();
    thread::spawn(move || {
        let _running = running;
        run();
    });
    _ = ended.recv_timeout(time);
}

/// Prints events until the node stops; waits for nobody who reads them.
fn print(mut events: Events, report: &Report, cluster: &Cluster, look: impl Fn(&Event)) {
    let mut lagged = 0;
    while let Some(event) = events.recv() {
        if cluster.takes(&event) {
            continue;
        }
        look(&event);
        report.event(&event);
        let lost = events.lagged();
        if lost > lagged {
            report.lagged(lost - lagged);
            lagged = lost;
        }
    }
}

/// How long each step of the way out may take: there are three.
const PATIENCE: Duration = Duration::from_millis(300);
