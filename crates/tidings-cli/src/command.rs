//! The commands that an agent takes on standard input, one a line.

use data_encoding::HEXLOWER_PERMISSIVE;
use std::net::SocketAddr;

/// What an agent's help says about them.
pub(crate) const HELP: &str = "\
Commands on standard input, one a line; `@ID ` before one comes back with its result:
  members               list the members that are present
  join IP:PORT[,...]    join a cluster through any of these
  update-meta TEXT      set the metadata that the others see; `hex:` and hex digits for raw bytes
  stats                 show what the node has counted
  leave                 tell the cluster, and stay running
  quit                  stop at once, without leaving

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
    Join(Vec<SocketAddr>),
    UpdateMeta(Vec<u8>),
    Stats,
    Leave,
    Quit,
}

impl Line {
    /// Parses a line; `None` if it is blank.
    pub(crate) fn parse(line: &str) -> Option<Self> {
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
        let command = Command::parse(name, argument.trim_start());
        Some(Self { id: id.into(), name: name.into(), command })
    }
}

impl Command {
    fn parse(name: &str, argument: &str) -> Result<Self, String> {
        let takes_nothing = |command| match argument {
            "" => Ok(command),
            _ => Err(format!("{name} takes no argument")),
        };
        match name {
            "members" => takes_nothing(Self::Members),
            "stats" => takes_nothing(Self::Stats),
            "leave" => takes_nothing(Self::Leave),
            "quit" => takes_nothing(Self::Quit),
            "join" => parse_addrs(argument).map(Self::Join),
            "update-meta" => parse_text(argument).map(Self::UpdateMeta),
            _ => Err(format!("there is no command {name:?}; try `tidings agent --help`")),
        }
    }
}

/// `IP:PORT[,IP:PORT...]`
fn parse_addrs(list: &str) -> Result<Vec<SocketAddr>, String> {
    let parse = |addr: &str| addr.parse().map_err(|_| format!("{addr:?} is not an IP:PORT"));
    list.split(',').map(|addr| parse(addr.trim())).collect()
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

    fn parse(line: &str) -> (String, Result<Command, String>) {
        let Line { id, command, .. } = Line::parse(line).unwrap();
        (id, command)
    }

    #[test]
    fn a_mark_comes_back_and_arguments_are_taken() {
        assert_eq!(parse("members"), (String::new(), Ok(Command::Members)));
        let addrs = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(parse("@7 join 127.0.0.1:1,[::1]:2"), ("7".into(), Ok(Command::Join(addrs))));
        let text = Ok(Command::UpdateMeta(b"two words".into()));
        assert_eq!(parse("@x  update-meta  two words\n"), ("x".into(), text));
        assert_eq!(parse("update-meta hex:00fF").1, Ok(Command::UpdateMeta(vec![0, 255])));
        assert_eq!(Line::parse("  \n"), None);
        assert_eq!(Line::parse("@7"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |line| parse(line).1.unwrap_err();
        assert_eq!(error("join nowhere"), "\"nowhere\" is not an IP:PORT");
        assert_eq!(error("join"), "\"\" is not an IP:PORT");
        assert_eq!(error("leave now"), "leave takes no argument");
        assert!(error("update-meta hex:0g").starts_with("\"0g\" is not hex"));
        assert!(error("dance").starts_with("there is no command \"dance\""));
    }
}
