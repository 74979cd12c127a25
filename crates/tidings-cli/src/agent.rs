//! `tidings agent`: runs one node.

use crate::Fatal;
use crate::command::{Command, Context, Line, parse_text};
use crate::http::{Http, HttpArgs};
use crate::join;
use crate::keys::KeyArgs;
use crate::recording::RecordArgs;
use crate::report::{Outcome, Report};
use crate::runtime::{Events, Node, Runtime};
use crate::seeds::SeedArgs;
use crate::wire::WireArgs;
use clap::ValueEnum;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use tidings_driver::prelude::{
    ClusterName, Config, Event, KeyError, Meta, NodeId, OnNameTaken, Options, Target,
};

/// The end of the short help.
pub(crate) const MORE_HELP: &str =
    "`tidings agent --help` shows all options, and the commands on standard input.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The node's name, unique in the cluster
    #[arg(long)]
    name: NodeId,
    /// The address to listen on, for UDP and TCP; port 0 chooses a free port
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7946")]
    bind: SocketAddr,
    /// The address that other nodes use, if it differs from --bind; port 0 stands for --bind's port
    #[arg(long, value_name = "IP:PORT")]
    advertise: Option<SocketAddr>,
    /// Seeds: members of the cluster to join; one that answers is enough
    ///
    /// HOST is an IP address, or a name, all addresses of which are tried. PORT defaults to the
    /// port of --bind
    #[arg(long, value_name = "[NAME/]HOST[:PORT]", value_delimiter = ',')]
    join: Vec<String>,
    /// How long to retry --join while no seed answers
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration,
        hide_short_help = true
    )]
    retry_join: Duration,
    #[command(flatten)]
    seeds: SeedArgs,
    /// The cluster's name; messages from nodes of other clusters are rejected
    #[arg(long, default_value = "default")]
    cluster: ClusterName,
    /// The node's metadata, which all members see; `hex:` and hex digits for raw bytes
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_text_arg)]
    meta: Text,
    /// The node's push/pull state, sent with each sync; `hex:` and hex digits for raw bytes
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        value_parser = parse_text_arg,
        hide_short_help = true
    )]
    state: Text,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    wire: WireArgs,
    /// The runtime that drives the node; its behaviour is the same on all of them
    #[arg(long, value_enum, default_value_t = Runtime::Std, hide_short_help = true)]
    runtime: Runtime,
    /// The defaults of all timing options
    #[arg(long, value_enum, default_value_t = Profile::Lan)]
    profile: Profile,
    /// Send everything over TCP and nothing over UDP; all members have to do the same
    #[arg(long, hide_short_help = true)]
    stream_only: bool,
    /// The longest datagram to send, in bytes, without IP and UDP headers; 1,400 by default
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    datagram_size: Option<usize>,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    http: HttpArgs,

    /// The time between two probes
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    probe_interval: Option<Duration>,
    /// How long to wait for an ack before indirect probes start
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    probe_timeout: Option<Duration>,
    /// The number of members that are asked for an indirect probe
    #[arg(long, value_name = "N", hide_short_help = true)]
    indirect_checks: Option<usize>,
    /// The minimum suspicion timeout, in probe intervals, times the log10 of the cluster's size
    #[arg(long, value_name = "N", hide_short_help = true)]
    suspicion_mult: Option<u32>,
    /// The time between two rounds of gossip
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    gossip_interval: Option<Duration>,
    /// The time between two anti-entropy syncs of the whole membership with another member
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pushpull_interval: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// One local network
    Lan,
    /// Distant sites
    Wan,
    /// One machine
    Local,
}

/// Runs a node until a command, a signal, or a closed standard output stops it.
pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    let (sender, inputs) = channel();
    let outputs = sender.clone();
    let report = Report::new(args.json, move |error| drop(outputs.send(Input::CannotPrint(error))));
    let context = Context::new(args.wire.keys(), args.bind.port());
    let seeds = args.join.iter().map(|seed| context.target(seed)).collect::<Result<Vec<_>, _>>();
    let started =
        seeds.map_err(Fatal::usage).and_then(|seeds| Ok((seeds, start(&args, &context, &report)?)));
    let (seeds, (node, events)) = started.inspect_err(|fatal| report.fatal(&fatal.message))?;
    report.ready(&node.local());
    let http = args.http.serve(&node, &report);
    let http = http.inspect_err(|fatal| report.fatal(&fatal.message))?;

    let signals = sender.clone();
    ctrlc::set_handler(move || drop(signals.send(Input::Signal))).map_err(Fatal::failed)?;
    let printed = report.clone();
    let (refusals, name_taken) = (sender.clone(), args.seeds.on_name_taken());
    let record = Http::recorder(http.as_ref());
    let printer = thread::spawn(move || {
        print(events, record, &printed, |event| {
            if name_taken == OnNameTaken::Refuse && join::is_name_taken(event) {
                drop(refusals.send(Input::NameTaken(event.to_string())));
            }
        });
    });

    let key_file = args.keys.file().map(Path::to_owned);
    let node = Arc::new(node);
    let agent = Agent { node, sender: sender.clone(), report, context, key_file };
    thread::spawn(move || read_lines(&sender));
    if !seeds.is_empty() {
        agent.join_at_start(seeds, args.retry_join);
    }
    let end = agent.serve(&inputs);
    if let Err(error) = agent.node.stop_recording() {
        eprintln!("tidings: {error}");
    }
    // A command that is still running has a reference to the node, and ends with the process.
    if Arc::into_inner(agent.node).is_some() {
        drop(printer.join());
    }
    match end {
        End::Quit => agent.report.exit("quit"),
        End::Signal => agent.report.exit("signal"),
        End::NameTaken(error) => {
            let message = format!(
                "--name {}: {error}; set another --name, or --on-name-taken contest",
                args.name
            );
            agent.report.fatal(&message);
            return Err(Fatal::failed(message));
        }
        End::OutputClosed(error) => {
            let message = format!("standard output is closed ({error}); left the cluster");
            return Err(Fatal::failed(message));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn start(args: &Args, context: &Context, report: &Report) -> Result<(Node, Events), Fatal> {
    let mut options = match args.profile {
        Profile::Lan => Options::lan(),
        Profile::Wan => Options::wan(),
        Profile::Local => Options::local(),
    };
    args.apply(&mut options);
    let advertised = args.advertise.unwrap_or(args.bind);
    let config = Config::builder(args.cluster.clone(), args.name.clone(), advertised)
        .options(options)
        .on_name_taken(args.seeds.on_name_taken())
        .meta(Meta::new(&args.meta.0));
    let config = args.wire.apply(config)?;
    let config = args.keys.apply(config, args.wire.keys())?.build().map_err(usage)?;
    let report = report.clone();
    let driver = args.seeds.settings(&args.name, context.port())?;
    let driver = driver.on_notice(move |notice| report.notice(&notice));
    let (node, events) = args.runtime.bind(args.bind, config, driver).map_err(usage)?;
    node.set_sync_state(args.state.0.clone())
        .map_err(|error| Fatal::usage(format!("--state: {error}")))?;
    args.record.start(&node)?;
    Ok((node, events))
}

/// An error about an option of the node, with the flag that sets it in front.
fn usage(error: impl ToString) -> Fatal {
    let message = error.to_string();
    let place = |(option, _): &&(&str, &str)| message.find(option).unwrap_or(usize::MAX);
    let first = FLAGS.iter().min_by_key(place).filter(|(option, _)| message.contains(option));
    Fatal::usage(match first {
        Some((_, flag)) => format!("{flag}: {message}"),
        None => message,
    })
}

impl Args {
    /// Overrides the profile's options with those that are given as flags.
    fn apply(&self, options: &mut Options) {
        fn set<T: Copy>(option: &mut T, given: Option<T>) {
            *option = given.unwrap_or(*option);
        }
        set(&mut options.probe_interval, self.probe_interval);
        set(&mut options.probe_timeout, self.probe_timeout);
        set(&mut options.indirect_probes, self.indirect_checks);
        set(&mut options.suspicion_mult, self.suspicion_mult);
        set(&mut options.gossip_interval, self.gossip_interval);
        set(&mut options.sync_interval, self.pushpull_interval);
        set(&mut options.datagram_size, self.datagram_size);
        options.stream_only |= self.stream_only;
    }
}

/// An event that the agent's main thread handles.
enum Input {
    /// A line of standard input.
    Line(String),
    /// The end of standard input.
    StdinClosed,
    /// SIGINT or SIGTERM.
    Signal,
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

struct Agent {
    node: Arc<Node>,
    /// For events of the agent's threads.
    sender: Sender<Input>,
    report: Report,
    context: Context,
    /// The file that the keys were read from.
    key_file: Option<PathBuf>,
}

impl Agent {
    /// Handles events until the agent has to stop; returns the reason.
    fn serve(&self, inputs: &Receiver<Input>) -> End {
        let mut complained = false;
        loop {
            match inputs.recv().unwrap_or(Input::Signal) {
                Input::Line(line) => {
                    let Some(line) = Line::parse(&line, &self.context) else {
                        continue;
                    };
                    let quits = line.command == Ok(Command::Quit);
                    self.execute(line);
                    if quits {
                        return End::Quit;
                    }
                }
                Input::StdinClosed if self.report.is_json() => return End::Quit,
                Input::StdinClosed | Input::Left => {}
                // A node that found its cluster elsewhere has its place there.
                Input::NameTaken(error) if self.node.members().len() < 2 => {
                    return End::NameTaken(error);
                }
                Input::NameTaken(_) => {}
                Input::Signal => {
                    self.leave_until_signal(inputs);
                    return End::Signal;
                }
                Input::CannotPrint(error) if error.kind() == io::ErrorKind::BrokenPipe => {
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

    /// Executes a command and reports its result; a command that waits for other nodes runs in a
    /// thread of its own.
    fn execute(&self, Line { id, name, command }: Line) {
        match command {
            Ok(command) if command.waits() => {
                self.spawn(id, name, move |node| execute(node, command, None));
            }
            Ok(command) => {
                let outcome = execute(&self.node, command, self.key_file.as_deref());
                self.report.result(&id, &name, &outcome);
            }
            Err(error) => self.report.result(&id, &name, &Err(error)),
        }
    }

    /// Runs a command in a thread of its own.
    fn spawn(
        &self,
        id: String,
        name: String,
        run: impl FnOnce(&Node) -> Result<Outcome, String> + Send + 'static,
    ) {
        let (node, report) = (Arc::clone(&self.node), self.report.clone());
        thread::spawn(move || {
            let outcome = run(&node);
            drop(node);
            report.result(&id, &name, &outcome);
        });
    }

    /// Joins the seeds of `--join`; while none of them answers, retries for this time.
    fn join_at_start(&self, seeds: Vec<Target>, retry: Duration) {
        let refusals = self.sender.clone();
        self.spawn("start".into(), "join".into(), move |node| {
            join::retry(node, &seeds, retry).map_err(|error| {
                if error.name_taken {
                    drop(refusals.send(Input::NameTaken(error.text.clone())));
                }
                error.text
            })
        });
    }

    /// Leaves the cluster; a signal cuts that short.
    fn leave_until_signal(&self, inputs: &Receiver<Input>) {
        let (node, sender) = (Arc::clone(&self.node), self.sender.clone());
        thread::spawn(move || {
            drop(node.leave());
            drop(node);
            drop(sender.send(Input::Left));
        });
        let ends = |input: &Input| matches!(input, Input::Signal | Input::Left);
        drop(inputs.iter().find(ends));
    }
}

/// Executes a command; blocks while it waits for other nodes.
fn execute(node: &Node, command: Command, key_file: Option<&Path>) -> Result<Outcome, String> {
    match command {
        Command::Help => Ok(Outcome::Help),
        Command::Members => Ok(Outcome::Members(node.members(), node.health())),
        Command::Stats => Ok(Outcome::Stats(Box::new(node.stats()))),
        Command::Join(seeds) => join::join(node, &seeds).map_err(|error| error.text),
        Command::Leave => node.leave().map(Outcome::Left).map_err(text),
        Command::UpdateMeta(meta) => done(node.set_meta(Meta::new(&meta)), "metadata set"),
        Command::SetAddr(addr) => done(node.set_addr(addr), "address set"),
        Command::SetState(state) => done(node.set_sync_state(state), "state set"),
        Command::Send(to, data) => done(node.send(&to, data), "sent"),
        Command::SendReliable(to, data) => done(node.send_reliable(&to, data), receipt_text(node)),
        Command::Broadcast(data) => done(node.broadcast(data), "queued for gossip"),
        Command::Ping(to) => node.ping(&to).map(|rtt| Outcome::Pong(to, rtt)).map_err(text),
        Command::Keys => node.keyring().map(Outcome::Keys).ok_or_else(|| text(KeyError::NoKeyring)),
        Command::AddKey(key) => {
            done(node.add_key(key), &format!("key accepted from now on; {}", unsaved(key_file)))
        }
        Command::UseKey(key) => {
            let text = format!("this is the primary key from now on; {}", unsaved(key_file));
            done(node.use_key(&key), &text)
        }
        Command::RemoveKey(key) => {
            done(node.remove_key(&key), &format!("key removed; {}", unsaved(key_file)))
        }
        Command::Quit => Ok(Outcome::Done("stopping".into())),
    }
}

/// The text about a reliable message that was sent.
fn receipt_text(node: &Node) -> &'static str {
    // Only nodes that use memberlist's format have protocol versions.
    match node.local().versions() {
        Some(_) => "sent; memberlist's format has no receipts",
        None => "delivered",
    }
}

/// A reminder that the changed keyring is in memory only.
fn unsaved(key_file: Option<&Path>) -> String {
    match key_file {
        Some(file) => format!("not saved: change {} too, before a restart", file.display()),
        None => "not saved: change --key too, before a restart".into(),
    }
}

/// The outcome of a command that returns nothing; `success` reports success.
fn done(result: Result<(), impl ToString>, success: &str) -> Result<Outcome, String> {
    result.map(|()| Outcome::Done(success.into())).map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Prints events until the node stops.
fn print(mut events: Events, record: impl Fn(&Event), report: &Report, look: impl Fn(&Event)) {
    let mut lagged = 0;
    while let Some(event) = events.recv() {
        record(&event);
        report.event(&event);
        look(&event);
        let lost = events.lagged();
        if lost > lagged {
            report.lagged(lost - lagged);
            lagged = lost;
        }
    }
}

/// Reads standard input to its end.
fn read_lines(inputs: &Sender<Input>) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if inputs.send(Input::Line(line)).is_err() {
            return;
        }
    }
    drop(inputs.send(Input::StdinClosed));
}

/// The value of `--meta` or `--state`.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

fn parse_text_arg(text: &str) -> Result<Text, String> {
    parse_text(text).map(Text)
}

pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Options, as errors of the core and of drivers name them, with the flags that set them.
const FLAGS: [(&str, &str); 11] = [
    ("max_meta", "--meta"),
    ("probe_interval", "--probe-interval"),
    ("probe_timeout", "--probe-timeout"),
    ("indirect_probes", "--indirect-checks"),
    ("suspicion_mult", "--suspicion-mult"),
    ("gossip_interval", "--gossip-interval"),
    ("sync_interval", "--pushpull-interval"),
    ("stream_only", "--stream-only"),
    ("advertise", "--advertise"),
    ("seed_refresh", "--seed-refresh"),
    ("allowed_networks", "--allow-network"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_flag_of_the_option_that_they_mention_first() {
        let error = |text: &str| usage(text).message;
        assert_eq!(
            error("sync_interval is 1ns; 1ms to probe_timeout are allowed"),
            "--pushpull-interval: sync_interval is 1ns; 1ms to probe_timeout are allowed"
        );
        assert_eq!(error("the address is in use"), "the address is in use");
    }
}
