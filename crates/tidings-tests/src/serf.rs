//! Serf agent processes.

use crate::logs::{Log, Writer};
use crate::process::{Process, must, run};
use crate::programs::Kind;
use crate::scene::Scene;
use crate::{COMMAND_DEADLINE, UPDATE_DEADLINE};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Settings of a Serf agent.
#[derive(Clone, Debug)]
pub struct SerfSettings {
    /// Selects the Serf that contains this memberlist.
    pub kind: Kind,
    /// Its name in the cluster.
    pub name: String,
    /// The number of its address in the scene's network.
    pub number: u8,
    /// Members to join; retried until one succeeds.
    pub join: Vec<SocketAddr>,
    /// Further command-line arguments.
    pub more: Vec<String>,
}

/// A running Serf agent.
#[derive(Debug)]
pub struct Serf {
    settings: SerfSettings,
    program: PathBuf,
    addr: SocketAddr,
    process: Arc<Process>,
    log: Arc<Log>,
}

impl SerfSettings {
    /// Settings of an agent at address `number`.
    pub fn new(kind: Kind, name: &str, number: u8) -> Self {
        Self { kind, name: name.into(), number, join: Vec::new(), more: Vec::new() }
    }

    /// Adds a member to join.
    pub fn join_at(mut self, addr: SocketAddr) -> Self {
        self.join.push(addr);
        self
    }

    /// Adds an argument, such as `-tag=role=web`.
    pub fn with(mut self, argument: &str) -> Self {
        self.more.push(argument.into());
        self
    }

    /// Starts it and waits until it accepts commands.
    #[track_caller]
    pub fn start(self, scene: &Scene) -> Serf {
        let (program, addr) = (self.kind.serf(), scene.network().addr(self.number));
        let log = scene.log(&self.name, Writer::Serf);
        let mut command = Command::new(&program);
        command.args(["agent", "-profile=lan", "-log-level=debug", "-retry-interval=1s"]);
        command.arg(format!("-node={}", self.name)).arg(format!("-bind={addr}"));
        command.arg(format!("-rpc-addr={}", rpc(addr)));
        command.args(self.join.iter().map(|addr| format!("-retry-join={addr}")));
        command.args(&self.more);
        let process = scene.run(self.number, command, &log);
        let serf = Serf { settings: self, program, addr, process, log };
        serf.logs("Serf agent running");
        serf
    }
}

impl Serf {
    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for a log line that contains `text`.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        let find = |lines: &[String]| lines.iter().any(|line| line.contains(text)).then_some(());
        let found = self.log.lines.wait(UPDATE_DEADLINE, find);
        assert!(
            found.is_some(),
            "{} does not log {text:?} within {UPDATE_DEADLINE:?}",
            self.name()
        );
    }

    /// Waits until it sees a member in a state: `alive`, `failed`, `leaving` or `left`.
    #[track_caller]
    pub fn sees(&self, member: &str, status: &str) -> Value {
        self.waits(&format!("sees {member} as {status}"), |members| {
            members.iter().find(|node| node["name"] == member && node["status"] == status).cloned()
        })
    }

    /// Waits until `look` finds something in its members; asks again after every log line.
    #[track_caller]
    pub fn waits<R>(&self, what: &str, look: impl Fn(&[Value]) -> Option<R>) -> R {
        let end = Instant::now() + UPDATE_DEADLINE;
        loop {
            let known = self.log.lines.read(<[_]>::len);
            let members = self.members();
            if let Some(found) = look(&members) {
                return found;
            }
            let late = Instant::now() > end;
            assert!(
                !late,
                "not so within {UPDATE_DEADLINE:?}: {} {what}: {members:?}",
                self.name()
            );
            self.log.lines.wait_for_more(known, AGAIN);
        }
    }

    /// All members that it knows, as JSON with `name`, `status`, `addr` and `tags`.
    #[track_caller]
    pub fn members(&self) -> Vec<Value> {
        let text = self.command("members", &["-format=json"]);
        let list: Value = serde_json::from_str(&text).expect("it prints JSON");
        list["members"].as_array().cloned().unwrap_or_default()
    }

    /// Sends a user event to all members.
    #[track_caller]
    pub fn event(&self, name: &str, payload: &str) {
        self.command("event", &[name, payload]);
    }

    /// Sends a query to all members; returns the command's output.
    #[track_caller]
    pub fn query(&self, name: &str) -> String {
        self.command("query", &["-timeout=2s", name])
    }

    /// Sets a tag.
    #[track_caller]
    pub fn tag(&self, tag: &str) {
        self.command("tags", &["-set", tag]);
    }

    /// Changes the keys of all members by `-install=KEY`, `-use=KEY` or `-remove=KEY`; returns the
    /// command's output, even if it fails. It fails if there are other members than Serf's, because
    /// they do not answer; Serf's members make the change all the same.
    pub fn keys(&self, change: &str) -> String {
        run(&self.program, &["keys", &format!("-rpc-addr={}", rpc(self.addr)), change]).1
    }

    /// Makes it leave, and waits for its end.
    #[track_caller]
    pub fn leave(&self) {
        self.command("leave", &[]);
        self.process.wait(COMMAND_DEADLINE);
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills it and starts it again, with changed settings.
    #[track_caller]
    pub fn restart(&mut self, scene: &Scene, change: impl FnOnce(SerfSettings) -> SerfSettings) {
        self.process.kill();
        *self = change(self.settings.clone()).start(scene);
    }

    #[track_caller]
    fn command(&self, name: &str, arguments: &[&str]) -> String {
        let rpc = format!("-rpc-addr={}", rpc(self.addr));
        must(&self.program, &[&[name, &rpc], arguments].concat())
    }
}

/// The address of its RPC server.
fn rpc(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), 7373).into()
}

/// How long to wait before asking again, if nothing is logged.
const AGAIN: Duration = Duration::from_millis(250);
