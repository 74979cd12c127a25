//! Output of the processes of a scene: events, log lines, and which warnings are expected.

use crate::programs::Kind;
use crate::transcript::Transcript;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// A warning that a scenario causes; memberlist logs it in the same situation among its own nodes.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Parts of the line, separated by `*`.
    pub pattern: &'static str,
    /// Why it is expected.
    pub because: &'static str,
}

/// The program that writes a log, which determines how to read it.
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

/// The output of one process.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) process: String,
    writer: Writer,
    /// JSON events of a peer.
    pub(crate) events: Transcript<Value>,
    /// All other lines of both outputs.
    pub(crate) lines: Transcript<String>,
}

impl Log {
    pub(crate) fn new(process: &str, writer: Writer) -> Self {
        Self {
            process: process.into(),
            writer,
            events: Transcript::default(),
            lines: Transcript::default(),
        }
    }

    /// Adds a line of standard output.
    pub(crate) fn add_stdout(&self, line: String) {
        let peer = matches!(self.writer, Writer::Tidings | Writer::Memberlist);
        match serde_json::from_str(&line) {
            Ok(event) if peer => self.events.push(event),
            _ => self.add_stderr(line),
        }
    }

    /// Marks the end of standard output.
    pub(crate) fn end(&self) {
        self.events.push(json!({ "ev": ENDED }));
    }

    /// Adds a line of standard error.
    pub(crate) fn add_stderr(&self, line: String) {
        self.lines.push(line);
    }

    /// The first event or line that reports a suspicion.
    pub(crate) fn suspicion(&self) -> Option<String> {
        let event =
            |events: &[Value]| events.iter().find(|event| event["ev"] == "suspect").cloned();
        let line = |lines: &[String]| lines.iter().find(|line| line.contains("Suspect ")).cloned();
        self.events.read(event).map(|event| event.to_string()).or_else(|| self.lines.read(line))
    }

    /// Warnings that are not expected: the first line of each kind.
    pub(crate) fn unexpected_warnings(&self, expected: &[Expected]) -> Vec<String> {
        let is_unexpected = |line: &&String| {
            self.warns(line) && !expected.iter().any(|expected| expected.matches(line))
        };
        let kind = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "");
        self.lines.read(|lines| {
            let mut kinds = BTreeSet::new();
            let first = lines.iter().filter(is_unexpected).filter(|line| kinds.insert(kind(line)));
            first.map(|line| format!("{}: {line}", self.process)).collect()
        })
    }

    /// The first line that reports a panic.
    pub(crate) fn panic(&self) -> Option<String> {
        let panics = |line: &&String| PANICS.iter().any(|word| line.contains(word));
        let line = self.lines.read(|lines| lines.iter().find(panics).cloned())?;
        Some(format!("{}: {line}", self.process))
    }

    /// The warnings, without times and without words that contain a digit.
    pub(crate) fn kinds_of_warnings(&self) -> BTreeSet<String> {
        let kind = |line: &String| {
            let words = line.split_whitespace().filter(|word| !word.contains(has_digit));
            words.collect::<Vec<_>>().join(" ")
        };
        self.lines.read(|lines| lines.iter().filter(|line| self.warns(line)).map(kind).collect())
    }

    /// Whether a line is a warning, an error or a panic.
    fn warns(&self, line: &str) -> bool {
        let words: &[&str] = match self.writer {
            Writer::Tidings => &[],
            Writer::Memberlist | Writer::Serf => &["[WARN]", "[ERR"],
            Writer::Alertmanager => &["level=WARN", "level=ERROR"],
        };
        words.iter().chain(&PANICS).any(|word| line.contains(word))
    }
}

/// `ev` of the event that ends a peer's events.
pub(crate) const ENDED: &str = "ended";

/// Messages of Rust and Go about a panic.
const PANICS: [&str; 3] = ["panicked", "panic:", "fatal error:"];

fn has_digit(c: char) -> bool {
    c.is_ascii_digit()
}

impl Expected {
    /// Whether the pattern matches a line.
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
        writeln!(f, "---- {} ({:?})", self.process, self.writer)?;
        self.events.read(|events| {
            events.iter().try_for_each(|event| writeln!(f, "{}", short(&event.to_string())))
        })?;
        self.lines.read(|lines| lines.iter().try_for_each(|line| writeln!(f, "{}", short(line))))
    }
}
