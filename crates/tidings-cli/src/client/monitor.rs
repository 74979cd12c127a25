//! `tidings monitor`: the events of an agent as they happen.

use super::text::{escaped, json_line};
use super::{At, fatal};
use crate::Fatal;
use crate::output::write_line;
use serde_json::Value;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};
use tidings_control::Level;

pub(super) fn run(at: &At, level: Level) -> Result<ExitCode, Fatal> {
    let events = at.connect()?.monitor(level).map_err(fatal)?;
    for event in events {
        let event = event.map_err(fatal)?;
        let line = if at.is_json() { json_line(&event) } else { text(&escaped(&event)) };
        match write_line(&line) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.map_err(Fatal::failed)?,
        }
    }
    Err(Fatal { message: "the agent has ended".into(), status: super::NO_AGENT })
}

/// An event as a line of the agent's log.
fn text(event: &Value) -> String {
    let t = Duration::try_from_secs_f64(event["t"].as_f64().unwrap_or_default());
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + t.unwrap_or_default());
    let level = event["level"].as_str().unwrap_or_default().to_uppercase();
    format!("{time} {level:5} {}", event["text"].as_str().unwrap_or_default())
}
