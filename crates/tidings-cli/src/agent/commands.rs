//! The commands of an agent on standard input.

use super::Input;
use crate::command::{Command, Context, Line};
use crate::join;
use crate::key_file::{Change, Keys};
use crate::report::{Outcome, Report};
use crate::runtime::Node;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use tidings_driver::prelude::Meta;

/// Executes commands, and reports their results.
pub(super) struct Commands {
    node: Arc<Node>,
    keys: Arc<Keys>,
    report: Report,
    context: Context,
}

impl Commands {
    pub(super) fn new(node: Arc<Node>, keys: Arc<Keys>, report: Report, context: Context) -> Self {
        Self { node, keys, report, context }
    }

    /// Reads standard input to its end, in a thread that waits while nobody reads the results.
    pub(super) fn read_stdin(self, inputs: Sender<Input>) {
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                let Some(line) = Line::parse(&line, &self.context) else { continue };
                let quits = line.command == Ok(Command::Quit);
                self.execute(line);
                if quits {
                    return drop(inputs.send(Input::Quit));
                }
            }
            drop(self);
            drop(inputs.send(Input::StdinClosed));
        });
    }

    /// Executes a command and reports its result; a command that waits for other nodes runs in a
    /// thread of its own.
    fn execute(&self, Line { id, name, command }: Line) {
        match command {
            Ok(command) if command.waits() => {
                let keys = Arc::clone(&self.keys);
                self.spawn(id, name, move |node| execute(node, &keys, command));
            }
            Ok(command) => {
                let outcome = execute(&self.node, &self.keys, command);
                self.report.result(&id, &name, &outcome);
            }
            Err(error) => self.report.result(&id, &name, &Err(error)),
        }
    }

    /// Runs a command in a thread of its own.
    pub(super) fn spawn(
        &self,
        id: String,
        name: String,
        run: impl FnOnce(&Node) -> Result<Outcome, String> + Send + 'static,
    ) {
        let (node, report) = (Arc::clone(&self.node), self.report.clone());
        thread::spawn(move || {
            let outcome = run(&node);
            drop(node);
            report.result(&id, &name, &outcome);
        });
    }
}

/// Executes a command; blocks while it waits for other nodes.
fn execute(node: &Node, keys: &Keys, command: Command) -> Result<Outcome, String> {
    let change = |change| keys.change(&change).map(Outcome::KeyChanged);
    match command {
        Command::Help => Ok(Outcome::Help),
        Command::Members => Ok(Outcome::Members(node.members(), node.health())),
        Command::Stats => Ok(Outcome::Stats(Box::new(node.stats()))),
        Command::Join(seeds) => join::join(node, &seeds).map_err(|error| error.text),
        Command::Leave => node.leave().map(Outcome::Left).map_err(text),
        Command::UpdateMeta(meta) => done(node.set_meta(Meta::new(&meta)), "metadata set"),
        Command::SetAddr(addr) => done(node.set_addr(addr), "address set"),
        Command::SetState(state) => done(node.set_sync_state(state), "state set"),
        Command::Send(to, data) => done(node.send(&to, data), "sent"),
        Command::SendReliable(to, data) => done(node.send_reliable(&to, data), receipt_text(node)),
        Command::Broadcast(data) => done(node.broadcast(data), "queued for gossip"),
        Command::Ping(to) => node.ping(&to).map(|rtt| Outcome::Pong(to, rtt)).map_err(text),
        Command::Keys => keys.keyring().map(Outcome::Keys),
        Command::AddKey(key) => change(Change::Add(key)),
        Command::UseKey(key) => change(Change::Use(key)),
        Command::RemoveKey(key) => change(Change::Remove(key)),
        Command::Quit => Ok(Outcome::Done("stopping".into())),
    }
}

/// The text about a reliable message that was sent.
fn receipt_text(node: &Node) -> &'static str {
    // Only nodes that use memberlist's format have protocol versions.
    match node.local().versions() {
        Some(_) => "sent; memberlist's format has no receipts",
        None => "delivered",
    }
}

/// The outcome of a command that returns nothing; `success` reports success.
fn done(result: Result<(), impl ToString>, success: &str) -> Result<Outcome, String> {
    result.map(|()| Outcome::Done(success.into())).map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
