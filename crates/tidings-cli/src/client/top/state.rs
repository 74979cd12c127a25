//! What the live view shows, and what keys do with it.

use super::super::text::{about, address, escape, escaped, plain, rtt, state, status};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

/// The state of the view.
#[derive(Default)]
pub(super) struct State {
    pub(super) info: Value,
    pub(super) stats: Value,
    members: Vec<Value>,
    /// The last events, the latest first.
    pub(super) events: VecDeque<String>,
    /// The time of the last event about each member.
    changed: BTreeMap<String, String>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether keys are letters of the filter.
    pub(super) types: bool,
    selected: Option<String>,
    /// The member that is explained, and the explanation once it is there.
    pub(super) why: Option<(String, Option<String>)>,
    /// Why the agent does not answer.
    pub(super) lost: Option<String>,
}

/// The order of the members.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sort {
    /// Those that are not well first.
    #[default]
    State,
    Name,
    /// The slowest first.
    Rtt,
}

/// What is to be done outside of the view.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Action {
    Quit,
    Explain(String),
}

/// A member as it is shown.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) cells: [String; 5],
    pub(super) is_selected: bool,
}

impl State {
    /// The results of `info`, `members` and `stats`.
    pub(super) fn look(&mut self, [info, members, stats]: [Value; 3]) {
        self.members = members["members"].as_array().cloned().unwrap_or_default();
        self.changed.retain(|name, _| self.members.iter().any(|it| it["name"] == name.as_str()));
        (self.info, self.stats, self.lost) = (escaped(&info), escaped(&stats["stats"]), None);
    }

    /// An event of the agent.
    pub(super) fn event(&mut self, event: &Value) {
        let t = Duration::try_from_secs_f64(event["t"].as_f64().unwrap_or_default());
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + t.unwrap_or_default());
        let time = time.to_string()[11..19].to_owned();
        self.events.push_front(format!("{time} {}", plain(&event["text"])));
        self.events.truncate(MAX_EVENTS);
        if let Some(name) = event["node"]["name"].as_str() {
            self.changed.insert(name.into(), time);
        }
    }

    pub(super) fn explain(&mut self, name: &str, text: String) {
        if let Some((_, shown)) = self.why.as_mut().filter(|(about, _)| about == name) {
            *shown = Some(text);
        }
    }

    pub(super) fn lose(&mut self, error: &str) {
        self.lost = Some(escape(error));
    }

    /// Handles a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
        }
        if self.types {
            match key.code {
                KeyCode::Char(letter) => self.filter.push(letter),
                KeyCode::Backspace => _ = self.filter.pop(),
                KeyCode::Esc => (self.types, self.filter) = (false, String::new()),
                KeyCode::Enter => self.types = false,
                _ => {}
            }
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Esc if self.why.is_some() => self.why = None,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.types = true,
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    Sort::State => Sort::Name,
                    Sort::Name => Sort::Rtt,
                    Sort::Rtt => Sort::State,
                };
            }
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::Enter => {
                let name = self.selected.clone()?;
                self.why = Some((name.clone(), None));
                return Some(Action::Explain(name));
            }
            _ => {}
        }
        None
    }

    fn select(&mut self, by: isize) {
        let rows = self.rows();
        let at = rows.iter().position(|row| row.is_selected);
        let next = at.map_or(0, |at| at.saturating_add_signed(by));
        self.selected =
            rows.get(next.min(rows.len().saturating_sub(1))).map(|row| row.name.clone());
    }

    /// The members that the filter leaves, in order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let has = |text: &str| text.to_lowercase().contains(&self.filter.to_lowercase());
        let mut members: Vec<_> = self.members.iter().collect();
        members.retain(|it| [plain(&it["name"]), status(it), about(it)].iter().any(|it| has(it)));
        members.sort_by_cached_key(|member| {
            let rank = match member["state"].as_str() {
                Some("suspect") => 0,
                Some("dead") => 1,
                Some("alive") => 2,
                _ => 3,
            };
            let nanos = member["rtt"].as_f64().map(|rtt| (rtt * 1e9) as u64);
            let slow = nanos.map_or(u64::MAX, |nanos| u64::MAX.saturating_sub(nanos.max(1)));
            let key = match self.sort {
                Sort::State => rank,
                Sort::Name => 0,
                Sort::Rtt => slow,
            };
            (key, plain(&member["name"]))
        });
        let row = |member: &&Value| {
            // The name as it is, for commands; it is escaped where it is drawn.
            let name = member["name"].as_str().unwrap_or_default().to_owned();
            let changed = self.changed.get(&name).cloned().unwrap_or_else(|| "-".into());
            Row {
                state: state(member),
                cells: [status(member), address(member), rtt(member), changed, about(member)],
                is_selected: self.selected.as_ref() == Some(&name),
                name,
            }
        };
        members.iter().map(row).collect()
    }
}

/// The events that are held.
const MAX_EVENTS: usize = 100;
