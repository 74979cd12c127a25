//! Serf agents.

use crate::logs::{Log, Writer};
use crate::process::{Process, must, run};
use crate::programs::Kind;
use crate::scene::Scene;
use crate::{ANSWER, NEWS};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a Serf agent is started.
#[derive(Clone, Debug)]
pub struct SerfSettings {
    /// The Serf that has this memberlist inside.
    pub kind: Kind,
    /// Its name in the cluster.
    pub name: String,
    /// The number of its address.
    pub number: u8,
    /// Whom to join, and to try again until that succeeds.
    pub join: Vec<SocketAddr>,
    /// Further arguments.
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
    /// An agent of that name, at the address of that number.
    pub fn new(kind: Kind, name: &str, number: u8) -> Self {
        Self { kind, name: name.into(), number, join: Vec::new(), more: Vec::new() }
    }

    /// Joins whoever is at that address.
    pub fn join_at(mut self, addr: SocketAddr) -> Self {
        self.join.push(addr);
        self
    }

    /// With a further argument, such as `-tag=role=web`.
    pub fn with(mut self, argument: &str) -> Self {
        self.more.push(argument.into());
        self
    }

    /// Starts it, and waits until it takes commands.
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

    /// Where the others find it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for a line in its log.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        let find = |lines: &[String]| lines.iter().any(|line| line.contains(text)).then_some(());
        let found = self.log.logged.wait(NEWS, find);
        assert!(found.is_some(), "{} does not log {text:?} within {NEWS:?}", self.name());
    }

    /// Waits until it sees that member in that state: `alive`, `failed`, `leaving` or `left`.
    #[track_caller]
    pub fn sees(&self, member: &str, status: &str) -> Value {
        self.waits(&format!("sees {member} as {status}"), |members| {
            members.iter().find(|node| node["name"] == member && node["status"] == status).cloned()
        })
    }

    /// Asks for its members again and again, with everything that it logs.
    #[track_caller]
    pub fn waits<R>(&self, what: &str, look: impl Fn(&[Value]) -> Option<R>) -> R {
        let end = Instant::now() + NEWS;
        loop {
            let known = self.log.logged.read(<[_]>::len);
            let members = self.members();
            if let Some(found) = look(&members) {
                return found;
            }
            let late = Instant::now() > end;
            assert!(!late, "not so within {NEWS:?}: {} {what}: {members:?}", self.name());
            self.log.logged.wait_for_more(known, AGAIN);
        }
    }

    /// All members that it knows, with their `name`, `status`, `addr` and `tags`.
    #[track_caller]
    pub fn members(&self) -> Vec<Value> {
        let text = self.command("members", &["-format=json"]);
        let list: Value = serde_json::from_str(&text).expect("it prints JSON");
        list["members"].as_array().cloned().unwrap_or_default()
    }

    /// Sends an event to all.
    #[track_caller]
    pub fn event(&self, name: &str, payload: &str) {
        self.command("event", &[name, payload]);
    }

    /// Sends a query to all; returns what it prints of the answers.
    #[track_caller]
    pub fn query(&self, name: &str) -> String {
        self.command("query", &["-timeout=2s", name])
    }

    /// Sets a tag.
    #[track_caller]
    pub fn tag(&self, tag: &str) {
        self.command("tags", &["-set", tag]);
    }

    /// Changes the keys of all: `-install=KEY`, `-use=KEY` or `-remove=KEY`. It fails among nodes
    /// that are not Serf's, since they do not answer it, and is done all the same by those that
    /// are; so what it says is returned, whether it fails or not.
    pub fn keys(&self, change: &str) -> String {
        run(&self.program, &["keys", &format!("-rpc-addr={}", rpc(self.addr)), change]).1
    }

    /// Leaves and ends.
    #[track_caller]
    pub fn leave(&self) {
        self.command("leave", &[]);
        self.process.wait(ANSWER);
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again, as it was started or with other settings.
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

/// Where it takes commands.
fn rpc(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), 7373).into()
}

/// When to look again, if nothing new was logged.
const AGAIN: Duration = Duration::from_millis(250);
