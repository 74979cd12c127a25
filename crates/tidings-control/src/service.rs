//! The commands that a control socket takes.

use crate::json;
use crate::node::ControlledNode;
use crate::path::fnv1a;
use crate::publisher::lock;
use crate::tags::Tags;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidings_driver::prelude::{ClusterName, Member, NodeId, Phase, State};

/// What answers the commands of a control socket.
///
/// A program with commands of its own answers those, and has a [`NodeService`] answer all others.
pub trait Service: fmt::Debug + Send + Sync + 'static {
    /// The name of the node.
    fn node(&self) -> String;

    /// The version of the program, for an error about one that does not fit.
    fn version(&self) -> String;

    /// Executes a command; returns the fields of its result. It may block, on the thread of the
    /// connection.
    ///
    /// # Errors
    ///
    /// If the command is not known or fails: text for people.
    fn call(&self, command: &str, arguments: &Arguments) -> Result<Value, String>;
}

/// The arguments of a command: a JSON object.
#[derive(Clone, Debug, Default)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    pub(crate) fn new(arguments: Map<String, Value>) -> Self {
        Self(arguments)
    }

    /// A text that has to be there.
    ///
    /// # Errors
    ///
    /// If it is not there, or something else.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        self.optional(name)?.ok_or_else(|| format!("the argument {name:?} is missing"))
    }

    /// A text that may be there.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn optional(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("the argument {name:?} is not text")),
        }
    }

    /// A boolean; `false` if it is not there.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("the argument {name:?} is neither true nor false")),
        }
    }

    /// A list of texts; empty if it is not there.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("the argument {name:?} is not a list of texts");
        let list = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(list) => list.as_array().ok_or_else(wrong)?,
        };
        list.iter().map(|text| text.as_str().map(Into::into).ok_or_else(wrong)).collect()
    }

    /// The name of a member, in `to`.
    ///
    /// # Errors
    ///
    /// If it is not there or is not a name.
    pub fn member(&self) -> Result<NodeId, String> {
        NodeId::new(self.text("to")?).map_err(|error| error.to_string())
    }

    /// Bytes: those of the text in `text`, or of the hex digits in `data`.
    ///
    /// # Errors
    ///
    /// If neither is there, or `data` is not hex.
    pub fn data(&self) -> Result<Vec<u8>, String> {
        let Some(hex) = self.optional("data")? else { return Ok(self.text("text")?.into()) };
        let data = HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
        data.map_err(|error| format!("the argument \"data\" is not hex: {error}"))
    }
}

/// The commands that any node has: `info`, `members`, `stats`, `join`, `leave`, `force-leave`,
/// `ping`, `send`, `broadcast`, `tags`, and with the features `encryption` and `record`, `keys` and
/// `recording`.
#[derive(Debug)]
pub struct NodeService {
    node: Arc<dyn ControlledNode>,
    cluster: ClusterName,
    version: String,
    started: Instant,
    /// Held while tags are changed.
    tags: Mutex<()>,
    /// When members were declared to have left of late.
    force_leaves: Mutex<Vec<Instant>>,
}

impl NodeService {
    /// The commands of a node, in a program of this version.
    pub fn new(
        node: impl ControlledNode,
        cluster: ClusterName,
        version: impl Into<String>,
    ) -> Self {
        Self {
            node: Arc::new(node),
            cluster,
            version: version.into(),
            started: Instant::now(),
            tags: Mutex::new(()),
            force_leaves: Mutex::default(),
        }
    }

    /// The node.
    pub fn controlled(&self) -> &dyn ControlledNode {
        &*self.node
    }

    fn info(&self) -> Value {
        let members = self.node.all_members();
        let local = self.node.local();
        json!({
            "node": json::member(&local),
            "cluster": self.cluster.as_str(),
            "version": self.version,
            "pid": std::process::id(),
            "uptime": self.started.elapsed().as_secs_f64(),
            "phase": match self.node.phase() {
                Phase::Running => "running",
                Phase::Leaving => "leaving",
                Phase::Left => "left",
            },
            "ready": self.node.is_ready(),
            "health": self.node.health(),
            "members": counts(&members),
            "view": view(&members),
            "encrypted": self.is_encrypted(),
        })
    }

    #[cfg(feature = "encryption")]
    fn is_encrypted(&self) -> bool {
        self.node.keyring().is_some()
    }

    #[cfg(not(feature = "encryption"))]
    fn is_encrypted(&self) -> bool {
        false
    }

    fn members(&self) -> Value {
        let members = self.node.all_members();
        let list = members.iter().map(|member| {
            let mut it = json::member(member);
            if let Some(rtt) = self.node.rtt(member.id()) {
                it["rtt"] = rtt.as_secs_f64().into();
            }
            let left = match member.state() {
                State::Suspect => self.node.suspicion_left(member.id()),
                _ => None,
            };
            if let Some(left) = left {
                it["fails_in"] = left.as_secs_f64().into();
            }
            it
        });
        let list: Vec<_> = list.collect();
        json!({"members": list, "health": self.node.health(), "view": view(&members)})
    }

    /// Changes tags; returns all of them.
    fn tags(&self, arguments: &Arguments) -> Result<Value, String> {
        let _held = lock(&self.tags);
        let (set, delete) = (arguments.list("set")?, arguments.list("delete")?);
        let mut tags = Tags::of(self.node.local().meta())
            .ok_or("the node's metadata is not tags, one KEY=VALUE a line; it is left as it is")?;
        for tag in &set {
            tags.set_text(tag).map_err(|error| error.to_string())?;
        }
        for key in &delete {
            if !tags.delete(key) {
                return Err(format!("there is no tag {key:?}"));
            }
        }
        if !(set.is_empty() && delete.is_empty()) {
            self.node.set_meta(tags.to_meta())?;
        }
        Ok(json!({"tags": tags.to_json()}))
    }

    /// Declares that a member has left, not often: each time is gossip for all members.
    fn force_leave(&self, arguments: &Arguments) -> Result<Value, String> {
        let member = arguments.member()?;
        let mut times = lock(&self.force_leaves);
        times.retain(|time| time.elapsed() < FORCE_LEAVE_WINDOW);
        if times.len() >= MAX_FORCE_LEAVES {
            return Err(format!(
                "{MAX_FORCE_LEAVES} members were declared to have left within \
                 {FORCE_LEAVE_WINDOW:?}, and no more are; try again later"
            ));
        }
        self.node.force_leave(&member)?;
        times.push(Instant::now());
        Ok(json!({}))
    }

    fn send(&self, arguments: &Arguments) -> Result<Value, String> {
        let (to, data) = (arguments.member()?, arguments.data()?);
        if arguments.flag("reliable")? {
            self.node.send_reliable(&to, data)?;
        } else {
            self.node.send(&to, data)?;
        }
        Ok(json!({}))
    }
}

impl Service for NodeService {
    fn node(&self) -> String {
        self.node.local().id().to_string()
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn call(&self, command: &str, arguments: &Arguments) -> Result<Value, String> {
        match command {
            "info" => Ok(self.info()),
            "members" => Ok(self.members()),
            "stats" => Ok(json!({"stats": self.node.stats()})),
            "join" => {
                let seeds = arguments.list("seeds")?;
                if seeds.is_empty() {
                    return Err("the argument \"seeds\" is missing".into());
                }
                Ok(json!({"members": self.node.join(&seeds)?}))
            }
            "leave" => Ok(json!({"confirmed": self.node.leave()?})),
            "force-leave" => self.force_leave(arguments),
            "ping" => Ok(json!({"rtt": self.node.ping(&arguments.member()?)?.as_secs_f64()})),
            "send" => self.send(arguments),
            "broadcast" => self.node.broadcast(arguments.data()?).map(|()| json!({})),
            "tags" => self.tags(arguments),
            #[cfg(feature = "encryption")]
            "keys" => keys::change(&*self.node, arguments),
            #[cfg(feature = "record")]
            "recording" => recording(&*self.node),
            _ => Err(format!("unknown command {command:?}")),
        }
    }
}

/// The members that are declared to have left in a window.
const MAX_FORCE_LEAVES: usize = 10;
const FORCE_LEAVE_WINDOW: Duration = Duration::from_secs(10);

/// How many members are in each state.
fn counts(members: &[Member]) -> Value {
    let count = |state| members.iter().filter(|member| member.state() == state).count();
    json!({
        "alive": count(State::Alive),
        "suspect": count(State::Suspect),
        "failed": count(State::Failed),
        "left": count(State::Left),
    })
}

/// A hash of the members that are present, by name, address and life, as 16 hex digits: nodes with
/// the same one see the same cluster.
pub fn view<'a>(members: impl IntoIterator<Item = &'a Member>) -> String {
    let present = members.into_iter().filter(|member| member.is_present());
    let place = |member: &Member| {
        let generation = member.incarnation().generation;
        fnv1a(format!("{}\0{}\0{generation}", member.id(), member.addr()).as_bytes())
    };
    let mut places: Vec<u64> = present.map(place).collect();
    places.sort_unstable();
    let bytes: Vec<u8> = places.into_iter().flat_map(u64::to_be_bytes).collect();
    format!("{:016x}", fnv1a(&bytes))
}

/// The node's recent past, in base64.
#[cfg(feature = "record")]
fn recording(node: &dyn ControlledNode) -> Result<Value, String> {
    let bytes = node.recent().ok_or(
        "the node keeps no record of its recent past: none was asked for, or its memory is too \
         small for the cluster (an agent's --recent)",
    )?;
    Ok(json!({"recording": data_encoding::BASE64.encode(&bytes)}))
}

#[cfg(feature = "encryption")]
mod keys {
    use super::{Arguments, ControlledNode, Value, json};
    use tidings_driver::prelude::{InvalidKey, Key, KeyError};

    /// Changes the keyring, if an `action` is given; returns its keys, the primary one first.
    pub(super) fn change(
        node: &dyn ControlledNode,
        arguments: &Arguments,
    ) -> Result<Value, String> {
        let key = || -> Result<Key, String> {
            arguments.text("key")?.parse().map_err(|error: InvalidKey| error.to_string())
        };
        let text = |error: KeyError| error.to_string();
        match arguments.optional("action")?.unwrap_or("list") {
            "list" => {}
            "install" => node.add_key(key()?).map_err(text)?,
            "use" => node.use_key(&key()?).map_err(text)?,
            "remove" => node.remove_key(&key()?).map_err(text)?,
            action => {
                return Err(format!(
                    "unknown action {action:?}; list, install, use and remove are known"
                ));
            }
        }
        let keyring = node.keyring().ok_or_else(|| KeyError::NoKeyring.to_string())?;
        let keys = keyring.keys().map(|key| {
            json!({
                "id": key.id().to_string(),
                "cipher": key.cipher().to_string(),
            })
        });
        Ok(json!({"keys": keys.collect::<Vec<_>>()}))
    }
}
