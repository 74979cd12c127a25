//! `tidings agent`: one node.

use crate::Fatal;
use crate::command::{Command, Context, Line, parse_text};
use crate::keys::KeyArgs;
use crate::report::{Outcome, Report};
use crate::runtime::{Events, Node, Runtime};
use crate::wire::WireArgs;
use clap::ValueEnum;
use std::io::BufRead;
use std::net::SocketAddr;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{
    ClusterName, Config, KeyError, Limits, Meta, NodeId, Options, Target, TooLong,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The node's name, which nobody else in the cluster may have
    #[arg(long)]
    name: NodeId,
    /// Where to listen, by UDP and by TCP; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7946")]
    bind: SocketAddr,
    /// Where the others reach this node, if not where it listens; port 0 stands for its port there
    #[arg(long, value_name = "IP:PORT")]
    advertise: Option<SocketAddr>,
    /// Members of the cluster to join; one that answers is enough. HOST is a name, of which all
    /// addresses are tried, or an address; without PORT it is the one where we listen
    #[arg(long, value_name = "[NAME/]HOST[:PORT]", value_delimiter = ',')]
    join: Vec<String>,
    /// For how long to try again to join, while nobody answers
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    retry_join: Duration,
    /// The cluster's name: nodes with other ones are not heard
    #[arg(long, default_value = "default")]
    cluster: ClusterName,
    /// Metadata that the others see; `hex:` and hex digits for raw bytes
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_text_arg)]
    meta: Text,
    /// What other nodes are told at every sync with this one; `hex:` and hex digits for raw bytes
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_text_arg)]
    state: Text,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    wire: WireArgs,
    /// What the node runs on; it is the same on all of them
    #[arg(long, value_enum, default_value_t = Runtime::Std)]
    runtime: Runtime,
    /// Timing for one local network, for far places, or for one machine
    #[arg(long, value_enum, default_value_t = Profile::Lan)]
    profile: Profile,
    /// Send no datagrams, but everything over streams; all members have to do the same
    #[arg(long)]
    stream_only: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordArgs,

    /// How often a member is probed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    probe_interval: Option<Duration>,
    /// How long a ping may remain unanswered before others are asked
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    probe_timeout: Option<Duration>,
    /// How many others are asked
    #[arg(long, value_name = "N")]
    indirect_checks: Option<usize>,
    /// How long a suspect may take to contradict, in probe intervals
    #[arg(long, value_name = "N")]
    suspicion_mult: Option<u32>,
    /// How often news is gossiped
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    gossip_interval: Option<Duration>,
    /// How often the whole membership is compared with another member's
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pushpull_interval: Option<Duration>,
}

/// What is recorded, for `tidings replay`.
#[derive(clap::Args)]
struct RecordArgs {
    /// Record what the node hears and says into this file, for `tidings replay`: in clear, but
    /// without keys
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How large the recording may become; what is oldest is overwritten then
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    record_size: u64,
    /// How far back the recording has to go, if less than that size is enough for it
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    record_time: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    Lan,
    Wan,
    Local,
}

/// Runs until it is told to stop.
pub(crate) fn run(args: Args) -> Result<ExitCode, Fatal> {
    let report = Report { json: args.json };
    let context = Context::new(args.wire.keys(), args.bind.port());
    let seeds = args.join.iter().map(|seed| context.target(seed)).collect::<Result<Vec<_>, _>>();
    let started = seeds.map_err(Fatal::usage).and_then(|seeds| Ok((seeds, start(&args)?)));
    let (seeds, (node, events)) = started.inspect_err(|fatal| report.fatal(&fatal.message))?;
    report.ready(&node.local());

    let (sender, inputs) = channel();
    let signals = sender.clone();
    ctrlc::set_handler(move || drop(signals.send(Input::Signal))).map_err(Fatal::failed)?;
    let printer = thread::spawn(move || print(events, report));

    let agent = Agent { node: Arc::new(node), sender: sender.clone(), report, context };
    thread::spawn(move || read_lines(&sender));
    if !seeds.is_empty() {
        agent.join_at_start(seeds, args.retry_join);
    }
    let why = agent.serve(&inputs);
    if let Err(error) = agent.node.stop_recording() {
        eprintln!("tidings: {error}");
    }
    // A command that still runs holds the node, and ends with the process.
    if Arc::into_inner(agent.node).is_some() {
        drop(printer.join());
    }
    report.exit(why);
    Ok(ExitCode::SUCCESS)
}

fn start(args: &Args) -> Result<(Node, Events), Fatal> {
    let mut options = match args.profile {
        Profile::Lan => Options::lan(),
        Profile::Wan => Options::wan(),
        Profile::Local => Options::local(),
    };
    args.change(&mut options);
    let advertised = args.advertise.unwrap_or(args.bind);
    let config = Config::new(args.cluster.clone(), args.name.clone(), advertised, options);
    let config = config.map_err(Fatal::usage)?.with_wire(args.wire.wire()?);
    let config = config.map_err(Fatal::usage)?;
    let config = config.with_meta(Meta::new(&args.meta.0));
    let config = args.keys.apply(of("--meta", config).map_err(Fatal::usage)?)?;
    let (node, events) = args.runtime.bind(args.bind, config).map_err(Fatal::usage)?;
    of("--state", node.set_sync_state(args.state.0.clone())).map_err(Fatal::usage)?;
    if let RecordArgs { record: Some(file), record_size: bytes, record_time: time } = &args.record {
        node.record(file, Limits { bytes: *bytes, time: *time }).map_err(Fatal::usage)?;
    }
    Ok((node, events))
}

impl Args {
    fn change(&self, options: &mut Options) {
        fn set<T: Copy>(option: &mut T, given: Option<T>) {
            *option = given.unwrap_or(*option);
        }
        set(&mut options.probe_interval, self.probe_interval);
        set(&mut options.probe_timeout, self.probe_timeout);
        set(&mut options.indirect_probes, self.indirect_checks);
        set(&mut options.suspicion_mult, self.suspicion_mult);
        set(&mut options.gossip_interval, self.gossip_interval);
        set(&mut options.sync_interval, self.pushpull_interval);
        options.stream_only |= self.stream_only;
    }
}

/// What makes an agent do something.
enum Input {
    Line(String),
    NoMoreLines,
    Signal,
    /// We have left, since a signal said so.
    Left,
}

struct Agent {
    node: Arc<Node>,
    /// For what its threads find.
    sender: Sender<Input>,
    report: Report,
    context: Context,
}

impl Agent {
    /// Does as it is told; returns why it stops.
    fn serve(&self, inputs: &Receiver<Input>) -> &'static str {
        loop {
            match inputs.recv().unwrap_or(Input::Signal) {
                Input::Line(line) => {
                    let Some(line) = Line::parse(&line, &self.context) else {
                        continue;
                    };
                    let quits = line.command == Ok(Command::Quit);
                    self.carry_out(line);
                    if quits {
                        return "quit";
                    }
                }
                Input::NoMoreLines if self.report.json => return "quit",
                Input::NoMoreLines | Input::Left => {}
                Input::Signal => {
                    self.leave_unless_told_again(inputs);
                    return "signal";
                }
            }
        }
    }

    /// Carries out a command; those that wait for others run beside the rest, in threads of their
    /// own.
    fn carry_out(&self, Line { id, name, command }: Line) {
        match command {
            Ok(command) if command.waits() => {
                self.beside(id, name, move |node| carry_out(node, command));
            }
            Ok(command) => self.report.result(&id, &name, &carry_out(&self.node, command)),
            Err(error) => self.report.result(&id, &name, &Err(error)),
        }
    }

    fn beside(
        &self,
        id: String,
        name: String,
        run: impl FnOnce(&Node) -> Result<Outcome, String> + Send + 'static,
    ) {
        let (node, report) = (Arc::clone(&self.node), self.report);
        thread::spawn(move || {
            let outcome = run(&node);
            drop(node);
            report.result(&id, &name, &outcome);
        });
    }

    fn join_at_start(&self, seeds: Vec<Target>, retry: Duration) {
        let end = Instant::now() + retry;
        self.beside("start".into(), "join".into(), move |node| {
            loop {
                let outcome = join(node, &seeds);
                if outcome.is_ok() || Instant::now() >= end {
                    return outcome;
                }
                thread::park_timeout(BETWEEN_JOINS);
            }
        });
    }

    /// Leaves; a second signal while that takes its time ends it.
    fn leave_unless_told_again(&self, inputs: &Receiver<Input>) {
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

fn carry_out(node: &Node, command: Command) -> Result<Outcome, String> {
    match command {
        Command::Members => Ok(Outcome::Members(node.members(), node.health())),
        Command::Stats => Ok(Outcome::Stats(Box::new(node.stats()))),
        Command::Join(seeds) => join(node, &seeds),
        Command::Leave => node.leave().map(Outcome::Left).map_err(text),
        Command::UpdateMeta(meta) => {
            done(of("the metadata", node.set_meta(Meta::new(&meta))), "set")
        }
        Command::SetState(state) => done(of("the state", node.set_sync_state(state)), "set"),
        Command::Send(to, data) => done(node.send(&to, data), "sent"),
        Command::SendReliable(to, data) => done(node.send_reliable(&to, data), sent_reliably(node)),
        Command::Broadcast(data) => done(node.broadcast(data), "sent"),
        Command::Ping(to) => node.ping(&to).map(|rtt| Outcome::Pong(to, rtt)).map_err(text),
        Command::Keys => node.keyring().map(Outcome::Keys).ok_or_else(|| text(KeyError::NoKeyring)),
        Command::AddKey(key) => done(node.add_key(key), "accepted from now on"),
        Command::UseKey(key) => done(node.use_key(&key), "encrypts with it from now on"),
        Command::RemoveKey(key) => done(node.remove_key(&key), "accepted no more"),
        Command::Quit => Ok(Outcome::Done("done")),
    }
}

/// What is known of a reliable message that went well.
fn sent_reliably(node: &Node) -> &'static str {
    // Whoever speaks memberlist's format says in which version.
    match node.local().versions() {
        Some(_) => "sent; memberlist gives no receipts",
        None => "delivered",
    }
}

/// What came of a command that returns nothing; `word` tells people that it went well.
fn done(result: Result<(), impl ToString>, word: &'static str) -> Result<Outcome, String> {
    result.map(|()| Outcome::Done(word)).map_err(text)
}

/// Names what is too long.
fn of<T>(what: &str, result: Result<T, TooLong>) -> Result<T, String> {
    result.map_err(|error| format!("{what} has {error}"))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Asks each seed by itself, all at once, so as to count those that answer.
fn join(node: &Node, seeds: &[Target]) -> Result<Outcome, String> {
    let joined: Vec<_> = thread::scope(|scope| {
        let joins = seeds.iter().map(|seed| scope.spawn(|| node.join(vec![seed.clone()])));
        let joins: Vec<_> = joins.collect();
        joins.into_iter().filter_map(|join| join.join().ok()).collect()
    });
    if let Some(&members) = joined.iter().flatten().max() {
        let answered = joined.iter().flatten().count();
        return Ok(Outcome::Joined { seeds: answered, of: seeds.len(), members });
    }
    let errors = joined.iter().filter_map(|join| join.as_ref().err());
    Err(errors.map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn print(mut events: Events, report: Report) {
    let mut lagged = 0;
    while let Some(event) = events.recv() {
        report.event(&event);
        let lost = events.lagged();
        if lost > lagged {
            report.lagged(lost - lagged);
            lagged = lost;
        }
    }
}

fn read_lines(inputs: &Sender<Input>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if inputs.send(Input::Line(line)).is_err() {
            return;
        }
    }
    drop(inputs.send(Input::NoMoreLines));
}

/// What `--meta` or `--state` was given.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

fn parse_text_arg(text: &str) -> Result<Text, String> {
    parse_text(text).map(Text)
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Bytes, or KiB, MiB or GiB.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("a size is a number with KiB, MiB, GiB or nothing behind it".into()),
    };
    let number: u64 = digits.parse().map_err(|error: ParseIntError| error.to_string())?;
    number.checked_mul(unit).ok_or_else(|| "it is too large".into())
}

/// How long to wait before a join is tried again.
const BETWEEN_JOINS: Duration = Duration::from_millis(100);
