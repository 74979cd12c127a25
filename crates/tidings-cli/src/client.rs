//! The commands that ask a running agent, through its control socket.

mod everywhere;
mod members;
mod monitor;
mod text;
mod top;

use crate::Fatal;
use crate::output::count;
use crate::replay;
use crate::report::list_counters;
use clap::{Subcommand, ValueEnum};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use text::{escape, escaped, json_line, lines};
use tidings_control::{Client, ClientError, Level, default_path, sockets};
use tidings_driver::prelude::NodeId;
use tidings_record::Recording;

/// Which agent is asked, and how its answer is shown.
#[derive(clap::Args)]
pub(crate) struct At {
    /// The control socket of the agent; also TIDINGS_CONTROL in the environment
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The name of the agent, if this user runs several on this machine
    #[arg(long, value_name = "NAME", conflicts_with = "control")]
    agent: Option<NodeId>,
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the members that a running agent knows
    Members(members::Args),
    /// Show what a running agent is and how it is
    Info {
        #[command(flatten)]
        at: At,
    },
    /// Have a running agent join a cluster
    Join {
        /// Members of the cluster; one that answers is enough
        #[arg(required = true, value_name = "[NAME/]HOST[:PORT]", value_delimiter = ',')]
        seeds: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Have a running agent leave its cluster; it runs on, and can join again
    Leave {
        #[command(flatten)]
        at: At,
    },
    /// Declare for all members that one that failed has left, and will not come back
    ///
    /// At most 10 in 10 s. A member that is alive or suspect is refused: stop it instead
    ForceLeave {
        /// The member
        name: NodeId,
        #[command(flatten)]
        at: At,
    },
    /// Send a message to one member
    Send {
        /// The member
        name: NodeId,
        #[command(flatten)]
        data: Data,
        /// Send it over a stream, and wait for the receipt
        #[arg(long)]
        reliable: bool,
        #[command(flatten)]
        at: At,
    },
    /// Gossip a message to all members
    Broadcast {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        at: At,
    },
    /// Measure the round trip from a running agent to a member, or between two members
    Rtt {
        /// The member; with a second name, the one that pings
        name: NodeId,
        /// The member that is pinged by the first one
        to: Option<NodeId>,
        #[command(flatten)]
        at: At,
    },
    /// Ask all agents of the cluster who does not reach whom
    ///
    /// Shows for each agent how many of the members that it sees have acked its probes so far, and
    /// then who is not reached, and by whom: no datagrams (UDP is blocked), no streams (TCP is
    /// blocked), no ack (the agent itself suspects the member), suspect (others do), suppressed (it
    /// flaps), failed. The exit status is 1 if there is any, or an agent does not answer
    Reachability {
        #[command(flatten)]
        at: At,
    },
    /// Show members, events and health of a running agent, live in the terminal
    ///
    /// Keys: q quits, s sorts, / filters, up and down select a member, Enter explains why it was
    /// last suspected or declared failed
    Top {
        #[command(flatten)]
        at: At,
    },
    /// Print the events of a running agent as they happen
    Monitor {
        /// The least level: debug, info, warn or error
        #[arg(long, default_value_t = Level::Info)]
        level: Level,
        #[command(flatten)]
        at: At,
    },
    /// Show the counters of a running agent; zeros are left out
    Stats {
        #[command(flatten)]
        at: At,
    },
    /// List or change the keys of all agents of the cluster, with an answer for each
    Keys {
        #[command(subcommand)]
        action: everywhere::Keys,
    },
    /// Set or delete tags of a running agent
    Tags {
        #[command(subcommand)]
        action: Tags,
    },
    /// Explain why a running agent last suspected a member, or declared it failed
    Why {
        /// The member
        name: NodeId,
        /// Explain what was the last such verdict at this time (UTC), as 02:13:07
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Have a running agent print events of this level and above
    LogLevel {
        /// debug, info, warn or error
        level: Level,
        #[command(flatten)]
        at: At,
    },
    /// Have a running agent read keys, tags, log level and seeds again, as SIGHUP does
    Reload {
        #[command(flatten)]
        at: At,
    },
}

#[derive(clap::Args)]
pub(crate) struct Data {
    /// The message; `hex:` and hex digits for raw bytes
    text: String,
}

#[derive(Subcommand)]
pub(crate) enum Tags {
    /// Set tags, in place of earlier values
    Set {
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Delete tags
    Delete {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        at: At,
    },
}

/// Runs a command against a running agent.
pub(crate) fn run(command: Command) -> Result<ExitCode, Fatal> {
    match command {
        Command::Members(args) => return members::run(&args),
        Command::Top { at } => return top::run(at),
        Command::Monitor { level, at } => return monitor::run(&at, level),
        Command::Why { name, until, at } => return why(name, until, &at),
        Command::Info { at } => at.call("info", json!({}), text::info)?,
        Command::Join { seeds, at } => {
            at.call("join", json!({"seeds": seeds}), |joined| match joined["of"].as_u64() {
                None => format!("joined; {}", number(joined, "members", "member")),
                Some(_) => format!(
                    "joined through {} of {}; {}",
                    joined["joined"],
                    number(joined, "of", "seed"),
                    number(joined, "members", "member")
                ),
            })?;
        }
        Command::Leave { at } => at.call("leave", json!({}), |left| {
            format!("left; {} confirmed it", number(left, "confirmed", "member"))
        })?,
        Command::ForceLeave { name, at } => {
            let text = format!("{name} has left, for all members");
            at.call("force-leave", json!({"to": name.as_str()}), |_| text)?;
        }
        Command::Send { name, data, reliable, at } => {
            let mut arguments = data.arguments();
            arguments["to"] = name.as_str().into();
            arguments["reliable"] = reliable.into();
            let text = if reliable { "delivered" } else { "sent" };
            at.call("send", arguments, |_| text.into())?;
        }
        Command::Broadcast { data, at } => {
            at.call("broadcast", data.arguments(), |_| "queued for gossip".into())?;
        }
        Command::Rtt { name, to, at } => {
            let from = to.as_ref().map(|_| name.as_str());
            let to = to.as_ref().unwrap_or(&name);
            at.call("ping", json!({"to": to.as_str(), "from": from}), |pong| {
                let rtt = text::rtt(pong);
                let from = from.map(|from| format!(" {from}")).unwrap_or_default();
                format!("{to} answered{from}, round trip {rtt}")
            })?;
        }
        Command::Reachability { at } => return everywhere::reachability(&at),
        Command::Stats { at } => at.call("stats", json!({}), |result| {
            let mut text = String::new();
            list_counters(&mut text, "", &result["stats"]);
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        })?,
        Command::Keys { action } => return everywhere::keys(action),
        Command::Tags { action } => {
            let (at, arguments) = match action {
                Tags::Set { tags, at } => (at, json!({"set": tags})),
                Tags::Delete { keys, at } => (at, json!({"delete": keys})),
            };
            at.call("tags", arguments, |result| lines(&result["tags"], "="))?;
        }
        Command::LogLevel { level, at } => {
            let arguments = json!({"level": level.as_str()});
            at.call("log-level", arguments, |_| format!("the agent prints {level} and above"))?;
        }
        Command::Reload { at } => {
            at.call("reload", json!({}), |_| "the agent's log has the result".into())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Data {
    fn arguments(&self) -> Value {
        match self.text.strip_prefix("hex:") {
            Some(hex) => json!({"data": hex}),
            None => json!({"text": self.text}),
        }
    }
}

impl At {
    /// Connects to the agent.
    fn connect(&self) -> Result<Client, Fatal> {
        let from_env = || std::env::var_os("TIDINGS_CONTROL").map(PathBuf::from);
        let path = self.agent.as_ref().map(default_path);
        match path.or_else(|| self.control.clone()).or_else(from_env) {
            Some(path) => Client::connect(&path).map_err(fatal),
            None => only_agent(),
        }
    }

    /// The arguments that name the same agent.
    fn arguments(&self) -> Vec<std::ffi::OsString> {
        let control = self.control.iter().flat_map(|path| ["--control".into(), path.into()]);
        let agent = self.agent.iter().flat_map(|id| ["--agent".into(), id.as_str().into()]);
        control.chain(agent).collect()
    }

    fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Has the agent execute a command, and prints its result.
    fn call(
        &self,
        command: &str,
        arguments: Value,
        text: impl FnOnce(&Value) -> String,
    ) -> Result<(), Fatal> {
        let result = self.connect()?.call(command, arguments).map_err(fatal)?;
        self.print(result, text);
        Ok(())
    }

    fn print(&self, mut result: Value, text: impl FnOnce(&Value) -> String) {
        if !self.is_json() {
            return println!("{}", text(&escaped(&result)));
        }
        if let Some(fields) = result.as_object_mut() {
            fields.retain(|name, _| !["id", "cmd", "ok"].contains(&name.as_str()));
        }
        println!("{}", json_line(&result));
    }
}

/// Connects to the only agent that this user runs on this machine.
fn only_agent() -> Result<Client, Fatal> {
    let sockets = sockets().map_err(Fatal::usage)?;
    let agents = sockets.iter().map(|path| Client::connect(path));
    let mut agents: Vec<_> = agents
        .filter(|agent| !matches!(agent, Err(ClientError::NotRunning(_))))
        .collect::<Result<_, _>>()
        .map_err(fatal)?;
    match (agents.pop(), agents.is_empty()) {
        (Some(agent), true) => Ok(agent),
        (None, _) => Err(Fatal {
            message: "no agent of this user runs on this machine; --control names the socket of \
                      another one"
                .into(),
            status: NO_AGENT,
        }),
        (Some(last), false) => {
            let names: Vec<_> =
                agents.iter().chain([&last]).map(|agent| escape(agent.node())).collect();
            let names = names.join(", ");
            Err(Fatal::usage(format!("several agents run on this machine; add --agent: {names}")))
        }
    }
}

/// Explains a verdict from the recent past of the agent.
fn why(name: NodeId, until: Option<String>, at: &At) -> Result<ExitCode, Fatal> {
    let result = at.connect()?.call("recording", json!({})).map_err(fatal)?;
    let bytes = result["recording"].as_str().unwrap_or_default();
    let bytes = BASE64.decode(bytes.as_bytes()).map_err(Fatal::failed)?;
    let recording = Recording::read(&bytes).map_err(Fatal::failed)?;
    replay::explain(&recording, name, until, at.is_json())
}

/// A number in a result, with its noun.
fn number(result: &Value, field: &str, noun: &str) -> String {
    count(usize::try_from(result[field].as_u64().unwrap_or(0)).unwrap_or(usize::MAX), noun)
}

/// A failure of the connection or of the command, with its exit status.
fn fatal(error: ClientError) -> Fatal {
    let status = match error {
        ClientError::Refused(_) => 1,
        _ => NO_AGENT,
    };
    // The reason is the agent's, and may repeat what others sent to it.
    Fatal { message: escape(&error.to_string()), status }
}

/// The exit status if no agent answers.
const NO_AGENT: u8 = 3;
