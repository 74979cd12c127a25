//! What processes say and log, and which of their warnings mean nothing.

use crate::journal::Journal;
use crate::programs::Kind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// A warning that a scenario itself causes: memberlist logs it in the same situation among its own.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Parts of the line, with `*` between them.
    pub pattern: &'static str,
    /// Why it is to be expected.
    pub because: &'static str,
}

/// Who writes a log, and so how to read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writer {
    Tidings,
    Memberlist,
    Serf,
    Alertmanager,
}

impl From<Kind> for Writer {
    fn from(kind: Kind) -> Self {
        if kind == Kind::Tidings { Self::Tidings } else { Self::Memberlist }
    }
}

/// All that one process has said.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) who: String,
    writer: Writer,
    /// The events of a peer.
    pub(crate) said: Journal<Value>,
    /// All other lines.
    pub(crate) logged: Journal<String>,
}

impl Log {
    pub(crate) fn new(who: &str, writer: Writer) -> Self {
        Self { who: who.into(), writer, said: Journal::default(), logged: Journal::default() }
    }

    /// Takes a line of its standard output.
    pub(crate) fn says(&self, line: String) {
        let peer = matches!(self.writer, Writer::Tidings | Writer::Memberlist);
        match serde_json::from_str(&line) {
            Ok(event) if peer => self.said.push(event),
            _ => self.logs(line),
        }
    }

    /// It says nothing any more.
    pub(crate) fn ends(&self) {
        self.said.push(json!({ "ev": ENDED }));
    }

    /// Takes a line of its standard error.
    pub(crate) fn logs(&self, line: String) {
        self.logged.push(line);
    }

    /// Something that tells of a suspicion.
    pub(crate) fn suspicion(&self) -> Option<String> {
        let event =
            |events: &[Value]| events.iter().find(|event| event["ev"] == "suspect").cloned();
        let line = |lines: &[String]| lines.iter().find(|line| line.contains("Suspect ")).cloned();
        self.said.read(event).map(|event| event.to_string()).or_else(|| self.logged.read(line))
    }

    /// The lines that warn of something else than what is expected: of each kind the first.
    pub(crate) fn complaints(&self, expected: &[Expected]) -> Vec<String> {
        let complains = |line: &&String| {
            self.warns(line) && !expected.iter().any(|expected| expected.matches(line))
        };
        let kind = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "");
        self.logged.read(|lines| {
            let mut kinds = BTreeSet::new();
            let first = lines.iter().filter(complains).filter(|line| kinds.insert(kind(line)));
            first.map(|line| format!("{}: {line}", self.who)).collect()
        })
    }

    /// A line that tells of a panic.
    pub(crate) fn panic(&self) -> Option<String> {
        let panics = |line: &&String| PANICS.iter().any(|word| line.contains(word));
        let line = self.logged.read(|lines| lines.iter().find(panics).cloned())?;
        Some(format!("{}: {line}", self.who))
    }

    /// The lines that warn, without times and without words that have a digit in them.
    pub(crate) fn kinds_of_warnings(&self) -> BTreeSet<String> {
        let kind = |line: &String| {
            let words = line.split_whitespace().filter(|word| !word.contains(has_digit));
            words.collect::<Vec<_>>().join(" ")
        };
        self.logged.read(|lines| lines.iter().filter(|line| self.warns(line)).map(kind).collect())
    }

    /// Whether a line tells of a problem.
    fn warns(&self, line: &str) -> bool {
        let words: &[&str] = match self.writer {
            Writer::Tidings => &[],
            Writer::Memberlist | Writer::Serf => &["[WARN]", "[ERR"],
            Writer::Alertmanager => &["level=WARN", "level=ERROR"],
        };
        words.iter().chain(&PANICS).any(|word| line.contains(word))
    }
}

/// The event that follows all others of a peer.
pub(crate) const ENDED: &str = "ended";

/// What Rust and Go say when they end so.
const PANICS: [&str; 3] = ["panicked", "panic:", "fatal error:"];

fn has_digit(c: char) -> bool {
    c.is_ascii_digit()
}

impl Expected {
    /// Whether a line is of this kind.
    pub fn matches(&self, line: &str) -> bool {
        let mut rest = Some(line);
        for part in self.pattern.split('*') {
            rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
        }
        rest.is_some()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |line: &str| line.chars().take(400).collect::<String>();
        writeln!(f, "---- {} ({:?})", self.who, self.writer)?;
        self.said.read(|events| {
            events.iter().try_for_each(|event| writeln!(f, "{}", short(&event.to_string())))
        })?;
        self.logged.read(|lines| lines.iter().try_for_each(|line| writeln!(f, "{}", short(line))))
    }
}
