//! Commands of the control socket that ask all agents of the cluster.

use super::cluster::{Answers, Cluster, MAX_NAMES, change_keys, look, reach};
use crate::key_file::Keys;
use crate::keys::to_text;
use crate::runtime::Node;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidings_control::Arguments;
use tidings_driver::prelude::{Key, NodeId, State};
use zeroize::Zeroizing;

/// Asks all agents, this one included.
pub(super) struct Everywhere {
    pub(super) node: Arc<Node>,
    pub(super) keys: Arc<Keys>,
    pub(super) cluster: Arc<Cluster>,
}

impl Everywhere {
    /// Has another member ping one.
    pub(super) fn ping_from(&self, from: &str, to: &NodeId) -> Result<Value, String> {
        let from = NodeId::new(from).map_err(|error| error.to_string())?;
        let request = json!({"cmd": "ping", "to": to.as_str()});
        let answer = self.cluster.ask(std::slice::from_ref(&from), &request).remove(&from);
        let answer = answer.unwrap_or_else(|| Err("it did not answer".into()));
        answer.map_err(|error| format!("{from}: {error}"))
    }

    /// Lists or changes the keys of all agents.
    pub(super) fn keys(&self, arguments: &Arguments) -> Result<Value, String> {
        let action = arguments.optional("action")?.unwrap_or("list");
        if !self.cluster.encrypts() {
            return Err(
                "this agent accepts or sends unencrypted messages, or has no key: keys of \
                        the cluster are not sent; --local changes its own"
                    .into(),
            );
        }
        let key = arguments.optional("key")?.map(|key| self.key(key)).transpose()?;
        if !arguments.flag("force")? {
            self.check_keys(action, key.as_ref())?;
        }
        let id = key.as_ref().map(|key| key.id().to_string());
        let key = key.as_ref().map(|key| Zeroizing::new(to_text(key)));
        let key = key.as_ref().map(|key| key.as_str());
        // Here last: until then this agent reaches all others.
        let mut answers = match (action, key) {
            ("install", Some(key)) => self.cluster.install(&self.others(), key),
            _ => self.ask_others(&json!({"cmd": "keys", "action": action, "id": id})),
        };
        let local = self.node.local().id().clone();
        answers.insert(local, change_keys(&self.keys, action, key));
        Ok(result(answers))
    }

    /// Checks that no agent is cut off by a change.
    fn check_keys(&self, action: &str, key: Option<&Key>) -> Result<(), String> {
        let Some(key) = key.filter(|_| matches!(action, "use" | "remove")) else { return Ok(()) };
        let id = key.id().to_string();
        let mut answers = self.ask_others(&json!({"cmd": "keys", "action": "list"}));
        let local = self.node.local().id().clone();
        answers.insert(local, change_keys(&self.keys, "list", None));
        for (member, answer) in &answers {
            let answer = answer.as_ref().map_err(|error| {
                format!("{member}: {error}; nothing is changed, --force changes the others")
            })?;
            let keys = answer["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
            let has = |key: &Value| key["id"] == id.as_str();
            if action == "use" && !keys.iter().any(has) {
                return Err(format!("{member} does not have the key; install it first"));
            }
            if action == "remove" && keys.first().is_some_and(has) {
                return Err(format!("{member} encrypts with the key; use another one first"));
            }
        }
        Ok(())
    }

    /// A key, given in full, or by its short name if this agent has it.
    fn key(&self, text: &str) -> Result<Key, String> {
        let keyring = self.keys.keyring()?;
        let known = keyring.keys().find(|known| known.id().to_string() == text).cloned();
        known.map_or_else(|| self.keys.parse(text).map_err(|error| error.to_string()), Ok)
    }

    /// Whom each agent reaches, and whom it does not.
    pub(super) fn reachability(&self) -> Value {
        let mut answers = self.ask_others(&json!({"cmd": "reach"}));
        answers.insert(self.node.local().id().clone(), Ok(reach(&self.node)));
        result(answers)
    }

    /// Groups the agents by what they see.
    pub(super) fn views(&self) -> Value {
        let mut answers = self.ask_others(&json!({"cmd": "view"}));
        answers.insert(self.node.local().id().clone(), Ok(look(&self.node, false)));
        let (mut groups, mut silent) = (BTreeMap::<String, Vec<NodeId>>::new(), Vec::new());
        for (member, answer) in answers {
            match answer {
                Ok(seen) => {
                    let view = seen["view"].as_str().unwrap_or_default().to_owned();
                    groups.entry(view).or_default().push(member);
                }
                Err(error) => silent.push(json!({"node": member.as_str(), "error": error})),
            }
        }
        // After a split the members on the other side have failed, and see others.
        let members = self.node.all_members();
        let failed = members.iter().filter(|member| member.state() == State::Failed);
        silent.extend(failed.take(MAX_NAMES).map(
            |member| json!({"node": member.id().as_str(), "error": "failed; it is not asked"}),
        ));
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        let names: Vec<_> = match groups.len() {
            1 => vec![None],
            _ => groups.iter().map(|(_, members)| self.names(&members[0])).collect(),
        };
        let most = names.first().cloned().flatten();
        let groups = groups.iter().zip(&names).map(|((view, members), names)| {
            let members: Vec<_> = members.iter().map(NodeId::as_str).collect();
            let mut group = json!({"view": view, "nodes": members});
            if let (Some(most), Some(names)) = (&most, names) {
                group["present"] = names.len().into();
                group["missing"] = most.difference(names).cloned().collect::<Vec<_>>().into();
                group["extra"] = names.difference(most).cloned().collect::<Vec<_>>().into();
            }
            group
        });
        json!({"groups": groups.collect::<Vec<_>>(), "silent": silent})
    }

    /// The members that one sees.
    fn names(&self, member: &NodeId) -> Option<BTreeSet<String>> {
        let seen = if member == self.node.local().id() {
            look(&self.node, true)
        } else {
            let request = json!({"cmd": "view", "names": true});
            self.cluster.ask(std::slice::from_ref(member), &request).remove(member)?.ok()?
        };
        let names = seen["names"].as_array()?.iter();
        Some(names.filter_map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    fn ask_others(&self, request: &Value) -> Answers {
        self.cluster.ask(&self.others(), request)
    }

    /// All other members that are present.
    fn others(&self) -> Vec<NodeId> {
        let local = self.node.local();
        let members = self.node.members();
        let others = members.iter().map(|member| member.id()).filter(|id| *id != local.id());
        others.cloned().collect()
    }
}

/// The answers, one for each agent.
fn result(answers: Answers) -> Value {
    let of = answers.len();
    let answered = answers.values().filter(|answer| answer.is_ok()).count();
    let nodes = answers.into_iter().map(|(member, answer)| {
        let mut node = answer.unwrap_or_else(|error| json!({"error": error}));
        if let Some(fields) = node.as_object_mut() {
            fields.retain(|name, _| name != "answers");
        }
        node["node"] = member.as_str().into();
        node
    });
    json!({"nodes": nodes.collect::<Vec<_>>(), "answered": answered, "of": of})
}
