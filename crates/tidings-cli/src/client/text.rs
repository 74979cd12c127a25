//! Results of an agent for people.

use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;
use tidings::is_hidden;

/// Rows in columns, the first row being the headings.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let row = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// The fields of an object, one a line.
pub(super) fn lines(object: &Value, between: &str) -> String {
    let fields = object.as_object().into_iter().flatten();
    let lines = fields.map(|(key, value)| format!("{}{between}{}", escape(key), plain(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// What a running agent is and how it is.
pub(super) fn info(info: &Value) -> String {
    let node = &info["node"];
    let members = &info["members"];
    let health = match info["health"].as_u64() {
        Some(0) => "0 (good)".to_owned(),
        other => format!("{} (0 is good)", other.unwrap_or_default()),
    };
    let uptime = Duration::from_secs(info["uptime"].as_f64().unwrap_or_default() as u64);
    let mut rows = vec![
        ("name", plain(&node["name"])),
        ("cluster", plain(&info["cluster"])),
        ("address", address(node)),
        ("phase", plain(&info["phase"])),
        ("ready", yes(&info["ready"])),
        ("health", health),
        (
            "members",
            format!(
                "{} alive, {} suspect, {} failed, {} left",
                members["alive"], members["suspect"], members["failed"], members["left"]
            ),
        ),
        ("view", plain(&info["view"])),
        ("encrypted", yes(&info["encrypted"])),
        ("version", plain(&info["version"])),
        ("process", plain(&info["pid"])),
        ("running for", humantime::format_duration(uptime).to_string()),
    ];
    let about = about(node);
    if !about.is_empty() {
        rows.insert(3, ("tags", about));
    }
    let row = |(name, value)| vec![format!("{name}:"), value];
    table(&rows.into_iter().map(row).collect::<Vec<_>>())
}

/// The address of a member.
pub(super) fn address(node: &Value) -> String {
    let (ip, port) = (plain(&node["addr"]), plain(&node["port"]));
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// The tags of a member, or its metadata.
pub(super) fn about(node: &Value) -> String {
    if node["tags"].is_object() {
        return lines(&node["tags"], "=").replace('\n', ", ");
    }
    match (node["meta_text"].as_str(), node["meta"].as_str()) {
        (Some(""), _) | (_, None) => String::new(),
        (Some(text), _) => format!("{text:?}"),
        (None, Some(hex)) => format!("hex:{}", escape(hex)),
    }
}

/// A round-trip time in seconds, with its unit.
pub(super) fn rtt(node: &Value) -> String {
    let seconds = node["rtt"].as_f64();
    let duration = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    duration.map_or_else(|| "-".into(), |it| format!("{it:.1?}"))
}

/// The state of a member.
pub(super) fn state(node: &Value) -> String {
    match node["state"].as_str() {
        Some("dead") => "failed".into(),
        _ => plain(&node["state"]),
    }
}

/// The state of a member, and of a suspect how long it takes until it counts as failed.
pub(super) fn status(node: &Value) -> String {
    let left = node["fails_in"].as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok());
    match left {
        Some(left) => format!("{}, {} s", state(node), left.as_secs()),
        None => state(node),
    }
}

/// A value as text; characters that people cannot see, which others may have sent, are escaped.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| escape(&value.to_string()), escape)
}

/// A value with all texts and names of fields in it escaped, for people.
pub(super) fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => escape(text).into(),
        Value::Array(values) => values.iter().map(escaped).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (escape(name), escaped(value))).collect()
        }
        other => other.clone(),
    }
}

/// A text with all characters escaped that people cannot see, or that control a terminal.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => escaped.extend(c.escape_debug()),
            c if is_hidden(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A value as JSON in one line, without characters that people cannot see.
pub(super) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        if c.is_control() || is_hidden(c) {
            // They occur within strings alone.
            for unit in c.encode_utf16(&mut [0; 2]) {
                _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

fn yes(value: &Value) -> String {
    if *value == true { "yes" } else { "no" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows =
            [["NAME", "STATUS"], ["müller", "alive"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "NAME    STATUS\nmüller  alive");
    }

    #[test]
    fn what_others_sent_does_not_reach_the_terminal_as_it_is() {
        let hostile = "a\x1b[2J\n\u{9b}\u{7f}\u{202e}\u{200b}\u{e0041}\u{3164}é\\";
        let shown = "a\\u{1b}[2J\\n\\u{9b}\\u{7f}\\u{202e}\\u{200b}\\u{e0041}\\u{3164}é\\";
        let value = json!({hostile: [hostile, {"x": hostile}, 1, null]});
        assert_eq!(plain(&hostile.into()), shown);
        assert_eq!(escaped(&value), json!({shown: [shown, {"x": shown}, 1, null]}));
        let line = json_line(&value);
        assert!(!line.chars().any(|c| c.is_control() || is_hidden(c)), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn metadata_is_text_where_it_is_text() {
        assert_eq!(about(&json!({"meta": "", "meta_text": ""})), "");
        assert_eq!(about(&json!({"meta": "78", "meta_text": "x"})), "\"x\"");
        assert_eq!(about(&json!({"meta": "ff"})), "hex:ff");
        let tags = json!({"meta": "", "meta_text": "a=1", "tags": {"a": "1", "b": "2"}});
        assert_eq!(about(&tags), "a=1, b=2");
        assert_eq!(address(&json!({"addr": "::1", "port": 7})), "[::1]:7");
    }
}
