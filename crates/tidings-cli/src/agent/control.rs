//! The control socket of an agent: a node's commands, and those that only an agent has.

use super::cluster::{Cluster, Remote, change_keys};
use super::everywhere::Everywhere;
use super::{Args, Input};
use crate::Fatal;
use crate::command::Context;
use crate::join;
use crate::key_file::Keys;
use crate::report::{Outcome, Report};
use crate::runtime::Node;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use tidings_control::{
    Arguments, BindError, Level, NodeService, Publisher, Server, Service, default_path,
};

/// Where the control socket is.
#[derive(clap::Args)]
pub(crate) struct ControlArgs {
    /// The control socket, for `tidings members` and other commands; `none` for none
    ///
    /// By default NAME.sock in the directory `tidings` of $XDG_RUNTIME_DIR; without that variable
    /// in /run/tidings for root, in /tmp/tidings-UID for others
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// What agents of other members may ask of this one, for `tidings keys` and others
    ///
    /// By default all if it refuses unencrypted messages, and nothing otherwise: without keys,
    /// anybody can ask in the name of anybody
    #[arg(long, value_enum, hide_short_help = true)]
    pub(super) remote_commands: Option<Remote>,
}

/// The commands of an agent's control socket.
pub(super) struct Control {
    standard: NodeService,
    node: Arc<Node>,
    keys: Arc<Keys>,
    report: Report,
    context: Context,
    everywhere: Everywhere,
    /// The recording, if it is a file.
    recording: Option<PathBuf>,
    /// For the agent's main thread.
    sender: Option<Mutex<Sender<Input>>>,
}

impl Control {
    pub(super) fn new(
        args: &Args,
        node: Arc<Node>,
        keys: Arc<Keys>,
        cluster: Arc<Cluster>,
        report: Report,
    ) -> Self {
        let everywhere = Everywhere { node: Arc::clone(&node), keys: Arc::clone(&keys), cluster };
        Self {
            everywhere,
            standard: node.service(args.cluster.clone()),
            node,
            keys,
            report,
            context: args.context(),
            recording: args.record.file().map(Into::into),
            sender: None,
        }
    }

    /// Serves the control socket; `None` if there is to be none.
    pub(super) fn serve(
        mut self,
        args: &Args,
        publisher: Publisher,
        sender: Sender<Input>,
    ) -> Result<Option<Server>, Fatal> {
        self.sender = Some(Mutex::new(sender));
        let report = self.report.clone();
        let given = args.control.control.clone();
        if given.as_ref().is_some_and(|path| path.as_os_str() == "none") {
            return Ok(None);
        }
        let is_default = given.is_none();
        let path = given.unwrap_or_else(|| default_path(&args.name));
        match Server::start(&path, self, publisher) {
            Ok(server) => Ok(Some(server)),
            Err(error @ BindError::InUse(_)) => Err(Fatal::usage(format!(
                "--control: {error}; if another agent of this machine is named {}, set another \
                 --name, else another --control, or none",
                args.name
            ))),
            // A system without a place for it, say: the node is worth more.
            Err(error) if is_default => {
                report.warn("no-control", &format!("{error}; --control sets another path"));
                Ok(None)
            }
            Err(error) => Err(Fatal::usage(format!("--control: {error}"))),
        }
    }

    fn join(&self, arguments: &Arguments) -> Result<Value, String> {
        let seeds = arguments.list("seeds")?;
        let seeds = seeds.iter().map(|seed| self.context.target(seed));
        let seeds = seeds.collect::<Result<Vec<_>, _>>()?;
        if seeds.is_empty() {
            return Err("the argument \"seeds\" is missing".into());
        }
        match join::join(&self.node, &seeds).map_err(|error| error.text)? {
            Outcome::Joined { seeds, of, members } => {
                Ok(json!({"joined": seeds, "of": of, "members": members}))
            }
            _ => unreachable!("a join ends so"),
        }
    }

    fn keys(&self, arguments: &Arguments) -> Result<Value, String> {
        if arguments.flag("cluster")? {
            return self.everywhere.keys(arguments);
        }
        let action = arguments.optional("action")?.unwrap_or("list");
        change_keys(&self.keys, action, arguments.optional("key")?)
    }

    /// Pings a member from here, or from another member.
    fn ping(&self, arguments: &Arguments) -> Result<Value, String> {
        match arguments.optional("from")? {
            Some(from) => self.everywhere.ping_from(from, &arguments.member()?),
            None => self.standard.call("ping", arguments),
        }
    }

    fn recording(&self, path: &PathBuf) -> Result<Value, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(json!({"recording": BASE64.encode(&bytes)}))
    }

    fn set_level(&self, arguments: &Arguments) -> Result<Value, String> {
        let level: Level = arguments.text("level")?.parse()?;
        self.report.set_level(level);
        Ok(json!({"level": level.as_str()}))
    }

    fn reload(&self) -> Value {
        if let Some(sender) = &self.sender {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            drop(sender.send(Input::Reload));
        }
        json!({})
    }
}

impl Service for Control {
    fn node(&self) -> String {
        self.standard.node()
    }

    fn version(&self) -> String {
        self.standard.version()
    }

    fn call(&self, command: &str, arguments: &Arguments) -> Result<Value, String> {
        match (command, &self.recording) {
            ("join", _) => self.join(arguments),
            ("keys", _) => self.keys(arguments),
            ("ping", _) => self.ping(arguments),
            ("views", _) => Ok(self.everywhere.views()),
            ("reachability", _) => Ok(self.everywhere.reachability()),
            ("log-level", _) => self.set_level(arguments),
            ("reload", _) => Ok(self.reload()),
            ("recording", Some(path)) => self.recording(path),
            _ => self.standard.call(command, arguments),
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("standard", &self.standard).finish_non_exhaustive()
    }
}
