//! One node that takes commands and tells what it sees.

use crate::logs::{ENDED, Log};
use crate::process::Process;
use crate::programs::Kind;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::{ANSWER, NEWS, Network};
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

/// A place in what a peer has said: what came before is not looked at.
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

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.settings.kind
    }

    /// Where the others find it.
    pub fn addr(&self) -> SocketAddr {
        self.network.addr(self.settings.number)
    }

    /// Carries out a command that has to succeed; returns its result.
    #[track_caller]
    pub fn ask(&self, command: &str) -> Value {
        let result = self.try_ask(command);
        let shown: String = command.chars().take(60).collect();
        assert!(result["ok"] == true, "{}: {shown}: {}", self.name(), result["error"]);
        result
    }

    /// Carries out a command; returns its result, whether it is an error or not.
    #[track_caller]
    pub fn try_ask(&self, command: &str) -> Value {
        let id = format!("q{}", self.asked.fetch_add(1, Ordering::Relaxed));
        self.process.tell(&format!("@{id} {command}"));
        let shown: String = command.chars().take(60).collect();
        let is_it = |event: &Value| event["ev"] == "result" && event["id"] == id;
        self.event_within(Mark::default(), ANSWER, &format!("answers {shown:?}"), is_it)
    }

    /// What came of its join at the start.
    #[track_caller]
    pub fn start_join(&self) -> Value {
        self.event("tells of its join", |event| event["ev"] == "result" && event["id"] == "start")
    }

    /// Where it is in what it says.
    pub fn mark(&self) -> Mark {
        Mark(self.log.said.read(<[_]>::len))
    }

    /// Waits until it sees that member in that state: `alive`, `dead` or `left`.
    #[track_caller]
    pub fn sees(&self, member: &str, state: &str) -> Value {
        self.sees_since(Mark::default(), member, state)
    }

    /// The same, and it has to have heard so after the mark.
    #[track_caller]
    pub fn sees_since(&self, mark: Mark, member: &str, state: &str) -> Value {
        let seen = self.log.said.wait(NEWS, |events| {
            let node = last_news(events.get(mark.0..)?, member);
            let seen = node.filter(|node| node["state"] == state).cloned();
            let over = seen.is_some() || events.last().is_some_and(ended);
            over.then_some(seen)
        });
        seen.flatten().unwrap_or_else(|| {
            let last = self.log.said.read(|events| last_news(events, member).cloned());
            let last = last.map_or_else(|| "nothing".into(), |node| node.to_string());
            panic!("{} does not see {member} as {state} within {NEWS:?}; last: {last}", self.name())
        })
    }

    /// Waits for an event, among all so far and those to come.
    #[track_caller]
    pub fn event(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.event_since(Mark::default(), what, is_it)
    }

    /// Waits for an event after the mark.
    #[track_caller]
    pub fn event_since(&self, mark: Mark, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.event_within(mark, NEWS, what, is_it)
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
            let ended = self.log.said.read(|events| events.last().is_some_and(ended));
            let since = if ended { "before it ended".into() } else { format!("within {within:?}") };
            panic!("not so {since}: {} {what}", self.name())
        })
    }

    /// Watches for so long that there is no such event after the mark.
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
        let found = self.log.said.wait(within, |events| {
            let found = events.get(from..)?.iter().find(|event| is_it(event) || ended(event));
            from = events.len();
            found.cloned()
        });
        found.filter(|event| !ended(event))
    }

    /// Waits for a message of these bytes.
    #[track_caller]
    pub fn hears(&self, data: &[u8]) -> Value {
        let hex = hex(data);
        let what = format!("hears {}", String::from_utf8_lossy(&data[..data.len().min(60)]));
        self.event(&what, |event| event["ev"] == "msg" && event["data"] == *hex)
    }

    /// The names of all members that it lists, in order.
    #[track_caller]
    pub fn members(&self) -> Vec<String> {
        let result = self.ask("members");
        let members = result["members"].as_array().expect("a list").iter();
        let mut names: Vec<_> =
            members.filter_map(|node| Some(node["name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// How it lists that member.
    #[track_caller]
    pub fn member(&self, name: &str) -> Option<Value> {
        let result = self.ask("members");
        result["members"].as_array()?.iter().find(|node| node["name"] == name).cloned()
    }

    /// Asks for its members again and again, with everything that it says, until they are these.
    #[track_caller]
    pub fn lists(&self, names: &[&str]) {
        let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
        names.sort();
        let end = std::time::Instant::now() + NEWS;
        loop {
            let listed = self.members();
            if listed == names {
                return;
            }
            let late = std::time::Instant::now() > end;
            assert!(!late, "{} lists {listed:?} after {NEWS:?}, not {names:?}", self.name());
            self.log.said.wait_for_more(self.mark().0, AGAIN);
        }
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again, as it was started or with other settings.
    #[track_caller]
    pub fn restart(&mut self, scene: &Scene, change: impl FnOnce(Settings) -> Settings) {
        self.process.kill();
        *self = Self::start(scene, change(self.settings.clone()));
    }

    /// Leaves the cluster; it runs on.
    #[track_caller]
    pub fn leave(&self) {
        self.ask("leave");
    }

    /// Has it leave and end, as a service manager does.
    #[track_caller]
    pub fn terminate(&self) {
        self.process.signal("-TERM");
        let status = self.process.wait(ANSWER);
        assert!(status.success(), "{} ends with {status}", self.name());
    }
}

/// What was last said about that member.
fn last_news<'a>(events: &'a [Value], member: &str) -> Option<&'a Value> {
    let is_news = |event: &&Value| {
        let ev = event["ev"].as_str();
        ev.is_some_and(|ev| NEWS_OF_MEMBERS.contains(&ev)) && event["node"]["name"] == member
    };
    events.iter().rev().find(is_news).map(|event| &event["node"])
}

fn ended(event: &Value) -> bool {
    event["ev"] == ENDED
}

/// The lines that tell of a member's state.
const NEWS_OF_MEMBERS: [&str; 5] = ["join", "update", "suspect", "alive", "leave"];

/// When to look again, if nothing new was said.
const AGAIN: Duration = Duration::from_millis(250);

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
