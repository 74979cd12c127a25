//! The commands that ask all agents of a cluster.

use super::text::{plain, table};
use super::{At, fatal};
use crate::Fatal;
use crate::output::count;
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The keys of a cluster.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// List the keys by their short names, and how many agents have and use each
    List {
        #[command(flatten)]
        scope: Scope,
    },
    /// Accept messages with a further key
    Install {
        /// The key, as `tidings keygen` prints it; `-` reads it from standard input
        key: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Encrypt with an accepted key
    Use {
        /// The key's short name, or the key; `-` reads it from standard input
        key: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Accept messages with a key no more
    Remove {
        /// The key's short name, or the key; `-` reads it from standard input
        key: String,
        #[command(flatten)]
        scope: Scope,
    },
}

/// Which agents are asked.
#[derive(clap::Args)]
pub(crate) struct Scope {
    /// Only the agent that is asked, not all of the cluster
    #[arg(long)]
    local: bool,
    /// Change keys although an agent does not answer, or would be cut off
    #[arg(long, conflicts_with = "local")]
    force: bool,
    #[command(flatten)]
    at: At,
}

pub(super) fn keys(action: Keys) -> Result<ExitCode, Fatal> {
    let (scope, action, key) = match action {
        Keys::List { scope } => (scope, "list", None),
        Keys::Install { key, scope } => (scope, "install", Some(key)),
        Keys::Use { key, scope } => (scope, "use", Some(key)),
        Keys::Remove { key, scope } => (scope, "remove", Some(key)),
    };
    let key = key.map(from_stdin).transpose()?;
    let Scope { local, force, at } = scope;
    let arguments = json!({"action": action, "key": key, "cluster": !local, "force": force});
    if local {
        at.call("keys", arguments, key_table)?;
        return Ok(ExitCode::SUCCESS);
    }
    let result = at.connect()?.call("keys", arguments).map_err(fatal)?;
    let complete = is_complete(&result);
    at.print(result, |result| match action {
        "list" => cluster_keys(result),
        _ => changes(result),
    });
    Ok(complete)
}

/// A key, or for `-` the first line of standard input: arguments are seen by all users.
fn from_stdin(key: String) -> Result<String, Fatal> {
    if key != "-" {
        return Ok(key);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Fatal::failed)?;
    Ok(line.trim().into())
}

/// Shows who does not reach whom; fails if there is such a pair, or an agent does not answer.
pub(super) fn reachability(at: &At) -> Result<ExitCode, Fatal> {
    let result = at.connect()?.call("reachability", json!({})).map_err(fatal)?;
    let is_whole = nodes(&result).iter().all(|node| problems(node).is_empty());
    let complete = if is_whole { is_complete(&result) } else { ExitCode::FAILURE };
    at.print(result, reach_table);
    Ok(complete)
}

/// Each agent with the acks that it got, and below them the pairs that do not work.
fn reach_table(result: &Value) -> String {
    let mut rows = vec![["NODE", "ACKED BY"].map(String::from).to_vec()];
    let mut pairs = BTreeMap::<(String, String), Vec<String>>::new();
    for node in nodes(result) {
        let name = plain(&node["node"]);
        if let Some(error) = node["error"].as_str() {
            rows.push(vec![name, format!("? ({error})")]);
            continue;
        }
        rows.push(vec![name.clone(), format!("{} of {}", node["acked"], node["present"])]);
        for it in problems(node) {
            let pair = (plain(&it["to"]), plain(&it["problem"]));
            pairs.entry(pair).or_default().push(name.clone());
        }
        if let Some(more) = node["left_out"].as_u64().filter(|&more| more > 0) {
            let pair = (format!("{more} more"), "left out".to_owned());
            pairs.entry(pair).or_default().push(name);
        }
    }
    let mut text = table(&rows) + "\n";
    if !pairs.is_empty() {
        let mut rows = vec![["TO", "PROBLEM", "SEEN BY"].map(String::from).to_vec()];
        rows.extend(pairs.into_iter().map(|((to, problem), by)| vec![to, problem, by.join(", ")]));
        text += &format!("\n{}\n", table(&rows));
    }
    text + &answered(result)
}

fn problems(node: &Value) -> &[Value] {
    node["problems"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Groups the agents of the cluster by what they see; fails if they do not agree.
pub(super) fn views(at: &At) -> Result<ExitCode, Fatal> {
    let result = at.connect()?.call("views", json!({})).map_err(fatal)?;
    let groups = result["groups"].as_array().map_or(0, Vec::len);
    let agree = groups == 1 && result["silent"].as_array().is_none_or(Vec::is_empty);
    at.print(result, |result| {
        let mut rows = vec![["VIEW", "NODES", "DIFFERENCE"].map(String::from).to_vec()];
        for group in result["groups"].as_array().into_iter().flatten() {
            let difference = ["missing", "extra"].map(|kind| match names(&group[kind]).as_str() {
                "-" => String::new(),
                names => format!("{kind}: {names}"),
            });
            let [missing, extra] = difference;
            let between = if missing.is_empty() || extra.is_empty() { "" } else { "; " };
            let difference = format!("{missing}{between}{extra}");
            rows.push(vec![plain(&group["view"]), names(&group["nodes"]), difference]);
        }
        for silent in result["silent"].as_array().into_iter().flatten() {
            rows.push(vec!["?".into(), plain(&silent["node"]), plain(&silent["error"])]);
        }
        let verdict = match groups {
            1 => "all that answered see the same members".to_owned(),
            _ => format!("{} of the cluster", count(groups, "view")),
        };
        format!("{}\n{verdict}", table(&rows))
    });
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn nodes(result: &Value) -> &[Value] {
    result["nodes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The names in a list, or a dash.
fn names(list: &Value) -> String {
    let names: Vec<_> = list.as_array().into_iter().flatten().map(plain).collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}

fn answered(result: &Value) -> String {
    format!("{} of {} agents answered", result["answered"], result["of"])
}

/// Whether each agent has answered, and saved what it changed.
fn is_complete(result: &Value) -> ExitCode {
    let saved = nodes(result).iter().all(|node| node["saved"] != false);
    if result["answered"] == result["of"] && saved { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The keys of one agent.
fn key_table(result: &Value) -> String {
    let mut rows = vec![["KEY", "CIPHER", "USE"].map(String::from).to_vec()];
    for (n, key) in result["keys"].as_array().into_iter().flatten().enumerate() {
        let using = if n == 0 { "encrypts" } else { "accepted" };
        rows.push(vec![plain(&key["id"]), plain(&key["cipher"]), using.into()]);
    }
    let text = result["text"].as_str().map(|text| format!("{text}\n")).unwrap_or_default();
    text + &table(&rows)
}

/// The keys of all agents, and how many have and use each.
fn cluster_keys(result: &Value) -> String {
    let mut keys = BTreeMap::<(String, String), (usize, usize)>::new();
    for node in nodes(result) {
        for (n, key) in node["keys"].as_array().into_iter().flatten().enumerate() {
            let (have, primary) =
                keys.entry((plain(&key["id"]), plain(&key["cipher"]))).or_default();
            *have += 1;
            *primary += usize::from(n == 0);
        }
    }
    let of = &result["of"];
    let mut rows = vec![["KEY", "CIPHER", "ACCEPTED BY", "USED BY"].map(String::from).to_vec()];
    for ((id, cipher), (have, primary)) in keys {
        rows.push(vec![id, cipher, format!("{have} of {of}"), format!("{primary} of {of}")]);
    }
    format!("{}\n{}{}", table(&rows), errors(result), answered(result))
}

/// What each agent did.
fn changes(result: &Value) -> String {
    let mut rows = vec![["NODE", "RESULT"].map(String::from).to_vec()];
    for node in nodes(result) {
        let text = node["error"].as_str().map(|error| format!("error: {error}"));
        let text = text.or_else(|| Some(node["text"].as_str()?.to_owned()));
        rows.push(vec![plain(&node["node"]), text.unwrap_or_else(|| "already so".into())]);
    }
    format!("{}\n{}", table(&rows), answered(result))
}

/// A line for each agent that did not answer.
fn errors(result: &Value) -> String {
    let failed = nodes(result).iter().filter(|node| node["error"].is_string());
    failed.map(|node| format!("{}: {}\n", plain(&node["node"]), plain(&node["error"]))).collect()
}
