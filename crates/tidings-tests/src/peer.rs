//! A peer: a node that is driven by commands and JSON events, in Go or `tidings agent`.

use crate::logs::{ENDED, Log};
use crate::process::Process;
use crate::programs::Kind;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::{COMMAND_DEADLINE, Network, UPDATE_DEADLINE};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A running peer of any kind.
#[derive(Debug)]
pub struct Peer {
    settings: Settings,
    network: Network,
    process: Arc<Process>,
    log: Arc<Log>,
    asked: AtomicU32,
}

/// A position in a peer's events: waits that start at it ignore everything before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(usize);

impl Peer {
    #[track_caller]
    pub(crate) fn start(scene: &Scene, settings: Settings) -> Self {
        let network = scene.network();
        let log = scene.log(&settings.name, settings.kind.into());
        let command = settings.command(network.addr(settings.number));
        let process = scene.run(settings.number, command, &log);
        let peer = Self { settings, network, process, log, asked: AtomicU32::default() };
        peer.event("is ready", |event| event["ev"] == "ready");
        peer
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The program that it runs.
    pub fn kind(&self) -> Kind {
        self.settings.kind
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.network.addr(self.settings.number)
    }

    /// Runs a command that has to succeed; returns its result.
    #[track_caller]
    pub fn ask(&self, command: &str) -> Value {
        let result = self.try_ask(command);
        let shown: String = command.chars().take(60).collect();
        assert!(result["ok"] == true, "{}: {shown}: {}", self.name(), result["error"]);
        result
    }

    /// Runs a command; returns its result, which may be an error.
    #[track_caller]
    pub fn try_ask(&self, command: &str) -> Value {
        let id = format!("q{}", self.asked.fetch_add(1, Ordering::Relaxed));
        self.process.write_line(&format!("@{id} {command}"));
        let shown: String = command.chars().take(60).collect();
        let is_it = |event: &Value| event["ev"] == "result" && event["id"] == id;
        self.event_within(Mark::default(), COMMAND_DEADLINE, &format!("answers {shown:?}"), is_it)
    }

    /// The result of the join at its start.
    #[track_caller]
    pub fn start_join(&self) -> Value {
        self.event("tells of its join", |event| event["ev"] == "result" && event["id"] == "start")
    }

    /// The current end of its events.
    pub fn mark(&self) -> Mark {
        Mark(self.log.events.read(<[_]>::len))
    }

    /// Waits until it sees a member in a state: `alive`, `dead` or `left`.
    #[track_caller]
    pub fn sees(&self, member: &str, state: &str) -> Value {
        self.sees_since(Mark::default(), member, state)
    }

    /// Waits until it sees a member in a state, by an event after the mark.
    #[track_caller]
    pub fn sees_since(&self, mark: Mark, member: &str, state: &str) -> Value {
        let seen = self.log.events.wait(UPDATE_DEADLINE, |events| {
            let node = last_event_about(events.get(mark.0..)?, member);
            let seen = node.filter(|node| node["state"] == state).cloned();
            let over = seen.is_some() || events.last().is_some_and(ended);
            over.then_some(seen)
        });
        seen.flatten().unwrap_or_else(|| {
            let last = self.log.events.read(|events| last_event_about(events, member).cloned());
            let last = last.map_or_else(|| "nothing".into(), |node| node.to_string());
            panic!(
                "{} does not see {member} as {state} within {UPDATE_DEADLINE:?}; last: {last}",
                self.name()
            )
        })
    }

    /// Waits for an event, among past and future ones.
    #[track_caller]
    pub fn event(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.event_since(Mark::default(), what, is_it)
    }

    /// Waits for an event after the mark.
    #[track_caller]
    pub fn event_since(&self, mark: Mark, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.event_within(mark, UPDATE_DEADLINE, what, is_it)
    }

    #[track_caller]
    fn event_within(
        &self,
        mark: Mark,
        within: Duration,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = self.found_since(mark, within, is_it);
        found.unwrap_or_else(|| {
            let ended = self.log.events.read(|events| events.last().is_some_and(ended));
            let since = if ended { "before it ended".into() } else { format!("within {within:?}") };
            panic!("not so {since}: {} {what}", self.name())
        })
    }

    /// Asserts that for `time` there is no such event after the mark.
    #[track_caller]
    pub fn never(&self, mark: Mark, time: Duration, what: &str, is_it: impl Fn(&Value) -> bool) {
        if let Some(event) = self.found_since(mark, time, is_it) {
            panic!("{} {what}: {event}", self.name());
        }
    }

    fn found_since(
        &self,
        mark: Mark,
        within: Duration,
        is_it: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let mut from = mark.0;
        let found = self.log.events.wait(within, |events| {
            let found = events.get(from..)?.iter().find(|event| is_it(event) || ended(event));
            from = events.len();
            found.cloned()
        });
        found.filter(|event| !ended(event))
    }

    /// Waits until it receives a message of these bytes.
    #[track_caller]
    pub fn receives(&self, data: &[u8]) -> Value {
        let hex = hex(data);
        let what = format!("hears {}", String::from_utf8_lossy(&data[..data.len().min(60)]));
        self.event(&what, |event| event["ev"] == "msg" && event["data"] == *hex)
    }

    /// The names of its members, sorted.
    #[track_caller]
    pub fn members(&self) -> Vec<String> {
        let result = self.ask("members");
        let members = result["members"].as_array().expect("a list").iter();
        let mut names: Vec<_> =
            members.filter_map(|node| Some(node["name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// Its entry for a member.
    #[track_caller]
    pub fn member(&self, name: &str) -> Option<Value> {
        let result = self.ask("members");
        result["members"].as_array()?.iter().find(|node| node["name"] == name).cloned()
    }

    /// Waits until its members are exactly these; asks again after every event.
    #[track_caller]
    pub fn lists(&self, names: &[&str]) {
        let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
        names.sort();
        let end = std::time::Instant::now() + UPDATE_DEADLINE;
        loop {
            let listed = self.members();
            if listed == names {
                return;
            }
            let late = std::time::Instant::now() > end;
            assert!(
                !late,
                "{} lists {listed:?} after {UPDATE_DEADLINE:?}, not {names:?}",
                self.name()
            );
            self.log.events.wait_for_more(self.mark().0, AGAIN);
        }
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills it and starts it again, with changed settings.
    #[track_caller]
    pub fn restart(&mut self, scene: &Scene, change: impl FnOnce(Settings) -> Settings) {
        self.process.kill();
        *self = Self::start(scene, change(self.settings.clone()));
    }

    /// Makes it leave the cluster and keep running.
    #[track_caller]
    pub fn leave(&self) {
        self.ask("leave");
    }

    /// Makes it leave and stop by SIGTERM, as a service manager does.
    #[track_caller]
    pub fn terminate(&self) {
        self.process.signal("-TERM");
        let status = self.process.wait(COMMAND_DEADLINE);
        assert!(status.success(), "{} ends with {status}", self.name());
    }
}

/// The member in the last event about it.
fn last_event_about<'a>(events: &'a [Value], member: &str) -> Option<&'a Value> {
    let is_about_member = |event: &&Value| {
        let ev = event["ev"].as_str();
        ev.is_some_and(|ev| MEMBER_EVENTS.contains(&ev)) && event["node"]["name"] == member
    };
    events.iter().rev().find(is_about_member).map(|event| &event["node"])
}

fn ended(event: &Value) -> bool {
    event["ev"] == ENDED
}

/// The events that report a member's state.
const MEMBER_EVENTS: [&str; 5] = ["join", "update", "suspect", "alive", "leave"];

/// How long to wait before asking again, if there is no event.
const AGAIN: Duration = Duration::from_millis(250);

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
