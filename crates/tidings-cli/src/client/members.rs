//! `tidings members`: lists the members that an agent knows.

use super::text::{about, address, json_line, plain, rtt, status, table};
use super::{At, everywhere, fatal};
use crate::Fatal;
use crate::output::count;
use clap::ValueEnum;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use tidings_control::{Client, Level};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// List members that failed or left, too
    #[arg(long)]
    all: bool,
    /// List members in this state only
    #[arg(long, value_enum, value_delimiter = ',')]
    status: Vec<Status>,
    /// List members whose whole name matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = whole)]
    name: Option<Regex>,
    /// List members with this tag; the value is a regular expression for the whole
    #[arg(long, value_name = "KEY=REGEX", value_parser = tag)]
    tag: Vec<(String, Regex)>,
    /// Ask all agents of the cluster, and group them by the members that they see
    #[arg(long, value_enum, conflicts_with_all = ["all", "status", "name", "tag", "watch"])]
    from: Option<From>,
    /// List them again whenever something changes, until interrupted
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Status {
    Alive,
    Suspect,
    Failed,
    Left,
}

/// The agents that are asked.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    All,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    if let Some(From::All) = args.from {
        return everywhere::views(&args.at);
    }
    let mut client = args.at.connect()?;
    if !args.watch {
        list(args, &mut client)?;
        return Ok(ExitCode::SUCCESS);
    }
    let events = args.at.connect()?.monitor(Level::Info).map_err(fatal)?;
    let (sender, changes) = channel();
    thread::spawn(move || {
        for event in events {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    list(args, &mut client)?;
    while let Ok(event) = changes.recv() {
        let mut changed = concerns_members(&event.map_err(fatal)?);
        // Whatever has happened meanwhile is in the same list.
        while let Ok(event) = changes.try_recv() {
            changed |= concerns_members(&event.map_err(fatal)?);
        }
        if changed {
            list(args, &mut client)?;
        }
    }
    Err(Fatal { message: "the agent has ended".into(), status: super::NO_AGENT })
}

fn concerns_members(event: &Value) -> bool {
    let kinds = ["join", "update", "restart", "suspect", "alive", "leave", "degraded", "restored"];
    let kind = event["ev"].as_str().unwrap_or_default();
    kinds.contains(&kind) || kind == "lagged"
}

/// Asks for the members once, and prints those that are wanted.
fn list(args: &Args, client: &mut Client) -> Result<(), Fatal> {
    let result = client.call("members", json!({})).map_err(fatal)?;
    let members = result["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<_> = members.iter().filter(|member| args.wants(member)).collect();
    shown.sort_by_key(|member| plain(&member["name"]));
    if args.at.is_json() {
        let (health, view) = (&result["health"], &result["view"]);
        let shown = json!({"members": shown, "health": health, "view": view});
        println!("{}", json_line(&shown));
        return Ok(());
    }
    let mut rows = vec![["NAME", "ADDRESS", "STATUS", "RTT", "TAGS"].map(String::from).to_vec()];
    for member in &shown {
        let (name, status) = (plain(&member["name"]), status(member));
        rows.push(vec![name, address(member), status, rtt(member), about(member)]);
    }
    if args.watch && std::io::stdout().is_terminal() {
        print!("\x1b[H\x1b[2J");
    }
    println!("{}\n{} of {} known", table(&rows), count(shown.len(), "member"), members.len());
    Ok(())
}

impl Args {
    fn wants(&self, member: &Value) -> bool {
        let status = match member["state"].as_str() {
            Some("alive") => Status::Alive,
            Some("suspect") => Status::Suspect,
            Some("left") => Status::Left,
            _ => Status::Failed,
        };
        let is_wanted = match self.status.as_slice() {
            [] => self.all || matches!(status, Status::Alive | Status::Suspect),
            wanted => wanted.contains(&status),
        };
        let name = member["name"].as_str().unwrap_or_default();
        let has_tag = |(key, value): &(String, Regex)| {
            member["tags"][key].as_str().is_some_and(|tag| value.is_match(tag))
        };
        is_wanted
            && self.name.as_ref().is_none_or(|wanted| wanted.is_match(name))
            && self.tag.iter().all(has_tag)
    }
}

/// A regular expression for a whole text.
fn whole(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())
}

fn tag(text: &str) -> Result<(String, Regex), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=REGEX, as in role=db")?;
    Ok((key.into(), whole(value)?))
}
