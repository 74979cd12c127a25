//! Commands for a whole cluster: agents ask each other, in reliable messages with a prefix.
//!
//! The messages are as safe as all others: whoever has the cluster's keys can send them, and nobody
//! else. `docs/AGENT.md` describes them for applications that share a cluster with agents.

use super::seal::{self, Offers};
use crate::key_file::{Change, Keys};
use crate::report::Report;
use crate::runtime::Node;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use tidings_control::{Level, parse, view};
use tidings_driver::DriverState;
use tidings_driver::prelude::{Event, NodeId, State, Via};

/// What other members may ask of an agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Remote {
    /// What it sees, and to change its keys
    All,
    /// What it sees
    Look,
    /// Nothing
    None,
}

/// The part of an agent that asks others, and answers them.
pub(super) struct Cluster {
    node: Weak<Node>,
    /// Senders of answers to what this agent has asked, by number.
    asked: Mutex<HashMap<u64, SyncSender<(NodeId, Value)>>>,
    /// Requests of others that wait for the thread that answers them.
    requests: SyncSender<(NodeId, Value)>,
    /// Whether all messages have to be encrypted.
    encrypts: bool,
    budget: Mutex<Budget>,
}

/// The answers of members; an error says why there is none.
pub(super) type Answers = BTreeMap<NodeId, Result<Value, String>>;

impl Cluster {
    /// Starts the thread that answers. `encrypts` is whether all messages have to be encrypted.
    pub(super) fn start(
        node: &Arc<Node>,
        keys: &Arc<Keys>,
        remote: Remote,
        encrypts: bool,
        report: Report,
    ) -> std::io::Result<Arc<Self>> {
        let (requests, waiting) = sync_channel(MAX_WAITING);
        let answerer = Answerer {
            node: Arc::downgrade(node),
            keys: Arc::downgrade(keys),
            remote,
            encrypts,
            report,
        };
        let thread = thread::Builder::new().name("tidings-cluster".into());
        thread.spawn(move || answerer.run(&waiting))?;
        let budget = Mutex::new(Budget { left: BURST, since: Instant::now() });
        let node = Arc::downgrade(node);
        Ok(Arc::new(Self { node, asked: Mutex::default(), requests, encrypts, budget }))
    }

    /// Takes a message of another agent; `false` if the event is something else. It does not wait.
    pub(super) fn takes(&self, event: &Event) -> bool {
        let Event::Message { from, data, via: Via::Reliable } = event else { return false };
        let Some(body) = data.strip_prefix(PREFIX) else { return false };
        let Some(from) = from else { return true };
        // Anybody may have sent it.
        let waits = !lock(&self.asked).is_empty();
        let max = if waits { MAX_ANSWER } else { MAX_REQUEST };
        if body.len() > max {
            return true;
        }
        let Ok(body) = parse(body) else { return true };
        if let Some(number) = body["answers"].as_u64() {
            if let Some(answers) = lock(&self.asked).get(&number) {
                // Of a flood some are lost.
                drop(answers.try_send((from.clone(), body)));
            }
        } else if data.len() > MAX_REQUEST {
            // No request is so long.
        } else if lock(&self.budget).take() {
            // More than a few at a time are not answered.
            drop(self.requests.try_send((from.clone(), body)));
        }
        true
    }

    /// Whether what it asks is secret: all messages have to be encrypted.
    pub(super) fn encrypts(&self) -> bool {
        self.encrypts
    }

    /// Asks members the same, and waits for their answers.
    pub(super) fn ask(&self, members: &[NodeId], request: &Value) -> Answers {
        self.ask_each(members.iter().map(|member| (member.clone(), request.clone())).collect())
    }

    /// Gives members a key, encrypted for each of them: recordings have the messages in plaintext.
    pub(super) fn install(&self, members: &[NodeId], key: &str) -> Answers {
        let (mut failed, mut requests) = (Answers::new(), Vec::new());
        for (member, offer) in self.ask(members, &json!({"cmd": "keys", "action": "offer"})) {
            let sealed = offer.and_then(|answer| {
                let offer = answer["offer"].as_str().ok_or("it makes no offer")?;
                let (public, sealed) = seal::seal(offer, key)?;
                Ok(json!({
                    "cmd": "keys", "action": "install",
                    "offer": offer, "public": public, "sealed": sealed,
                }))
            });
            match sealed {
                Ok(request) => requests.push((member, request)),
                Err(error) => drop(failed.insert(member, Err(error))),
            }
        }
        failed.extend(self.ask_each(requests));
        failed
    }

    /// Asks each member its own question, and waits for the answers.
    fn ask_each(&self, mut requests: Vec<(NodeId, Value)>) -> Answers {
        let number = getrandom::u64().unwrap_or_default();
        let (sender, answers) = sync_channel(MAX_WAITING);
        lock(&self.asked).insert(number, sender);
        for (_, request) in &mut requests {
            request["asks"] = number.into();
        }
        let mut found = self.send(&requests);
        let members: Vec<_> = requests.into_iter().map(|(member, _)| member).collect();
        let end = Instant::now() + ANSWER_TIME;
        while found.len() < members.len() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((from, answer)) = answers.recv_timeout(left) else { break };
            let outcome = match answer["error"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(answer),
            };
            if members.contains(&from) {
                found.entry(from).or_insert(outcome);
            }
        }
        lock(&self.asked).remove(&number);
        for member in &members {
            let silent = || Err(format!("no answer within {ANSWER_TIME:?}; is it an agent?"));
            found.entry(member.clone()).or_insert_with(silent);
        }
        found
    }

    /// Sends each member its message; returns the errors.
    fn send(&self, messages: &[(NodeId, Value)]) -> Answers {
        let (next, failed) = (Mutex::new(messages.iter()), Mutex::new(Answers::new()));
        let send = || {
            loop {
                let Some((to, message)) = lock(&next).next() else { return };
                let sent = match self.node.upgrade() {
                    Some(node) => node.send_reliable(to, encode(message)),
                    None => return,
                };
                if let Err(error) = sent {
                    lock(&failed).insert(to.clone(), Err(error.to_string()));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..messages.len().min(MAX_SENDING) {
                scope.spawn(send);
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that answers other agents.
struct Answerer {
    node: Weak<Node>,
    keys: Weak<Keys>,
    remote: Remote,
    encrypts: bool,
    report: Report,
}

impl Answerer {
    fn run(&self, requests: &Receiver<(NodeId, Value)>) {
        let mut offers = Offers::default();
        for (from, request) in requests {
            let (Some(node), Some(keys)) = (self.node.upgrade(), self.keys.upgrade()) else {
                return;
            };
            let outcome = self.execute(&node, &keys, &mut offers, &from, &request);
            let mut answer = outcome.unwrap_or_else(|error| json!({"error": error}));
            answer["answers"] = request["asks"].clone();
            drop(node.send_reliable(&from, encode(&answer)));
        }
    }

    fn execute(
        &self,
        node: &Node,
        keys: &Keys,
        offers: &mut Offers,
        from: &NodeId,
        request: &Value,
    ) -> Result<Value, String> {
        if self.remote == Remote::None {
            return Err("its --remote-commands does not allow this".into());
        }
        match request["cmd"].as_str().unwrap_or_default() {
            "view" => Ok(look(node, request["names"] == true)),
            "reach" => Ok(reach(node)),
            "ping" => {
                let to = NodeId::new(request["to"].as_str().unwrap_or_default());
                let rtt = node.ping(&to.map_err(text)?).map_err(text)?;
                Ok(json!({"rtt": rtt.as_secs_f64()}))
            }
            "keys" => {
                let action = request["action"].as_str().unwrap_or_default();
                let changes = action != "list";
                if changes && self.remote != Remote::All {
                    return Err("its --remote-commands does not allow this".into());
                }
                if !self.encrypts {
                    return Err("it accepts unencrypted messages, or has no key".into());
                }
                let field = |name: &str| request[name].as_str().unwrap_or_default();
                let result = match action {
                    "offer" => return Ok(json!({"offer": offers.offer()?})),
                    "install" => {
                        let [offer, public, sealed] = ["offer", "public", "sealed"].map(field);
                        change_keys(keys, action, Some(&offers.open(offer, public, sealed)?))?
                    }
                    // By its short name alone: a key in a message would be in recordings.
                    "use" | "remove" => {
                        let known = keys.keyring()?;
                        let is_known = known.keys().any(|key| key.id().to_string() == field("id"));
                        match (action, is_known) {
                            (_, true) => change_keys(keys, action, Some(field("id")))?,
                            ("remove", false) => change_keys(keys, "list", None)?,
                            (_, false) => return Err("it does not have the key".into()),
                        }
                    }
                    _ => change_keys(keys, action, None)?,
                };
                if changes {
                    let done = format!("{from} changes the keys: {action}");
                    self.report.log("remote", Level::Info, &done, json!({"from": from.as_str()}));
                }
                Ok(result)
            }
            _ => Err("its version does not know this command".into()),
        }
    }
}

/// What a node sees: a digest of the members that are present, and those that are not well.
pub(super) fn look(node: &Node, names: bool) -> Value {
    let members = node.all_members();
    let named = |state| {
        let members = members.iter().filter(|member| member.state() == state);
        members.map(|member| member.id().as_str()).take(MAX_NAMES).collect::<Vec<_>>()
    };
    let present = members.iter().filter(|member| member.is_present());
    let mut seen = json!({
        "view": view(&members),
        "present": present.clone().count(),
        "suspect": named(State::Suspect),
        "failed": named(State::Failed),
    });
    if names {
        let names = present.map(|member| member.id().as_str()).take(MAX_NAMES);
        seen["names"] = names.collect::<Vec<_>>().into();
    }
    seen
}

/// Whom a node reaches, and whom it does not, as it has seen from its own probes and streams, and
/// of suspects and failed members from gossip, too.
pub(super) fn reach(node: &Node) -> Value {
    let look = |state: &DriverState, _| {
        let node = state.node();
        let (mut present, mut acked, mut problems) = (0, 0, Vec::new());
        for member in node.all_members().filter(|member| member.id() != node.local().id()) {
            let id = member.id();
            present += usize::from(member.is_present());
            acked += usize::from(member.is_present() && node.rtt(id).is_some());
            let problem = match member.state() {
                State::Left => continue,
                _ if member.is_suppressed() => "suppressed",
                State::Failed => "failed",
                State::Suspect if node.accuses(id) => "no ack",
                State::Suspect => "suspect",
                State::Alive if member.is_degraded() => "no datagrams",
                State::Alive if node.are_streams_blocked(id) => "no streams",
                State::Alive => continue,
            };
            problems.push((id.clone(), problem));
        }
        (present, acked, problems)
    };
    let seen = node.observer().look(look);
    let Some((present, acked, problems)) = seen else { return json!({"error": "it stops"}) };
    let of = problems.len();
    let problems = problems.into_iter().take(MAX_NAMES);
    let problems = problems.map(|(to, problem)| json!({"to": to.as_str(), "problem": problem}));
    let problems: Vec<_> = problems.collect();
    let left_out = of - problems.len();
    json!({"present": present, "acked": acked, "problems": problems, "left_out": left_out})
}

/// Changes the keys, unless the action is `list`; returns all of them by their short names.
pub(super) fn change_keys(keys: &Keys, action: &str, key: Option<&str>) -> Result<Value, String> {
    let find = || -> Result<_, String> {
        let text = key.ok_or("the key is missing")?;
        let keyring = keys.keyring()?;
        let known = keyring.keys().find(|key| key.id().to_string() == text).cloned();
        // An invalid key is not repeated in the error: it may be a secret with a typing error.
        known.map_or_else(|| keys.parse(text).map_err(|error| error.to_string()), Ok)
    };
    let change = match action {
        "list" => None,
        "install" => Some(Change::Add(find()?)),
        "use" => Some(Change::Use(find()?)),
        "remove" => Some(Change::Remove(find()?)),
        _ => {
            return Err(format!(
                "unknown action {action:?}; list, install, use and remove are known"
            ));
        }
    };
    let changed = match &change {
        // Twice is as good as once: after an error at one node, all are asked again.
        Some(Change::Add(key)) if keys.keyring()?.keys().any(|known| known == key) => None,
        Some(Change::Remove(key)) if keys.keyring()?.keys().all(|known| known != key) => None,
        Some(change) => Some(keys.change(change)?),
        None => None,
    };
    let keyring = keys.keyring()?;
    let list = keyring
        .keys()
        .map(|key| json!({"id": key.id().to_string(), "cipher": key.cipher().to_string()}));
    let mut result = json!({"keys": list.collect::<Vec<_>>()});
    if let Some(changed) = changed {
        result["saved"] = changed.saved.into();
        result["text"] = changed.text.into();
    }
    Ok(result)
}

/// The requests that are answered: some at once, and so many in a second.
struct Budget {
    left: f64,
    since: Instant,
}

impl Budget {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let more = now.saturating_duration_since(self.since).as_secs_f64() * RATE;
        (self.left, self.since) = ((self.left + more).min(BURST), now);
        let enough = self.left >= 1.0;
        self.left -= f64::from(u8::from(enough));
        enough
    }
}

fn encode(body: &Value) -> Vec<u8> {
    [PREFIX, body.to_string().as_bytes()].concat()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first bytes of messages between agents; JSON follows.
const PREFIX: &[u8] = b"\0tidings-agent\x01";
/// How long an answer may take after the request was delivered.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// The longest request, in bytes.
const MAX_REQUEST: usize = 1024;
/// The longest answer, in bytes: a thousand long names.
const MAX_ANSWER: usize = 512 << 10;
/// The requests of others, or answers of each, that wait.
const MAX_WAITING: usize = 64;
/// The requests of others that are answered in a second.
const RATE: f64 = 10.0;
/// The requests of others that are answered at once.
const BURST: f64 = 20.0;
/// The members that are asked at the same time.
const MAX_SENDING: usize = 16;
/// The names in an answer.
pub(super) const MAX_NAMES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_burst_are_not_answered() {
        let mut budget = Budget { left: BURST, since: Instant::now() };
        let answered = (0..1000).filter(|_| budget.take()).count();
        assert!((20..40).contains(&answered), "{answered}");
    }
}
