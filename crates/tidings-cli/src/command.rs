//! The commands that an agent reads from standard input, one per line.

use crate::keys::KeyFormat;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::net::SocketAddr;
use tidings_driver::prelude::{InvalidKey, InvalidName, Key, NodeId, Services, Target, services};

/// The help text about these commands.
pub(crate) const HELP: &str = "\
Commands on standard input with --stdin, one per line; with `@ID ` in front, the result has ID:
  help                         show this list
  members                      list the members that are alive or suspect
  join HOST[:PORT][,...]       join a cluster through these seeds
  update-meta TEXT             set this node's metadata, which all members see
  set-address IP:PORT          set the address at which other members reach this node
  set-state TEXT               set this node's push/pull state, sent with each sync
  send-user NAME TEXT HOW      send a message to one member; HOW: `best-effort` or `reliable`
  broadcast TEXT               gossip a message to all members
  ping NAME                    measure the round trip to a member
  keyring list                 show the keys; the first one is the primary key, which encrypts
  keyring add|use|remove KEY   accept a key; make it the primary key; reject it from now on
  stats                        show the node's counters
  leave                        leave the cluster gracefully, and keep running
  quit                         stop at once, without leaving
TEXT may have spaces; `hex:` and hex digits stand for raw bytes.
Changes of the keyring are written to the file of --key-file.

SIGHUP has the agent read keys, tags, log level and seeds again. SIGINT and SIGTERM leave the
cluster, then stop; a second signal stops at once. The end of standard input stops an agent with
--stdin and --json. An agent whose standard output is closed by its reader leaves the cluster and
ends with status 1.";

/// A line of standard input, parsed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// The ID that the result carries; empty if none was given.
    pub(crate) id: String,
    /// The command's name, as typed.
    pub(crate) name: String,
    pub(crate) command: Result<Command, String>,
}

/// A command to an agent.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Help,
    Members,
    Join(Vec<Target>),
    UpdateMeta(Vec<u8>),
    SetAddr(SocketAddr),
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

/// The settings of the agent that parsing depends on.
#[derive(Debug)]
pub(crate) struct Context {
    keys: KeyFormat,
    /// The port of a seed that is written without one.
    port: u16,
    services: Services,
}

impl Context {
    /// For a node with keys of this format that listens on this port; 0 means the default port.
    pub(crate) fn new(keys: KeyFormat, port: u16) -> Self {
        let port = if port == 0 { Target::DEFAULT_PORT } else { port };
        Self { keys, port, services: services() }
    }

    /// The port of a seed that is written without one.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Parses a seed: `[NAME/]HOST[:PORT]`.
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
            "help" => takes_nothing(Self::Help),
            "members" => takes_nothing(Self::Members),
            "stats" => takes_nothing(Self::Stats),
            "leave" => takes_nothing(Self::Leave),
            "quit" => takes_nothing(Self::Quit),
            "join" => Self::parse_join(argument, context),
            "update-meta" => parse_text(argument).map(Self::UpdateMeta),
            "set-address" => {
                let usage = |_| "usage: set-address IP:PORT".into();
                argument.trim_end().parse().map(Self::SetAddr).map_err(usage)
            }
            "set-state" => parse_text(argument).map(Self::SetState),
            "send-user" => Self::parse_send_user(argument),
            "broadcast" => parse_text(argument).map(Self::Broadcast),
            "ping" => parse_name(argument).map(Self::Ping),
            "keyring" => Self::parse_keyring(argument, context.keys),
            _ => Err(format!("unknown command {name:?}; `help` lists the commands")),
        }
    }

    /// `[NAME/]HOST[:PORT][,...]`
    fn parse_join(argument: &str, context: &Context) -> Result<Self, String> {
        let targets = argument.split(',').map(|text| context.target(text));
        targets.collect::<Result<_, _>>().map(Self::Join)
    }

    /// `NAME TEXT best-effort|reliable`
    fn parse_send_user(argument: &str) -> Result<Self, String> {
        let (name, rest) = split_name(argument);
        let (text, how) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
        let send = match how {
            "best-effort" => Self::Send,
            "reliable" => Self::SendReliable,
            _ => return Err("usage: send-user NAME TEXT best-effort|reliable".into()),
        };
        Ok(send(parse_name(name)?, parse_text(text.trim())?))
    }

    fn parse_keyring(argument: &str, keys: KeyFormat) -> Result<Self, String> {
        let (action, key) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
        let change = match action {
            "list" if key.is_empty() => return Ok(Self::Keys),
            "add" => Self::AddKey,
            "use" => Self::UseKey,
            "remove" => Self::RemoveKey,
            _ => return Err("usage: keyring list, or keyring add|use|remove KEY".into()),
        };
        // An invalid key is not repeated in the error: it may be a secret with a typing error.
        keys.parse(key.trim()).map(change).map_err(|error: InvalidKey| error.to_string())
    }

    /// Whether the command waits for other nodes.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Leave | Self::SendReliable(..) | Self::Ping(_))
    }
}

/// Splits off a name, which is in quotes if it has spaces.
fn split_name(text: &str) -> (&str, &str) {
    let mut escaped = true;
    let end = |c: char| match c {
        _ if std::mem::take(&mut escaped) => false,
        '\\' => {
            escaped = true;
            false
        }
        c => c == '"',
    };
    match text.find(end).filter(|_| text.starts_with('"')) {
        Some(end) => text.split_at(end + 1),
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    }
}

/// A name as typed, or in quotes and with escapes as it is shown.
fn parse_name(name: &str) -> Result<NodeId, String> {
    let quoted = name.trim_end().strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = match quoted {
        Some(quoted) => NodeId::foreign(&unescape(quoted)?),
        None => name.parse(),
    };
    name.map_err(|error: InvalidName| error.to_string())
}

/// The text that is shown with these escapes: of quotes, backslashes and characters by number.
fn unescape(text: &str) -> Result<String, String> {
    let mut parts = text.split('\\');
    let mut plain = String::from(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        let unknown = || format!("\\{part} in a name is no escape; \\u{{200b}} is one");
        let (character, rest) = match part.strip_prefix("u{") {
            Some(number) => {
                let (number, rest) = number.split_once('}').ok_or_else(unknown)?;
                let number = u32::from_str_radix(number, 16).ok();
                (number.and_then(char::from_u32).ok_or_else(unknown)?, rest)
            }
            // A backslash that is escaped leaves an empty part.
            None if part.is_empty() => ('\\', parts.next().ok_or_else(unknown)?),
            None => match part.split_at(1) {
                ("\"", rest) => ('"', rest),
                ("'", rest) => ('\'', rest),
                _ => return Err(unknown()),
            },
        };
        plain.push(character);
        plain.push_str(rest);
    }
    Ok(plain)
}

/// Parses UTF-8 text, or `hex:` and bytes in hex.
pub(crate) fn parse_text(text: &str) -> Result<Vec<u8>, String> {
    let Some(hex) = text.strip_prefix("hex:") else {
        return Ok(text.into());
    };
    HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .map_err(|error| format!("{hex:?} after `hex:` is not hex: {error}"))
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
        let addr = Ok(Command::SetAddr("[::1]:2".parse().unwrap()));
        assert_eq!(parse("set-address [::1]:2").1, addr);
        assert_eq!(parse("update-meta hex:00fF").1, Ok(Command::UpdateMeta(vec![0, 255])));
        let sent = Command::SendReliable(NodeId::new("b").unwrap(), b"two words".into());
        assert_eq!(parse("send-user b  two words  reliable").1, Ok(sent));
        for name in ["a b", " a\u{200b}\u{202e}", "\"a\\ \\b\"", "it's"] {
            let name = NodeId::foreign(name).unwrap();
            assert_eq!(parse(&format!("ping {name}")).1, Ok(Command::Ping(name.clone())));
            let sent = Command::SendReliable(name.clone(), b"two words".into());
            assert_eq!(parse(&format!("send-user {name} two words reliable")).1, Ok(sent));
        }
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
        assert!(error("update-meta hex:0g").starts_with("\"0g\" after `hex:` is not hex"));
        for line in ["send-user", "send-user b", "send-user b reliable", "send-user b hello"] {
            assert_eq!(error(line), "usage: send-user NAME TEXT best-effort|reliable", "{line}");
        }
        assert_eq!(error("set-address here"), "usage: set-address IP:PORT");
        assert_eq!(error("ping"), "a name must not be empty");
        assert!(error("keyring").starts_with("usage: keyring list"));
        assert!(error("keyring list all").starts_with("usage: keyring list"));
        assert!(!error("keyring add hunter2").contains("hunter2"));
        assert_eq!(error("dance"), "unknown command \"dance\"; `help` lists the commands");
        assert_eq!(parse("help").1, Ok(Command::Help));
        for word in HELP.lines().skip(1).take_while(|line| line.starts_with(' ')) {
            let name = word.split_whitespace().next().unwrap();
            let known = parse(name).1;
            assert!(!known.is_err_and(|error| error.contains("unknown command")), "{name}");
        }
    }
}
