//! The status as a page.

use crate::json::{digest, meta_text, phase};
use crate::metrics::rejected;
use crate::view::{Shown, View};
use std::fmt::{self, Display, Write};
use std::time::{Duration, SystemTime};
use tidings::is_hidden;

/// The page's style sheet.
pub(crate) const STYLE: &str = include_str!("assets/status.css");
/// The script that refreshes the page; without it the page reloads itself.
pub(crate) const SCRIPT: &str = include_str!("assets/status.js");

pub(crate) fn status(view: &View) -> String {
    let mut page = String::new();
    write(&mut page, view).expect("a string takes all text");
    page
}

fn write(page: &mut String, view: &View) -> fmt::Result {
    let (name, cluster) = (Text(view.name.as_str()), Text(view.cluster.as_str()));
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n\
         <title>{name}: {} of {} present</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"status.css\">\n\
         <script src=\"status.js\" defer></script>\n</head>\n<body>\n\
         <p id=\"stale\" hidden></p>\n<main>\n\
         <h1><bdi>{name}</bdi> in cluster <bdi>{cluster}</bdi></h1>\n",
        view.counts.present(),
        view.counts.total(),
    )?;
    node(page, view)?;
    members(page, view)?;
    events(page, view)?;
    rejections(page, view)?;
    write!(
        page,
        "<footer>As of {} (UTC). Also <a href=\"status.json\">as JSON</a>, \
         <a href=\"metrics\">metrics</a>.</footer>\n</main>\n</body>\n</html>\n",
        Time(view.at),
    )
}

/// The state of the node itself.
fn node(page: &mut String, view: &View) -> fmt::Result {
    let badge = |good: bool| if good { "good" } else { "bad" };
    writeln!(page, "<dl>")?;
    writeln!(page, "<dt>Address</dt><dd>{}, {} format</dd>", view.addr, view.wire)?;
    let (state, reason) = match view.unready() {
        None => ("ready", String::new()),
        Some(reason) => ("not ready", format!(": {reason}")),
    };
    writeln!(
        page,
        "<dt>State</dt><dd><span class=\"badge {}\" id=\"ready\">{state}</span> {}{}</dd>",
        badge(view.unready().is_none()),
        phase(view.phase),
        Text(&reason),
    )?;
    writeln!(
        page,
        "<dt>Health</dt><dd><span class=\"badge {}\" id=\"health\">{}</span> \
         <span class=\"soft\">0 is healthy, {} the worst; {:.0} % of the last probes lost</span>\
         </dd>",
        if view.health == 0 { "good" } else { "warn" },
        view.health,
        view.health_limit.saturating_sub(1),
        view.probe_loss * 100.0,
    )?;
    writeln!(
        page,
        "<dt>Digest of the view</dt><dd><code id=\"digest\">{}</code> \
         <span class=\"soft\">the same on nodes that see the same members</span></dd>\n</dl>",
        digest(view.digest),
    )
}

fn members(page: &mut String, view: &View) -> fmt::Result {
    let counts = &view.counts;
    write!(page, "<h2>Members</h2>\n<p id=\"counts\">{} alive", counts.alive)?;
    for (count, state) in [
        (counts.suspect, "suspect"),
        (counts.failed, "failed"),
        (counts.left, "left"),
        (counts.suppressed, "suppressed because of flaps"),
        (counts.degraded, "degraded"),
    ] {
        if count > 0 {
            write!(page, ", {count} {state}")?;
        }
    }
    writeln!(
        page,
        "</p>\n<table id=\"members\">\n<thead><tr><th>Name</th><th>State</th><th>Address</th>\
         <th>Metadata</th><th class=\"number\">RTT</th><th>Last change (UTC)</th></tr></thead>\n\
         <tbody>"
    )?;
    view.members.iter().try_for_each(|shown| member(page, shown))?;
    writeln!(page, "</tbody>\n</table>")?;
    if view.left_out > 0 {
        writeln!(page, "<p>{} more are not shown.</p>", view.left_out)?;
    }
    Ok(())
}

fn member(page: &mut String, shown: &Shown) -> fmt::Result {
    let member = &shown.member;
    write!(
        page,
        "<tr><td><bdi>{}</bdi>{}</td>",
        Text(member.id().as_str()),
        if shown.is_local { " <span class=\"soft\">(this node)</span>" } else { "" },
    )?;
    write!(page, "<td class=\"state\"><span class=\"badge {0}\">{0}</span>", shown.state())?;
    if member.is_degraded() {
        write!(page, " <span class=\"badge degraded\">no datagrams</span>")?;
    }
    let meta = meta_text(member.meta());
    write!(page, "</td><td>{}</td><td><bdi>{}</bdi></td>", member.addr(), Text(&meta))?;
    write!(page, "<td class=\"number\">")?;
    if let Some(rtt) = shown.rtt {
        write!(page, "{}", Millis(rtt))?;
    }
    write!(page, "</td><td class=\"time\">")?;
    if let Some(change) = shown.change {
        let kind = change.kind.as_str().replace('_', " ");
        write!(page, "{kind} <span class=\"soft\">{}</span>", Time(change.at))?;
    }
    writeln!(page, "</td></tr>")
}

fn events(page: &mut String, view: &View) -> fmt::Result {
    writeln!(page, "<h2>Recent events (UTC)</h2>")?;
    if view.recent.is_empty() {
        return writeln!(page, "<p class=\"soft\">None was recorded.</p>");
    }
    writeln!(page, "<table id=\"events\">\n<tbody>")?;
    for entry in &view.recent {
        writeln!(
            page,
            "<tr><td class=\"time soft\">{}</td><td><bdi>{}</bdi></td></tr>",
            Time(entry.at),
            Text(&entry.text),
        )?;
    }
    writeln!(page, "</tbody>\n</table>")
}

fn rejections(page: &mut String, view: &View) -> fmt::Result {
    writeln!(page, "<h2>Rejected traffic</h2>")?;
    let datagrams = rejected(&view.stats.rejected_datagrams);
    let streams = rejected(&view.stats.rejected_streams);
    let rows = datagrams.iter().zip(streams).filter(|((_, a), (_, b))| a + b > 0);
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return writeln!(page, "<p class=\"soft\">None since the start.</p>");
    }
    writeln!(
        page,
        "<table id=\"rejected\">\n<thead><tr><th>Reason</th><th class=\"number\">Datagrams</th>\
         <th class=\"number\">Streams</th></tr></thead>\n<tbody>"
    )?;
    for ((reason, datagrams), (_, streams)) in rows {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"number\">{datagrams}</td>\
             <td class=\"number\">{streams}</td></tr>",
            reason.replace('_', " "),
        )?;
    }
    writeln!(page, "</tbody>\n</table>")
}

/// Text in HTML, between tags or in a quoted attribute.
///
/// Characters without a shape of their own are shown as their number: a name must not look like
/// another one.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() || is_hidden(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A time in UTC, to the second: `2026-11-30 19:07:08`.
struct Time(SystemTime);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_seconds(self.0).to_string();
        f.write_str(&time.trim_end_matches('Z').replace('T', " "))
    }
}

/// A duration in milliseconds.
struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1000.0;
        write!(f, "{millis:.*} ms", if millis < 10.0 { 2 } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(
            Text("<script>'\"&</script>").to_string(),
            "&lt;script&gt;&#39;&quot;&amp;&lt;/script&gt;"
        );
        assert_eq!(Text("Zürich 東京 🦀").to_string(), "Zürich 東京 🦀");
    }

    #[test]
    fn text_hides_nothing_that_a_name_may_not_hide() {
        for c in ['\u{34f}', '\u{115f}', '\u{2800}', '\u{3164}', '\u{fe0f}', '\u{e0100}'] {
            let shown = format!("a\\u{{{:x}}}b", u32::from(c));
            assert_eq!(Text(&format!("a{c}b")).to_string(), shown);
        }
    }

    #[test]
    fn what_has_no_shape_is_shown_as_its_number() {
        assert_eq!(
            Text("a\u{202e}b\u{200b}c\nd\0").to_string(),
            "a\\u{202e}b\\u{200b}c\\u{a}d\\u{0}"
        );
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(Time(SystemTime::UNIX_EPOCH).to_string(), "1970-01-01 00:00:00");
        assert_eq!(Millis(Duration::from_micros(96)).to_string(), "0.10 ms");
        assert_eq!(Millis(Duration::from_micros(12_345)).to_string(), "12 ms");
    }
}
