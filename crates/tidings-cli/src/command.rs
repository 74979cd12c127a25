//! The commands that an agent takes on standard input, one a line.

use crate::keys::KeyFormat;
use data_encoding::HEXLOWER_PERMISSIVE;
use tidings_driver::prelude::{InvalidKey, InvalidName, Key, NodeId, Services, Target, services};

/// What an agent's help says about them.
pub(crate) const HELP: &str = "\
Commands on standard input, one a line; `@ID ` before one comes back with its result:
  members                      list the members that are present
  join HOST[:PORT][,...]       join a cluster through any of these
  update-meta TEXT             set the metadata that the others see
  set-state TEXT               set what others are told at every sync with this node
  send-user NAME TEXT HOW      send a message to one member; HOW: `best-effort` or `reliable`
  broadcast TEXT               send a message to all others
  ping NAME                    find out how long a member takes to answer
  keyring list                 show the keys, of which the first one encrypts
  keyring add|use|remove KEY   accept a key; encrypt with it; accept it no more
  stats                        show what the node has counted
  leave                        tell the cluster, and stay running
  quit                         stop at once, without leaving
TEXT may have spaces in it; `hex:` and hex digits stand for raw bytes.

The end of standard input stops an agent with --json, and does nothing to one without.
SIGINT and SIGTERM leave, then stop; a second one stops at once.";

/// One line of standard input.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// What the result is to be marked with, as it was given; may be empty.
    pub(crate) id: String,
    /// The command's name, as it was given.
    pub(crate) name: String,
    pub(crate) command: Result<Command, String>,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Members,
    Join(Vec<Target>),
    UpdateMeta(Vec<u8>),
    SetState(Vec<u8>),
    Send(NodeId, Vec<u8>),
    SendReliable(NodeId, Vec<u8>),
    Broadcast(Vec<u8>),
    Ping(NodeId),
    Keys,
    AddKey(Key),
    UseKey(Key),
    RemoveKey(Key),
    Stats,
    Leave,
    Quit,
}

/// What some commands are understood by.
#[derive(Debug)]
pub(crate) struct Context {
    keys: KeyFormat,
    /// The port of a place to join where none is written.
    port: u16,
    services: Services,
}

impl Context {
    /// For a node that has such keys, and listens there.
    pub(crate) fn new(keys: KeyFormat, port: u16) -> Self {
        let port = if port == 0 { Target::DEFAULT_PORT } else { port };
        Self { keys, port, services: services() }
    }

    /// Parses a place to join: `[NAME/]HOST[:PORT]`.
    pub(crate) fn target(&self, text: &str) -> Result<Target, String> {
        let target = Target::parse(text.trim(), self.port, &self.services);
        target.map_err(|error| error.to_string())
    }
}

impl Line {
    /// Parses a line; `None` if it is blank.
    pub(crate) fn parse(line: &str, context: &Context) -> Option<Self> {
        let line = line.trim();
        let (id, rest) = match line.strip_prefix('@') {
            Some(marked) => marked.split_once(char::is_whitespace).unwrap_or((marked, "")),
            None => ("", line),
        };
        let rest = rest.trim_start();
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if name.is_empty() {
            return None;
        }
        let command = Command::parse(name, argument.trim_start(), context);
        Some(Self { id: id.into(), name: name.into(), command })
    }
}

impl Command {
    fn parse(name: &str, argument: &str, context: &Context) -> Result<Self, String> {
        let takes_nothing = |command| match argument {
            "" => Ok(command),
            _ => Err(format!("{name} takes no argument")),
        };
        match name {
            "members" => takes_nothing(Self::Members),
            "stats" => takes_nothing(Self::Stats),
            "leave" => takes_nothing(Self::Leave),
            "quit" => takes_nothing(Self::Quit),
            "join" => Self::parse_join(argument, context),
            "update-meta" => parse_text(argument).map(Self::UpdateMeta),
            "set-state" => parse_text(argument).map(Self::SetState),
            "send-user" => Self::parse_send_user(argument),
            "broadcast" => parse_text(argument).map(Self::Broadcast),
            "ping" => parse_name(argument).map(Self::Ping),
            "keyring" => Self::parse_keyring(argument, context.keys),
            _ => Err(format!("there is no command {name:?}; try `tidings agent --help`")),
        }
    }

    /// `[NAME/]HOST[:PORT][,...]`
    fn parse_join(argument: &str, context: &Context) -> Result<Self, String> {
        let targets = argument.split(',').map(|text| context.target(text));
        targets.collect::<Result<_, _>>().map(Self::Join)
    }

    /// `NAME TEXT best-effort|reliable`
    fn parse_send_user(argument: &str) -> Result<Self, String> {
        let (name, rest) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
        let (text, how) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
        let send = match how {
            "best-effort" => Self::Send,
            "reliable" => Self::SendReliable,
            _ => return Err("it takes NAME TEXT, then `best-effort` or `reliable`".into()),
        };
        Ok(send(parse_name(name)?, parse_text(text.trim())?))
    }

    fn parse_keyring(argument: &str, keys: KeyFormat) -> Result<Self, String> {
        let (what, key) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
        let change = match what {
            "list" if key.is_empty() => return Ok(Self::Keys),
            "add" => Self::AddKey,
            "use" => Self::UseKey,
            "remove" => Self::RemoveKey,
            _ => return Err("it takes `list`, `add KEY`, `use KEY` or `remove KEY`".into()),
        };
        // What is no key is not repeated: it may be one but for a slip.
        keys.parse(key.trim()).map(change).map_err(|error: InvalidKey| error.to_string())
    }

    /// Whether it waits for other nodes.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Leave | Self::SendReliable(..) | Self::Ping(_))
    }
}

fn parse_name(name: &str) -> Result<NodeId, String> {
    name.parse().map_err(|error: InvalidName| error.to_string())
}

/// UTF-8, or `hex:` and raw bytes in hex.
pub(crate) fn parse_text(text: &str) -> Result<Vec<u8>, String> {
    let Some(hex) = text.strip_prefix("hex:") else {
        return Ok(text.into());
    };
    HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .map_err(|error| format!("{hex:?} is not hex: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_driver::prelude::Cipher;

    fn line(line: &str) -> Option<Line> {
        Line::parse(line, &Context::new(KeyFormat::Tidings, 1))
    }

    fn parse(text: &str) -> (String, Result<Command, String>) {
        let Line { id, command, .. } = line(text).unwrap();
        (id, command)
    }

    #[test]
    fn a_mark_comes_back_and_arguments_are_taken() {
        assert_eq!(parse("members"), (String::new(), Ok(Command::Members)));
        let targets = ["127.0.0.1:1", "[::1]:2", "db/shop.example:1"];
        let targets = targets.map(|text| text.parse().unwrap()).into();
        let join = parse("@7 join 127.0.0.1,[::1]:2, db/shop.example");
        assert_eq!(join, ("7".into(), Ok(Command::Join(targets))));
        let text = Ok(Command::UpdateMeta(b"two words".into()));
        assert_eq!(parse("@x  update-meta  two words\n"), ("x".into(), text));
        assert_eq!(parse("update-meta hex:00fF").1, Ok(Command::UpdateMeta(vec![0, 255])));
        let sent = Command::SendReliable(NodeId::new("b").unwrap(), b"two words".into());
        assert_eq!(parse("send-user b  two words  reliable").1, Ok(sent));
        let text = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let key = Key::new(Cipher::Aes256Gcm, [1; 32]);
        assert_eq!(parse(&format!("keyring  use {text}")).1, Ok(Command::UseKey(key)));
        assert_eq!(line("  \n"), None);
        assert_eq!(line("@7"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |line| parse(line).1.unwrap_err();
        assert!(error("join no where").contains("no where"));
        assert!(!error("join").is_empty());
        assert_eq!(error("leave now"), "leave takes no argument");
        assert!(error("update-meta hex:0g").starts_with("\"0g\" is not hex"));
        for line in ["send-user", "send-user b", "send-user b reliable", "send-user b hello"] {
            assert!(error(line).ends_with("then `best-effort` or `reliable`"), "{line}");
        }
        assert_eq!(error("ping"), "a name must not be empty");
        assert!(error("keyring").starts_with("it takes `list`"));
        assert!(error("keyring list all").starts_with("it takes `list`"));
        assert!(!error("keyring add hunter2").contains("hunter2"));
        assert!(error("dance").starts_with("there is no command \"dance\""));
    }
}
